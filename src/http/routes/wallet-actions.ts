/** The node's own coins on chain, and addresses to receive more. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { problemResponses } from '../problems.ts';
import { amount, plain, satInput } from '../schemas.ts';
import type { Acting } from './acting.ts';

const wallet = z
  .object({
    balance: z.object({ confirmed_sat: amount, pending_sat: amount, reserved_sat: amount, immature_sat: amount, total_sat: amount }),
    coins: z.array(z.object({ txid: z.string(), output_index: z.int(), value_sat: amount, block_height: z.int().optional() })),
    unconfirmed: z.array(z.object({ txid: z.string(), purpose: z.string(), fee_satoshis: amount })).meta({ description: 'Transactions of ours that no block holds yet' }),
  })
  .meta({ id: 'Wallet' });

const sent = z.object({ txid: z.string(), amount_sat: amount, fee_satoshis: amount });

export function walletActions(app: FastifyInstance, { control, idempotency }: Acting): void {
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

  routes.post(
    '/v1/wallet/send',
    {
      schema: {
        summary: 'Send coins to an address',
        description: 'Answers when the transaction is durable and on its way; it is sent again with each block until one holds it. With an `Idempotency-Key` the same request sends once. What claims of channels may need (`wallet.anchor_reserve_sat`) stays in the wallet.',
        tags: ['wallet'],
        body: z.strictObject({
          address: z.string().min(1).max(200),
          amount_sat: satInput,
          feerate_per_kw: z.int().min(253).max(250_000).optional().meta({ description: 'sat per 1000 weight units; today\'s for six blocks if left out' }),
        }),
        response: { 202: sent, ...problemResponses },
      },
    },
    async (request, reply) => {
      const command_id = idempotency.commandId(request, 'POST /v1/wallet/send');
      return reply.code(202).send(plain(await control.sendCoins({ ...request.body, command_id })) as never);
    },
  );
}
