/** Laws of invoices: what was written is read, and no text, however broken, is answered by anything but an InvoiceError. */
import { bech32 } from '@scure/base';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { crypto } from '../../src/bolt/crypto.ts';
import { fromHex, msat, shortChannelIdFromBigint, toHex, toHex32, toPoint } from '../../src/bolt/primitives.ts';
import { featuresFromBits } from '../../src/bolt/09-features/features.ts';
import {
  CURRENCIES, type Invoice, InvoiceError, type InvoiceFields, decodeInvoice, encodeInvoice,
} from '../../src/bolt/11-payment-encoding/invoice.ts';
import { BECH32_DIGITS, bytesToWords, digitsToWords, integerToWords, wordsToBytes, wordsToDigits, wordsToInteger, wordsToPaddedBytes } from '../../src/bolt/11-payment-encoding/words.ts';
import valid from '../vectors/bolt11-valid.json' with { type: 'json' };
import { runs } from '../support/property.ts';

beforeAll(chooseCryptoBackend);

const sign = (digest: Uint8Array) => crypto().signRecoverable(digest, fromHex(valid.node_secret));
const payee = toPoint(fromHex(valid.node_id));

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const hash = bytes(32).map(toHex32);
const u32 = fc.nat(0xffff_ffff);
const u16 = fc.nat(0xffff);
const nodeId = bytes(31).map((key) => toPoint(crypto().publicKey(Uint8Array.from([1, ...key]))));
const text = fc.string({ unit: 'grapheme', maxLength: 60 });

const description = fc.oneof(text.map((description) => ({ description })), hash.map((description_hash) => ({ description_hash })));
const fallback = fc.oneof(
  fc.record({ version: fc.constantFrom(17, 18), program: bytes(20).map(toHex) }),
  fc.record({ version: fc.constant(0), program: fc.constantFrom(20, 32).chain(bytes).map(toHex) }),
  fc.record({ version: fc.integer({ min: 1, max: 16 }), program: fc.integer({ min: 2, max: 40 }).chain(bytes).map(toHex) }),
);
const routingHop = fc.record({
  node_id: nodeId, short_channel_id: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(shortChannelIdFromBigint),
  fee_base_msat: u32, fee_proportional_millionths: u32, cltv_expiry_delta: u16,
});
/** Known bits with their dependencies, and odd ones from a future. */
const features = fc.uniqueArray(fc.constantFrom(8, 9, 14, 15, 16, 17, 24, 25, 36, 37, 48, 49, 99, 151), { maxLength: 6 }).map(featuresFromBits);
const unknown = fc.record({
  tag: fc.constantFrom(...[...BECH32_DIGITS].filter((digit) => !'spdhmnxcfr9'.includes(digit))),
  digits: fc.array(fc.nat(31), { maxLength: 40 }).map(wordsToDigits),
});

const optional = fc.record({
  amount_msat: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }).map(msat),
  expiry: fc.maxSafeNat(),
  min_final_cltv_expiry_delta: u16,
  node_id: fc.constant(payee),
  payment_metadata: fc.uint8Array({ maxLength: 100 }).map(toHex),
  fallbacks: fc.array(fallback, { maxLength: 3 }),
  routing_hints: fc.array(fc.array(routingHop, { minLength: 1, maxLength: 3 }), { maxLength: 3 }),
  features,
  unknown: fc.array(unknown, { maxLength: 3 }),
}, { requiredKeys: [] });
const compulsory = fc.record({ currency: fc.constantFrom(...CURRENCIES), timestamp: fc.integer({ min: 0, max: 2 ** 35 - 1 }), payment_hash: hash, payment_secret: hash });
const fields: fc.Arbitrary<InvoiceFields> = fc.tuple(compulsory, optional, description).map((parts) => Object.assign({}, ...parts) as InvoiceFields);

const DEFAULTS = { expiry: 3600, min_final_cltv_expiry_delta: 18, fallbacks: [], routing_hints: [], features: '', unknown: [] };

describe('an invoice', () => {
  it('is read as it was written, and names who signed', () => {
    fc.assert(fc.property(fields, (fields) => {
      const { signature, recovery, ...read } = decodeInvoice(encodeInvoice(fields, sign));
      expect(read).toEqual({ ...DEFAULTS, ...fields, payee });
      expect([signature.length, recovery < 4]).toEqual([128, true]);
    }), { numRuns: runs(300) });
  });

  it('that was read is written and read again without loss', () => {
    fc.assert(fc.property(fields, (fields) => {
      const read = decodeInvoice(encodeInvoice(fields, sign));
      const again = decodeInvoice(encodeInvoice(read, sign));
      expect({ ...again, signature: '', recovery: 0 }).toEqual({ ...read, signature: '', recovery: 0 });
    }), { numRuns: runs(100) });
  });
});

