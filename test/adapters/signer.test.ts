/** The signer: the same seed for ever the same keys, signatures that verify, no way back behind the high-water mark, no secret in sight. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type HighWater } from '../../src/adapters/signer/high-water.ts';
import { createSigner, type LocalSigner, SignerRefusal } from '../../src/adapters/signer/local-signer.ts';
import { generateSeedWords, loadOrCreateSeed, loadSeed, seedFromWords, SeedError, storeSeed } from '../../src/adapters/signer/seed.ts';
import { buildCommitment, type CommitmentParams, type CommitmentSpec, verifyCommitment } from '../../src/bolt/03-transactions/commitment-tx.ts';
import { derivePublicKey, perCommitmentPoint } from '../../src/bolt/03-transactions/keys.ts';
import { EMPTY_SECRET_STORE, insertSecret, lookupSecret, secretIndex } from '../../src/bolt/03-transactions/per-commitment-secret.ts';
import { crypto } from '../../src/bolt/crypto.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { fromHex, hex32, msat, type Point, sat, toHex, ZERO_32 } from '../../src/bolt/primitives.ts';

const SEED = new Uint8Array(32).fill(1);
const network = 'bitcoin-regtest';

let alice: LocalSigner;
let bob: LocalSigner;

beforeAll(() => chooseCryptoBackend());
beforeEach(() => {
  alice = createSigner(SEED, { network });
  bob = createSigner(new Uint8Array(32).fill(2), { network });
});

const digest = crypto().sha256(Uint8Array.of(1, 2, 3));
const verifies = (signature: string, key: Point, message = digest) => crypto().verify(fromHex(signature), message, fromHex(key));

/** Alice's view: commitment `number` of its owner, with one HTLC each way. */
function commitmentOf(owner: LocalSigner, other: LocalSigner, commitment_number: bigint) {
  const side = (signer: LocalSigner) => ({ ...signer.channelKeys(0), dust_limit_satoshis: sat(354), to_self_delay: 144 });
  const params: CommitmentParams = {
    format: 'anchors_zero_fee_htlc_tx', funding_txid: hex32('ab'.repeat(32)), funding_output_index: 0, funding_satoshis: sat(1_000_000),
    opener: 'owner', owner: side(owner), other: side(other),
  };
  const spec: CommitmentSpec = {
    commitment_number, feerate_per_kw: 1000, owner_msat: msat(600_000_000), other_msat: msat(300_000_000),
    htlcs: (['offered', 'received'] as const).map((direction) => ({ direction, id: 0n, amount_msat: msat(50_000_000), payment_hash: ZERO_32, cltv_expiry: 500 })),
    per_commitment_point: owner.perCommitmentPoint(0, commitment_number),
  };
  return { params, spec, commitment: buildCommitment(params, spec) };
}

const signFor = (signer: LocalSigner, { commitment, params, spec }: ReturnType<typeof commitmentOf>) => signer.signRemoteCommitment(0, commitment, params, spec);

