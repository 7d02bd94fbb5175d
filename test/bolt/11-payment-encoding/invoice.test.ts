/** BOLT 11: the specification's invoices, valid and invalid, and each rule that an invoice can break. */
import { bech32 } from '@scure/base';
import { describe, expect, it } from 'vitest';
import { loadNativeBackend } from '../../../src/bolt/crypto-native.ts';
import { nobleBackend } from '../../../src/bolt/crypto-noble.ts';
import { crypto, useCryptoBackend } from '../../../src/bolt/crypto.ts';
import { type Msat, fromHex, hex32, msat, parseShortChannelId, point, toHex } from '../../../src/bolt/primitives.ts';
import { featureBits, featuresFromBits } from '../../../src/bolt/09-features/features.ts';
import { fallbackAddress } from '../../../src/bolt/11-payment-encoding/fallback-address.ts';
import {
  type Currency, type InvoiceErrorCode, type InvoiceFields, MAX_INVOICE_LENGTH, decodeInvoice, encodeInvoice, isExpired,
} from '../../../src/bolt/11-payment-encoding/invoice.ts';
import { BECH32_DIGITS, bytesToWords, digitsToWords, integerToWords, wordsToBytes, wordsToInteger } from '../../../src/bolt/11-payment-encoding/words.ts';
import invalid from '../../vectors/bolt11-invalid.json' with { type: 'json' };
import valid from '../../vectors/bolt11-valid.json' with { type: 'json' };

const sign = (digest: Uint8Array) => crypto().signRecoverable(digest, fromHex(valid.node_secret));
const NETWORKS: Readonly<Record<string, Currency>> = { bitcoin: 'bc', testnet: 'tb' };
type Case = (typeof valid.cases)[number];

