/** BOLT 11, "Tagged Fields": one table of how each field is written in 5-bit words and read again. */
import { Reader, Writer } from '../codec.ts';
import { crypto } from '../crypto.ts';
import {
  type Hex, type Hex32, type Point, type ShortChannelId, fromHex, shortChannelIdFromBigint, shortChannelIdToBigint, toHex,
} from '../primitives.ts';
import { InvoiceError } from './invoice-error.ts';
import { bytesToWords, integerToWords, wordsToBytes, wordsToInteger } from './words.ts';

/** One channel of a private route; it begins at `node_id` and leads to the next entry's node, or to the payee. */
export interface RoutingHop {
  readonly node_id: Point;
  readonly short_channel_id: ShortChannelId;
  readonly fee_base_msat: number;
  readonly fee_proportional_millionths: number;
  readonly cltv_expiry_delta: number;
}

/** An on-chain address: witness version 0 to 16 and program, 17 and a public key hash, or 18 and a script hash. */
export interface Fallback {
  readonly version: number;
  readonly program: Hex;
}

/** A field's words, and back. `read` throws InvoiceError; `write` does when what a user asked for does not fit. */
export interface FieldFormat<T> {
  readonly write: (value: T) => number[];
  readonly read: (words: readonly number[], tag: string) => T;
}

/** A field's length is 10 bits. */
export const MAX_FIELD_WORDS = 1023;
/** Fallbacks of these versions are not ours to understand: they are kept, and skipped. */
export const isKnownFallback = (words: readonly number[]): boolean => words.length > 0 && words[0]! <= 18;

export const FIELDS = {
  payment_secret: { tag: 's', format: fixedBytes<Hex32>(32) },
  payment_hash: { tag: 'p', format: fixedBytes<Hex32>(32) },
  description: { tag: 'd', format: utf8() },
  description_hash: { tag: 'h', format: fixedBytes<Hex32>(32) },
  payment_metadata: { tag: 'm', format: bytes() },
  node_id: { tag: 'n', format: nodeId() },
  expiry: { tag: 'x', format: integer(Number.MAX_SAFE_INTEGER) },
  min_final_cltv_expiry_delta: { tag: 'c', format: integer(0xffff) },
  fallback: { tag: 'f', format: fallback() },
  routing_hint: { tag: 'r', format: routingHint() },
  features: { tag: '9', format: features() },
} as const;

const RECORD_SIZE = 51;

function bytes(): FieldFormat<Hex> {
  return { write: (value) => bytesToWords(fromHex(value)), read: (words, tag) => toHex(toBytes(words, tag)) };
}

/** BOLT 11, 2025-06: p, h, s and n of another length fail the payment. */
function fixedBytes<T extends Hex>(length: number): FieldFormat<T> {
  const expected = Math.ceil((length * 8) / 5);
  return {
    write: bytes().write,
    read(words, tag) {
      if (words.length !== expected) {
        throw new InvoiceError('wrong_field_length', `${tag}: expected ${expected} words, got ${words.length}`);
      }
      return bytes().read(words, tag) as T;
    },
  };
}

function nodeId(): FieldFormat<Point> {
  const { write, read } = fixedBytes(33);
  return { write, read: (words, tag) => toNodeId(fromHex(read(words, tag)), tag) };
}

function utf8(): FieldFormat<string> {
  return {
    write: (value) => bytesToWords(new TextEncoder().encode(value)),
    read(words, tag) {
      try {
        return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(toBytes(words, tag));
      } catch (error) {
        if (error instanceof InvoiceError) throw error;
        throw new InvoiceError('invalid_utf8', `${tag}: expected UTF-8, got ${toHex(toBytes(words, tag)).slice(0, 80)}`);
      }
    },
  };
}

