/** RFC 6962, section 2.1: the Merkle tree over the whole log, its root, and proofs that an entry or an older tree is in it. */
import { crypto } from '../bolt/crypto.ts';

type Hash = Uint8Array;

/** The tree as it grows: only its right edge is kept, one hash for each complete subtree, the largest first. */
export interface MerkleTree {
  readonly size: () => number;
  /** Adds the leaf hash of the next entry. */
  append(leaf: Hash): void;
  /** The root over all leaves so far; SHA-256 of nothing for an empty tree. */
  root(): Hash;
  /** What createMerkleTree needs to go on from here. */
  edge(): readonly Hash[];
}

/** An empty tree, or one that goes on from a kept edge. Throws when the edge does not belong to a tree of that size. */
export function createMerkleTree(
  from: { readonly size: number; readonly edge: readonly Hash[] } = { size: 0, edge: [] },
): MerkleTree {
  if (from.edge.length !== bitCount(from.size))
    throw new Error(
      `a tree of ${from.size} leaves has an edge of ${bitCount(from.size)} hashes, got ${from.edge.length}`,
    );
  let { size } = from;
  const edge = [...from.edge];
  return {
    size: () => size,
    append(leaf) {
      edge.push(leaf);
      size += 1;
      // One pair of equal height stands at the end for each zero bit that the addition carried over.
      for (let carry = size; carry % 2 === 0; carry /= 2) edge.push(nodeHash(...(edge.splice(-2) as [Hash, Hash])));
    },
    root: () =>
      size === 0 ? crypto().sha256(new Uint8Array(0)) : edge.reduceRight((right, left) => nodeHash(left, right)),
    edge: () => [...edge],
  };
}

/** SHA-256 of 0x00 and the entry. */
export function leafHash(entry: Uint8Array): Hash {
  const prefixed = new Uint8Array(entry.length + 1);
  prefixed.set(entry, 1);
  return crypto().sha256(prefixed);
}

/** SHA-256 of 0x01 and both children. */
export function nodeHash(left: Hash, right: Hash): Hash {
  const prefixed = new Uint8Array(65);
  prefixed[0] = 1;
  prefixed.set(left, 1);
  prefixed.set(right, 33);
  return crypto().sha256(prefixed);
}

/** The root over some leaf hashes. */
export function merkleRoot(leaves: readonly Hash[]): Hash {
  if (leaves.length === 0) return crypto().sha256(new Uint8Array(0));
  if (leaves.length === 1) return leaves[0]!;
  const split = splitOf(leaves.length);
  return nodeHash(merkleRoot(leaves.slice(0, split)), merkleRoot(leaves.slice(split)));
}

/** RFC 6962, 2.1.1: the audit path of leaf `index` in the tree over `leaves`. */
export function proveInclusion(leaves: readonly Hash[], index: number): readonly Hash[] {
  if (!(index >= 0 && index < leaves.length))
    throw new RangeError(`leaf ${index} is not in a tree of ${leaves.length}`);
  if (leaves.length === 1) return [];
  const split = splitOf(leaves.length);
  const [left, right] = [leaves.slice(0, split), leaves.slice(split)];
  return index < split
    ? [...proveInclusion(left, index), merkleRoot(right)]
    : [...proveInclusion(right, index - split), merkleRoot(left)];
}

/** True when `leaf` is the `index`-th of the tree of `size` leaves with this root (RFC 9162, 2.1.3.2). Never throws. */
export function verifyInclusion(claim: {
  leaf: Hash;
  index: number;
  size: number;
  proof: readonly Hash[];
  root: Hash;
}): boolean {
  if (!(Number.isSafeInteger(claim.index) && claim.index >= 0 && claim.index < claim.size)) return false;
  let [hash, node, last] = [claim.leaf, claim.index, claim.size - 1];
  for (const sibling of claim.proof) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sibling, hash);
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && equal(hash, claim.root);
}

/** RFC 6962, 2.1.2: that the tree over the first `from` leaves is a beginning of the tree over all of them. */
export function proveConsistency(leaves: readonly Hash[], from: number): readonly Hash[] {
  if (!(from > 0 && from <= leaves.length))
    throw new RangeError(`a tree of ${from} is no beginning of a tree of ${leaves.length}`);
  return subProof(leaves, from, true);
}

function subProof(leaves: readonly Hash[], from: number, whole: boolean): readonly Hash[] {
  if (from === leaves.length) return whole ? [] : [merkleRoot(leaves)];
  const split = splitOf(leaves.length);
  const [left, right] = [leaves.slice(0, split), leaves.slice(split)];
  return from <= split
    ? [...subProof(left, from, whole), merkleRoot(right)]
    : [...subProof(right, from - split, false), merkleRoot(left)];
}

/** True when the tree of `from` leaves with `fromRoot` is a beginning of the tree of `to` leaves with `toRoot` (RFC 9162, 2.1.4.2). Never throws. */
export function verifyConsistency(claim: {
  from: number;
  to: number;
  fromRoot: Hash;
  toRoot: Hash;
  proof: readonly Hash[];
}): boolean {
  const { from, to, fromRoot, toRoot } = claim;
  if (!(Number.isSafeInteger(from) && Number.isSafeInteger(to) && from > 0 && from <= to)) return false;
  if (from === to) return claim.proof.length === 0 && equal(fromRoot, toRoot);
  const path = isPowerOfTwo(from) ? [fromRoot, ...claim.proof] : claim.proof;
  if (path.length === 0) return false;
  let [node, last] = [from - 1, to - 1];
  while (node % 2 === 1) [node, last] = [half(node), half(last)];
  let [older, newer] = [path[0]!, path[0]!];
  for (const sibling of path.slice(1)) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      [older, newer] = [nodeHash(sibling, older), nodeHash(sibling, newer)];
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      newer = nodeHash(newer, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && equal(older, fromRoot) && equal(newer, toRoot);
}

/** The largest power of two below `size`. */
function splitOf(size: number): number {
  let split = 1;
  while (split * 2 < size) split *= 2;
  return split;
}

const half = (value: number): number => Math.floor(value / 2);

function bitCount(value: number): number {
  let bits = 0;
  for (let rest = value; rest > 0; rest = half(rest)) bits += rest % 2;
  return bits;
}

const isPowerOfTwo = (value: number): boolean => bitCount(value) === 1;
const equal = (a: Hash, b: Hash): boolean => a.length === b.length && a.every((byte, index) => byte === b[index]);
