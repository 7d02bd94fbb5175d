/** GET /v1/channels: one row per channel, now or at any point of the past. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { channelRows } from '../../projections/node-view.ts';
import { placesOf, rowsOf, type Nodes } from '../nodes.ts';
import { pageOf } from '../paging.ts';
import { problemResponses } from '../problems.ts';
import { afterParameter, amount, asOf, asOfParameter, limitParameter, next, nodeParameter, plain, time } from '../schemas.ts';

const htlc = z.object({ direction: z.enum(['offered', 'received']), id: amount, amount_msat: amount, payment_hash: z.string(), cltv_expiry: z.int(), state: z.string() });

const close = z.object({
  by: z.enum(['user', 'local', 'remote']).optional(),
  code: z.string().optional(),
  reason: z.string().optional(),
  kind: z.string().optional(),
  txid: z.string().optional(),
  commitment_number: amount.optional(),
  block_height: z.int().optional(),
});

export const channelSchema = z
  .object({
    node: z.string(),
    stream: z.string(),
    phase: z.string(),
    step: z.string().optional(),
    peer_id: z.string().optional(),
    role: z.enum(['opener', 'accepter']).optional(),
    channel_id: z.string().optional(),
    short_channel_id: z.string().optional().meta({ description: 'Its place on chain, once the funding is confirmed' }),
    local_aliases: z.array(z.string()).optional().meta({ description: 'Names that we gave it: the peer forwards to us by them' }),
    remote_aliases: z.array(z.string()).optional().meta({ description: 'Names that the peer gave it: our invoices use the last one' }),
    funding_txid: z.string().optional(),
    funding_output_index: z.int().optional(),
    channel_type: z.string().optional(),
    announced: z.boolean().optional(),
    scid_alias: z.boolean().optional().meta({ description: 'Forwards to it may use its aliases alone' }),
    zero_conf: z.boolean().optional().meta({ description: 'In use before its funding was in a block' }),
    capacity_sat: amount,
    local_msat: amount,
    remote_msat: amount,
    offered_msat: amount,
    received_msat: amount,
    to_sweep_sat: amount,
    htlcs: z.array(htlc),
    feerate_per_kw: z.int().optional(),
    local_commitment_number: amount.optional(),
    remote_commitment_number: amount.optional(),
    close: close.optional(),
    opened_at: time,
    updated_at: time,
    revision: amount,
  })
  .meta({ id: 'Channel' });

export function channelRoutes(app: FastifyInstance, nodes: Nodes): void {
  app.withTypeProvider<ZodTypeProvider>().get(
    '/v1/channels',
    {
      schema: {
        summary: 'Channels, open and closed, with balances and what is in flight',
        tags: ['channels'],
        querystring: z.strictObject({ node: nodeParameter, as_of: asOfParameter, limit: limitParameter, after: afterParameter }),
        response: { 200: z.object({ as_of: asOf, channels: z.array(channelSchema), next }), ...problemResponses },
      },
    },
    async ({ query }) => {
      const found = await rowsOf(nodes.named(query.node), query.as_of, channelRows);
      const all = found.flatMap(({ node, rows }) => rows.map((row) => Object.assign({ node }, row)));
      const page = pageOf(all, (row) => `${row.node}/${row.stream}`, query.limit, query.after);
      return plain({ as_of: placesOf(found), channels: page.rows, next: page.next }) as never;
    },
  );
}
