/** Laws of the log: one canonical form per event, proofs that hold for every tree, a verifier that misses no change. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/bolt/primitives.ts';
import { canonicalData, canonicalJson } from '../../src/events/canonical.ts';
import {
  createMerkleTree,
  leafHash,
  merkleRoot,
  proveConsistency,
  proveInclusion,
  verifyConsistency,
  verifyInclusion,
} from '../../src/events/merkle.ts';
import { decodeEvent } from '../../src/events/registry.ts';
import { LogCorrupt } from '../../src/events/store.ts';
import { createLogVerifier, type StoredEntry } from '../../src/events/verify.ts';
import { logOf, nodeInitialized } from '../events/log-of.ts';
import { anyEvent } from '../support/sample-events.ts';

describe('the canonical form', () => {
  it('of any event is a fixed point: read and written again it is the same text', () => {
    fc.assert(
      fc.property(anyEvent, (event) => {
        const text = canonicalData(event);
        const again = decodeEvent(event.type, JSON.parse(text));
        expect(canonicalData(again)).toBe(text);
      }),
    );
  });

  it('does not depend on the order of keys', () => {
    const shuffled = fc
      .dictionary(fc.string(), fc.maxSafeInteger())
      .chain((value) =>
        fc
          .shuffledSubarray(Object.entries(value), { minLength: Object.keys(value).length })
          .map((entries) => [value, entries] as const),
      );
    fc.assert(
      fc.property(shuffled, ([value, entries]) => {
        expect(canonicalJson(Object.fromEntries(entries))).toBe(canonicalJson(value));
      }),
    );
  });

  it('of any JSON without floats reads back as the same value', () => {
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small' },
        fc.constant(null),
        fc.boolean(),
        fc.maxSafeInteger(),
        fc.string({ unit: 'binary' }),
        fc.array(tie('tree')),
        fc.dictionary(
          fc.string({ unit: 'binary' }).filter((name) => name !== '__proto__'),
          tie('tree'),
          { noNullPrototype: true },
        ),
      ),
    }));
    fc.assert(
      fc.property(tree, (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(value);
      }),
    );
  });
});

describe('the Merkle tree', () => {
  const leaves = fc
    .uniqueArray(fc.uint8Array({ maxLength: 8 }), { minLength: 1, maxLength: 70, selector: toHex })
    .map((all) => all.map(leafHash));

  it('grown leaf by leaf, from any edge on, has the root of all its leaves', () => {
    fc.assert(
      fc.property(leaves, fc.nat(), (all, cut) => {
        const first = createMerkleTree();
        for (const leaf of all.slice(0, cut % all.length)) first.append(leaf);
        const resumed = createMerkleTree({ size: first.size(), edge: first.edge() });
        for (const leaf of all.slice(first.size())) resumed.append(leaf);
        expect(toHex(resumed.root())).toBe(toHex(merkleRoot(all)));
      }),
    );
  });

  it('proves each leaf at its place and at no other', () => {
    fc.assert(
      fc.property(leaves, fc.nat(), fc.nat(), (all, one, other) => {
        const [index, size] = [one % all.length, all.length];
        const claim = { leaf: all[index]!, index, size, proof: proveInclusion(all, index), root: merkleRoot(all) };
        expect(verifyInclusion(claim)).toBe(true);
        if (other % size !== index) expect(verifyInclusion({ ...claim, index: other % size })).toBe(false);
      }),
    );
  });

  it('proves each of its beginnings, and nothing else', () => {
    fc.assert(
      fc.property(leaves, fc.nat(), fc.uint8Array({ minLength: 32, maxLength: 32 }), (all, cut, wrong) => {
        const [from, to] = [1 + (cut % all.length), all.length];
        const claim = {
          from,
          to,
          fromRoot: merkleRoot(all.slice(0, from)),
          toRoot: merkleRoot(all),
          proof: proveConsistency(all, from),
        };
        expect(verifyConsistency(claim)).toBe(true);
        expect(verifyConsistency({ ...claim, fromRoot: wrong })).toBe(false);
        expect(verifyConsistency({ ...claim, toRoot: wrong })).toBe(false);
      }),
    );
  });
});

describe('the log verifier', () => {
  const steps = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), anyEvent), { minLength: 1, maxLength: 12 });

  function verify(entries: readonly StoredEntry[], checkpoint: string): void {
    const verifier = createLogVerifier({ checkpoints: [checkpoint] });
    for (const entry of entries) verifier.add(entry);
    verifier.finish();
  }

  it('passes any whole log, and no log with one changed character', () => {
    fc.assert(
      fc.property(steps, fc.nat(), fc.nat(), fc.string({ minLength: 1, maxLength: 1 }), (all, one, at, character) => {
        const { entries, checkpoints } = logOf([['node', nodeInitialized()], ...all]);
        const stored = entries.map(({ entry }, position) => ({ position: BigInt(position), entry }));
        verify(stored, checkpoints.at(-1)!);
        const position = one % stored.length;
        const { entry } = stored[position]!;
        const damaged = entry.slice(0, at % entry.length) + character + entry.slice((at % entry.length) + 1);
        if (damaged === entry) return;
        expect(() =>
          verify(stored.with(position, { position: BigInt(position), entry: damaged }), checkpoints.at(-1)!),
        ).toThrow(LogCorrupt);
      }),
    );
  });
});
