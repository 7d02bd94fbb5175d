/** Laws of the message codecs: what is written is read back, and no bytes whatever do more than a CodecError. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Codec } from '../../src/bolt/codec.ts';
import * as codecs from '../../src/bolt/codec.ts';
import { crypto } from '../../src/bolt/crypto.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import type { Message, MessageName } from '../../src/bolt/messages.ts';
import { decodeMessage, encodeMessage, MESSAGE_FORMATS } from '../../src/bolt/messages.ts';
import { shortChannelIdFromBigint, toHex } from '../../src/bolt/primitives.ts';
import type { TlvFormat } from '../../src/bolt/tlv.ts';

beforeAll(chooseCryptoBackend);

const hex = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map(toHex);
const someHex = fc.uint8Array({ maxLength: 80 }).map(toHex);
const unsigned = (bits: number) => fc.oneof(fc.constantFrom(0, 2 ** bits - 1), fc.integer({ min: 0, max: 2 ** bits - 1 }));
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const scid = u64.map(shortChannelIdFromBigint);
const points = fc.integer({ min: 1, max: 40 }).map((n) => {
  const privateKey = new Uint8Array(32);
  privateKey[31] = n;
  return toHex(crypto().publicKey(privateKey));
});
const lists = <T>(item: fc.Arbitrary<T>) => fc.array(item, { maxLength: 5 });
const hosts = fc.oneof(
  fc.ipV4().map((host) => ({ type: 'ipv4', host })),
  fc.array(unsigned(16), { minLength: 8, maxLength: 8 }).map((groups) => ({ type: 'ipv6', host: groups.map((group) => group.toString(16)).join(':') })),
  fc.domain().map((host) => ({ type: 'dns', host })),
);
const addresses = fc.tuple(hosts, unsigned(16)).map(([{ type, host }, port]) => ({ type, host, port }));

/** Leaves are known by their codec. */
const BY_CODEC = new Map<Codec<never> | Codec<unknown>, fc.Arbitrary<unknown>>([
  [codecs.u8, unsigned(8)],
  [codecs.u16, unsigned(16)],
  [codecs.u32, unsigned(32)],
  [codecs.u64, u64],
  [codecs.s64, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })],
  [codecs.bigsizeNumber, fc.maxSafeNat()],
  [codecs.hex32, hex(32)],
  [codecs.txid, hex(32)],
  [codecs.signature, hex(64)],
  [codecs.point, points],
  [codecs.shortChannelId, scid],
  [codecs.flag, fc.constant(true)],
]);

const retransmit = unsigned(8);
const u32 = unsigned(32);

/** Composites are known by their name; anything else is a string of bytes. */
const BY_NAME: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  onion_routing_packet: hex(1366),
  rgb_color: hex(3),
  alias: hex(32),
  htlc_signatures: lists(hex(64)),
  witnesses: lists(someHex),
  addresses: lists(addresses),
  remote_addr: addresses,
  networks: lists(hex(32)),
  encoded_short_ids: lists(scid),
  query_flags: lists(fc.maxSafeNat()),
  timestamps_tlv: lists(fc.record({ timestamp_node_id_1: u32, timestamp_node_id_2: u32 })),
  checksums_tlv: lists(fc.record({ checksum_node_id_1: u32, checksum_node_id_2: u32 })),
  fee_range: fc.record({ min_fee_satoshis: u64, max_fee_satoshis: u64 }),
  next_funding: fc.record({ next_funding_txid: hex(32), retransmit_flags: retransmit }),
  my_current_funding_locked: fc.record({ my_current_funding_locked_txid: hex(32), retransmit_flags: retransmit }),
  attribution_data: fc.record({
    htlc_hold_times: fc.array(u32, { minLength: 20, maxLength: 20 }),
    truncated_hmacs: fc.array(hex(4), { minLength: 210, maxLength: 210 }),
  }),
};

const valueOf = (name: string, codec: Codec<unknown>): fc.Arbitrary<unknown> =>
  BY_NAME[name] ?? BY_CODEC.get(codec) ?? someHex;

/** Odd types far from those of any message. */
const unknownTlvs = fc
  .uniqueArray(fc.record({ type: fc.bigInt({ min: 500n, max: 2n ** 62n }).map((n) => n * 2n + 1n), value: someHex }), {
    minLength: 1,
    maxLength: 3,
    selector: ({ type }) => type,
  })
  .map((records) => records.toSorted((a, b) => (a.type < b.type ? -1 : 1)));

/** Any message of this name, drawn from the very table that encodes it. */
function messages(type: MessageName): fc.Arbitrary<Message> {
  const { fields, tlvs } = MESSAGE_FORMATS[type];
  const body = Object.entries(fields).map(([name, codec]) => [name, valueOf(name, codec as Codec<unknown>)] as const);
  const extension = Object.entries(tlvs as Record<string, TlvFormat<unknown>>);
  const records = extension.map(([name, { codec }]) => [name, valueOf(name, codec)] as const);
  const optional = fc.record({ ...Object.fromEntries(records), unknown: unknownTlvs }, { requiredKeys: [] });
  return fc.record({ type: fc.constant(type), ...Object.fromEntries(body), tlvs: optional }) as unknown as fc.Arbitrary<Message>;
}

const names = Object.keys(MESSAGE_FORMATS) as MessageName[];
const anyMessage = fc.constantFrom(...names).chain(messages);

/** Decodes, or is refused in the one way that is allowed. */
function decodesOrRefuses(bytes: Uint8Array): void {
  try {
    const message = decodeMessage(bytes);
    // Whatever was understood is written back byte for byte: signatures of gossip depend on it.
    if (message.type !== 'unknown') expect(toHex(encodeMessage(message))).toBe(toHex(bytes));
  } catch (error) {
    if (!(error instanceof codecs.CodecError)) throw error;
  }
}

describe('every message', () => {
  it.each(names)('%s is read as it was written', (name) => {
    fc.assert(
      fc.property(messages(name), (message) => {
        expect(decodeMessage(encodeMessage(message))).toEqual(message);
      }),
      { numRuns: 25 },
    );
  });
});

describe('bytes of a hostile peer', () => {
  it('one changed byte decodes to what it says, or is a CodecError', () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(), fc.integer({ min: 1, max: 255 }), (message, where, change) => {
        const bytes = encodeMessage(message).slice();
        bytes[where % bytes.length]! ^= change;
        decodesOrRefuses(bytes);
      }),
      { numRuns: 600 },
    );
  });

  it('a message cut short or made longer decodes to what it says, or is a CodecError', () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(), fc.uint8Array({ maxLength: 12 }), (message, cut, tail) => {
        const bytes = encodeMessage(message);
        decodesOrRefuses(bytes.slice(0, cut % bytes.length));
        decodesOrRefuses(Uint8Array.of(...bytes, ...tail));
      }),
      { numRuns: 300 },
    );
  });

  it('noise behind any known number decodes to what it says, or is a CodecError', () => {
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.uint8Array({ maxLength: 300 }), (name, noise) => {
        const { number } = MESSAGE_FORMATS[name];
        decodesOrRefuses(Uint8Array.of(number >> 8, number & 0xff, ...noise));
      }),
      { numRuns: 600 },
    );
  });
});
