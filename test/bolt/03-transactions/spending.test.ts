/** BOLT 3 and 5: every output that we may claim, claimed, and judged by Bitcoin's script rules. */
import { describe, expect, it } from 'vitest';
import {
  anchorInput, buildSweep, penaltyInputs, remoteHtlcInput, secondStageInput, secondStagePenalty, signedSweep, type SweepInput, sweepWitness,
  toLocalInput, toRemoteInput, withFeeInputs,
} from '../../../src/bolt/03-transactions/claim-tx.ts';
import { buildClosing, buildSimpleClosing, closingWeight, signedClosing, verifyClosing } from '../../../src/bolt/03-transactions/closing-tx.ts';
import { buildCommitment, type CommitmentFormat, type CommitmentHtlc, type CommitmentParams, signedCommitment } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { htlcWitness, ownerHtlcSighash, signedHtlcSuccess, signedHtlcTimeout } from '../../../src/bolt/03-transactions/htlc-tx.ts';
import { derivePrivateKey, deriveRevocationPrivateKey, perCommitmentPoint } from '../../../src/bolt/03-transactions/keys.ts';
import { p2wpkh, p2wsh } from '../../../src/bolt/03-transactions/scripts.ts';
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import { derSignature, serialize, weightOf } from '../../../src/bolt/03-transactions/tx.ts';
import { chooseCryptoBackend } from '../../../src/bolt/crypto-native.ts';
import { crypto } from '../../../src/bolt/crypto.ts';
import { fromHex, hex32, msat, sat, type Signature, toHex32, toPoint, toSignature } from '../../../src/bolt/primitives.ts';
import { runScript } from '../../support/script-interpreter.ts';

await chooseCryptoBackend();

const secret = (name: string) => crypto().sha256(new TextEncoder().encode(name));
const publicKey = (key: Uint8Array) => toPoint(crypto().publicKey(key));
const sign = (digest: Uint8Array, key: Uint8Array): Signature => toSignature(crypto().sign(digest, key));

const secretsOf = (side: string) => ({
  funding: secret(`${side} funding`), revocation: secret(`${side} revocation`), payment: secret(`${side} payment`),
  delayed: secret(`${side} delayed`), htlc: secret(`${side} htlc`),
});
const [alice, bob] = [secretsOf('alice'), secretsOf('bob')];

const side = (secrets: typeof alice, to_self_delay: number) => ({
  funding_pubkey: publicKey(secrets.funding), revocation_basepoint: publicKey(secrets.revocation), payment_basepoint: publicKey(secrets.payment),
  delayed_payment_basepoint: publicKey(secrets.delayed), htlc_basepoint: publicKey(secrets.htlc),
  dust_limit_satoshis: sat(354), to_self_delay,
});

const perCommitmentSecret = hex32('1f'.repeat(32));
const per_commitment_point = perCommitmentPoint(perCommitmentSecret);
const preimages = [0, 1].map((i) => toHex32(secret(`preimage ${i}`)));
const hashOf = (preimage: string) => toHex32(crypto().sha256(fromHex(preimage)));
const htlcs: readonly CommitmentHtlc[] = [
  { direction: 'offered', id: 0n, amount_msat: msat(50_000_000n), payment_hash: hashOf(preimages[0]!), cltv_expiry: 600_000 },
  { direction: 'received', id: 0n, amount_msat: msat(60_000_000n), payment_hash: hashOf(preimages[1]!), cltv_expiry: 600_100 },
];
const destination = p2wpkh(publicKey(secret('wallet')));
const wallet = secret('wallet');

