/** RFC 6962's tree: the known values of the Certificate Transparency test tree, and proofs. */
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/bolt/primitives.ts';
import {
  createMerkleTree,
  leafHash,
  merkleRoot,
  proveConsistency,
  proveInclusion,
  verifyConsistency,
  verifyInclusion,
} from '../../src/events/merkle.ts';
import vectors from '../vectors/rfc6962-merkle.json' with { type: 'json' };

const leaves = vectors.leaves.map((leaf) => leafHash(fromHex(leaf)));
const hexes = (hashes: readonly Uint8Array[]) => hashes.map(toHex);

describe('the known tree of eight leaves', () => {
  it.each(vectors.roots.map((root, size) => ({ size, root })))('has its root at size $size', ({ size, root }) => {
    expect(toHex(merkleRoot(leaves.slice(0, size)))).toBe(root);
    const tree = createMerkleTree();
    for (const leaf of leaves.slice(0, size)) tree.append(leaf);
    expect(toHex(tree.root())).toBe(root);
  });

  it.each(vectors.inclusion)('proves leaf $index in size $size', ({ index, size, proof }) => {
    expect(hexes(proveInclusion(leaves.slice(0, size), index))).toEqual(proof);
    expect(
      verifyInclusion({
        leaf: leaves[index]!,
        index,
        size,
        proof: proof.map(fromHex),
        root: merkleRoot(leaves.slice(0, size)),
      }),
    ).toBe(true);
  });

  it.each(vectors.consistency)('proves size $from a beginning of size $to', ({ from, to, proof }) => {
    expect(hexes(proveConsistency(leaves.slice(0, to), from))).toEqual(proof);
    const [fromRoot, toRoot] = [merkleRoot(leaves.slice(0, from)), merkleRoot(leaves.slice(0, to))];
    expect(verifyConsistency({ from, to, fromRoot, toRoot, proof: proof.map(fromHex) })).toBe(true);
  });
});

describe('every proof of small trees', () => {
  const many = Array.from({ length: 20 }, (_, index) => leafHash(Uint8Array.of(index)));
  const root = (size: number) => merkleRoot(many.slice(0, size));

  it('verifies, and for no other leaf, place, size or root', () => {
    for (let size = 1; size <= many.length; size += 1) {
      for (let index = 0; index < size; index += 1) {
        const claim = {
          leaf: many[index]!,
          index,
          size,
          proof: proveInclusion(many.slice(0, size), index),
          root: root(size),
        };
        expect(verifyInclusion(claim)).toBe(true);
        expect(verifyInclusion({ ...claim, leaf: leafHash(Uint8Array.of(99)) })).toBe(false);
        expect(verifyInclusion({ ...claim, index: index + 1 })).toBe(false);
        expect(verifyInclusion({ ...claim, root: root(size + 1 > 20 ? 1 : size + 1) })).toBe(false);
        expect(verifyInclusion({ ...claim, proof: [...claim.proof, root(1)] })).toBe(false);
        if (claim.proof.length > 0) expect(verifyInclusion({ ...claim, proof: claim.proof.slice(1) })).toBe(false);
      }
    }
  });

  it('shows a beginning, and nothing else, as a beginning', () => {
    for (let to = 1; to <= many.length; to += 1) {
      for (let from = 1; from <= to; from += 1) {
        const claim = {
          from,
          to,
          fromRoot: root(from),
          toRoot: root(to),
          proof: proveConsistency(many.slice(0, to), from),
        };
        expect(verifyConsistency(claim)).toBe(true);
        expect(verifyConsistency({ ...claim, fromRoot: leafHash(Uint8Array.of(99)) })).toBe(false);
        expect(verifyConsistency({ ...claim, toRoot: leafHash(Uint8Array.of(99)) })).toBe(false);
        expect(verifyConsistency({ ...claim, proof: [...claim.proof, root(1)] })).toBe(false);
      }
    }
  });

  it('refuses absurd claims without throwing', () => {
    const claim = { leaf: many[0]!, proof: [], root: root(1) };
    for (const [index, size] of [
      [-1, 1],
      [1, 1],
      [0, 0],
      [0.5, 1],
      [NaN, 1],
      [0, 2 ** 53],
    ] as const)
      expect(verifyInclusion({ ...claim, index, size })).toBe(false);
    for (const [from, to] of [
      [0, 1],
      [2, 1],
      [-1, 1],
      [1, NaN],
      [0.5, 1],
    ] as const)
      expect(verifyConsistency({ from, to, fromRoot: root(1), toRoot: root(1), proof: [] })).toBe(false);
  });
});

describe('the growing tree', () => {
  it('goes on from its edge', () => {
    const whole = createMerkleTree();
    for (const leaf of leaves.slice(0, 5)) whole.append(leaf);
    const resumed = createMerkleTree({ size: 5, edge: whole.edge() });
    for (const leaf of leaves.slice(5)) resumed.append(leaf);
    expect(toHex(resumed.root())).toBe(vectors.roots[8]);
  });

  it('refuses an edge of another size', () => {
    expect(() => createMerkleTree({ size: 4, edge: [leaves[0]!, leaves[1]!] })).toThrow('an edge of 1 hashes, got 2');
  });
});
