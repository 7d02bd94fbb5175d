/** GET /v1/fees: who paid which on-chain fee, to the sat, now or at any point of the past. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { feeRows } from '../../projections/node-view.ts';
import { placesOf, rowsOf, type Nodes } from '../nodes.ts';
import { problemResponses } from '../problems.ts';
import { amount, asOf, asOfParameter, nodeParameter, plain } from '../schemas.ts';

const totals = { local_sat: amount, remote_sat: amount, rounding_sat: amount, unknown_sat: amount, fee_sat: amount, pending_sat: amount };

const feeRow = z
  .object({
    stream: z.string().optional(),
    kind: z.string().meta({ description: 'funding, mutual_close, commitment, sweep, htlc_success, htlc_timeout, htlc_claim, penalty, anchor, payment' }),
    txid: z.string(),
    status: z.enum(['confirmed', 'pending', 'given_up']),
    block_height: z.int().optional(),
    inputs_sat: amount,
    outputs_sat: amount,
    fee_sat: amount.meta({ description: 'Inputs less outputs: the sum of the parts' }),
    parts: z.array(z.object({ what: z.string(), by: z.enum(['local', 'remote', 'both', 'unknown']), amount_sat: amount })),
    wallet_sat: amount.meta({ description: 'What coins of the wallet put in, less their change' }),
    anchors_sat: amount,
  })
  .meta({ id: 'FeeRow' });

const feeLedger = z
  .object({
    node: z.string(),
    rows: z.array(feeRow),
    channels: z.array(z.object({ stream: z.string(), ...totals })),
    totals: z.object(totals).meta({ description: 'Of confirmed transactions; pending_sat of those that no block holds yet' }),
  })
  .meta({ id: 'FeeLedger' });

export function feeRoutes(app: FastifyInstance, nodes: Nodes): void {
  app.withTypeProvider<ZodTypeProvider>().get(
    '/v1/fees',
    {
      schema: {
        summary: 'On-chain fees: each transaction, who paid it and why, per channel and in all',
        tags: ['balances'],
        querystring: z.strictObject({ node: nodeParameter, as_of: asOfParameter }),
        response: { 200: z.object({ as_of: asOf, fees: z.array(feeLedger) }), ...problemResponses },
      },
    },
    async ({ query }) => {
      const found = await rowsOf(nodes.named(query.node), query.as_of, feeRows);
      const fees = found.map(({ node, rows }) => Object.assign({ node }, rows));
      return plain({ as_of: placesOf(found), fees }) as never;
    },
  );
}
