/** GET /v1/info, peers, and the end: the node itself and whom it talks to. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Problem, problemResponses } from '../problems.ts';
import { nodeIdInput, plain, position, time } from '../schemas.ts';
import type { Acting } from './acting.ts';

const info = z
  .object({
    node_id: z.string(),
    alias: z.string(),
    version: z.string(),
    network: z.string(),
    chain_hash: z.string(),
    block_height: z.int(),
    address: z.string().meta({ description: 'What a peer connects to: <node_id>@<host>:<port>' }),
    peers: z.int(),
    channels: z.object({ opening: z.int(), open: z.int(), closing: z.int(), closed: z.int() }),
    graph: z.object({ channels: z.int() }),
    store: z.string(),
    log: z.object({ position: position.optional(), checkpoint_key: z.string() }),
    crypto_backend: z.string(),
    feerates: z
      .object({ urgent: z.int(), normal: z.int(), economic: z.int(), trouble: z.string().optional() })
      .meta({ description: 'sat per 1000 weight units for 2, 6 and 144 blocks; trouble: why the last good ones stay' }),
    chain_trouble: z.object({ code: z.string(), reason: z.string() }).optional().meta({ description: 'The chain cannot be watched: no payment is taken whose deadline would pass unseen' }),
    recovery: z
      .object({
        code: z.string(),
        reason: z.string(),
        channels_left: z.array(z.object({ stream: z.string(), peer_id: z.string(), waits_for: z.enum(['peer_to_close', 'chain']) })),
      })
      .optional()
      .meta({ description: 'The log is older than what the node did: nothing new may begin, and these channels are still to be paid out' }),
    started_at: time,
  })
  .meta({ id: 'NodeInfo' });

const peer = z.object({ node_id: z.string(), channels: z.array(z.string()) });

const ADDRESS = /^(0[23][0-9a-f]{64})@(\[[0-9a-fA-F:]+\]|[^@:\s[\]]{1,255})(?::(\d{1,5}))?$/;
/** BOLT 1: where nodes listen unless told otherwise. */
const DEFAULT_PORT = 9735;

export function nodeActions(app: FastifyInstance, { control }: Acting): void {
  const routes = app.withTypeProvider<ZodTypeProvider>();
  routes.get('/v1/info', { schema: { summary: 'Who the node is, and where it stands', tags: ['node'], response: { 200: info, ...problemResponses } } }, async () => plain(await control.info()) as never);

  routes.get(
    '/v1/peers',
    { schema: { summary: 'Peers connected now, and the channels with each', tags: ['peers'], response: { 200: z.object({ peers: z.array(peer) }), ...problemResponses } } },
    async () => plain({ peers: control.peers() }) as never,
  );

  routes.post(
    '/v1/peers',
    {
      schema: {
        summary: 'Connect to a peer, and keep connected',
        tags: ['peers'],
        body: z.strictObject({ address: z.string().min(1).max(400).meta({ description: '<node_id>@<host>:<port>; port 9735 if left out' }) }),
        response: { 200: z.object({ node_id: z.string() }), ...problemResponses },
      },
    },
    async ({ body }) => {
      const address = parseAddress(body.address);
      await control.connect(address);
      return { node_id: address.node_id };
    },
  );

  routes.delete(
    '/v1/peers/:node_id',
    {
      schema: {
        summary: 'Let a peer go; it may come back by itself',
        tags: ['peers'],
        params: z.strictObject({ node_id: nodeIdInput }),
        response: { 200: z.object({ node_id: z.string() }), ...problemResponses },
      },
    },
    async ({ params }) => {
      control.disconnect(params.node_id);
      return { node_id: params.node_id };
    },
  );

  routes.post(
    '/v1/stop',
    { schema: { summary: 'End the process in good order', tags: ['node'], response: { 202: z.object({ stopping: z.literal(true) }), ...problemResponses } } },
    async (_request, reply) => {
      control.stop();
      return reply.code(202).send({ stopping: true as const });
    },
  );
}

function parseAddress(text: string) {
  const [, node_id, host, digits] = ADDRESS.exec(text.trim()) ?? [];
  const port = digits === undefined ? DEFAULT_PORT : Number(digits);
  if (node_id === undefined || port < 1 || port > 65_535) throw new Problem(400, 'invalid_address', `address: expected <node_id>@<host>:<port>, got ${text}`, { expected: '<node_id>@<host>:<port>', got: text });
  return { node_id: nodeIdInput.parse(node_id), host: host!.replace(/^\[|\]$/g, ''), port };
}
