/** Values for tests by name: hashes, preimages, keys, node ids, each the same in every run. */
import { crypto } from '../../src/bolt/crypto.ts';
import { fromHex, msat, parseShortChannelId, toHex32, toPoint, type Hex32, type Msat, type NodeId, type ShortChannelId } from '../../src/bolt/primitives.ts';

/** 32 bytes that belong to a word. */
export const hash = (word: string): Hex32 => toHex32(crypto().sha256(new TextEncoder().encode(word)));
export const preimageOf = (word: string): Hex32 => hash(`preimage of ${word}`);
/** The payment_hash whose preimage is preimageOf(word). */
export const paymentHashOf = remembered((word): Hex32 => toHex32(crypto().sha256(fromHex(preimageOf(word)))));
export const keyOf = (name: string): Uint8Array => fromHex(hash(`key of ${name}`));
export const nodeOf = remembered((name): NodeId => toPoint(crypto().publicKey(keyOf(name))));
export const amount = (value: number | bigint): Msat => msat(value);
export const scid = (text: string): ShortChannelId => parseShortChannelId(text);

/** Keys take a while to derive, and properties ask for them a thousand times. */
function remembered<T>(make: (name: string) => T): (name: string) => T {
  const known = new Map<string, T>();
  return (name) => {
    const value = known.get(name) ?? make(name);
    known.set(name, value);
    return value;
  };
}
