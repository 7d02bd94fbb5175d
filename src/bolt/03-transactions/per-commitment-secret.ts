/** BOLT 3, "Per-commitment Secret Requirements" and "Efficient Per-commitment Secret Storage". */
import { crypto } from '../crypto.ts';
import { fromHex, type Hex32, toHex } from '../primitives.ts';

/** Indices count down from here: commitment 0 uses 2^48 - 1. */
export const FIRST_SECRET_INDEX = 2n ** 48n - 1n;
const INDEX_BITS = 48;

/** A bucket holds the newest secret whose index has that many trailing zero bits. */
export interface StoredSecret {
  readonly index: bigint;
  readonly secret: Hex32;
}

/** At most 49 buckets, from which every older secret can be derived again. */
export type SecretStore = readonly (StoredSecret | undefined)[];

export const EMPTY_SECRET_STORE: SecretStore = [];

/** The index of a commitment's secret: 2^48 - 1 - commitment_number. Throws outside of 48 bits. */
export function secretIndex(commitment_number: bigint): bigint {
  return checkedIndex(FIRST_SECRET_INDEX - commitment_number);
}

/** Our own secret of an index, from the channel's 32-byte seed. */
export function generateFromSeed(seed: Uint8Array, index: bigint): Hex32 {
  return deriveSecret(seed, INDEX_BITS, checkedIndex(index));
}

/** Indices that share all but so many bits stand one after the other: 256 commitments. */
const BLOCK_BITS = 8;

/** The same for who asks for one after the other: what a block of indices has in common is derived once. Holds secrets. */
export function secretsFromSeed(seed: Uint8Array): (index: bigint) => Hex32 {
  let block: { readonly first: bigint; readonly secret: Uint8Array } | undefined;
  return (index) => {
    const first = prefix(checkedIndex(index), BLOCK_BITS);
    if (block?.first !== first) block = { first, secret: fromHex(generateFromSeed(seed, first)) };
    return deriveSecret(block.secret, BLOCK_BITS, index);
  };
}

/**
 * Puts the peer's newest secret into the store. Answers undefined when the older secrets do not derive from it: the
 * peer did not make them from one seed, and the channel must fail.
 */
export function insertSecret(store: SecretStore, index: bigint, secret: Hex32): SecretStore | undefined {
  const bucket = trailingZeros(checkedIndex(index));
  const base = fromHex(secret);
  for (const older of store.slice(0, bucket)) {
    if (older !== undefined && deriveSecret(base, bucket, older.index) !== older.secret) return undefined;
  }
  const next = Array.from({ length: Math.max(store.length, bucket + 1) }, (_, b) => store[b]);
  next[bucket] = { index, secret };
  return next;
}

/** A secret the peer revealed before, or undefined when that index has not been received yet. */
export function lookupSecret(store: SecretStore, index: bigint): Hex32 | undefined {
  for (const [bits, known] of store.entries()) {
    if (known !== undefined && prefix(checkedIndex(index), bits) === known.index) {
      return deriveSecret(fromHex(known.secret), bits, index);
    }
  }
  return undefined;
}

/** The secret at `index`, from one whose index has the same bits above `bits` and zeros below. */
function deriveSecret(base: Uint8Array, bits: number, index: bigint): Hex32 {
  let secret = Uint8Array.from(base);
  const [high, low] = [Number(index >> 24n), Number(index & 0xffffffn)];
  for (let bit = bits - 1; bit >= 0; bit--) {
    if ((((bit < 24 ? low : high) >> (bit % 24)) & 1) === 0) continue;
    secret[bit >> 3]! ^= 1 << (bit & 7);
    secret = Uint8Array.from(crypto().sha256(secret));
  }
  return toHex(secret) as Hex32;
}

/** Where to put a secret: the number of its index's trailing zero bits, 48 for the seed itself. */
function trailingZeros(index: bigint): number {
  let zeros = 0;
  while (zeros < INDEX_BITS && ((index >> BigInt(zeros)) & 1n) === 0n) zeros++;
  return zeros;
}

const prefix = (index: bigint, bits: number): bigint => (index >> BigInt(bits)) << BigInt(bits);

function checkedIndex(index: bigint): bigint {
  if (index < 0n || index > FIRST_SECRET_INDEX) throw new RangeError(`a secret's index has 48 bits, got ${index}`);
  return index;
}
