/** The payment stream (`payment-<payment_id>`): a payment, its parts and attempts. Stored for ever: add a new type, never change one. */
import { z } from 'zod';
import { count, fact, hex, hex32, msat, point, short_channel_id, stream, text, u16, u32 } from './words.ts';

/** One hop of a route as the sender sees it: the channel to `node_id`, and what arrives there. */
export const routeHop = z.strictObject({ short_channel_id, node_id: point, amount_msat: msat, cltv_expiry: u32 });
export type RouteHop = z.output<typeof routeHop>;

export const paymentEvents = [
  fact('PaymentStarted', {
    payment_id: hex32,
    payment_hash: hex32,
    destination: point,
    amount_msat: msat,
    fee_limit_msat: msat,
    min_final_cltv_expiry_delta: u16,
    /** What the payee asked for, word for word. */
    bolt11: text,
    max_attempts: count,
  }),
  /** An HTLC is owed to the first channel. The session key derives from the seed, payment_id and attempt. */
  fact('AttemptPlanned', {
    attempt: count,
    payment_hash: hex32,
    channel: stream,
    amount_msat: msat,
    fee_msat: msat,
    cltv_expiry: u32,
    onion_hash: hex32,
    hops: z.array(routeHop).min(1).max(26),
  }),
  fact('AttemptSucceeded', { attempt: count, payment_preimage: hex32 }),
  /** `erring_hop` counts from 0, our own node; absent when nobody could be told. */
  fact('AttemptFailed', {
    attempt: count,
    failure_code: u16,
    failure_name: text,
    failure_data: hex,
    erring_hop: count.optional(),
    erring_node: point.optional(),
    reason: text,
  }),
  fact('PaymentSucceeded', { payment_preimage: hex32, amount_msat: msat, fee_msat: msat }),
  fact('PaymentFailed', {
    code: text,
    reason: text,
    failure_code: u16.optional(),
    failure_name: text.optional(),
    erring_node: point.optional(),
  }),
] as const;

export type PaymentEvent = z.output<(typeof paymentEvents)[number]>;
