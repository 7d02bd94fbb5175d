/** BOLT 1, "Fundamental Types": integers of every size, and lengths that lie. */
import { describe, expect, it } from 'vitest';
import { bigsize, CodecError, decode, encode, list, listRest, point, prefixed, s16, s32, s64, s8, tu16, tu32, tu64, u16, u8, utf8Rest } from '../../src/bolt/codec.ts';
import { fromHex, toHex } from '../../src/bolt/primitives.ts';
import bigsizeVectors from '../vectors/bolt01-bigsize.json' with { type: 'json' };
import signedVectors from '../vectors/bolt01-signed-integers.json' with { type: 'json' };

/** The code with which bytes are refused. */
function refusal(read: () => unknown): string | undefined {
  try {
    read();
  } catch (error) {
    if (error instanceof CodecError) return error.code;
    throw error;
  }
  return undefined;
}

describe('BOLT 1, Appendix A: BigSize', () => {
  it.each(bigsizeVectors.vectors)('$name', ({ bytes, valid, value }) => {
    if (!valid) return expect(['truncated', 'not_minimal']).toContain(refusal(() => decode(bigsize, fromHex(bytes))));
    expect(decode(bigsize, fromHex(bytes))).toBe(BigInt(value!));
    expect(toHex(encode(bigsize, BigInt(value!)))).toBe(bytes);
  });
});

describe('BOLT 1, Appendix D: signed integers', () => {
  const narrow = { 8: s8, 16: s16, 32: s32 } as const;

  it.each(signedVectors.vectors)('s$bits $value', ({ bits, value, bytes }) => {
    const codec = bits === 64 ? undefined : narrow[bits as keyof typeof narrow];
    const read = codec ? BigInt(decode(codec, fromHex(bytes))) : decode(s64, fromHex(bytes));
    const written = codec ? encode(codec, Number(value)) : encode(s64, BigInt(value));
    expect(read).toBe(BigInt(value));
    expect(toHex(written)).toBe(bytes);
  });

  it('does not write what does not fit', () => {
    expect(() => encode(s8, 128)).toThrow(RangeError);
    expect(() => encode(s64, 1n << 63n)).toThrow(RangeError);
  });
});

describe('truncated integers', () => {
  it.each([
    [0n, ''],
    [1n, '01'],
    [256n, '0100'],
    [0xffff_ffff_ffff_ffffn, 'ffffffffffffffff'],
  ])('%s is written as "%s"', (value, bytes) => {
    expect(toHex(encode(tu64, value))).toBe(bytes);
    expect(decode(tu64, fromHex(bytes))).toBe(value);
  });

  it('refuses a leading zero and a byte too many', () => {
    expect(refusal(() => decode(tu32, fromHex('0001')))).toBe('not_minimal');
    expect(refusal(() => decode(tu16, fromHex('010000')))).toBe('too_long');
    expect(() => encode(tu16, 65536)).toThrow(RangeError);
  });
});

describe('bounds', () => {
  it('a count that promises more than there is ends at the first missing item', () => {
    expect(refusal(() => decode(list(u16, u8), fromHex('ffff01')))).toBe('truncated');
  });

  it('a prefixed value must use all of its bytes', () => {
    expect(refusal(() => decode(prefixed(u8, u8), fromHex('020101')))).toBe('trailing_bytes');
    expect(decode(prefixed(u8, listRest(u8)), fromHex('020102'))).toEqual([1, 2]);
  });

  it('a point must lie on the curve', () => {
    const outside = `02${'ff'.repeat(32)}`;
    expect(refusal(() => decode(point, fromHex(outside)))).toBe('invalid_point');
  });

  it('text must be UTF-8', () => {
    expect(refusal(() => decode(utf8Rest, fromHex('c328')))).toBe('invalid_utf8');
    expect(decode(utf8Rest, encode(utf8Rest, 'ñ⚡'))).toBe('ñ⚡');
  });

  it('a number outside of its field is our bug, not a CodecError', () => {
    expect(() => encode(u16, 65536)).toThrow(RangeError);
    expect(() => encode(u8, -1)).toThrow(RangeError);
    expect(() => encode(u8, 1.5)).toThrow(RangeError);
  });
});
