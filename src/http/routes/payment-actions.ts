/** Asking for money and paying it (BOLT 11). */
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Hex32 } from '../../bolt/primitives.ts';
import type { ControlledNode, PaymentOutcome } from '../control.ts';
import { Problem, problemResponses } from '../problems.ts';
import { amount, hex32Input, msatInput, plain, time, waitSeconds } from '../schemas.ts';
import type { Acting } from './acting.ts';

const bolt11 = z.string().min(1).max(7100).meta({ description: 'A BOLT 11 invoice' });

const createdInvoice = z.object({ bolt11: z.string(), payment_hash: z.string(), expires_at: time });

const paymentOutcome = z
  .object({
    payment_id: z.string(),
    payment_hash: z.string().optional(),
    status: z.enum(['in_flight', 'succeeded', 'failed']),
    payment_preimage: z.string().optional(),
    amount_msat: amount.optional(),
    fee_msat: amount.optional(),
    attempts: z.int().optional(),
    code: z.string().optional(),
    reason: z.string().optional(),
    failure_code: z.int().optional(),
    failure_name: z.string().optional(),
    erring_node: z.string().optional(),
  })
  .meta({ id: 'PaymentOutcome' });

const decoded = z
  .looseObject({ payee: z.string(), payment_hash: z.string(), amount_msat: amount.optional(), description: z.string().optional(), created_at: time, expires_at: time, expired: z.boolean() })
  .meta({ id: 'DecodedInvoice' });

export function paymentActions(app: FastifyInstance, { control, idempotency }: Acting): void {
  const routes = app.withTypeProvider<ZodTypeProvider>();

  routes.post(
    '/v1/invoices',
    {
      schema: {
        summary: 'Make an invoice',
        tags: ['payments'],
        body: z.strictObject({
          amount_msat: msatInput.optional().meta({ description: 'The payer chooses if left out' }),
          description: z.string().max(639).default(''),
          expiry: z.int().min(1).max(31_536_000).optional().meta({ description: 'Seconds; 3600 if left out' }),
        }),
        response: { 201: createdInvoice, ...problemResponses },
      },
    },
    async ({ body }, reply) => {
      const { expires_at, ...invoice } = await control.createInvoice(body);
      return reply.code(201).send({ ...invoice, expires_at: iso(expires_at) });
    },
  );

  routes.post(
    '/v1/payments',
    {
      schema: {
        summary: 'Pay an invoice',
        description:
          'Answers 200 with the outcome, or 202 when it is still in flight after wait_seconds; ask /v1/payments/{payment_id} then. ' +
          'An invoice that was paid is never paid again; with an `Idempotency-Key` the same request may be sent again to hear its answer.',
        tags: ['payments'],
        body: z.strictObject({
          bolt11,
          amount_msat: msatInput.optional().meta({ description: 'Only where the invoice leaves it open' }),
          fee_limit_msat: msatInput.optional().meta({ description: '1 % of the amount, at least 5 sat, if left out' }),
          max_attempts: z.int().min(1).max(100).optional(),
          wait_seconds: waitSeconds,
        }),
        response: { 200: paymentOutcome, 202: paymentOutcome, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { wait_seconds, ...wish } = request.body;
      const command_id = idempotency.commandId(request, 'POST /v1/payments');
      const { payment_id } = await control.startPayment({ ...wish, command_id });
      return answerWithOutcome(control, payment_id, wait_seconds, reply);
    },
  );

  routes.get(
    '/v1/payments/:payment_id',
    {
      schema: {
        summary: 'How a payment ended, or that it has not',
        tags: ['payments'],
        params: z.strictObject({ payment_id: hex32Input }),
        querystring: z.strictObject({ wait_seconds: waitSeconds.default(0) }),
        response: { 200: paymentOutcome, 202: paymentOutcome, ...problemResponses },
      },
    },
    async ({ params, query }, reply) => answerWithOutcome(control, params.payment_id, query.wait_seconds, reply),
  );

  routes.post(
    '/v1/decode',
    { schema: { summary: 'What an invoice says; its signature is checked', tags: ['payments'], body: z.strictObject({ bolt11 }), response: { 200: decoded, ...problemResponses } } },
    async ({ body }) => {
      const { timestamp, expiry, ...invoice } = control.decode(body.bolt11);
      const ends = timestamp + expiry;
      return plain({ ...invoice, created_at: iso(timestamp), expires_at: iso(ends), expiry, expired: ends * 1000 <= Date.now() }) as never;
    },
  );
}

async function answerWithOutcome(control: ControlledNode, payment_id: Hex32, seconds: number, reply: FastifyReply): Promise<FastifyReply> {
  const outcome = await endedWithin(control.paymentEnded(payment_id), seconds);
  if (outcome === undefined) throw new Problem(404, 'unknown_payment', `payment_id: expected that of a payment of ours, got ${payment_id}`, { got: payment_id });
  return outcome === 'in_flight' ? reply.code(202).send({ payment_id, status: outcome }) : reply.code(200).send(plain(outcome));
}

/** A payment that ended before the question is told as such even when nobody waits. */
async function endedWithin(ended: Promise<PaymentOutcome | undefined>, seconds: number): Promise<PaymentOutcome | 'in_flight' | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<'in_flight'>((resolve) => (timer = setTimeout(() => resolve('in_flight'), Math.max(50, seconds * 1000))));
  try {
    return await Promise.race([ended, late]);
  } finally {
    clearTimeout(timer);
  }
}

const iso = (unixSeconds: number): string => new Date(unixSeconds * 1000).toISOString();