describe('keys', () => {
  it('are the same for the same seed, for ever', () => {
    expect(createSigner(SEED, { network }).channelKeys(7)).toEqual(alice.channelKeys(7));
    // Computed apart from this code, by the table of derivation.ts. Money depends on these lines: they never change.
    expect(alice.nodeId).toBe('0280642b94f787e2499db32f045afd4763df57b8cd780b34eb1e57c1317eb285a6');
    expect(alice.channelKeys(0).funding_pubkey).toBe('03b2ebb71e614a89ba6b9ced69a5f2c07b42d545a4ad3ac9de6bd94e409979b576');
    expect(alice.perCommitmentPoint(0, 0n)).toBe('0335fd41536662d5b03c35897b801415806e7ef316af13ae81276d09d63adce859');
    expect(alice.invoiceSecrets(ZERO_32).payment_preimage).toBe('c11cbb1ff8221c5908c050891d20b4ceb574b3fca43a3200292e138d8a4b87e3');
    expect(toHex(alice.logKeySeed())).toBe('f076c0fcba6a6ce0ba6b0f15e200acfb219e6bf9c912e49edc9425ff8b14aa46');
  });

  it('differ by network, channel and purpose', () => {
    const signers = [alice, bob, createSigner(SEED, { network: 'bitcoin-mainnet' })];
    const keys = signers.flatMap((signer) => [signer.nodeId, ...[0, 1].flatMap((i) => Object.values(signer.channelKeys(i)))]);
    expect(new Set(keys).size).toBe(signers.length * 11);
  });

  it('share a secret with the holder of the other key', () => {
    expect(toHex(alice.nodeEcdh(bob.nodeId))).toBe(toHex(bob.nodeEcdh(alice.nodeId)));
  });

  it('give session keys and invoice secrets that are apart from one another', () => {
    const secrets = [0, 1].flatMap((attempt) => toHex(alice.sessionKey(ZERO_32, attempt)));
    const { payment_preimage, payment_secret } = alice.invoiceSecrets(ZERO_32);
    expect(new Set([...secrets, payment_preimage, payment_secret, alice.invoiceSecrets(hex32('01'.repeat(32))).payment_preimage]).size).toBe(5);
    expect(crypto().isPrivateKey(alice.sessionKey(ZERO_32, 0))).toBe(true);
  });

  it('refuse a seed too short, and an index that is none', () => {
    expect(() => createSigner(new Uint8Array(8), { network })).toThrow(/8/);
    expect(() => alice.channelKeys(-1)).toThrow(/-1/);
  });

  it('give per-commitment secrets that the peer can store in 49 places (BOLT 3)', () => {
    let store = EMPTY_SECRET_STORE;
    for (let n = 0n; n < 20n; n++) {
      const secret = alice.revealPerCommitmentSecret(3, n);
      expect(perCommitmentPoint(secret)).toBe(alice.perCommitmentPoint(3, n));
      store = insertSecret(store, secretIndex(n), secret)!;
    }
    expect(lookupSecret(store, secretIndex(4n))).toBe(alice.revealPerCommitmentSecret(3, 4n));
  });
});

describe('signatures', () => {
  it("let the peer hold its commitment and both of its HTLC transactions", () => {
    const held = commitmentOf(bob, alice, 5n);
    const { signature, htlc_signatures } = signFor(alice, held);
    expect(htlc_signatures).toHaveLength(2);
    expect(verifyCommitment(held.commitment, held.params, held.spec, signature, htlc_signatures)).toEqual({ ok: true });
  });

  it('are the same when they are asked for again', () => {
    const held = commitmentOf(bob, alice, 5n);
    expect(signFor(alice, held)).toEqual(signFor(alice, held));
    expect(signFor(createSigner(SEED, { network }), held)).toEqual(signFor(alice, held));
  });

  it('are by the key that each is for', () => {
    const { funding_pubkey, payment_basepoint, delayed_payment_basepoint } = alice.channelKeys(0);
    expect(verifies(alice.signClosing(0, { sighash: digest, txid: ZERO_32 }), funding_pubkey)).toBe(true);
    expect(verifies(alice.signAnnouncement(digest), alice.nodeId)).toBe(true);
    const { node_signature, bitcoin_signature } = alice.signChannelAnnouncement(0, digest);
    expect([verifies(node_signature, alice.nodeId), verifies(bitcoin_signature, funding_pubkey)]).toEqual([true, true]);
    const { signature, recovery } = alice.signInvoice(digest);
    expect(toHex(crypto().recover(signature, recovery, digest)!)).toBe(alice.nodeId);
    expect(alice.paymentPoint(0)).toBe(payment_basepoint);
    expect(verifies(alice.signSweepInput(0, { kind: 'to_remote' }, digest), payment_basepoint)).toBe(true);
    const delayed = derivePublicKey(delayed_payment_basepoint, alice.perCommitmentPoint(0, 9n));
    expect(verifies(alice.signSweepInput(0, { kind: 'to_local', commitment_number: 9n }, digest), delayed)).toBe(true);
  });

  it('are refused for a channel whose funding key is not ours', () => {
    const held = commitmentOf(bob, createSigner(new Uint8Array(32).fill(3), { network }), 0n);
    expect(() => signFor(alice, held)).toThrow(SignerRefusal);
  });
});

