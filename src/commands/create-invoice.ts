/** A user's wish to be paid: the invoice is a fact of the log before anybody sees its text (BOLT 11). */
import { features } from '../bolt/09-features/features.ts';
import { encodeInvoice, type Currency, type RoutingHop } from '../bolt/11-payment-encoding/invoice.ts';
import { crypto } from '../bolt/crypto.ts';
import { fromHex, toHex32, type Hex32, type Msat } from '../bolt/primitives.ts';
import type { Signer } from '../domain/ports.ts';
import type { Refusal } from '../domain/decider.ts';
import type { StreamId } from '../events/store.ts';
import type { QuietStreams } from './quiet-streams.ts';

export interface InvoiceRequest {
  /** Absent: the payer chooses. */
  readonly amount_msat?: Msat;
  readonly description: string;
  /** Seconds; 3600 unless told. */
  readonly expiry?: number;
  /** Blocks we want between an arriving HTLC and its expiry. */
  readonly min_final_cltv_expiry_delta?: number;
  /** Ways to us over channels that are not announced; our own choice unless told. */
  readonly routing_hints?: readonly (readonly RoutingHop[])[];
}

export type InvoiceResult =
  | { readonly status: 'created'; readonly bolt11: string; readonly payment_hash: Hex32; readonly expires_at: number }
  | { readonly status: 'refused'; readonly refusal: Refusal };

export interface InvoicesOptions {
  readonly quiet: Pick<QuietStreams, 'invoices'>;
  readonly signer: Pick<Signer, 'signInvoice' | 'invoiceSecrets'>;
  readonly currency: Currency;
  /** Unix seconds. */
  readonly now: () => number;
  /** Cryptographic randomness, bytes. */
  readonly entropy: (length: number) => Uint8Array;
  /** Ways to us for an amount, or for any. */
  readonly hints?: (amount_msat: Msat | undefined) => readonly (readonly RoutingHop[])[];
}

export const DEFAULT_EXPIRY_SECONDS = 3_600;
/** BOLT 2, "cltv_expiry_delta Selection": time to claim on chain if the peer falls silent; BOLT 11 takes 18 where nothing is said. */
export const DEFAULT_MIN_FINAL_CLTV = 18;

const INVOICE_FEATURES = features({ var_onion_optin: 'compulsory', payment_secret: 'compulsory', basic_mpp: 'optional' });

export const invoiceStream = (payment_hash: Hex32): StreamId => `invoice-${payment_hash}`;

/** Throws InvoiceError when the description or a hint does not fit an invoice. */
export function createInvoices({ quiet, signer, currency, now, entropy, hints = () => [] }: InvoicesOptions): (request: InvoiceRequest) => Promise<InvoiceResult> {
  return async ({ amount_msat, description, expiry = DEFAULT_EXPIRY_SECONDS, min_final_cltv_expiry_delta = DEFAULT_MIN_FINAL_CLTV, routing_hints = hints(amount_msat) }) => {
    const nonce = toHex32(entropy(32));
    const { payment_preimage, payment_secret } = signer.invoiceSecrets(nonce);
    const payment_hash = sha256(payment_preimage);
    const terms = { payment_hash, ...(amount_msat === undefined ? {} : { amount_msat }), description, expiry, min_final_cltv_expiry_delta };
    const created_at = now();
    const bolt11 = encodeInvoice(
      { currency, timestamp: created_at, payment_secret, ...terms, routing_hints, features: INVOICE_FEATURES },
      (digest) => signer.signInvoice(digest),
    );
    const command_id = toHex32(entropy(32));
    const intent = { type: 'CreateInvoice', payment_secret_hash: sha256(payment_secret), nonce, created_at, ...terms } as const;
    const outcome = await quiet.invoices.execute(invoiceStream(payment_hash), intent, { command_id, correlation_id: command_id }, { fresh: true });
    if ('refused' in outcome) return { status: 'refused', refusal: outcome.refused };
    return { status: 'created', bolt11, payment_hash, expires_at: created_at + expiry };
  };
}

const sha256 = (hex: Hex32): Hex32 => crypto().sha256Hex(fromHex(hex)) as Hex32;
