/** What an invoice can be asked, every fact of the world a field. */
import type { BlockHeight, Hex32, Msat } from '../../bolt/primitives.ts';
import type { ChainTrouble } from '../chain-contact.ts';
import type { StreamId } from '../../events/store.ts';

/** An HTLC that ends with us, and what its onion says about it. */
export interface FinalHtlc {
  readonly channel: StreamId;
  readonly htlc_id: bigint;
  readonly amount_msat: Msat;
  readonly cltv_expiry: number;
  readonly amt_to_forward: Msat;
  readonly outgoing_cltv_value: number;
  /** SHA-256 of the payment_secret the onion carried. */
  readonly payment_secret_hash: Hex32;
  readonly total_msat: Msat;
}

export type InvoiceCommand =
  | {
      readonly type: 'CreateInvoice';
      readonly payment_hash: Hex32;
      readonly payment_secret_hash: Hex32;
      readonly nonce: Hex32;
      readonly amount_msat?: Msat;
      readonly description: string;
      /** Unix seconds. */
      readonly created_at: number;
      /** Seconds. */
      readonly expiry: number;
      readonly min_final_cltv_expiry_delta: number;
    }
  | {
      readonly type: 'AcceptInvoiceHtlc';
      readonly htlc: FinalHtlc;
      /** Unix seconds. */
      readonly now: number;
      readonly height: BlockHeight;
      /** From the signer, by the invoice's nonce; absent where there is no invoice. It is told to the log when the set is whole. */
      readonly payment_preimage?: Hex32;
      /** No deadline could be kept now. */
      readonly chain_trouble?: ChainTrouble | undefined;
    }
  /** Fails the set that has waited too long. `now`: unix seconds. */
  | { readonly type: 'TimeoutInvoiceHtlcs'; readonly now: number };