/** An invoice, or an InvoiceError with a code that its message names; anything else fails the property. */
function readOrRefuse(text: string): Invoice | InvoiceError {
  try {
    return decodeInvoice(text);
  } catch (error) {
    if (!(error instanceof InvoiceError)) throw error;
    expect(error.message).toMatch(new RegExp(`^${error.code}: .*expected .*, got `, 's'));
    expect(error.message.length).toBeLessThan(500);
    return error;
  }
}

function refused(text: string): void {
  expect(readOrRefuse(text)).toBeInstanceOf(InvoiceError);
}

/** An invoice from the specification or of our own making. */
const someInvoice = fc.oneof(fc.constantFrom(...valid.cases.map(({ invoice }) => invoice)), fields.map((fields) => encodeInvoice(fields, sign)));
const take = (invoice: string) => bech32.decode(invoice as `${string}1${string}`, false);
const put = (prefix: string, words: readonly number[]): string => bech32.encode(prefix, [...words], false);

/** Words replaced, put in or taken away somewhere. */
const splice = fc.record({ at: fc.nat(), remove: fc.nat(12), insert: fc.array(fc.nat(31), { maxLength: 12 }) });
type Splice = typeof splice extends fc.Arbitrary<infer T> ? T : never;
const spliced = (words: readonly number[], { at, remove, insert }: Splice): number[] =>
  words.toSpliced(at % (words.length + 1), remove, ...insert);

describe('safety 21: no text makes the reader crash', () => {
  it('of any characters', () => {
    fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string().map((rest) => `lnbc1${rest}`), fc.string().map((rest) => `lightning:LNBC${rest}`)), refused),
      { numRuns: runs(1000) });
  });

  it('of an invoice with characters changed, which the checksum shows', () => {
    fc.assert(fc.property(someInvoice, fc.nat(), fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }), (invoice, at, character) => {
      const text = invoice.toLowerCase();
      const index = at % text.length;
      const changed = text.slice(0, index) + character + text.slice(index + 1);
      fc.pre(changed.toLowerCase() !== text);
      refused(changed);
    }), { numRuns: runs(500) });
  });

  it('of any words under a right checksum', () => {
    fc.assert(fc.property(fc.constantFrom('lnbc', 'lnbc20m', 'lntbs1p', 'ln', 'bc'), fc.array(fc.nat(31), { maxLength: 400 }), (prefix, words) => {
      readOrRefuse(put(prefix, words));
    }), { numRuns: runs(1000) });
  });

  it('of an invoice with words changed under a right checksum: the key is another one, or there is none', () => {
    fc.assert(fc.property(someInvoice, splice, (invoice, change) => {
      const { prefix, words } = take(invoice);
      const changed = spliced(words, change);
      const read = readOrRefuse(put(prefix, changed));
      // Whatever still reads was signed by whoever, but not by the payee over these words.
      if (read instanceof InvoiceError || wordsToDigits(changed) === wordsToDigits(words)) return;
      if (wordsToDigits(changed.slice(0, -104)) !== wordsToDigits(words.slice(0, -104))) expect(read.payee).not.toBe(payee);
    }), { numRuns: runs(2000) });
  });

  it('of an invoice with fields changed and signed anew', () => {
    fc.assert(fc.property(someInvoice, splice, (invoice, change) => {
      const { prefix, words } = take(invoice);
      const data = spliced(words.slice(0, -104), change);
      const digest = crypto().sha256(Uint8Array.from([...new TextEncoder().encode(prefix), ...wordsToPaddedBytes(data)]));
      const { signature, recovery } = sign(digest);
      const read = readOrRefuse(put(prefix, [...data, ...bytesToWords(Uint8Array.from([...signature, recovery]))]));
      if (!(read instanceof InvoiceError)) expect(readOrRefuse(encodeInvoice(read, sign))).not.toBeInstanceOf(InvoiceError);
    }), { numRuns: runs(2000) });
  });

  it('of an invoice with any signature and recovery id', () => {
    const edge = fc.constantFrom('00'.repeat(32), 'ff'.repeat(32), 'fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141', `${'00'.repeat(31)}01`);
    const half = fc.oneof(edge, bytes(32).map(toHex));
    fc.assert(fc.property(fields, half, half, fc.nat(255), (fields, r, s, recovery) => {
      readOrRefuse(encodeInvoice(fields, () => ({ signature: fromHex(r + s), recovery })));
    }), { numRuns: runs(500) });
  });

  it('of any amount', () => {
    const { words } = take(valid.cases[0]!.invoice);
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...'0123456789munpx.'), maxLength: 30 }), (amount) => {
      readOrRefuse(put(`lnbc${amount}`, words));
    }), { numRuns: runs(500) });
  });
});

describe('words', () => {
  it('hold bytes, integers and digits without loss', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), fc.bigInt({ min: 0n, max: 2n ** 200n }), (bytes, integer) => {
      const words = bytesToWords(bytes);
      expect(words).toEqual(bech32.toWords(bytes));
      expect(wordsToBytes(words)).toEqual(bytes);
      expect(digitsToWords(wordsToDigits(words))).toEqual(words);
      expect(wordsToInteger(integerToWords(integer))).toBe(integer);
    }));
  });
});
