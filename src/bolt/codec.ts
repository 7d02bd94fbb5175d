/** Two-way codecs: one value that both encodes and decodes a field type (BOLT 1, "Fundamental Types"). */
import type { Hex, Hex32, Msat, Point, Sat, ShortChannelId, Signature } from './primitives.ts';
import { reverseHex32, shortChannelIdFromBigint, shortChannelIdToBigint, toHex } from './primitives.ts';
import { crypto } from './crypto.ts';
import { CodecError, MAX_U64, Reader, Writer } from './byte-stream.ts';

export { CodecError, Reader, Writer } from './byte-stream.ts';
export type { CodecErrorCode } from './byte-stream.ts';

/** `decode(encode(value))` is `value`, and bytes that decode encode to the same bytes again. */
export interface Codec<T> {
  /** Throws a RangeError when the value does not fit: that is a bug of ours. */
  encode(value: T, writer: Writer): void;
  /** Throws a CodecError when the bytes are malformed: that is the sender's fault. */
  decode(reader: Reader): T;
}

export type ValueOf<C> = C extends Codec<infer T> ? T : never;

/** The bytes of one value. */
export function encode<T>(codec: Codec<T>, value: T): Uint8Array {
  const writer = new Writer();
  codec.encode(value, writer);
  return writer.bytes();
}

/** The value of these bytes, all of which must belong to it. Throws CodecError. */
export function decode<T>(codec: Codec<T>, bytes: Uint8Array): T {
  const reader = new Reader(bytes);
  const value = codec.decode(reader);
  reader.finish();
  return value;
}

/** The same bytes, seen as another type. */
export function mapped<A, B>(codec: Codec<A>, from: (value: A) => B, to: (value: B) => A): Codec<B> {
  return {
    encode: (value, writer) => codec.encode(to(value), writer),
    decode: (reader) => from(codec.decode(reader)),
  };
}

// Integers

export const u8: Codec<number> = { encode: (value, writer) => writer.u8(value), decode: (reader) => reader.u8() };
export const u16: Codec<number> = { encode: (value, writer) => writer.u16(value), decode: (reader) => reader.u16() };
export const u32: Codec<number> = { encode: (value, writer) => writer.u32(value), decode: (reader) => reader.u32() };
export const u64: Codec<bigint> = { encode: (value, writer) => writer.u64(value), decode: (reader) => reader.u64() };

export const s8 = signed(u8, 8);
export const s16 = signed(u16, 16);
export const s32 = signed(u32, 32);
export const s64: Codec<bigint> = mapped(
  u64,
  (value) => BigInt.asIntN(64, value),
  (value) => {
    if (BigInt.asIntN(64, value) !== value) throw new RangeError(`not an s64: ${value}`);
    return BigInt.asUintN(64, value);
  },
);

/** Two's complement. */
function signed(unsigned: Codec<number>, bits: number): Codec<number> {
  const [half, full] = [2 ** (bits - 1), 2 ** bits];
  return mapped(
    unsigned,
    (value) => (value < half ? value : value - full),
    (value) => {
      if (value < -half || value >= half) throw new RangeError(`not an s${bits}: ${value}`);
      return value < 0 ? value + full : value;
    },
  );
}

/** Truncated integers stand last in a TLV record: they take all that is left and never start with a zero byte. */
export const tu64 = truncated(8);
export const tu32: Codec<number> = mapped(truncated(4), Number, BigInt);
export const tu16: Codec<number> = mapped(truncated(2), Number, BigInt);

function truncated(maxBytes: number): Codec<bigint> {
  const bits = maxBytes * 8;
  return {
    encode(value, writer) {
      if (value < 0n || value >> BigInt(bits) !== 0n) throw new RangeError(`not a tu${bits}: ${value}`);
      if (value > 0n) writer.hex(evenHex(value.toString(16)));
    },
    decode(reader) {
      const length = reader.remaining;
      if (length > maxBytes) throw new CodecError('too_long', `tu${bits} has at most ${maxBytes} bytes, got ${length}`);
      const digits = reader.hex(length);
      if (digits.startsWith('00')) throw new CodecError('not_minimal', `tu${bits} starts with a zero byte: ${digits}`);
      return digits === '' ? 0n : BigInt(`0x${digits}`);
    },
  };
}

const evenHex = (digits: string): Hex => (digits.length % 2 === 0 ? digits : `0${digits}`);

/** BOLT 1, "Appendix A: BigSize": the shortest form is the only one. */
export const bigsize: Codec<bigint> = {
  encode(value, writer) {
    if (value < 0n || value > MAX_U64) throw new RangeError(`not a bigsize: ${value}`);
    if (value < 0xfdn) return writer.u8(Number(value));
    if (value < 0x1_0000n) return void (writer.u8(0xfd), writer.u16(Number(value)));
    if (value < 0x1_0000_0000n) return void (writer.u8(0xfe), writer.u32(Number(value)));
    writer.u8(0xff);
    writer.u64(value);
  },
  decode(reader) {
    const first = reader.u8();
    if (first < 0xfd) return BigInt(first);
    if (first === 0xfd) return minimal(BigInt(reader.u16()), 0xfdn);
    if (first === 0xfe) return minimal(BigInt(reader.u32()), 0x1_0000n);
    return minimal(reader.u64(), 0x1_0000_0000n);
  },
};

