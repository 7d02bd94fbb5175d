/** BOLT 1, "Type-Length-Value Format": the vectors of Appendix B, and records nobody knows. */
import { describe, expect, it } from 'vitest';
import type { Codec } from '../../src/bolt/codec.ts';
import { CodecError, decode, encode, point, record, shortChannelId, tu32, tu64, u16, u64 } from '../../src/bolt/codec.ts';
import { fromHex, toHex } from '../../src/bolt/primitives.ts';
import { tlv, tlvStream } from '../../src/bolt/tlv.ts';
import appendixB from '../vectors/bolt01-tlv.json' with { type: 'json' };

/** The two namespaces of BOLT 1, Appendix B. */
const n1 = tlvStream({
  tlv1: tlv(1, record({ amount_msat: tu64 })),
  tlv2: tlv(2, record({ scid: shortChannelId })),
  tlv3: tlv(3, record({ node_id: point, amount_msat_1: u64, amount_msat_2: u64 })),
  tlv4: tlv(254, record({ cltv_delta: u16 })),
});
const n2 = tlvStream({
  tlv1: tlv(0, record({ amount_msat: tu64 })),
  tlv2: tlv(11, record({ cltv_expiry: tu32 })),
});
const NAMESPACES: Readonly<Record<string, readonly Codec<object>[]>> = {
  n1: [n1 as Codec<object>],
  n2: [n2 as Codec<object>],
  'n1|n2': [n1 as Codec<object>, n2 as Codec<object>],
  any: [n1 as Codec<object>, n2 as Codec<object>],
};

const asText = (values: object) => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));
const valid = appendixB.vectors.filter((vector) => vector.valid);
const invalid = appendixB.vectors.filter((vector) => !vector.valid);

describe('BOLT 1, Appendix B: TLV decoding successes', () => {
  it.each(valid)('$name', ({ namespace, bytes, record: name, values }) => {
    for (const stream of NAMESPACES[namespace]!) {
      const read = decode(stream, fromHex(bytes)) as Record<string, object>;
      if (name !== undefined) expect(asText(read[name]!)).toEqual(values);
      expect(toHex(encode(stream, read))).toBe(bytes);
    }
  });
});

describe('BOLT 1, Appendix B: TLV decoding failures', () => {
  it.each(invalid)('$name', ({ namespace, bytes }) => {
    for (const stream of NAMESPACES[namespace]!) {
      expect(() => decode(stream, fromHex(bytes))).toThrow(CodecError);
    }
  });

  it('appending an invalid stream to a valid one fails', () => {
    for (const good of valid.filter(({ namespace }) => namespace === 'n1')) {
      for (const bad of invalid.filter(({ namespace }) => namespace === 'n1')) {
        expect(() => decode(n1, fromHex(good.bytes + bad.bytes))).toThrow(CodecError);
      }
    }
  });

  it('appending a higher stream to a lower one succeeds', () => {
    const both = decode(n1, fromHex('010101' + '02080000000000000226'));
    expect(both).toEqual({ tlv1: { amount_msat: 1n }, tlv2: { scid: '0x0x550' } });
  });
});

describe('unknown records', () => {
  it('odd ones are kept and written back in their place', () => {
    const bytes = '010101' + '0501aa' + 'fd00fe020226';
    const read = decode(n1, fromHex(bytes));
    expect(read.unknown).toEqual([{ type: 5n, value: 'aa' }]);
    expect(toHex(encode(n1, read))).toBe(bytes);
  });

  it('even ones are refused by number', () => {
    expect(() => decode(n1, fromHex('0600'))).toThrow('TLV type 6 is even and unknown');
  });

  it('a known type cannot be smuggled in as unknown', () => {
    expect(() => encode(n1, { unknown: [{ type: 1n, value: '01' }] })).toThrow(RangeError);
  });
});
