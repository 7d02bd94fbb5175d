/** The words every layer shares: branded money, hex strings and ids of the BOLTs (BOLT 1, "Fundamental Types"). */
import { bytesToHex as nobleToHex, hexToBytes as nobleFromHex } from '@noble/hashes/utils.js';

declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

/** Millisatoshi. 1 sat = 1000 msat. Never negative on the wire. */
export type Msat = Brand<bigint, 'msat'>;
/** Satoshi. */
export type Sat = Brand<bigint, 'sat'>;
/** Any byte string outside of cryptography: lower-case hex without a prefix. */
export type Hex = string;
/** 32 bytes as 64 lower-case hex digits (hashes, txids in display order, channel ids, preimages). */
export type Hex32 = Brand<string, 'hex32'>;
/** A compressed secp256k1 point as 66 lower-case hex digits. */
export type Point = Brand<string, 'point'>;
/** A compact 64-byte signature (r || s) as 128 lower-case hex digits. */
export type Signature = Brand<string, 'signature'>;
/** A node is named by its public key. */
export type NodeId = Point;
/** Block height, in blocks. */
export type BlockHeight = number;
/** BOLT 7, "Definition of short_channel_id", in its printed form: `block x transaction x output`, as `539268x845x1`. */
export type ShortChannelId = Brand<string, 'short_channel_id'>;

/** Brands a number of millisatoshis. Throws on a negative amount: no balance may ever be one. */
export function msat(amount: bigint | number): Msat {
  const value = BigInt(amount);
  if (value < 0n) throw new RangeError(`an amount of msat cannot be negative: ${value}`);
  return value as Msat;
}

/** Brands a number of satoshis. Throws on a negative amount. */
export function sat(amount: bigint | number): Sat {
  const value = BigInt(amount);
  if (value < 0n) throw new RangeError(`an amount of sat cannot be negative: ${value}`);
  return value as Sat;
}

export const satToMsat = (amount: Sat): Msat => (amount * 1000n) as Msat;
/** Whole satoshis in an amount, rounded down as BOLT 3 asks for outputs. */
export const msatToSat = (amount: Msat): Sat => (amount / 1000n) as Sat;

const hasBuffer = typeof globalThis.Buffer === 'function';
const HEX = /^[0-9a-f]*$/;

/** Lower-case hex of some bytes. */
export function toHex(bytes: Uint8Array): Hex {
  return hasBuffer
    ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
    : nobleToHex(bytes);
}

/** Bytes of a hex string. Throws on an odd length or a digit that is none. */
export function fromHex(hex: Hex): Uint8Array {
  if (!hasBuffer) return nobleFromHex(hex);
  const bytes = Buffer.from(hex, 'hex');
  if (bytes.length * 2 !== hex.length) throw new RangeError(`not a hex string: ${hex.slice(0, 80)}`);
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

export const isHex = (text: string, byteLength?: number): boolean =>
  HEX.test(text) && text.length % 2 === 0 && (byteLength === undefined || text.length === byteLength * 2);

function branded<T extends string>(name: string, byteLength: number): (text: string) => T {
  return (text) => {
    if (!isHex(text, byteLength)) {
      throw new RangeError(`${name}: expected ${byteLength} bytes of lower-case hex, got "${text.slice(0, 140)}"`);
    }
    return text as T;
  };
}

export const hex32 = branded<Hex32>('hex32', 32);
/** Checks the form only; whether the point lies on the curve is for `crypto.isPoint`. */
export const point = branded<Point>('point', 33);
export const signature = branded<Signature>('signature', 64);

export const toHex32 = (bytes: Uint8Array): Hex32 => hex32(toHex(bytes));
export const toPoint = (bytes: Uint8Array): Point => point(toHex(bytes));
export const toSignature = (bytes: Uint8Array): Signature => signature(toHex(bytes));

export const ZERO_32 = hex32('00'.repeat(32));

/** The bytes of a 32-byte hash the other way round: txids are displayed reversed. */
export function reverseHex32(hash: Hex32): Hex32 {
  return toHex32(fromHex(hash).slice().reverse());
}

/** BOLT 7: 3 bytes of block height, 3 of transaction index, 2 of output index. */
export function shortChannelId(block: number, transaction: number, output: number): ShortChannelId {
  const inRange = (value: number, bits: number) => Number.isInteger(value) && value >= 0 && value < 2 ** bits;
  if (!inRange(block, 24) || !inRange(transaction, 24) || !inRange(output, 16)) {
    throw new RangeError(`short_channel_id out of range: ${block}x${transaction}x${output}`);
  }
  return `${block}x${transaction}x${output}` as ShortChannelId;
}

export function parseShortChannelId(text: string): ShortChannelId {
  const match = /^(\d{1,8})x(\d{1,8})x(\d{1,5})$/.exec(text);
  if (match === null) throw new RangeError(`short_channel_id: expected BLOCKxTRANSACTIONxOUTPUT, got "${text}"`);
  return shortChannelId(Number(match[1]), Number(match[2]), Number(match[3]));
}

export function shortChannelIdToBigint(scid: ShortChannelId): bigint {
  const [block, transaction, output] = scid.split('x') as [string, string, string];
  return (BigInt(block) << 40n) | (BigInt(transaction) << 16n) | BigInt(output);
}

export function shortChannelIdFromBigint(value: bigint): ShortChannelId {
  return shortChannelId(Number(value >> 40n), Number((value >> 16n) & 0xffffffn), Number(value & 0xffffn));
}

/** Concatenates byte strings. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    result.set(part, offset);
    offset += part.length;
  }
  return result;
}