function integer(max: number): FieldFormat<number> {
  return {
    write(value) {
      if (!Number.isInteger(value) || value < 0 || value > max) {
        throw new InvoiceError('out_of_range', `expected 0 to ${max}, got ${value}`);
      }
      return integerToWords(BigInt(value));
    },
    read(words, tag) {
      assertMinimal(words, tag);
      const value = wordsToInteger(words.slice(0, 14));
      if (words.length > 13 || value > BigInt(max)) {
        throw new InvoiceError('out_of_range', `${tag}: expected at most ${max}, got ${words.length} words, ${value}`);
      }
      return Number(value);
    },
  };
}

/** As many words as the highest bit asks for; our own form is the shortest string of bytes. */
function features(): FieldFormat<Hex> {
  return {
    write: (value) => integerToWords(BigInt(`0x0${value}`)),
    read(words, tag) {
      assertMinimal(words, tag);
      const digits = wordsToInteger(words).toString(16);
      return digits === '0' ? '' : digits.padStart(digits.length + (digits.length % 2), '0');
    },
  };
}

function fallback(): FieldFormat<Fallback> {
  return {
    write: ({ version, program }) => [version, ...bytesToWords(fromHex(program))],
    read: ([version, ...words], tag) => {
      const program = toHex(toBytes(words, tag));
      const size = program.length / 2;
      if (!isFallbackSize(version!, size)) {
        throw new InvoiceError('wrong_field_length', `${tag}: expected a program of version ${version}, got ${size} bytes`);
      }
      return { version: version!, program };
    },
  };
}

/** BIP 141: a program has 2 to 40 bytes, of version 0 it has 20 or 32; a hash of 17 and 18 has 20. */
function isFallbackSize(version: number, size: number): boolean {
  if (version > 16) return size === 20;
  return version === 0 ? size === 20 || size === 32 : size >= 2 && size <= 40;
}

function routingHint(): FieldFormat<readonly RoutingHop[]> {
  return {
    write(hops) {
      const writer = new Writer();
      for (const hop of hops) writeHop(hop, writer);
      return bytesToWords(writer.bytes());
    },
    read(words, tag) {
      const content = toBytes(words, tag);
      if (content.length === 0 || content.length % RECORD_SIZE !== 0) {
        throw new InvoiceError('wrong_field_length', `${tag}: expected entries of ${RECORD_SIZE} bytes, got ${content.length} bytes`);
      }
      const reader = new Reader(content);
      return Array.from({ length: content.length / RECORD_SIZE }, () => readHop(reader, tag));
    },
  };
}

function writeHop(hop: RoutingHop, writer: Writer): void {
  writer.hex(hop.node_id);
  writer.u64(shortChannelIdToBigint(hop.short_channel_id));
  writer.u32(hop.fee_base_msat);
  writer.u32(hop.fee_proportional_millionths);
  writer.u16(hop.cltv_expiry_delta);
}

function readHop(reader: Reader, tag: string): RoutingHop {
  return {
    node_id: toNodeId(reader.take(33), tag),
    short_channel_id: shortChannelIdFromBigint(reader.u64()),
    fee_base_msat: reader.u32(),
    fee_proportional_millionths: reader.u32(),
    cltv_expiry_delta: reader.u16(),
  };
}

function toNodeId(candidate: Uint8Array, tag: string): Point {
  const hex = toHex(candidate);
  if (!crypto().isPoint(candidate)) throw new InvoiceError('invalid_node_id', `${tag}: expected a point of the curve, got ${hex}`);
  return hex as Point;
}

function toBytes(words: readonly number[], tag: string): Uint8Array {
  const content = wordsToBytes(words);
  if (content === undefined) {
    throw new InvoiceError('invalid_padding', `${tag}: expected 0 bits after the last byte, got ${words.length} words that end in ${words.at(-1)}`);
  }
  return content;
}

/** BOLT 11, 2025-04: c, x and 9 that begin with 0 make the invoice invalid. */
function assertMinimal(words: readonly number[], tag: string): void {
  if (words[0] === 0) throw new InvoiceError('not_minimal', `${tag}: expected no leading 0, got one in ${words.length} words`);
}