function minimal(value: bigint, least: bigint): bigint {
  if (value < least) throw new CodecError('not_minimal', `bigsize ${value} has a shorter form`);
  return value;
}

/** A bigsize that counts or measures something: CodecError `out_of_range` past 2^53. */
export const bigsizeNumber: Codec<number> = mapped(
  bigsize,
  (value) => {
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new CodecError('out_of_range', `${value} is too large a number`);
    return Number(value);
  },
  BigInt,
);

// Byte strings

/** Exactly `length` bytes. */
export function bytes(length: number): Codec<Hex> {
  return {
    encode(value, writer) {
      if (value.length !== length * 2) throw new RangeError(`expected ${length} bytes of hex, got ${value.length / 2}`);
      writer.hex(value);
    },
    decode: (reader) => reader.hex(length),
  };
}

/** A length and that many bytes. */
export function prefixedBytes(length: Codec<number>): Codec<Hex> {
  return {
    encode(value, writer) {
      length.encode(value.length / 2, writer);
      writer.hex(value);
    },
    decode: (reader) => reader.hex(length.decode(reader)),
  };
}

/** All bytes that are left. */
export const rest: Codec<Hex> = {
  encode: (value, writer) => writer.hex(value),
  decode: (reader) => reader.hex(reader.remaining),
};

/** All bytes that are left, as text. CodecError `invalid_utf8`. */
export const utf8Rest: Codec<string> = {
  encode: (value, writer) => writer.put(new TextEncoder().encode(value)),
  decode(reader) {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(reader.take(reader.remaining));
    } catch {
      throw new CodecError('invalid_utf8', 'not a valid UTF-8 string');
    }
  },
};

// Words of the BOLTs

export const hex32 = bytes(32) as Codec<Hex32>;
export const signature = bytes(64) as Codec<Signature>;
export const msat64 = u64 as Codec<Msat>;
export const sat64 = u64 as Codec<Sat>;
export const shortChannelId: Codec<ShortChannelId> = mapped(u64, shortChannelIdFromBigint, shortChannelIdToBigint);

/** Transaction ids travel in their internal byte order and are reversed for display: values are always in display order. */
export const txid: Codec<Hex32> = mapped(hex32, reverseHex32, reverseHex32);

/** A compressed point that lies on the curve: CodecError `invalid_point`. */
export const point: Codec<Point> = {
  encode: (value, writer) => bytes(33).encode(value, writer),
  decode(reader) {
    const candidate = reader.take(33);
    if (!crypto().isPoint(candidate)) throw new CodecError('invalid_point', `not a point of the curve: ${toHex(candidate)}`);
    return toHex(candidate) as Point;
  },
};

/** Says something by being there: no bytes. */
export const flag: Codec<true> = { encode: () => undefined, decode: () => true };

// Composites

/** A count and that many items. An item must take at least one byte, so the message's length bounds the list. */
export function list<T>(count: Codec<number>, item: Codec<T>): Codec<readonly T[]> {
  return {
    encode(values, writer) {
      count.encode(values.length, writer);
      for (const value of values) item.encode(value, writer);
    },
    decode(reader) {
      const values: T[] = [];
      for (let left = count.decode(reader); left > 0; left--) values.push(item.decode(reader));
      return values;
    },
  };
}

/** Exactly `length` items, without a count. */
export function tuple<T>(length: number, item: Codec<T>): Codec<readonly T[]> {
  const fixed: Codec<number> = {
    encode(value) {
      if (value !== length) throw new RangeError(`expected ${length} items, got ${value}`);
    },
    decode: () => length,
  };
  return list(fixed, item);
}

/** Items up to the end. */
export function listRest<T>(item: Codec<T>): Codec<readonly T[]> {
  return {
    encode(values, writer) {
      for (const value of values) item.encode(value, writer);
    },
    decode(reader) {
      const values: T[] = [];
      while (reader.remaining > 0) values.push(item.decode(reader));
      return values;
    },
  };
}

/** Bytes that carry their length in front, understood by another codec that must use them all. */
export function prefixed<T>(length: Codec<number>, inner: Codec<T>): Codec<T> {
  return {
    encode(value, writer) {
      const content = encode(inner, value);
      length.encode(content.length, writer);
      writer.put(content);
    },
    decode: (reader) => decode(inner, reader.take(length.decode(reader))),
  };
}

// oxlint-disable-next-line no-explicit-any -- a table of fields holds codecs of any type; their types are inferred from it
export type Fields = Readonly<Record<string, Codec<any>>>;
export type RecordOf<F extends Fields> = { readonly [K in keyof F]: ValueOf<F[K]> };

/** Fields in wire order. */
export function record<const F extends Fields>(fields: F): Codec<RecordOf<F>> {
  const entries = Object.entries(fields);
  return {
    encode(value, writer) {
      for (const [name, field] of entries) field.encode(value[name], writer);
    },
    decode(reader) {
      const value: Record<string, unknown> = {};
      for (const [name, field] of entries) value[name] = field.decode(reader);
      return value as RecordOf<F>;
    },
  };
}
