/** Laws of BOLT 3: bytes round-trip, numbers are revealed again, secrets are found again, commitments conserve every satoshi. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildCommitment, type CommitmentParams, type CommitmentSpec, verifyCommitment } from '../../src/bolt/03-transactions/commitment-tx.ts';
import { derivePrivateKey, derivePublicKey, deriveRevocationPrivateKey, deriveRevocationPublicKey, perCommitmentPoint } from '../../src/bolt/03-transactions/keys.ts';
import { EMPTY_SECRET_STORE, FIRST_SECRET_INDEX, generateFromSeed, insertSecret, lookupSecret, secretsFromSeed, type SecretStore } from '../../src/bolt/03-transactions/per-commitment-secret.ts';
import { parseTx, TxParseError } from '../../src/bolt/03-transactions/tx-parse.ts';
import { derSignature, fromDer, serialize, SIGHASH_SINGLE_ANYONECANPAY, txidOf, type UnsignedTx, witnessSighash } from '../../src/bolt/03-transactions/tx.ts';
import { classifyFundingSpend } from '../../src/bolt/05-onchain/classify.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { crypto } from '../../src/bolt/crypto.ts';
import { fromHex, type Hex32, msat, sat, type Signature, toHex, toHex32, toPoint, toSignature } from '../../src/bolt/primitives.ts';
import { Transaction } from 'bitcoinjs-lib';
import { runs } from '../support/property.ts';

await chooseCryptoBackend();

const bytes = (max: number) => fc.uint8Array({ maxLength: max }).map(toHex);
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((value) => toHex(value) as Hex32);
const u32 = fc.nat(0xffffffff);
const input = fc.record({ txid: hash, index: u32, sequence: u32 });
const output = fc.record({ value: fc.bigInt({ min: 0n, max: 21_000_000n * 100_000_000n }).map(sat), script_pubkey: bytes(300) });
const transaction: fc.Arbitrary<UnsignedTx> = fc.record({
  version: fc.constantFrom(1, 2, 3), locktime: u32,
  inputs: fc.array(input, { minLength: 1, maxLength: 5 }), outputs: fc.array(output, { minLength: 1, maxLength: 5 }),
});
const stacks = fc.array(fc.array(bytes(80), { minLength: 1, maxLength: 4 }), { minLength: 5, maxLength: 5 });
const seed = fc.uint8Array({ minLength: 32, maxLength: 32 });
const key = fc.bigInt({ min: 1n, max: 2n ** 250n }).map((value) => fromHex(value.toString(16).padStart(64, '0')));

describe('transactions', () => {
  it('what is written is read again, with witnesses and without', () => {
    fc.assert(fc.property(transaction, stacks, (tx, all) => {
      const witnesses = all.slice(0, tx.inputs.length);
      const none = tx.inputs.map(() => []);
      expect(parseTx(serialize(tx))).toEqual({ ...tx, witnesses: none, txid: txidOf(tx) });
      expect(parseTx(serialize(tx, witnesses))).toEqual({ ...tx, witnesses, txid: txidOf(tx) });
    }));
  });

  it('bitcoinjs-lib reads the same, and hashes the same for signing', () => {
    fc.assert(fc.property(transaction, stacks, bytes(200), fc.nat(), (tx, all, script, at) => {
      const raw = serialize(tx, all.slice(0, tx.inputs.length));
      const theirs = Transaction.fromHex(raw);
      expect(theirs.toHex()).toBe(raw);
      expect(theirs.getId()).toBe(txidOf(tx));
      const index = at % tx.inputs.length;
      for (const sighashType of [1, SIGHASH_SINGLE_ANYONECANPAY]) {
        const digest = theirs.hashForWitnessV0(index, fromHex(script), 123_456n, sighashType);
        expect(toHex(witnessSighash(tx, index, script, sat(123_456), sighashType))).toBe(toHex(digest));
      }
    }));
  });

  it('bytes from anyone are a transaction or a TxParseError', () => {
    const mutated = fc.tuple(transaction, stacks, fc.nat(), fc.integer({ min: 1, max: 255 }), fc.nat(40)).map(([tx, all, at, flip, cut]) => {
      const raw = fromHex(serialize(tx, all.slice(0, tx.inputs.length))).slice();
      raw[at % raw.length]! ^= flip;
      return toHex(raw.subarray(0, raw.length - (cut > 30 ? cut - 30 : 0)));
    });
    fc.assert(fc.property(fc.oneof(mutated, bytes(200)), (raw) => {
      try {
        const parsed = parseTx(raw);
        expect(serialize(parsed, parsed.witnesses)).toBe(raw);
      } catch (error) {
        if (!(error instanceof TxParseError)) throw error;
      }
    }), { numRuns: runs(500) });
  });

  it('DER and compact signatures are two forms of one', () => {
    const signature = fc.tuple(hash, hash).map(([r, s]) => (r + s) as Signature);
    fc.assert(fc.property(signature, fc.constantFrom(1, 0x83), (compact, sighashType) => {
      expect(fromDer(derSignature(compact, sighashType))).toEqual({ signature: compact, sighashType });
    }));
    fc.assert(fc.property(bytes(73), (junk) => {
      const read = fromDer(junk);
      if (read !== undefined) expect(derSignature(read.signature, read.sighashType)).toBe(junk);
    }));
  });
});

describe('keys', () => {
  it('private and public derivations meet', () => {
    fc.assert(fc.property(key, key, (base, secret) => {
      const point = perCommitmentPoint(toHex32(secret));
      const basepoint = toPoint(crypto().publicKey(base));
      expect(toPoint(crypto().publicKey(derivePrivateKey(base, point)))).toBe(derivePublicKey(basepoint, point));
      expect(derivePrivateKey(base, point, basepoint)).toEqual(derivePrivateKey(base, point));
      expect(toPoint(crypto().publicKey(deriveRevocationPrivateKey(base, toHex32(secret))))).toBe(deriveRevocationPublicKey(basepoint, point));
    }));
  });
});

describe('per-commitment secrets', () => {
  const insertAll = (seedBytes: Uint8Array, from: bigint, count: number): SecretStore => {
    let store: SecretStore = EMPTY_SECRET_STORE;
    for (let i = 0n; i < BigInt(count); i++) {
      store = insertSecret(store, from - i, generateFromSeed(seedBytes, from - i))!;
    }
    return store;
  };

  it('every secret received is found again, no later one is, and the store stays small', () => {
    fc.assert(fc.property(seed, fc.integer({ min: 1, max: 150 }), (seedBytes, count) => {
      const store = insertAll(seedBytes, FIRST_SECRET_INDEX, count);
      for (let i = 0; i < count; i++) {
        const index = FIRST_SECRET_INDEX - BigInt(i);
        expect(lookupSecret(store, index)).toBe(generateFromSeed(seedBytes, index));
      }
      expect(lookupSecret(store, FIRST_SECRET_INDEX - BigInt(count))).toBeUndefined();
      expect(store.length).toBeLessThanOrEqual(1 + Math.floor(Math.log2(count)));
    }), { numRuns: runs(25) });
  });

  it('one after the other, in any order and across blocks of them, they are what each is by itself', () => {
    const index = fc.oneof(fc.bigInt({ min: 0n, max: FIRST_SECRET_INDEX }), fc.integer({ min: 0, max: 600 }).map((back) => FIRST_SECRET_INDEX - BigInt(back)));
    fc.assert(fc.property(seed, fc.array(index, { maxLength: 12 }), (seedBytes, indices) => {
      const secretAt = secretsFromSeed(seedBytes);
      for (const asked of indices) expect(secretAt(asked)).toBe(generateFromSeed(seedBytes, asked));
    }));
  });

  it('a secret of another seed is refused as soon as an older one derives from it', () => {
    fc.assert(fc.property(seed, seed, fc.integer({ min: 0, max: 40 }), (good, bad, pairs) => {
      fc.pre(toHex(good) !== toHex(bad));
      const count = 2 * pairs + 1;
      const store = insertAll(good, FIRST_SECRET_INDEX, count);
      const index = FIRST_SECRET_INDEX - BigInt(count);
      expect(insertSecret(store, index, generateFromSeed(bad, index))).toBeUndefined();
      expect(insertSecret(store, index, generateFromSeed(good, index))).toBeDefined();
    }), { numRuns: runs(25) });
  });
});

describe('commitments', () => {
  const keysOf = (name: string) => {
    const secret = (label: string) => crypto().sha256(new TextEncoder().encode(`${name} ${label}`));
    const pub = (label: string) => toPoint(crypto().publicKey(secret(label)));
    return {
      secret,
      keys: {
        funding_pubkey: pub('funding'), revocation_basepoint: pub('revocation'), payment_basepoint: pub('payment'),
        delayed_payment_basepoint: pub('delayed'), htlc_basepoint: pub('htlc'),
      },
    };
  };
  const [alice, bob] = [keysOf('alice'), keysOf('bob')];
  const per_commitment_point = perCommitmentPoint(toHex32(alice.secret('commitment')));
  const htlc = fc.record({
    direction: fc.constantFrom('offered' as const, 'received' as const), id: fc.bigInt({ min: 0n, max: 1000n }),
    amount_msat: fc.oneof(fc.bigInt({ min: 1n, max: 20_000_000n }), fc.constantFrom(354_000n, 353_999n, 5_000_000n, 5_000_001n)).map(msat),
    payment_hash: fc.oneof(fc.constant('11'.repeat(32) as Hex32), hash), cltv_expiry: fc.integer({ min: 500, max: 510 }),
  });
  const world = fc.record({
    format: fc.constantFrom('static_remotekey' as const, 'anchors_zero_fee_htlc_tx' as const),
    opener: fc.constantFrom('owner' as const, 'other' as const),
    feerate_per_kw: fc.integer({ min: 253, max: 20_000 }), commitment_number: fc.bigInt({ min: 0n, max: FIRST_SECRET_INDEX }),
    share: fc.integer({ min: 0, max: 1000 }), htlcs: fc.array(htlc, { maxLength: 12 }),
  }).map(({ format, opener, feerate_per_kw, commitment_number, share, htlcs }): [CommitmentParams, CommitmentSpec] => {
    const side = { dust_limit_satoshis: sat(354), to_self_delay: 144 };
    const held = htlcs.reduce((sum, { amount_msat }) => sum + amount_msat, 0n);
    const free = 10_000_000_000n - held;
    const owner_msat = (free * BigInt(share)) / 1000n;
    const params: CommitmentParams = {
      format, opener, funding_txid: 'ab'.repeat(32) as Hex32, funding_output_index: 0, funding_satoshis: sat(10_000_000),
      owner: { ...alice.keys, ...side }, other: { ...bob.keys, ...side },
    };
    return [params, { commitment_number, feerate_per_kw, owner_msat: msat(owner_msat), other_msat: msat(free - owner_msat), htlcs, per_commitment_point }];
  });
  const canPay = ([params, spec]: [CommitmentParams, CommitmentSpec]) => (params.opener === 'owner' ? spec.owner_msat : spec.other_msat) >= 100_000_000n;

  it('conserve every satoshi, keep their order, and reveal their number', () => {
    fc.assert(fc.property(world.filter(canPay), ([params, spec]) => {
      const commitment = buildCommitment(params, spec);
      const paid = commitment.outputs.reduce((sum, { value }) => sum + value, 0n);
      expect(paid + commitment.fee_satoshis).toBe(params.funding_satoshis);
      expect(commitment.fee_satoshis).toBeGreaterThanOrEqual(0n);
      expect(commitment.htlcs.length + commitment.trimmed.length).toBe(spec.htlcs.length);
      expect(commitment.outputs.every(({ value }) => value >= (params.format === 'static_remotekey' ? 354n : 330n))).toBe(true);
      commitment.htlcs.forEach(({ output_index, htlc: { amount_msat } }, i) => {
        expect(commitment.tx.outputs[output_index]!.value).toBe(amount_msat / 1000n);
        if (i > 0) expect(output_index).toBeGreaterThan(commitment.htlcs[i - 1]!.output_index);
      });
      expect(buildCommitment(params, { ...spec, htlcs: spec.htlcs.toReversed() }).txid).toBe(commitment.txid);
      const [opener, accepter] = params.opener === 'owner' ? [params.owner, params.other] : [params.other, params.owner];
      const facts = { opener_payment_basepoint: opener.payment_basepoint, accepter_payment_basepoint: accepter.payment_basepoint, local_commitment_number: 0n, remote_commitment_number: FIRST_SECRET_INDEX + 1n };
      expect(classifyFundingSpend(commitment.tx, facts)).toEqual({ kind: 'revoked', commitment_number: spec.commitment_number });
    }));
  });

  it('are accepted with the right signatures, and with any wrong one refused by its index', () => {
    fc.assert(fc.property(world.filter(canPay), fc.nat(), ([params, spec], at) => {
      const commitment = buildCommitment(params, spec);
      const htlcKey = derivePrivateKey(bob.secret('htlc'), per_commitment_point);
      const sign = (digest: Uint8Array, privateKey: Uint8Array) => toSignature(crypto().sign(digest, privateKey));
      const signature = sign(commitment.sighash, bob.secret('funding'));
      const signatures = commitment.htlcs.map(({ sighash }) => sign(sighash, htlcKey));
      expect(verifyCommitment(commitment, params, spec, signature, signatures)).toEqual({ ok: true });
      if (signatures.length === 0) return;
      const index = at % signatures.length;
      expect(verifyCommitment(commitment, params, spec, signature, signatures.with(index, signature))).toEqual({ ok: false, reason: 'htlc_signature', index });
    }));
  });
});
