/** GET /v1/events: the log itself, gap-free and resumable; a page as JSON, or without end as Server-Sent Events. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { EventEnvelope } from '../../events/envelope.ts';
import { registry } from '../../events/registry.ts';
import { formatCursor, parseCursor, type Cursor } from '../cursor.ts';
import { followLog, openSse, type SseWriter } from '../event-stream.ts';
import type { LiveNode, Nodes } from '../nodes.ts';
import { Problem, problemResponses } from '../problems.ts';
import { afterParameter, limitParameter, nodeParameter, plain, position, time } from '../schemas.ts';

const eventSchema = z
  .object({
    node: z.string(),
    position,
    stream: z.string(),
    revision: position,
    type: z.string(),
    id: z.string(),
    recorded_at: time,
    causation_id: z.string(),
    correlation_id: z.string(),
    previous_hash: z.string(),
    hash: z.string(),
    data: z.record(z.string(), z.unknown()).meta({ description: 'The event\'s own fields, as they are stored' }),
  })
  .meta({ id: 'Event' });

const query = z.strictObject({
  node: nodeParameter,
  after: afterParameter,
  limit: limitParameter,
  type: z
    .string()
    .max(1024)
    .refine((text) => text.split(',').every((type) => registry.knows(type)), 'expected names of event types, with commas between them')
    .optional()
    .meta({ description: 'Only these types', example: 'FundingConfirmed,ChannelClosed' }),
  stream: z.string().min(1).max(256).optional().meta({ description: 'Only streams whose name begins so', example: 'channel-' }),
});
type Query = z.output<typeof query>;

const SCANNED_PER_PAGE = 10_000;
const MAX_STREAMS = 64;

export function eventRoutes(app: FastifyInstance, nodes: Nodes): void {
  const open = new Set<SseWriter>();
  app.addHook('onClose', async () => open.forEach((writer) => writer.end()));
  app.withTypeProvider<ZodTypeProvider>().get(
    '/v1/events',
    {
      schema: {
        summary: 'The log, event by event',
        description:
          'Give `next` as `after` to go on without gap or repetition; with filters a page may be empty and still move on. ' +
          'With `Accept: text/event-stream` the answer never ends: each event has an `id`, which a reader gives back as Last-Event-ID.',
        tags: ['events'],
        querystring: query,
        response: {
          200: z.object({ events: z.array(eventSchema), next: z.string().meta({ description: 'Where this page ends; give it as `after`' }), more: z.boolean() }),
          ...problemResponses,
        },
      },
    },
    async (request, reply) => {
      const read = nodes.named(request.query.node);
      if (!wantsStream(request)) return plain(await page(read, parseCursor(request.query.after, read), request.query)) as never;
      const cursor = parseCursor(lastEventId(request) ?? request.query.after, read);
      if (open.size >= MAX_STREAMS) throw new Problem(503, 'too_many_streams', `event streams open: expected less than ${MAX_STREAMS}, got ${open.size}`, { expected: MAX_STREAMS, got: open.size });
      reply.hijack();
      const writer = openSse(reply.raw);
      open.add(writer);
      stream(read, cursor, request.query, writer)
        .catch((error: unknown) => request.log.error({ err: error }, 'an event stream ended'))
        .finally(() => open.delete(writer) && writer.end());
      return reply;
    },
  );
}

const wantsStream = ({ headers }: FastifyRequest): boolean => (headers.accept ?? '').includes('text/event-stream');

function lastEventId({ headers }: FastifyRequest): string | undefined {
  const id = headers['last-event-id'];
  return typeof id === 'string' && id !== '' ? id : undefined;
}

/** Each node in turn: its events behind the cursor, until the page is full or enough was looked through. */
async function page(nodes: readonly LiveNode[], start: Cursor, { limit, type, stream }: Query) {
  const cursor = new Map(start);
  const events: object[] = [];
  let [scanned, more] = [0, false];
  const wanted = filter(type, stream);
  for (const node of nodes) {
    const after = cursor.get(node.name);
    for await (const envelope of node.store.readAll(after === undefined ? undefined : after + 1n)) {
      more = events.length >= limit || scanned >= SCANNED_PER_PAGE;
      if (more) break;
      scanned += 1;
      cursor.set(node.name, envelope.position);
      if (wanted(envelope)) events.push(eventRow(node.name, envelope));
    }
    if (more) break;
  }
  return { events, next: formatCursor(cursor, nodes), more };
}

/** All nodes at a time; every id names the place in each of their logs, so that a reader can come back to it. */
async function stream(nodes: readonly LiveNode[], start: Cursor, { type, stream: prefix }: Query, writer: SseWriter): Promise<void> {
  const cursor = new Map(start);
  const wanted = filter(type, prefix);
  await Promise.all(nodes.map(async ({ name, store }) => {
    for await (const envelope of followLog(store, cursor.get(name), writer.signal)) {
      cursor.set(name, envelope.position);
      if (wanted(envelope)) await writer.send(formatCursor(cursor, nodes), envelope.event.type, plain(eventRow(name, envelope)));
    }
  }));
}

function filter(type: string | undefined, prefix: string | undefined): (envelope: EventEnvelope) => boolean {
  const types = type === undefined ? undefined : new Set(type.split(','));
  return ({ event, stream: name }) => (types?.has(event.type) ?? true) && (prefix === undefined || name.startsWith(prefix));
}

function eventRow(node: string, { event: { type, ...data }, ...envelope }: EventEnvelope) {
  return { node, ...envelope, type, data };
}
