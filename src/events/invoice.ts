/** The invoice stream (`invoice-<payment_hash>`): what we asked for and what came. Stored for ever: add a new type, never change one. */
import { z } from 'zod';
import { count, fact, hex, hex32, msat, stream, text, u16, u64 } from './words.ts';

const htlc = { channel: stream, htlc_id: u64, amount_msat: msat };

export const invoiceEvents = [
  /** The preimage and the payment_secret derive from the seed and `nonce`; only their hashes stand here. */
  fact('InvoiceCreated', {
    payment_hash: hex32,
    payment_secret_hash: hex32,
    nonce: hex32,
    amount_msat: msat.optional(),
    description: text,
    /** Unix seconds. */
    created_at: count,
    /** Seconds. */
    expiry: count,
    min_final_cltv_expiry_delta: u16,
  }),
  /** An HTLC of ours to keep, waiting for its set to be whole. `accepted_at`: unix seconds. */
  fact('InvoiceHtlcAccepted', { ...htlc, total_msat: msat, accepted_at: count }),
  fact('InvoiceHtlcRefused', { ...htlc, failure_code: u16, failure_data: hex }),
  /** From here on every HTLC of the set is owed its preimage. */
  fact('InvoiceSettled', {
    payment_preimage: hex32,
    received_msat: msat,
    htlcs: z.array(z.strictObject({ channel: stream, htlc_id: u64 })).min(1),
  }),
] as const;

export type InvoiceEvent = z.output<(typeof invoiceEvents)[number]>;
