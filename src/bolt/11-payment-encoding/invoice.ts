/** BOLT 11, "Invoice Protocol for Lightning Payments": a signed request for a payment, to text and back. */
import { bech32 } from '@scure/base';
import { crypto } from '../crypto.ts';
import { type NodeId, type Point, type Signature, concatBytes, fromHex, toHex, toPoint, toSignature } from '../primitives.ts';
import { CURRENCIES, type Currency, decodeHumanReadable, encodeHumanReadable } from './human-readable.ts';
import { InvoiceError } from './invoice-error.ts';
import { type CompleteFields, type InvoiceFields, fieldWords, readFields, readNodeId, splitFields } from './invoice-fields.ts';
import { bytesToWords, integerToWords, wordsToBytes, wordsToInteger, wordsToPaddedBytes } from './words.ts';

export { CURRENCIES, type Currency } from './human-readable.ts';
export { InvoiceError, type InvoiceErrorCode } from './invoice-error.ts';
export { DEFAULT_EXPIRY, DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA, type InvoiceFields, type UnknownField } from './invoice-fields.ts';
export type { Fallback, RoutingHop } from './tagged-fields.ts';

/** The most that a QR code of alphanumeric characters holds; a longer text is no invoice. */
export const MAX_INVOICE_LENGTH = 7089;

/** A signed invoice, with the defaults filled in. */
export interface Invoice extends CompleteFields {
  /** The key that signed. */
  readonly payee: NodeId;
  readonly signature: Signature;
  readonly recovery: number;
}

/** Signs the digest with the payee's node key (RFC 6979, low S); 64 bytes and a recovery id of 0 to 3. */
export type SignDigest = (digest: Uint8Array) => { signature: Uint8Array; recovery: number };

/** Throws InvoiceError when the fields cannot stand in an invoice, such as too long a description. */
export function encodeInvoice(fields: InvoiceFields, sign: SignDigest): string {
  const prefix = encodeHumanReadable(fields.currency, fields.amount_msat);
  const data = [...timestampWords(fields.timestamp), ...fieldWords(fields)];
  const { signature, recovery } = sign(signingDigest(prefix, data));
  const text = bech32.encode(prefix, [...data, ...bytesToWords(concatBytes(signature, Uint8Array.of(recovery)))], false);
  assertLength(text);
  return text;
}

/**
 * Reads, and verifies the signature. `networks` are the currencies to accept: all that we know unless told. A `lightning:`
 * in front is no part of the invoice and is skipped. Throws InvoiceError, whatever the text.
 */
export function decodeInvoice(text: string, { networks = CURRENCIES }: { readonly networks?: readonly Currency[] } = {}): Invoice {
  const { prefix, words } = decodeBech32(text.replace(/^lightning:/i, ''));
  const { currency, amount_msat } = decodeHumanReadable(prefix, networks);
  if (words.length < TIMESTAMP_WORDS + SIGNATURE_WORDS) {
    throw new InvoiceError('too_short', `expected ${TIMESTAMP_WORDS + SIGNATURE_WORDS} words or more, got ${words.length}`);
  }
  const data = words.slice(0, -SIGNATURE_WORDS);
  const raw = splitFields(data.slice(TIMESTAMP_WORDS));
  const signed = verifySignature(signingDigest(prefix, data), words.slice(-SIGNATURE_WORDS), readNodeId(raw));
  const fields = readFields(raw);
  const timestamp = Number(wordsToInteger(data.slice(0, TIMESTAMP_WORDS)));
  return { currency, ...(amount_msat === undefined ? {} : { amount_msat }), timestamp, ...fields, ...signed };
}

/** Whether the payer is too late. `now` in unix seconds. */
export const isExpired = (invoice: Pick<Invoice, 'timestamp' | 'expiry'>, now: number): boolean => now - invoice.timestamp >= invoice.expiry;

const TIMESTAMP_WORDS = 7;
/** 64 bytes of signature and 1 of recovery id. */
const SIGNATURE_WORDS = 104;

// The text

function decodeBech32(text: string): { prefix: string; words: number[] } {
  assertLength(text);
  // Some letters beyond ASCII turn into bech32 digits in lower case.
  if (/[^!-~]/.test(text)) throw new InvoiceError('invalid_character', `expected printable ASCII, got "${text.slice(0, 20)}"`);
  if (text !== text.toLowerCase() && text !== text.toUpperCase()) {
    throw new InvoiceError('mixed_case', 'expected all lower or all upper case, got both');
  }
  const lower = text.toLowerCase();
  const separator = lower.lastIndexOf('1');
  if (separator < 1) throw new InvoiceError('no_separator', `expected a 1 after the prefix, got "${lower.slice(0, 20)}"`);
  const stranger = /[^qpzry9x8gf2tvdw0s3jn54khce6mua7l]/.exec(lower.slice(separator + 1));
  if (stranger !== null) throw new InvoiceError('invalid_character', `expected bech32 digits, got "${stranger[0]}"`);
  const decoded = bech32.decodeUnsafe(lower, false);
  if (decoded === undefined) throw new InvoiceError('bech32_checksum', `expected another checksum, got "${lower.slice(-6)}"`);
  return decoded;
}

function assertLength(text: string): void {
  if (text.length > MAX_INVOICE_LENGTH) {
    throw new InvoiceError('too_long', `expected at most ${MAX_INVOICE_LENGTH} characters, got ${text.length}`);
  }
}

function timestampWords(timestamp: number): number[] {
  if (!Number.isInteger(timestamp) || timestamp < 0 || timestamp >= 2 ** 35) {
    throw new InvoiceError('out_of_range', `expected a timestamp of 35 bits, got ${timestamp}`);
  }
  return integerToWords(BigInt(timestamp), TIMESTAMP_WORDS);
}

// The signature

/** SHA256 of the prefix and the data, filled up with 0 bits. */
function signingDigest(prefix: string, data: readonly number[]): Uint8Array {
  return crypto().sha256(concatBytes(new TextEncoder().encode(prefix), wordsToPaddedBytes(data)));
}

function verifySignature(digest: Uint8Array, words: readonly number[], nodeId: Point | undefined): Pick<Invoice, 'payee' | 'signature' | 'recovery'> {
  const bytes = wordsToBytes(words)!;
  const [compact, recovery] = [bytes.subarray(0, 64), bytes[64]!];
  const payee = nodeId === undefined ? recoverPayee(compact, recovery, digest) : verifyPayee(compact, digest, nodeId);
  return { payee, signature: toSignature(compact), recovery };
}

/** BOLT 11, 2025-09: both high and low S are accepted here, as they stand. */
function recoverPayee(signature: Uint8Array, recovery: number, digest: Uint8Array): NodeId {
  const payee = recovery <= 3 ? crypto().recover(signature, recovery, digest) : undefined;
  if (payee === undefined) {
    throw new InvoiceError('signature_not_recoverable', `expected a signature of some key, got ${toHex(signature)} with recovery id ${recovery}`);
  }
  return toPoint(payee);
}

function verifyPayee(signature: Uint8Array, digest: Uint8Array, nodeId: Point): NodeId {
  if (isHighS(signature)) throw new InvoiceError('high_s_with_n', `expected a low S, got ${toHex(signature.subarray(32))}`);
  if (!crypto().verify(signature, digest, fromHex(nodeId))) {
    throw new InvoiceError('wrong_signature', `expected a signature of ${nodeId}, got ${toHex(signature)}`);
  }
  return nodeId;
}

const HALF_ORDER = '7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0';
const isHighS = (signature: Uint8Array): boolean => toHex(signature.subarray(32)) > HALF_ORDER;
