/** Opening a channel, watching it, closing it. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { channelRows } from '../../projections/node-view.ts';
import { rowsOf, type Nodes } from '../nodes.ts';
import { Problem, problemResponses } from '../problems.ts';
import { msatInput, nodeIdInput, plain, satInput } from '../schemas.ts';
import type { Acting } from './acting.ts';
import { channelSchema } from './channels.ts';

const waiting = z
  .discriminatedUnion('for', [
    z.object({ for: z.literal('peer_messages') }),
    z.object({ for: z.literal('peer_connection') }),
    z.object({ for: z.literal('funding_confirmations'), txid: z.string(), confirmations: z.int(), needed: z.int() }),
    z.object({ for: z.literal('closing_confirmations'), txid: z.string().optional(), confirmations: z.int(), needed: z.int() }),
    z.object({ for: z.literal('to_self_delay'), txid: z.string(), blocks_left: z.int() }),
    z.object({ for: z.literal('sweep_confirmations'), txid: z.string(), confirmations: z.int(), needed: z.int() }),
  ])
  .meta({ description: 'What the channel waits for, as peer and chain stand now' });

const liveChannel = z.object({ channel: channelSchema, usable: z.boolean(), peer_connected: z.boolean(), waiting: waiting.optional() });
const channelName = z.strictObject({ channel: z.string().min(1).max(200).meta({ description: 'Its stream, channel_id, short_channel_id, alias or funding outpoint' }) });
const named = z.object({ channel: z.string().meta({ description: 'Its stream in the log: the name that never changes' }) });

const closeInput = z
  .strictObject({
    force: z.boolean().default(false).meta({ description: 'Publish our commitment; our part waits for to_self_delay blocks' }),
    feerate_per_kw: z.int().min(253).max(250_000).optional().meta({ description: 'sat per 1000 weight units; today\'s for six blocks if left out' }),
    to: z.string().min(1).max(100).optional().meta({ description: 'An address for our part; one of our wallet if left out' }),
  })
  .refine(({ force, feerate_per_kw, to }) => !force || (feerate_per_kw === undefined && to === undefined), 'expected feerate_per_kw and to without force: our commitment has its fee and its outputs already');

export function channelActions(app: FastifyInstance, { control, nodes, idempotency }: Acting): void {
  const routes = app.withTypeProvider<ZodTypeProvider>();

  routes.post(
    '/v1/channels',
    {
      schema: {
        summary: 'Propose a channel to a connected peer',
        description: 'Answers when open_channel is owed to the peer; GET the channel to see it come. With an `Idempotency-Key` the same request opens one channel, however often it is sent.',
        tags: ['channels'],
        body: z.strictObject({
          peer_id: nodeIdInput,
          funding_satoshis: satInput,
          push_msat: msatInput.optional(),
          announce: z.boolean().optional().meta({ description: 'Left out: yes. What is not announced hides its place on chain, too, where the peer can do that' }),
          zero_conf: z.boolean().optional().meta({ description: 'Use it before its funding is in a block: for peers that trust us with that' }),
          channel_type: z.enum(['anchors_zero_fee_htlc_tx', 'static_remotekey']).optional(),
          close_to: z.string().min(1).max(100).optional().meta({ description: 'An address: the only one that a mutual close will pay us to, and the peer holds us to it (option_upfront_shutdown_script)' }),
        }),
        response: { 202: named, ...problemResponses },
      },
    },
    async (request, reply) => {
      const command_id = idempotency.commandId(request, 'POST /v1/channels');
      const channel = await control.openChannel({ ...request.body, command_id });
      return reply.code(202).send({ channel });
    },
  );

  routes.get(
    '/v1/channels/:channel',
    { schema: { summary: 'One channel, and what it waits for', tags: ['channels'], params: channelName, response: { 200: liveChannel, ...problemResponses } } },
    async ({ params }) => {
      const stream = oneChannel(control, params.channel);
      const { stream: _stream, phase: _phase, ...live } = (await control.channel(stream))!;
      return plain({ channel: await rowOf(nodes, stream), ...live }) as never;
    },
  );

  routes.post(
    '/v1/channels/:channel/close',
    {
      schema: {
        summary: 'Close a channel: with the peer, or with `force` alone',
        description: 'Asked again with `feerate_per_kw` or `to`, a close with a peer that knows option_simple_close gets a transaction in place of the last: dearer, or to another address.',
        tags: ['channels'],
        params: channelName,
        body: closeInput.prefault({}),
        response: { 202: named, ...problemResponses },
      },
    },
    async ({ params, body }, reply) => {
      const channel = oneChannel(control, params.channel);
      await control.closeChannel(channel, body);
      return reply.code(202).send({ channel });
    },
  );
}

/** Throws Problem unless exactly one channel bears the name. */
function oneChannel(control: Acting['control'], name: string): string {
  const found = control.channelsNamed(name);
  if (found.length === 1) return found[0]!;
  if (found.length === 0) throw new Problem(404, 'unknown_channel', `channel: expected a stream, channel_id, short_channel_id or funding outpoint of ours, got ${name}`, { got: name });
  throw new Problem(409, 'ambiguous_channel', `channel: expected a name of one channel, got ${name}, which means ${found.join(' and ')}`, { expected: found, got: name });
}

async function rowOf(nodes: Nodes, stream: string): Promise<unknown> {
  const [found] = await rowsOf(nodes.all, undefined, channelRows);
  const row = found!.rows.find((each) => each.stream === stream);
  if (row === undefined) throw new Problem(409, 'channel_not_written', `channel ${stream}: expected its first event in the log, got none yet`, { got: stream });
  return { node: found!.node, ...row };
}