/** Alice owns the commitment. */
const world = (format: CommitmentFormat) => {
  const params: CommitmentParams = {
    format, funding_txid: hex32('ab'.repeat(32)), funding_output_index: 1, funding_satoshis: sat(1_000_000), opener: 'owner',
    owner: side(alice, 144), other: side(bob, 720),
  };
  const commitment = buildCommitment(params, {
    commitment_number: 7n, feerate_per_kw: 1000, owner_msat: msat(500_000_000n), other_msat: msat(390_000_000n), htlcs, per_commitment_point,
  });
  const keys = {
    aliceDelayed: derivePrivateKey(alice.delayed, per_commitment_point),
    aliceHtlc: derivePrivateKey(alice.htlc, per_commitment_point),
    bobHtlc: derivePrivateKey(bob.htlc, per_commitment_point),
    revocation: deriveRevocationPrivateKey(bob.revocation, perCommitmentSecret),
  };
  return { params, commitment, keys, anchors: format !== 'static_remotekey' };
};

const sweepOf = (...inputs: (SweepInput | undefined)[]) =>
  buildSweep({ inputs: inputs.map((input) => input!), destination_script: destination, feerate_per_kw: 500 })!;

describe.each(['static_remotekey', 'anchors_zero_fee_htlc_tx'] as const)('%s', (format) => {
  const { params, commitment, keys, anchors } = world(format);
  const fundingOutput = { value: params.funding_satoshis, script_pubkey: p2wsh(commitment.funding_script) };
  const spent = (input: SweepInput) => commitment.tx.outputs[input.index]!;

  it('the commitment spends the funding output', () => {
    const raw = signedCommitment(commitment, params, sign(commitment.sighash, alice.funding), sign(commitment.sighash, bob.funding));
    expect(runScript(raw, 0, fundingOutput)).toBe('ok');
    const forged = signedCommitment(commitment, params, sign(commitment.sighash, alice.funding), sign(commitment.sighash, alice.funding));
    expect(runScript(forged, 0, fundingOutput)).not.toBe('ok');
  });

  it('its owner sweeps to_local after the delay, not before', () => {
    const sweep = sweepOf(toLocalInput(commitment, 144));
    expect(runScript(signedSweep(sweep, [sign(sweep.sighashes[0]!, keys.aliceDelayed)]), 0, spent(sweep.inputs[0]!))).toBe('ok');
    const early = sweepOf(toLocalInput(commitment, 143));
    expect(runScript(signedSweep(early, [sign(early.sighashes[0]!, keys.aliceDelayed)]), 0, spent(early.inputs[0]!))).toMatch(/LOCKTIME/);
  });

  it('the other side sweeps to_remote', () => {
    const sweep = sweepOf(toRemoteInput(commitment));
    expect(sweep.tx.inputs[0]!.sequence).toBe(anchors ? 1 : 0xfffffffd);
    expect(runScript(signedSweep(sweep, [sign(sweep.sighashes[0]!, bob.payment)]), 0, spent(sweep.inputs[0]!))).toBe('ok');
  });

  it('the owner times its offered HTLC out and succeeds with the received one, and sweeps both', () => {
    for (const htlc of commitment.htlcs) {
      const [ours, theirs] = [sign(ownerHtlcSighash(htlc), keys.aliceHtlc), sign(htlc.sighash, keys.bobHtlc)];
      const raw = htlc.kind === 'timeout' ? signedHtlcTimeout(htlc, ours, theirs) : signedHtlcSuccess(htlc, ours, theirs, preimages[1]!);
      expect(runScript(raw, 0, commitment.tx.outputs[htlc.output_index]!)).toBe('ok');
      expect(() => htlcWitness(htlc, ours, theirs, htlc.kind === 'timeout' ? preimages[0] : undefined)).toThrow('preimage');
      const second = sweepOf(secondStageInput(htlc, 144));
      expect(runScript(signedSweep(second, [sign(second.sighashes[0]!, keys.aliceDelayed)]), 0, htlc.tx.outputs[0]!)).toBe('ok');
    }
  });

  it('the other side claims the offered HTLC by preimage and the received one after its timeout', () => {
    const [offered, received] = ['offered', 'received'].map((direction) => commitment.htlcs.find(({ htlc }) => htlc.direction === direction)!);
    expect(remoteHtlcInput(commitment, offered!)).toBeUndefined();
    const sweep = sweepOf(remoteHtlcInput(commitment, offered!, preimages[0]), remoteHtlcInput(commitment, received!));
    expect(sweep.tx.locktime).toBe(600_100);
    const raw = signedSweep(sweep, sweep.sighashes.map((digest) => sign(digest, keys.bobHtlc)));
    expect(sweep.inputs.map((input, i) => runScript(raw, i, spent(input)))).toEqual(['ok', 'ok']);
    const wrong = sweepOf(remoteHtlcInput(commitment, offered!, preimages[1]));
    expect(runScript(signedSweep(wrong, [sign(wrong.sighashes[0]!, keys.bobHtlc)]), 0, spent(wrong.inputs[0]!))).not.toBe('ok');
  });

  it('the revocation key takes to_local, both HTLCs and both second stages of a revoked commitment at once', () => {
    const stages = commitment.htlcs.map((htlc) => secondStagePenalty(htlc, { txid: htlc.txid, index: 0 }));
    const sweep = sweepOf(...penaltyInputs(commitment), ...stages);
    const raw = signedSweep(sweep, sweep.sighashes.map((digest) => sign(digest, keys.revocation)));
    const outputs = [...penaltyInputs(commitment).map(spent), ...commitment.htlcs.map(({ tx }) => tx.outputs[0]!)];
    expect(outputs.map((output, i) => runScript(raw, i, output))).toEqual(['ok', 'ok', 'ok', 'ok', 'ok']);
  });

  it('a sweep pays for the weight that it has', () => {
    const sweep = sweepOf(...penaltyInputs(commitment));
    const witnesses = sweep.inputs.map((input, i) => sweepWitness(input, derSignature(sign(sweep.sighashes[i]!, keys.revocation))));
    const weight = weightOf(sweep.tx, witnesses);
    expect(sweep.weight - weight).toBeGreaterThanOrEqual(0);
    expect(sweep.weight - weight).toBeLessThanOrEqual(4 * sweep.inputs.length);
    expect(sweep.fee_satoshis).toBe(BigInt(Math.floor(sweep.weight / 2)));
    expect(sweep.tx.outputs[0]!.value + sweep.fee_satoshis).toBe(sweep.inputs.reduce((sum, { value }) => sum + value, 0n));
  });

  it('a sweep that would leave dust is none', () => {
    const inputs = [toRemoteInput(commitment)!];
    expect(buildSweep({ inputs, destination_script: destination, feerate_per_kw: 2_000_000 })).toBeUndefined();
    expect(buildSweep({ inputs: [], destination_script: destination, feerate_per_kw: 253 })).toBeUndefined();
  });

  const withAnchors = anchors ? ['anchors'] : [];
  it.each(withAnchors)('%s: each side spends its own', () => {
    for (const [whose, key] of [['anchor_owner', alice.funding], ['anchor_other', bob.funding]] as const) {
      const sweep = sweepOf(anchorInput(commitment, whose), toRemoteInput(commitment));
      const raw = signedSweep(sweep, [sign(sweep.sighashes[0]!, key), sign(sweep.sighashes[1]!, bob.payment)]);
      expect(runScript(raw, 0, spent(sweep.inputs[0]!))).toBe('ok');
    }
  });

  it.each(withAnchors)('%s: an HTLC transaction takes fee inputs behind its own', () => {
    const pubkey = publicKey(wallet);
    const coin: SweepInput = { txid: hex32('cd'.repeat(32)), index: 3, value: sat(20_000), sequence: 0xfffffffd, spend: { branch: 'p2wpkh', pubkey } };
    for (const htlc of commitment.htlcs) {
      const { tx, sighashes } = withFeeInputs(htlc, [coin], { value: sat(15_000), script_pubkey: destination });
      const ours = sign(ownerHtlcSighash(htlc, tx), keys.aliceHtlc);
      const preimage = htlc.kind === 'success' ? preimages[1] : undefined;
      const raw = serialize(tx, [
        htlcWitness(htlc, ours, sign(htlc.sighash, keys.bobHtlc), preimage), sweepWitness(coin, derSignature(sign(sighashes[0]!, wallet))),
      ]);
      expect(runScript(raw, 0, commitment.tx.outputs[htlc.output_index]!)).toBe('ok');
      expect(runScript(raw, 1, { value: coin.value, script_pubkey: p2wpkh(pubkey) })).toBe('ok');
    }
  });
});

