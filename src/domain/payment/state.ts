/** A payment as its events leave it: what was asked, and each attempt. */
import type { Hex32, Msat, NodeId } from '../../bolt/primitives.ts';
import type { PaymentEvent, RouteHop } from '../../events/payment.ts';
import type { StreamId } from '../../events/store.ts';
import { NOTHING_EXCLUDED, type Excluded } from '../routing/dijkstra.ts';

export interface PaymentTerms {
  readonly payment_id: Hex32;
  readonly payment_hash: Hex32;
  readonly destination: NodeId;
  readonly amount_msat: Msat;
  readonly fee_limit_msat: Msat;
  readonly min_final_cltv_expiry_delta: number;
  readonly bolt11: string;
  readonly max_attempts: number;
}

export interface Attempt {
  readonly attempt: number;
  readonly channel: StreamId;
  readonly hops: readonly RouteHop[];
  readonly fee_msat: Msat;
  readonly status: 'in_flight' | 'failed' | 'succeeded';
}

export interface Started {
  readonly terms: PaymentTerms;
  /** Of this payment_hash ever, in order: attempt n stands at index n. */
  readonly attempts: readonly Attempt[];
  /** Index of the first attempt since the payment was last started. */
  readonly firstAttempt: number;
  /** What the failures since then have shown not to work. */
  readonly excluded: Excluded;
}

type Failed = Extract<PaymentEvent, { type: 'PaymentFailed' }>;

export type PaymentState =
  | { readonly phase: 'none' }
  | ({ readonly phase: 'in_flight' } & Started)
  | ({ readonly phase: 'succeeded'; readonly payment_preimage: Hex32; readonly fee_msat: Msat } & Started)
  | ({ readonly phase: 'failed'; readonly failure: Omit<Failed, 'type'> } & Started);

export const initialPayment: PaymentState = { phase: 'none' };

export const startOf = (terms: PaymentTerms, attempts: readonly Attempt[]): Started => ({
  terms,
  attempts,
  firstAttempt: attempts.length,
  excluded: NOTHING_EXCLUDED,
});