describe('the high-water mark', () => {
  const refusal = (code: string, values: object) => expect.objectContaining({ name: 'SignerRefusal', code, detail: expect.objectContaining(values) });

  it("safety 29: refuses the peer's commitment below the highest signed, naming both", () => {
    signFor(alice, commitmentOf(bob, alice, 5n));
    signFor(alice, commitmentOf(bob, alice, 6n));
    expect(() => signFor(alice, commitmentOf(bob, alice, 5n))).toThrow(refusal('commitment_below_high_water', { commitment_number: 5n, signed: 6n }));
    expect(() => signFor(alice, commitmentOf(bob, alice, 6n)), 'a retransmission').not.toThrow();
    expect(alice.highWater(0)).toEqual({ signed: 6n, revoked: -1n });
  });

  it('safety 29: refuses to sign our own commitment once it is revoked', () => {
    const ours = (n: bigint) => commitmentOf(alice, bob, n).commitment;
    for (let n = 0n; n < 4n; n++) alice.revealPerCommitmentSecret(0, n);
    for (const n of [0n, 3n]) expect(() => alice.signLocalCommitment(0, ours(n))).toThrow(refusal('commitment_revoked', { revoked: 3n }));
    expect(verifies(alice.signLocalCommitment(0, ours(4n)), alice.channelKeys(0).funding_pubkey, ours(4n).sighash)).toBe(true);
    expect(() => alice.signLocalCommitment(0, ours(5n))).not.toThrow();
  });

  it('refuses the secret of a commitment that was signed for broadcast, but repeats older ones', () => {
    alice.revealPerCommitmentSecret(0, 3n);
    alice.signLocalCommitment(0, commitmentOf(alice, bob, 4n).commitment);
    expect(() => alice.revealPerCommitmentSecret(0, 4n)).toThrow(refusal('commitment_broadcast', { commitment_number: 4n }));
    expect(alice.revealPerCommitmentSecret(0, 3n)).toHaveLength(64);
  });

  it('is kept elsewhere before anything leaves, and comes back with the next start', () => {
    const kept = new Map<number, HighWater>();
    const first = createSigner(SEED, { network, onHighWater: (key_index, marks) => kept.set(key_index, marks) });
    signFor(first, commitmentOf(bob, alice, 6n));
    first.revealPerCommitmentSecret(0, 4n);
    expect([...kept]).toEqual([[0, { signed: 6n, revoked: 4n }]]);
    const second = createSigner(SEED, { network, highWater: kept });
    expect(() => signFor(second, commitmentOf(bob, alice, 5n))).toThrow(SignerRefusal);
    expect(() => second.signLocalCommitment(0, commitmentOf(alice, bob, 4n).commitment)).toThrow(SignerRefusal);
  });

  it('that cannot be kept stops the signature', () => {
    const full = createSigner(SEED, { network, onHighWater: () => { throw new Error('disk full'); } });
    expect(() => signFor(full, commitmentOf(bob, alice, 0n))).toThrow('disk full');
    expect(() => full.revealPerCommitmentSecret(0, 0n)).toThrow('disk full');
    expect(full.highWater(0)).toEqual({ signed: -1n, revoked: -1n });
  });

  it('is each channel its own', () => {
    alice.revealPerCommitmentSecret(1, 100n);
    expect(() => alice.signLocalCommitment(0, commitmentOf(alice, bob, 0n).commitment)).not.toThrow();
  });
});