/** The fields as the vector lists them; absent ones stay absent, so that we write what its author wrote. */
function fieldsOf(vector: Case): InvoiceFields {
  const { amount_msat, timestamp, expiry_seconds, min_final_cltv_expiry_delta, payment_metadata, description_hash } = vector;
  const fields = {
    currency: NETWORKS[vector.network]!, amount_msat: amount_msat === null ? undefined : msat(BigInt(amount_msat)), timestamp,
    payment_hash: hex32(vector.payment_hash), payment_secret: hex32(vector.payment_secret),
    ...(description_hash === undefined ? { description: vector.description } : { description_hash: hex32(description_hash) }),
    expiry: expiry_seconds, min_final_cltv_expiry_delta, payment_metadata,
    fallbacks: (vector.fallbacks ?? []).map(({ version, ...hashes }) => ({ version, program: 'hash' in hashes ? hashes.hash : hashes.program })),
    routing_hints: (vector.route_hints ?? []).map((hint) => hint.map(({ pubkey, short_channel_id, ...costs }) =>
      Object.assign({ node_id: point(pubkey), short_channel_id: parseShortChannelId(short_channel_id) }, costs))),
    features: featuresFromBits(vector.feature_bits),
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as unknown as InvoiceFields;
}

const lawful = valid.cases.filter((vector) => vector.conflict_note === undefined);
const backends = [nobleBackend, (await loadNativeBackend())!];

describe.each(backends)('an invoice of the specification, with $name', (backend) => {
  it.each(lawful)('is read: $name', (vector) => {
    useCryptoBackend(backend);
    const { r, s, recovery_flag } = vector.signature;
    expect(decodeInvoice(vector.invoice)).toEqual({
      expiry: 3600, min_final_cltv_expiry_delta: 18, ...fieldsOf(vector), unknown: [],
      payee: vector.payee, signature: r + s, recovery: recovery_flag,
    });
  });

  it.each(invalid.cases)('is refused: $name', ({ invoice, error }) => {
    useCryptoBackend(backend);
    expect(() => decodeInvoice(invoice)).toThrowError(expect.objectContaining({ name: 'InvoiceError', code: error }));
  });
});

describe('an invoice of the specification', () => {
  it.each(lawful.filter((vector) => vector.signature.high_s !== true))('is read, written and read again: $name', (vector) => {
    const decoded = decodeInvoice(vector.invoice);
    const again = encodeInvoice(decoded, sign);
    expect({ ...decodeInvoice(again), signature: '', recovery: 0 }).toEqual({ ...decoded, signature: '', recovery: 0 });
  });

  /** The other examples have their fields in other orders. */
  const inOurOrder = lawful.filter((vector) => encodeInvoice(fieldsOf(vector), sign) === vector.invoice).map((vector) => vector.invoice);
  it('is written byte for byte, where its fields are in our order', () => {
    expect(inOurOrder).toHaveLength(6);
    expect(inOurOrder.map((invoice) => decodeInvoice(invoice).payee)).toEqual(inOurOrder.map(() => valid.node_id));
  });

  it('is signed over the digest of the specification', () => {
    const [vector] = lawful;
    encodeInvoice(fieldsOf(vector!), (digest) => {
      expect(toHex(digest)).toBe(vector!.signing_hash);
      return sign(digest);
    });
  });

  it('shows the fallback address that its description names', () => {
    const addresses = valid.cases.flatMap((vector) => (vector.fallbacks ?? []).map(({ address }) => address));
    expect(valid.cases.flatMap(({ invoice, conflict_note }) =>
      conflict_note === undefined ? decodeInvoice(invoice).fallbacks.map((fallback) => fallbackAddress(fallback, decodeInvoice(invoice).currency)) : []))
      .toEqual(addresses);
  });

  it.each(valid.cases.filter((vector) => vector.conflict_note !== undefined))(
    'with fields of a wrong length fails the payment since 2025: $name', ({ invoice }) => {
      expect(() => decodeInvoice(invoice)).toThrowError(expect.objectContaining({ code: 'wrong_field_length' }));
    });
});

const BASIC: InvoiceFields = {
  currency: 'bcrt', timestamp: 1_496_314_658, payment_hash: hex32('00'.repeat(32)), payment_secret: hex32('11'.repeat(32)), description: 'coffee',
};
const basic = (fields: Partial<InvoiceFields> = {}): string => encodeInvoice({ ...BASIC, ...fields }, sign);

/** Takes an invoice apart, changes its words before the signature, and signs again. */
function rewritten(change: (data: number[]) => number[], prefix = 'lnbcrt'): string {
  const data = change(bech32.decode(basic() as `${string}1${string}`, false).words.slice(0, -104));
  const digest = crypto().sha256(Uint8Array.from([...new TextEncoder().encode(prefix), ...padded(data)]));
  const { signature, recovery } = sign(digest);
  return bech32.encode(prefix, [...data, ...bytesToWords(Uint8Array.from([...signature, recovery]))], false);
}
const padded = (words: readonly number[]): Uint8Array => {
  const even = [...words, ...Array.from({ length: (8 - (words.length % 8)) % 8 }, () => 0)];
  return wordsToBytes(even)!.subarray(0, Math.ceil((words.length * 5) / 8));
};
const field = (tag: string, words: readonly number[]): number[] => [...digitsToWords(tag), ...integerToWords(BigInt(words.length), 2), ...words];
const withField = (tag: string, words: readonly number[]): string => rewritten((data) => [...data, ...field(tag, words)]);
const bytes = (length: number): number[] => bytesToWords(new Uint8Array(length).fill(2));

function refuses(code: InvoiceErrorCode, text: string): void {
  expect(() => decodeInvoice(text)).toThrowError(expect.objectContaining({ name: 'InvoiceError', code }));
}

describe('an amount', () => {
  it.each<[bigint, string]>([
    [100_000_000_000n, '1'], [200_000_000n, '2m'], [250_000n, '2500n'], [100_000n, '1u'], [2_500_000_000n, '25m'],
    [1n, '10p'], [100n, '1n'], [967_878_534n, '9678785340p'], [2_100_000_000_000_000_000n, '21000000'],
  ])('of %d msat is written %s', (amount, text) => {
    const invoice = basic({ amount_msat: amount as Msat });
    expect(invoice.slice(0, invoice.lastIndexOf('1'))).toBe(`lnbcrt${text}`);
    expect(decodeInvoice(invoice).amount_msat).toBe(amount);
  });

  it('need not be in the largest unit', () => {
    expect(decodeInvoice(rewritten((data) => data, 'lnbcrt1000u')).amount_msat).toBe(100_000_000n);
  });

  it.each<[string, InvoiceErrorCode]>([
    ['lnbcrt0', 'invalid_amount'], ['lnbcrt01m', 'invalid_amount'], ['lnbcrt1x', 'invalid_multiplier'], ['lnbcrt1mm', 'invalid_multiplier'],
    ['lnbcrt1p', 'sub_millisatoshi'], ['lnbcrt184467441', 'invalid_amount'], [`lnbcrt${'9'.repeat(30)}p`, 'invalid_multiplier'],
    ['lnxx20m', 'unknown_prefix'], ['bcrt20m', 'unknown_prefix'], ['ln', 'unknown_prefix'], ['lnbcrtm', 'unknown_prefix'],
  ])('of prefix %s is refused: %s', (prefix, code) => refuses(code, rewritten((data) => data, prefix)));

  it('of nothing, or more than an HTLC can carry, cannot be asked for', () => {
    for (const amount of [0n, 2n ** 64n]) {
      expect(() => basic({ amount_msat: amount as Msat })).toThrowError(expect.objectContaining({ code: 'invalid_amount' }));
    }
  });
});

describe('a network', () => {
  it.each<Currency>(['bc', 'tb', 'tbs', 'bcrt', 'ltc', 'tltc', 'rltc'])('%s is written and read', (currency) => {
    const invoice = basic({ currency, amount_msat: msat(100_000) });
    expect(invoice.startsWith(`ln${currency}1u1`)).toBe(true);
    expect(decodeInvoice(invoice, { networks: [currency] }).currency).toBe(currency);
  });

  it('that is not ours is refused, and both are named', () => {
    expect(() => decodeInvoice(basic(), { networks: ['bc', 'tb'] })).toThrowError('wrong_network: expected bc or tb, got bcrt');
  });
});

describe('a text', () => {
  it('may be all upper case, or a URI', () => {
    expect(decodeInvoice(basic().toUpperCase())).toEqual(decodeInvoice(basic()));
    expect(decodeInvoice(`lightning:${basic()}`)).toEqual(decodeInvoice(basic()));
    expect(decodeInvoice(`LIGHTNING:${basic().toUpperCase()}`)).toEqual(decodeInvoice(basic()));
  });

  it.each<[string, InvoiceErrorCode, string]>([
    ['empty', 'no_separator', ''], ['without a prefix', 'no_separator', '1qqqqqq'], ['of a letter that bech32 has not', 'invalid_character', 'lnbc1bqqqqq'],
    ['of a letter that only looks like k', 'invalid_character', `${basic().toUpperCase()}\u212a`], ['of a line break', 'invalid_character', `${basic()}\n`],
    ['of a checksum alone', 'too_short', bech32.encode('lnbc', [], false)], ['far too long', 'too_long', 'l'.repeat(MAX_INVOICE_LENGTH + 1)],
  ])('%s is refused: %s', (_, code, text) => refuses(code, text));
});

describe('a field', () => {
  it('that is unknown is kept, and a fallback of an unknown version with it', () => {
    const unknown = [{ tag: '2', digits: 'qqq' }, { tag: 'f', digits: 'nqqq' }, { tag: 'f', digits: '' }];
    const decoded = decodeInvoice(basic({ unknown }));
    expect(decoded.unknown).toEqual(unknown);
    expect(decoded.fallbacks).toEqual([]);
  });

  it.each<[string, InvoiceErrorCode, string]>([
    ['p of 51 words', 'wrong_field_length', withField('p', bytes(32).slice(1))],
    ['h of 53 words', 'wrong_field_length', withField('h', [...bytes(32), 0])],
    ['n of 52 words', 'wrong_field_length', withField('n', bytes(33).slice(1))],
    ['n off the curve', 'invalid_node_id', withField('n', bytes(33).fill(0))],
    ['p twice', 'duplicate_field', withField('p', bytes(32))],
    ['d twice', 'duplicate_field', withField('d', bytes(3))],
    ['h beside d', 'two_descriptions', withField('h', bytes(32))],
    ['d of broken UTF-8', 'invalid_utf8', rewritten((data) => [...data.slice(0, -13), ...field('d', bytesToWords(Uint8Array.of(0xff)))])],
    ['d padded with a 1', 'invalid_padding', rewritten((data) => [...data.slice(0, -13), ...field('d', [1, 1])])],
    ['d padded with a word', 'invalid_padding', rewritten((data) => [...data.slice(0, -13), ...field('d', [0, 0, 0])])],
    ['x with a leading 0', 'not_minimal', withField('x', [0, 1])],
    ['c with a leading 0', 'not_minimal', withField('c', [0, 1])],
    ['9 with a leading 0', 'not_minimal', withField('9', [0, 1])],
    ['x beyond any number', 'out_of_range', withField('x', Array.from({ length: 1023 }, () => 31))],
    ['c beyond 16 bits', 'out_of_range', withField('c', [2, 0, 0, 0])],
    ['a compulsory feature that we do not know', 'unknown_required_feature', withField('9', integerToWords(1n << 100n))],
    ['r of half an entry', 'wrong_field_length', withField('r', bytes(25))],
    ['r of nothing', 'wrong_field_length', withField('r', [])],
    ['r of a node that is no point', 'invalid_node_id', withField('r', bytes(51).fill(0))],
    ['f of witness version 0 and 21 bytes', 'wrong_field_length', withField('f', [0, ...bytes(21)])],
    ['f of a public key hash of 21 bytes', 'wrong_field_length', withField('f', [17, ...bytes(21)])],
    ['f of a program of 41 bytes', 'wrong_field_length', withField('f', [1, ...bytes(41)])],
    ['a length beyond the end', 'truncated_field', rewritten((data) => [...data, ...digitsToWords('d'), 31, 31])],
    ['a tag alone', 'truncated_field', rewritten((data) => [...data, 13])],
    ['no field at all', 'missing_payment_hash', rewritten((data) => data.slice(0, 7))],
    ['no description', 'missing_description', rewritten((data) => data.slice(0, -13))],
  ])('%s is refused: %s', (_, code, text) => refuses(code, text));

  it.each<[string, InvoiceErrorCode, Partial<InvoiceFields>]>([
    ['a description of 640 bytes', 'field_too_long', { description: 'x'.repeat(640) }],
    ['two descriptions', 'two_descriptions', { description_hash: hex32('22'.repeat(32)) }],
    ['no description', 'missing_description', { description: undefined }],
    ['a timestamp of 36 bits', 'out_of_range', { timestamp: 2 ** 35 }],
    ['an expiry of half a second', 'out_of_range', { expiry: 0.5 }],
    ['a delta of more than 16 bits', 'out_of_range', { min_final_cltv_expiry_delta: 65_536 }],
    ['more than a QR code holds', 'too_long', { unknown: Array.from({ length: 7 }, () => ({ tag: '2', digits: 'q'.repeat(1023) })) }],
  ])('%s cannot be written: %s', (_, code, fields) => {
    expect(() => basic(fields)).toThrowError(expect.objectContaining({ name: 'InvoiceError', code }));
  });

  it('of 639 bytes just fits', () => {
    expect(decodeInvoice(basic({ description: 'x'.repeat(639) })).description).toHaveLength(639);
  });

  it('of zero is written without a word', () => {
    expect(decodeInvoice(basic({ expiry: 0, min_final_cltv_expiry_delta: 0, description: '' })))
      .toMatchObject({ expiry: 0, min_final_cltv_expiry_delta: 0, description: '' });
  });

  it('of features without a bit is left out', () => {
    expect(basic({ features: '0000' })).toBe(basic());
    expect([...featureBits(decodeInvoice(basic({ features: featuresFromBits([8, 14, 17]) })).features)].toSorted((a, b) => a - b)).toEqual([8, 14, 17]);
  });
});

describe('a signature', () => {
  const node_id = point(valid.node_id);
  const other = '42'.repeat(32);

  it('is checked against the node that the invoice names', () => {
    expect(decodeInvoice(basic({ node_id }))).toMatchObject({ node_id, payee: node_id });
    const forged = encodeInvoice({ ...BASIC, node_id }, (digest) => crypto().signRecoverable(digest, fromHex(other)));
    refuses('wrong_signature', forged);
  });

  it('names the payee where the invoice does not', () => {
    const invoice = encodeInvoice(BASIC, (digest) => crypto().signRecoverable(digest, fromHex(other)));
    expect(decodeInvoice(invoice).payee).toBe(toHex(crypto().publicKey(fromHex(other))));
  });

  it.each([4, 5, 127, 255])('of recovery id %i is of no key', (recovery) => {
    refuses('signature_not_recoverable', encodeInvoice(BASIC, (digest) => ({ signature: sign(digest).signature, recovery })));
  });

  it.each(['00'.repeat(64), 'ff'.repeat(64), '11'.repeat(32) + '00'.repeat(32)])('of %s is of no key', (signature) => {
    refuses('signature_not_recoverable', encodeInvoice(BASIC, () => ({ signature: fromHex(signature), recovery: 0 })));
  });

  it('covers the amount', () => {
    const { words } = bech32.decode(basic({ node_id, amount_msat: msat(100_000) }) as `${string}1${string}`, false);
    refuses('wrong_signature', bech32.encode('lnbcrt2u', words, false));
  });
});

it('an invoice expires when its seconds are over', () => {
  const invoice = { timestamp: 1000, expiry: 60 };
  expect([999, 1059, 1060].map((now) => isExpired(invoice, now))).toEqual([false, false, true]);
});

it('words hold bytes and integers as the digits of bech32', () => {
  expect(BECH32_DIGITS).toHaveLength(32);
  expect(integerToWords(0n)).toEqual([]);
  expect(integerToWords(32n, 4)).toEqual([0, 0, 1, 0]);
  expect(wordsToInteger([1, 0])).toBe(32n);
  expect(bytesToWords(Uint8Array.of(0xff))).toEqual([31, 28]);
  expect(wordsToBytes([31, 28])).toEqual(Uint8Array.of(0xff));
});