describe('mutual close', () => {
  const { params, commitment } = world('static_remotekey');
  const [local_script, remote_script] = [destination, p2wsh('51')];
  const request = {
    funding_txid: params.funding_txid, funding_output_index: 1, funding_satoshis: sat(1_000_000),
    local_funding_pubkey: params.owner.funding_pubkey, remote_funding_pubkey: params.other.funding_pubkey,
    local_script, remote_script, local_sat: sat(700_000), remote_sat: sat(300_000), fee_satoshis: sat(1_000),
  };
  const legacy = { ...request, opener: 'local', dust_limit_satoshis: sat(354) } as const;
  const simple = { ...request, closer: 'remote', locktime: 800_000, outputs: 'closer_and_closee_outputs' } as const;

  it('legacy: the opener pays, both sign, and it spends the funding output', () => {
    const closing = buildClosing(legacy)!;
    expect(closing.tx).toMatchObject({ locktime: 0, inputs: [{ sequence: 0xffffffff }] });
    expect(closing.tx.outputs).toEqual([{ value: 300_000n, script_pubkey: remote_script }, { value: 699_000n, script_pubkey: local_script }]);
    const theirs = sign(closing.sighash, bob.funding);
    expect(verifyClosing(closing, theirs)).toBe(true);
    expect(verifyClosing(closing, sign(closing.sighash, alice.funding))).toBe(false);
    const raw = signedClosing(closing, sign(closing.sighash, alice.funding), theirs);
    expect(runScript(raw, 0, { value: sat(1_000_000), script_pubkey: p2wsh(commitment.funding_script) })).toBe('ok');
    expect(parseTx(raw).txid).toBe(closing.txid);
    const weight = weightOf(closing.tx, parseTx(raw).witnesses);
    expect(closingWeight(local_script, remote_script) - weight).toBeLessThanOrEqual(8);
  });

  it('legacy: dust and an omitted output go to the fee', () => {
    const dust = buildClosing({ ...legacy, local_sat: sat(999_647), remote_sat: sat(353) })!;
    expect(dust.tx.outputs).toHaveLength(1);
    expect(dust.fee_satoshis).toBe(1_353n);
    expect(buildClosing({ ...legacy, local_sat: sat(999_646), remote_sat: sat(354) })!.tx.outputs).toHaveLength(2);
    expect(buildClosing({ ...legacy, omit: 'remote' })!.tx.outputs).toEqual([{ value: 699_000n, script_pubkey: local_script }]);
    expect(buildClosing({ ...legacy, fee_satoshis: sat(700_001) })).toBeUndefined();
    expect(buildClosing({ ...legacy, local_sat: sat(1_100), remote_sat: sat(100) })).toBeUndefined();
  });

  it('simple: the closer pays, picks the locktime and the outputs, and may burn its own', () => {
    const closing = buildSimpleClosing(simple)!;
    expect(closing.tx).toMatchObject({ locktime: 800_000, inputs: [{ sequence: 0xfffffffd }] });
    expect(closing.tx.outputs.map(({ value }) => value)).toEqual([299_000n, 700_000n]);
    expect(buildSimpleClosing({ ...simple, outputs: 'closee_output_only' })!.tx.outputs.map(({ value }) => value)).toEqual([700_000n]);
    const burnt = buildSimpleClosing({ ...simple, remote_script: `6a06${'11'.repeat(6)}`, remote_sat: sat(500), fee_satoshis: sat(500) })!;
    expect(burnt.tx.outputs[0]).toEqual({ value: 0n, script_pubkey: `6a06${'11'.repeat(6)}` });
    expect(buildSimpleClosing({ ...simple, fee_satoshis: sat(300_001) })).toBeUndefined();
  });
});