describe('secrets', () => {
  it('safety 27: do not show in JSON, inspection or refusals', () => {
    const shown = JSON.stringify(alice) + inspect(alice, { depth: 9, showHidden: true, getters: true });
    alice.revealPerCommitmentSecret(0, 0n);
    let refused = '';
    try {
      alice.signLocalCommitment(0, commitmentOf(alice, bob, 0n).commitment);
    } catch (error) {
      refused = inspect(error, { depth: 9 });
    }
    expect(refused).toContain('commitment_revoked');
    for (const secret of [toHex(SEED), toHex(alice.logKeySeed()), alice.invoiceSecrets(ZERO_32).payment_preimage]) {
      expect(shown + refused).not.toContain(secret);
    }
  });
});

describe('the seed', () => {
  // The first English vector of BIP 39 with 24 words.
  const WORDS = `${'abandon '.repeat(23)}art`;
  let directory: string;
  let file: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'fulgurite-seed-'));
    file = join(directory, 'seed');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const code = (run: () => unknown): string => {
    try {
      run();
      return 'ok';
    } catch (error) {
      expect(error).toBeInstanceOf(SeedError);
      expect((error as Error).message).not.toMatch(/abandon|art\b/);
      return (error as SeedError).code;
    }
  };

  it('is what BIP 39 says', () => {
    expect(toHex(seedFromWords(WORDS, 'TREZOR'))).toBe('bda85446c68413707090a52022edd26a1c9462295029f2e60cd7c4f2bbd3097170af7a4d73245cafa9c3cca8d561a7c3de6f5d4a10be8ed2a5e608d68f92fcc8');
    expect(toHex(seedFromWords(`  ${WORDS.toUpperCase().replaceAll(' ', '\n ')} `, 'TREZOR'))).toBe(toHex(seedFromWords(WORDS, 'TREZOR')));
  });

  it('is made of 24 words, new each time', () => {
    const [a, b] = [generateSeedWords(), generateSeedWords()];
    expect(a.split(' ')).toHaveLength(24);
    expect(a).not.toBe(b);
  });

  it('is stored for its owner alone, and read again', () => {
    storeSeed(file, WORDS);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(toHex(loadSeed(file))).toBe(toHex(seedFromWords(WORDS)));
  });

  it('is made at the first start and found at the second', () => {
    const first = loadOrCreateSeed(file);
    expect(first.created).toBe(true);
    expect(loadOrCreateSeed(file)).toEqual({ seed: first.seed, created: false });
  });

  it('is never overwritten', () => {
    storeSeed(file, WORDS);
    const before = readFileSync(file);
    expect(code(() => storeSeed(file, generateSeedWords()))).toBe('seed_file_exists');
    expect(readFileSync(file)).toEqual(before);
  });

  it('is refused where it is missing, readable by others, broken, encrypted or misspelt; without showing a word', () => {
    expect(code(() => loadSeed(file))).toBe('seed_file_missing');
    storeSeed(file, WORDS);
    chmodSync(file, 0o644);
    expect(code(() => loadSeed(file))).toBe('seed_file_permissions');
    const rewrite = (content: string) => {
      rmSync(file);
      writeFileSync(file, content, { mode: 0o600 });
      return code(() => loadSeed(file));
    };
    expect(rewrite(WORDS)).toBe('seed_file_unreadable');
    expect(rewrite(JSON.stringify({ format: 'fulgurite-seed', version: 1, encryption: 'scrypt', words: WORDS }))).toBe('seed_encryption_unknown');
    expect(rewrite(JSON.stringify({ format: 'fulgurite-seed', version: 1, encryption: 'none', words: WORDS.replace('art', 'abandon') }))).toBe('seed_words_invalid');
    expect(code(() => storeSeed(join(directory, 'no', 'such'), WORDS))).toBe('seed_file_unreadable');
  });
});
