/** BOLT 1, "Type-Length-Value Format": streams of optional records, strictly increasing, minimal, odd ones may be unknown. */
import type { Codec, ValueOf } from './codec.ts';
import { bigsize, bigsizeNumber, CodecError, decode, encode } from './codec.ts';
import type { Reader, Writer } from './codec.ts';
import type { Hex } from './primitives.ts';
import { fromHex, toHex } from './primitives.ts';

/** What one known record means. */
export interface TlvFormat<T> {
  readonly type: bigint;
  readonly codec: Codec<T>;
}

/** An odd record that we do not know: kept, so that what was read is written again byte for byte. */
export interface UnknownTlv {
  readonly type: bigint;
  readonly value: Hex;
}

// oxlint-disable-next-line no-explicit-any -- see Fields in codec.ts
export type TlvFormats = Readonly<Record<string, TlvFormat<any>>>;
export type TlvsOf<F extends TlvFormats> = { readonly [K in keyof F]?: ValueOf<F[K]['codec']> } & {
  readonly unknown?: readonly UnknownTlv[];
};

export function tlv<T>(type: number | bigint, codec: Codec<T>): TlvFormat<T> {
  return { type: BigInt(type), codec };
}

/**
 * A stream that ends where its reader ends. CodecErrors: `unknown_even_type`, `not_increasing`, `not_minimal`, `truncated`,
 * `trailing_bytes` (a record longer than its known encoding).
 */
export function tlvStream<const F extends TlvFormats>(formats: F): Codec<TlvsOf<F>> {
  const known = new Map(Object.entries(formats).map(([name, format]) => [format.type, { name, ...format }]));
  const increasing = [...known.values()].toSorted((a, b) => compare(a.type, b.type));

  return {
    encode(values, writer) {
      const records = increasing
        .filter(({ name }) => values[name] !== undefined)
        .map(({ name, type, codec }) => ({ type, value: encode(codec, values[name]) }));
      writeRecords(merge(records, values.unknown ?? [], known), writer);
    },
    decode(reader) {
      const values: Record<string, unknown> = {};
      const unknown: UnknownTlv[] = [];
      for (const { type, value } of readRecords(reader)) {
        const format = known.get(type);
        if (format !== undefined) values[format.name] = decodeKnown(format, value);
        else unknown.push(keepIfOdd(type, value));
      }
      if (unknown.length > 0) values['unknown'] = unknown;
      return values as TlvsOf<F>;
    },
  };
}

interface RawRecord {
  readonly type: bigint;
  readonly value: Uint8Array;
}

function* readRecords(reader: Reader): Generator<RawRecord> {
  let last = -1n;
  while (reader.remaining > 0) {
    const type = bigsize.decode(reader);
    if (type <= last) throw new CodecError('not_increasing', `TLV type ${type} follows ${last}`);
    last = type;
    yield { type, value: reader.take(bigsizeNumber.decode(reader)) };
  }
}

function writeRecords(records: readonly RawRecord[], writer: Writer): void {
  for (const { type, value } of records) {
    bigsize.encode(type, writer);
    bigsizeNumber.encode(value.length, writer);
    writer.put(value);
  }
}

function decodeKnown({ name, type, codec }: { name: string } & TlvFormat<unknown>, value: Uint8Array): unknown {
  try {
    return decode(codec, value);
  } catch (error) {
    if (error instanceof CodecError) throw new CodecError(error.code, `TLV ${name} (type ${type}): ${error.message}`);
    throw error;
  }
}

// It's ok to be odd.
function keepIfOdd(type: bigint, value: Uint8Array): UnknownTlv {
  if (type % 2n === 0n) throw new CodecError('unknown_even_type', `TLV type ${type} is even and unknown`);
  return { type, value: toHex(value) };
}

function merge(
  records: readonly RawRecord[],
  unknown: readonly UnknownTlv[],
  known: ReadonlyMap<bigint, unknown>,
): readonly RawRecord[] {
  if (unknown.length === 0) return records;
  const clash = unknown.find(({ type }) => known.has(type));
  if (clash !== undefined) throw new RangeError(`TLV type ${clash.type} is a known one and cannot stand among the unknown`);
  const raw = unknown.map(({ type, value }) => ({ type, value: fromHex(value) }));
  return [...records, ...raw].toSorted((a, b) => compare(a.type, b.type));
}

const compare = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);
