/** BOLT 4, "`payload` format": what a hop may be told, and the record that an invalid payload is refused for. */
import { describe, expect, it } from 'vitest';
import { encode } from '../../../src/bolt/codec.ts';
import { type Hex, hex32, msat, parseShortChannelId, point, toHex } from '../../../src/bolt/primitives.ts';
import { tlv, tlvStream } from '../../../src/bolt/tlv.ts';
import { rest } from '../../../src/bolt/codec.ts';
import { type HopPayload, type PayloadPlace, decodePayload, encodePayload } from '../../../src/bolt/04-onion-routing/payload.ts';
import onions from '../../vectors/bolt04-onion.json' with { type: 'json' };

const payment_secret = hex32('24a33562c54507a9334e79f0dc4f17d407e6d7c61f0e2f3d0d38599502f61704');
const path_key = point('02eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f283686619');
const amt_to_forward = msat(15_000);
const outgoing_cltv_value = 1500;
const RELAY: PayloadPlace = { final: false };
const FINAL: PayloadPlace = { final: true };

describe('a payload is written and read', () => {
  it.each<[string, PayloadPlace, HopPayload, Hex]>([
    ['for a relay', RELAY, { kind: 'forward', amt_to_forward, outgoing_cltv_value, short_channel_id: parseShortChannelId('0x0x1') },
      '02023a98040205dc06080000000000000001'],
    ['for the payee', FINAL, { kind: 'final', amt_to_forward, outgoing_cltv_value, payment_secret, total_msat: msat(20_000), payment_metadata: 'beef' },
      `02023a98040205dc0822${payment_secret}4e201002beef`],
    ['for a payee, with a record of the sender\'s own', FINAL,
      { kind: 'final', amt_to_forward, outgoing_cltv_value, payment_secret, total_msat: amt_to_forward, unknown: [{ type: 65537n, value: '00' }] },
      `02023a98040205dc0822${payment_secret}3a98fe000100010100`],
    ['for a payee without a payment_secret', FINAL, { kind: 'final', amt_to_forward, outgoing_cltv_value, total_msat: amt_to_forward },
      '02023a98040205dc'],
    ['for an introduction point', RELAY, { kind: 'blinded_forward', encrypted_recipient_data: 'abcd', current_path_key: path_key },
      `0a02abcd0c21${path_key}`],
    ['for a relay of a blinded route', { final: false, path_key: true }, { kind: 'blinded_forward', encrypted_recipient_data: 'abcd' }, '0a02abcd'],
    ['for the end of a blinded route', { final: true, path_key: true },
      { kind: 'blinded_final', encrypted_recipient_data: 'abcd', amt_to_forward, outgoing_cltv_value, total_amount_msat: msat(15_001) },
      '02023a98040205dc0a02abcd12023a99'],
  ])('%s', (_, place, payload, hex) => {
    expect(encodePayload(payload)).toBe(hex);
    expect(decodePayload(hex, place)).toEqual(payload);
  });

  it('as the specification\'s onion holds it, unknown odd records and all', () => {
    const { hops } = onions.cases[0]!;
    const read = hops.map(({ framed_payload }, index) =>
      decodePayload(framed_payload.slice(framed_payload.startsWith('fd') ? 6 : 2), { final: index === hops.length - 1 }));
    expect(read).toMatchObject([
      { kind: 'forward', short_channel_id: '0x0x1', amt_to_forward: 15_000n, outgoing_cltv_value: 1500 },
      { kind: 'forward', short_channel_id: '0x0x2', amt_to_forward: 14_000n, outgoing_cltv_value: 1400 },
      { kind: 'forward', short_channel_id: '0x0x3', amt_to_forward: 12_500n, outgoing_cltv_value: 1250 },
      { kind: 'forward', short_channel_id: '0x0x4', amt_to_forward: 10_000n, outgoing_cltv_value: 1000 },
      { kind: 'final', amt_to_forward: 10_000n, outgoing_cltv_value: 1000, payment_secret, total_msat: 10_000n },
    ]);
  });
});

/** Any records, in order of their names, also such as no encoder of ours would write. */
const stream = (records: Readonly<Record<number, Hex>>): Hex =>
  toHex(encode(tlvStream(Object.fromEntries(Object.keys(records).map((type) => [type, tlv(Number(type), rest)]))), records));

describe('a payload is refused, and the record named', () => {
  it.each<[string, PayloadPlace, Hex, { type: bigint; offset: number; reason: string }]>([
    ['no amount', FINAL, stream({ 4: '01' }), { type: 2n, offset: 0, reason: 'amt_to_forward is missing' }],
    ['no expiry', FINAL, stream({ 2: '01' }), { type: 4n, offset: 0, reason: 'outgoing_cltv_value is missing' }],
    ['no channel for a relay', RELAY, stream({ 2: '01', 4: '01' }), { type: 6n, offset: 0, reason: 'short_channel_id is missing' }],
    ['an unknown even record', FINAL, stream({ 2: '01', 4: '01', 22: '00' }), { type: 22n, offset: 7, reason: 'TLV type 22 is even and unknown' }],
    ['an amount with leading zeros', FINAL, '020200010401aa', { type: 2n, offset: 1, reason: 'TLV amt_to_forward (type 2): tu64 starts with a zero byte: 0001' }],
    ['records out of order', FINAL, '0401010201aa', { type: 2n, offset: 4, reason: 'TLV type 2 follows 4' }],
    ['a record twice', FINAL, '0201010201aa', { type: 2n, offset: 4, reason: 'TLV type 2 follows 2' }],
    ['a record cut short', FINAL, '02010104ff', { type: 0n, offset: 0, reason: 'needs 8 bytes at offset 5, 0 left' }],
    ['a path key outside of any blinded route', RELAY, `02010104010106080000000000000001${`0c21${path_key}`}`,
      { type: 12n, offset: 17, reason: 'current_path_key without encrypted_recipient_data' }],
    ['a path_key with a plain payload', { final: false, path_key: true }, '02010104010106080000000000000001',
      { type: 10n, offset: 0, reason: 'encrypted_recipient_data is missing' }],
    ['two path keys', { final: false, path_key: true }, `0a02abcd0c21${path_key}`, { type: 12n, offset: 5, reason: 'current_path_key beside a path_key' }],
    ['no path key', RELAY, '0a02abcd', { type: 12n, offset: 0, reason: 'current_path_key is missing' }],
    ['an amount for a blinded relay', { final: false, path_key: true }, '0201010a02abcd', { type: 2n, offset: 1, reason: 'type 2 has no place inside a blinded route' }],
    ['an odd record inside a blinded route', { final: true, path_key: true }, '0201010401010a02abcd12010121021234',
      { type: 33n, offset: 14, reason: 'type 33 has no place inside a blinded route' }],
    ['no total at the end of a blinded route', { final: true, path_key: true }, '0201010401010a02abcd', { type: 18n, offset: 0, reason: 'total_amount_msat is missing' }],
  ])('%s', (_, place, hex, expected) => {
    expect(decodePayload(hex, place)).toEqual({ kind: 'invalid_onion_payload', ...expected });
  });

  it('counts the offset from the length in front, which takes 3 bytes in a long payload', () => {
    expect(decodePayload(stream({ 2: '01', 4: '01', 8: payment_secret, 16: '00'.repeat(300), 20: '00' }), FINAL))
      .toMatchObject({ type: 20n, offset: 3 + 3 + 3 + 34 + 304 });
  });
});
