/** BOLT 3, Appendices C and F: each commitment and each HTLC transaction, byte for byte. */
import { describe, expect, it } from 'vitest';
import { buildCommitment, signedCommitment, verifyCommitment } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { commitmentFee } from '../../../src/bolt/03-transactions/fees.ts';
import { type HtlcTransaction, ownerHtlcSighash, signedHtlcSuccess, signedHtlcTimeout } from '../../../src/bolt/03-transactions/htlc-tx.ts';
import { derivePrivateKey } from '../../../src/bolt/03-transactions/keys.ts';
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import { chooseCryptoBackend } from '../../../src/bolt/crypto-native.ts';
import { nobleBackend } from '../../../src/bolt/crypto-noble.ts';
import { crypto, useCryptoBackend } from '../../../src/bolt/crypto.ts';
import { fromHex, msat, sat, type Signature, toSignature } from '../../../src/bolt/primitives.ts';
import { type CommitmentCase, type CommitmentVectors, paramsOf, readVectors, signatureOf, specOf } from './vectors.ts';

await chooseCryptoBackend();

const suites = ['bolt03-commitment-static-remotekey', 'bolt03-commitment-anchors'].map((name) => readVectors<CommitmentVectors>(name));

const sign = (digest: Uint8Array, privateKey: string | Uint8Array): Signature =>
  toSignature(crypto().sign(digest, typeof privateKey === 'string' ? fromHex(privateKey) : privateKey));

describe.each(suites)('$format', (vectors) => {
  const build = (test: CommitmentCase) => {
    const params = paramsOf(vectors, test.dust_limit_satoshis);
    const spec = specOf(vectors, test);
    return { params, spec, commitment: buildCommitment(params, spec) };
  };
  const htlcSignatures = (test: CommitmentCase) => test.htlc_transactions.map((htlc) => signatureOf(htlc.remote_signature_der));

  describe.each(vectors.cases)('$name', (test) => {
    const { params, spec, commitment } = build(test);

    it('signs to the raw commitment of the spec', () => {
      const ours = sign(commitment.sighash, vectors.keys.local_funding_privkey!);
      const theirs = sign(commitment.sighash, vectors.secrets.remote_funding_privkey!);
      expect(theirs).toBe(signatureOf(test.remote_signature_der));
      expect(signedCommitment(commitment, params, ours, theirs)).toBe(test.commitment_tx);
      expect(parseTx(test.commitment_tx)).toMatchObject({ ...commitment.tx, txid: commitment.txid });
    });

    it('signs to the raw HTLC transactions of the spec, in order', () => {
      const ownerKey = derivePrivateKey(fromHex(vectors.secrets.local_payment_basepoint_secret!), spec.per_commitment_point);
      const raw = commitment.htlcs.map((htlc, i) => signedHtlc(htlc, sign(ownerHtlcSighash(htlc), ownerKey), htlcSignatures(test)[i]!));
      expect(raw).toEqual(test.htlc_transactions.map(({ tx }) => tx));
      expect(commitment.htlcs.map(({ txid }) => txid)).toEqual(raw.map((tx) => parseTx(tx).txid));
    });

    function signedHtlc(htlc: HtlcTransaction, ours: Signature, theirs: Signature): string {
      const { payment_preimage } = vectors.htlcs[Number(htlc.htlc.id)]!;
      return htlc.kind === 'timeout' ? signedHtlcTimeout(htlc, ours, theirs) : signedHtlcSuccess(htlc, ours, theirs, payment_preimage);
    }

    it('accepts the signatures of the spec and no others', () => {
      const signature = signatureOf(test.remote_signature_der);
      const htlc_signatures = htlcSignatures(test);
      const check = (commitmentSignature: Signature, htlcs: readonly Signature[]) => verifyCommitment(commitment, params, spec, commitmentSignature, htlcs);
      expect(check(signature, htlc_signatures)).toEqual({ ok: true });
      expect(check(signatureOf(suites[0]!.cases[2]!.htlc_transactions[0]!.remote_signature_der), htlc_signatures)).toEqual({ ok: false, reason: 'signature' });
      expect(check(signature, [...htlc_signatures, signature])).toEqual({ ok: false, reason: 'htlc_signature_count' });
      htlc_signatures.forEach((_, index) =>
        expect(check(signature, htlc_signatures.with(index, signature))).toEqual({ ok: false, reason: 'htlc_signature', index }));
    });

    it('pays the fee of the spec', () => {
      expect(commitment.htlcs.length + commitment.trimmed.length).toBe(spec.htlcs.length);
      const paid = commitment.outputs.reduce((sum, { value }) => sum + value, 0n);
      expect(paid + commitment.fee_satoshis).toBe(params.funding_satoshis);
      if (test.base_fee === undefined) return;
      expect(commitmentFee(vectors.format, test.feerate_per_kw, commitment.htlcs.length)).toBe(BigInt(test.base_fee));
      expect(commitment.fee_satoshis).toBe(BigInt(test.actual_fee!));
    });

    // Not every vector lists its outputs.
    it.each(test.outputs === undefined ? [] : [[test.outputs]])('lists outputs as the spec does', (outputs) => {
      const listed = outputs.map(({ kind, value, witness_script }) => ({ kind: kind.endsWith('htlc') ? 'htlc' : kind, value: sat(value), witness_script }));
      expect(commitment.outputs.map(({ kind, value, witness_script }) => ({ kind, value, witness_script }))).toEqual(expect.arrayContaining(listed));
    });
  });

  it('derives the keys of the spec', () => {
    expect(build(vectors.cases[0]!).commitment.keys).toEqual({
      revocationpubkey: vectors.keys.local_revocation_pubkey,
      local_delayedpubkey: vectors.keys.local_delayedpubkey,
      local_htlcpubkey: vectors.keys.local_htlcpubkey,
      remote_htlcpubkey: vectors.keys.remote_htlcpubkey,
      remotepubkey: vectors.keys.remote_payment_basepoint,
    });
  });

  it('builds the same with either backend', async () => {
    const native = vectors.cases.map((test) => build(test).commitment.txid);
    useCryptoBackend(nobleBackend);
    expect(vectors.cases.map((test) => build(test).commitment.txid)).toEqual(native);
    await chooseCryptoBackend();
  });

  it('charges the other side when the other side opened', () => {
    const test = vectors.cases[0]!;
    const params = { ...paramsOf(vectors, 546), opener: 'other' as const };
    const { outputs } = buildCommitment(params, specOf(vectors, test));
    expect(outputs.find(({ kind }) => kind === 'to_local')?.value).toBe(7_000_000n);
    expect(outputs.find(({ kind }) => kind === 'to_remote')!.value).toBeLessThan(3_000_000n);
  });

  it('safety 25: an HTLC exactly at the limit has an output, one msat less and it is trimmed', () => {
    const test = { ...vectors.cases[0]!, htlc_ids: [2] };
    const params = paramsOf(vectors, 546);
    const spec = specOf(vectors, test);
    const limit = 546_000n + (vectors.format === 'static_remotekey' ? (BigInt(spec.feerate_per_kw) * 663n / 1000n) * 1000n : 0n);
    const withAmount = (amount: bigint) => buildCommitment(params, { ...spec, htlcs: [{ ...spec.htlcs[0]!, amount_msat: msat(amount) }] });
    expect(withAmount(limit).htlcs).toHaveLength(1);
    expect(withAmount(limit - 1n)).toMatchObject({ htlcs: [], trimmed: [{ id: 2n }] });
  });
});
