/** What a payment can be asked, every fact of the world a field. */
import type { Hex, Hex32, Msat, NodeId } from '../../bolt/primitives.ts';
import type { RouteHop } from '../../events/payment.ts';
import type { StreamId } from '../../events/store.ts';

/** A route with its onion built, or why there is none. */
export type Plan =
  | { readonly kind: 'route'; readonly channel: StreamId; readonly onion_hash: Hex32; readonly hops: readonly RouteHop[] }
  | { readonly kind: 'none'; readonly reason: string };

/** How an attempt ended. `erring_hop` counts from 0, our own node; absent when nobody could be told. */
export type AttemptOutcome =
  | { readonly kind: 'fulfilled'; readonly payment_preimage: Hex32 }
  | {
      readonly kind: 'failed';
      readonly failure_code: number;
      readonly failure_name: string;
      readonly failure_data: Hex;
      readonly erring_hop?: number;
      readonly reason: string;
    };

export type PaymentCommand =
  | {
      readonly type: 'StartPayment';
      readonly payment_id: Hex32;
      readonly payment_hash: Hex32;
      readonly destination: NodeId;
      readonly amount_msat: Msat;
      readonly fee_limit_msat: Msat;
      readonly min_final_cltv_expiry_delta: number;
      readonly bolt11: string;
      readonly max_attempts: number;
      /** Unix seconds. */
      readonly now: number;
      readonly expires_at: number;
      readonly plan: Plan;
    }
  | {
      readonly type: 'ResolveAttempt';
      readonly attempt: number;
      readonly outcome: AttemptOutcome;
      readonly now: number;
      readonly expires_at: number;
      /** Gathered when the rules say that a retry may help (retry.ts). */
      readonly next?: Plan;
    };
