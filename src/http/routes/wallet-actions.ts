/** The node's own coins on chain, and addresses to receive more. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { problemResponses } from '../problems.ts';
import { amount, plain } from '../schemas.ts';
import type { Acting } from './acting.ts';

const wallet = z
  .object({
    balance: z.object({ confirmed_sat: amount, pending_sat: amount, reserved_sat: amount, immature_sat: amount, total_sat: amount }),
    coins: z.array(z.object({ txid: z.string(), output_index: z.int(), value_sat: amount, block_height: z.int().optional() })),
    unconfirmed: z.array(z.object({ txid: z.string(), purpose: z.string(), fee_satoshis: amount })).meta({ description: 'Transactions of ours that no block holds yet' }),
  })
  .meta({ id: 'Wallet' });

export function walletActions(app: FastifyInstance, { control }: Acting): void {
  const routes = app.withTypeProvider<ZodTypeProvider>();
  routes.get('/v1/wallet', { schema: { summary: 'Coins on chain', tags: ['wallet'], response: { 200: wallet, ...problemResponses } } }, async () => plain(await control.wallet()) as never);

  routes.post(
    '/v1/addresses',
    {
      schema: {
        summary: 'A new address to be paid at',
        tags: ['wallet'],
        body: z.strictObject({ purpose: z.string().max(200).default('asked for by the user').meta({ description: 'Kept in the log' }) }).prefault({}),
        response: { 201: z.object({ address: z.string() }), ...problemResponses },
      },
    },
    async ({ body }, reply) => reply.code(201).send({ address: await control.newAddress(body.purpose) }),
  );
}
