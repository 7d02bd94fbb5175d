/** GET /v1/balances: what each node owns, each part in one place, now or at any point of the past. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { balanceRows } from '../../projections/node-view.ts';
import { placesOf, rowsOf, type Nodes } from '../nodes.ts';
import { problemResponses } from '../problems.ts';
import { amount, asOf, asOfParameter, nodeParameter, plain } from '../schemas.ts';

const parts = { local_msat: amount, remote_msat: amount, offered_msat: amount, received_msat: amount, to_sweep_sat: amount };

const balanceSchema = z
  .object({
    node: z.string(),
    channels: z.array(z.object({ stream: z.string(), peer_id: z.string().optional(), short_channel_id: z.string().optional(), phase: z.string(), capacity_sat: amount, ...parts })),
    wallet: z.object({ confirmed_sat: amount, pending_sat: amount, reserved_sat: amount, immature_sat: amount, total_sat: amount }),
    totals: z.object({ capacity_sat: amount, ...parts, wallet_sat: amount, owned_msat: amount }).meta({ description: 'owned_msat: local + offered + to_sweep + wallet' }),
  })
  .meta({ id: 'BalanceSheet' });

export function balanceRoutes(app: FastifyInstance, nodes: Nodes): void {
  app.withTypeProvider<ZodTypeProvider>().get(
    '/v1/balances',
    {
      schema: {
        summary: 'Balances per channel and per node, on chain and off',
        tags: ['balances'],
        querystring: z.strictObject({ node: nodeParameter, as_of: asOfParameter }),
        response: { 200: z.object({ as_of: asOf, balances: z.array(balanceSchema) }), ...problemResponses },
      },
    },
    async ({ query }) => {
      const found = await rowsOf(nodes.named(query.node), query.as_of, balanceRows);
      const balances = found.map(({ node, rows }) => Object.assign({ node }, rows));
      return plain({ as_of: placesOf(found), balances }) as never;
    },
  );
}
