/** An invoice as its events leave it: what we asked for, and the HTLCs that wait for their set to be whole. */
import type { Hex32, Msat } from '../../bolt/primitives.ts';
import type { StreamId } from '../../events/store.ts';

export interface InvoiceTerms {
  readonly payment_hash: Hex32;
  readonly payment_secret_hash: Hex32;
  readonly nonce: Hex32;
  readonly amount_msat?: Msat;
  /** Unix seconds. */
  readonly created_at: number;
  /** Seconds. */
  readonly expiry: number;
  readonly min_final_cltv_expiry_delta: number;
}

export interface AcceptedHtlc {
  readonly channel: StreamId;
  readonly htlc_id: bigint;
  readonly amount_msat: Msat;
  readonly total_msat: Msat;
  /** Unix seconds. */
  readonly accepted_at: number;
}

export type InvoiceState =
  | { readonly phase: 'none' }
  | { readonly phase: 'open'; readonly terms: InvoiceTerms; readonly accepted: readonly AcceptedHtlc[] }
  | { readonly phase: 'settled'; readonly terms: InvoiceTerms; readonly payment_preimage: Hex32; readonly htlcs: readonly { readonly channel: StreamId; readonly htlc_id: bigint }[] };

export const initialInvoice: InvoiceState = { phase: 'none' };

/** An HTLC is (channel, id), never its hash or its amount. */
export const isSameHtlc = (a: { channel: StreamId; htlc_id: bigint }, b: { channel: StreamId; htlc_id: bigint }): boolean =>
  a.htlc_id === b.htlc_id && a.channel === b.channel;
