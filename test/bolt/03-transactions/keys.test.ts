/** BOLT 3, Appendices D and E and the obscured number of Appendix C. */
import { describe, expect, it } from 'vitest';
import { derivePrivateKey, derivePublicKey, deriveRevocationPrivateKey, deriveRevocationPublicKey, perCommitmentPoint } from '../../../src/bolt/03-transactions/keys.ts';
import { commitmentLocktime, commitmentSequence, obscureCommitmentNumber, revealCommitmentNumber } from '../../../src/bolt/03-transactions/obscured-number.ts';
import {
  EMPTY_SECRET_STORE, generateFromSeed, insertSecret, lookupSecret, secretIndex, type SecretStore,
} from '../../../src/bolt/03-transactions/per-commitment-secret.ts';
import { fromHex, type Hex32, type Point, toHex } from '../../../src/bolt/primitives.ts';
import { readVectors } from './vectors.ts';

interface Derivation { kind: string; result: string; base_secret: string; per_commitment_secret: Hex32; base_point: Point; per_commitment_point: Point }
interface Generation { name: string; seed: string; index: string; secret: string }
interface Storage { name: string; inserts: readonly { index: string; secret: Hex32; ok: boolean }[] }
interface Obscured { opener_payment_basepoint: Point; accepter_payment_basepoint: Point; commitment_number: number; obscured: string; locktime: string; sequence: string }

describe('key derivation', () => {
  const derive: Record<string, (test: Derivation) => string> = {
    localpubkey: (test) => derivePublicKey(test.base_point, test.per_commitment_point),
    localprivkey: (test) => toHex(derivePrivateKey(fromHex(test.base_secret), test.per_commitment_point)),
    revocationpubkey: (test) => deriveRevocationPublicKey(test.base_point, test.per_commitment_point),
    revocationprivkey: (test) => toHex(deriveRevocationPrivateKey(fromHex(test.base_secret), test.per_commitment_secret)),
  };
  it.each(readVectors<{ cases: Derivation[] }>('bolt03-key-derivation').cases)('$name', (test) => {
    expect(derive[test.kind]!(test)).toBe(test.result);
    expect(perCommitmentPoint(test.per_commitment_secret)).toBe(test.per_commitment_point);
  });
});

describe('per-commitment secrets', () => {
  it.each(readVectors<{ cases: Generation[] }>('bolt03-secret-generation').cases)('$name', ({ seed, index, secret }) => {
    expect(generateFromSeed(fromHex(seed), BigInt(index))).toBe(secret);
  });

  it.each(readVectors<{ cases: Storage[] }>('bolt03-secret-storage').cases)('$name', ({ inserts }) => {
    let store: SecretStore = EMPTY_SECRET_STORE;
    for (const { index, secret, ok } of inserts) {
      const next = insertSecret(store, BigInt(index), secret);
      expect(next !== undefined).toBe(ok);
      store = next ?? store;
    }
    for (const { index, secret } of inserts.filter(({ ok }) => ok).slice(0, -1)) {
      const refused = inserts.some(({ ok }) => !ok);
      if (!refused) expect(lookupSecret(store, BigInt(index))).toBe(secret);
    }
  });

  it('count down from 2^48 - 1, and never outside of 48 bits', () => {
    expect(secretIndex(0n)).toBe(281474976710655n);
    expect(secretIndex(42n)).toBe(281474976710613n);
    expect(() => secretIndex(2n ** 48n)).toThrow('48 bits');
    expect(() => secretIndex(-1n)).toThrow('48 bits');
  });
});

describe('obscured commitment number', () => {
  it.each(readVectors<{ cases: Obscured[] }>('bolt03-obscured-number').cases)('$name', (test) => {
    const obscured = obscureCommitmentNumber(BigInt(test.commitment_number), test.opener_payment_basepoint, test.accepter_payment_basepoint);
    const locktime = commitmentLocktime(obscured);
    const sequence = commitmentSequence(obscured);
    expect([obscured, locktime, sequence].map((value) => value.toString(16))).toEqual([test.obscured, test.locktime, test.sequence]);
    const tx = { locktime, inputs: [{ txid: '00'.repeat(32) as Hex32, index: 0, sequence }] };
    expect(revealCommitmentNumber(tx, test.opener_payment_basepoint, test.accepter_payment_basepoint)).toBe(42n);
    expect(revealCommitmentNumber({ ...tx, locktime: 0 }, test.opener_payment_basepoint, test.accepter_payment_basepoint)).toBeUndefined();
  });
});
