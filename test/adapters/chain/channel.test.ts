/** A channel on chain, from funding to the last sweep: BOLT 3's transactions, our signer, every script executed, wrong variants refused. */
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createRegtestChain, type RegtestChain } from '../../../src/adapters/chain/regtest.ts';
import { createSigner, type LocalSigner } from '../../../src/adapters/signer/local-signer.ts';
import {
  anchorInput, buildSweep, NO_DELAY, penaltyInputs, remoteHtlcInput, secondStageInput, secondStagePenalty, signedSweep, sweepWitness,
  type SweepInput, toLocalInput, toRemoteInput, withFeeInputs,
} from '../../../src/bolt/03-transactions/claim-tx.ts';
import { buildClosing, signedClosing } from '../../../src/bolt/03-transactions/closing-tx.ts';
import {
  buildCommitment, type Commitment, type CommitmentFormat, type CommitmentHtlc, type CommitmentParams, type CommitmentSpec, signedCommitment, verifyCommitment,
} from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { htlcWitness, type HtlcTransaction, ownerHtlcSighash, signedHtlcSuccess, signedHtlcTimeout } from '../../../src/bolt/03-transactions/htlc-tx.ts';
import { fundingScript, p2wpkhScriptCode, p2wsh } from '../../../src/bolt/03-transactions/scripts.ts';
import { derSignature, serialize, txidOf } from '../../../src/bolt/03-transactions/tx.ts';
import { crypto } from '../../../src/bolt/crypto.ts';
import { chooseCryptoBackend } from '../../../src/bolt/crypto-native.ts';
import { fromHex, type Hex, type Hex32, hex32, msat, sat, type Signature } from '../../../src/bolt/primitives.ts';
import { codeOf, fundKey, type Key, keyNumber, signInput } from '../../support/coins.ts';

const SCRIPT_FAILED = 'mandatory-script-verify-flag-failed';
const FUNDING = sat(1_000_000);
const TO_SELF_DELAY = 6;
const EXPIRY = 130;
const PREIMAGE = hex32('42'.repeat(32));

let chain: RegtestChain;
let alice: LocalSigner;
let bob: LocalSigner;
let purse: Key;

beforeAll(() => chooseCryptoBackend());
beforeEach(() => {
  chain = createRegtestChain();
  alice = createSigner(new Uint8Array(32).fill(1), { network: 'bitcoin-regtest' });
  bob = createSigner(new Uint8Array(32).fill(2), { network: 'bitcoin-regtest' });
  purse = keyNumber(9);
});

const sideOf = (signer: LocalSigner) => ({ ...signer.channelKeys(0), dust_limit_satoshis: sat(354), to_self_delay: TO_SELF_DELAY });

/** A funded channel, in a block; Alice opened it. */
function open(format: CommitmentFormat): CommitmentParams {
  const script = fundingScript(alice.channelKeys(0).funding_pubkey, bob.channelKeys(0).funding_pubkey);
  const { txid, output_index } = chain.fund(p2wsh(script), FUNDING);
  chain.mineBlocks(1);
  return { format, funding_txid: txid, funding_output_index: output_index, funding_satoshis: FUNDING, opener: 'owner', owner: sideOf(alice), other: sideOf(bob) };
}

/** One HTLC each way, of 50,000 sat, as Alice sees them. */
const HTLCS: readonly CommitmentHtlc[] = (['offered', 'received'] as const).map((direction) => ({
  direction, id: 0n, amount_msat: msat(50_000_000), payment_hash: hex32(crypto().sha256Hex(fromHex(PREIMAGE))), cltv_expiry: EXPIRY,
}));

const specOf = (commitment_number: bigint, htlcs = HTLCS): CommitmentSpec => ({
  commitment_number, feerate_per_kw: 1000, owner_msat: msat(600_000_000), other_msat: msat(300_000_000), htlcs,
  per_commitment_point: alice.perCommitmentPoint(0, commitment_number),
});

interface Signed {
  readonly commitment: Commitment;
  readonly raw: Hex;
  readonly bobs: { readonly signature: Signature; readonly htlc_signatures: readonly Signature[] };
}

/** Alice's commitment, which Bob signed for her. */
function aliceHolds(params: CommitmentParams, spec: CommitmentSpec): Signed {
  const commitment = buildCommitment(params, spec);
  const bobs = bob.signRemoteCommitment(0, commitment, params, spec);
  expect(verifyCommitment(commitment, params, spec, bobs.signature, bobs.htlc_signatures)).toEqual({ ok: true });
  return { commitment, bobs, raw: signedCommitment(commitment, params, alice.signLocalCommitment(0, commitment), bobs.signature) };
}

const broadcast = (raw: Hex) => codeOf(chain.broadcast(raw));

async function confirm(raw: Hex): Promise<void> {
  expect(await broadcast(raw)).toBe('ok');
  chain.mineBlocks(1);
}

type Claim = Parameters<LocalSigner['signSweepInput']>[1];

/** Sweeps inputs to the purse, all signed with one key of a signer. */
function sweep(signer: LocalSigner, claim: Claim, ...inputs: readonly (SweepInput | undefined)[]): Hex {
  const built = buildSweep({ inputs: inputs.map((input) => input!), destination_script: purse.script, feerate_per_kw: 1000 })!;
  return signedSweep(built, built.sighashes.map((sighash) => signer.signSweepInput(0, claim, sighash)));
}

/** An HTLC transaction of Alice's: with anchors, a coin of the purse pays its fee. */
function secondStage(format: CommitmentFormat, htlc: HtlcTransaction, bobs: Signature, preimage?: Hex32): Hex {
  const own = (sighash: Uint8Array) => alice.signSweepInput(0, { kind: 'htlc', per_commitment_point: alice.perCommitmentPoint(0, 3n) }, sighash);
  if (format === 'static_remotekey') {
    const signature = own(ownerHtlcSighash(htlc));
    return preimage === undefined ? signedHtlcTimeout(htlc, signature, bobs) : signedHtlcSuccess(htlc, signature, bobs, preimage);
  }
  const { key, ...coin } = fundKey(chain, purse, 20_000n);
  const input: SweepInput = { ...coin, sequence: NO_DELAY, spend: { branch: 'p2wpkh', pubkey: key.point } };
  const { tx } = withFeeInputs(htlc, [input], { value: sat(15_000), script_pubkey: purse.script });
  const paid = derSignature(signInput(tx, 1, p2wpkhScriptCode(key.point), coin.value, key));
  return serialize(tx, [htlcWitness(htlc, own(ownerHtlcSighash(htlc, tx)), bobs, preimage), sweepWitness(input, paid)]);
}

describe.each(['static_remotekey', 'anchors_zero_fee_htlc_tx'] as const)('a channel of type %s', (format) => {
  it('closes by agreement', async () => {
    const params = open(format);
    const closing = buildClosing({
      funding_txid: params.funding_txid, funding_output_index: params.funding_output_index, funding_satoshis: FUNDING,
      local_funding_pubkey: params.owner.funding_pubkey, remote_funding_pubkey: params.other.funding_pubkey,
      local_script: purse.script, remote_script: keyNumber(8).script, local_sat: sat(700_000), remote_sat: sat(300_000),
      opener: 'local', fee_satoshis: sat(1000), dust_limit_satoshis: sat(354),
    })!;
    const [alices, bobs] = [alice.signClosing(0, closing), bob.signClosing(0, closing)];
    expect(await broadcast(signedClosing(closing, bobs, alices)), 'the signatures are exchanged').toBe(SCRIPT_FAILED);
    expect(await broadcast(signedClosing(closing, alices, bobs))).toBe('ok');
  });

  it('is closed by Alice alone: her balance after the delay, to no other key, and not sooner', async () => {
    const params = open(format);
    const { commitment, raw, bobs } = aliceHolds(params, specOf(3n));
    expect(await broadcast(signedCommitment(commitment, params, bobs.signature, bobs.signature)), 'without her signature').toBe(SCRIPT_FAILED);
    await confirm(raw);
    const input = toLocalInput(commitment, TO_SELF_DELAY)!;
    const own: Claim = { kind: 'to_local', commitment_number: 3n };
    chain.mineBlocks(TO_SELF_DELAY - 2);
    expect(await broadcast(sweep(alice, own, input)), 'a block too early').toBe('non-BIP68-final');
    expect(await broadcast(sweep(alice, own, { ...input, sequence: TO_SELF_DELAY - 1 })), 'a shorter delay than the script asks').toBe(SCRIPT_FAILED);
    chain.mineBlocks(1);
    expect(await broadcast(sweep(alice, { kind: 'to_local', commitment_number: 2n }, input)), 'the key of another commitment').toBe(SCRIPT_FAILED);
    expect(await broadcast(sweep(bob, own, input)), "Bob's key").toBe(SCRIPT_FAILED);
    await confirm(sweep(alice, own, input));
  });

  it('gives Bob his balance on her commitment', async () => {
    const { commitment, raw } = aliceHolds(open(format), specOf(3n));
    await confirm(raw);
    const input = toRemoteInput(commitment)!;
    expect(await broadcast(sweep(alice, { kind: 'to_remote' }, input))).toBe(SCRIPT_FAILED);
    await confirm(sweep(bob, { kind: 'to_remote' }, input));
  });

  it('pays a received HTLC on against its preimage, and the second stage after the delay', async () => {
    const { commitment, raw, bobs } = aliceHolds(open(format), specOf(3n));
    await confirm(raw);
    const index = commitment.htlcs.findIndex(({ kind }) => kind === 'success');
    const htlc = commitment.htlcs[index]!;
    expect(await broadcast(secondStage(format, htlc, bobs.htlc_signatures[index]!, hex32('43'.repeat(32)))), 'a wrong preimage').toBe(SCRIPT_FAILED);
    expect(await broadcast(secondStage(format, htlc, bobs.htlc_signatures[1 - index]!, PREIMAGE)), "Bob's signature of the other HTLC").toBe(SCRIPT_FAILED);
    const success = secondStage(format, htlc, bobs.htlc_signatures[index]!, PREIMAGE);
    await confirm(success);
    const stage = chain.blockAt((await chain.tip()).height)!.transactions[1]!;
    const input = secondStageInput(htlc, TO_SELF_DELAY, stage.txid);
    expect(await broadcast(sweep(alice, { kind: 'to_local', commitment_number: 3n }, input))).toBe('non-BIP68-final');
    chain.mineBlocks(TO_SELF_DELAY - 1);
    await confirm(sweep(alice, { kind: 'to_local', commitment_number: 3n }, input));
  });

  it('gives an offered HTLC back at its expiry, and not a block sooner', async () => {
    const { commitment, raw, bobs } = aliceHolds(open(format), specOf(3n));
    await confirm(raw);
    const index = commitment.htlcs.findIndex(({ kind }) => kind === 'timeout');
    const timeout = secondStage(format, commitment.htlcs[index]!, bobs.htlc_signatures[index]!);
    chain.mineBlocks(EXPIRY - (await chain.tip()).height - 1);
    expect(await broadcast(timeout)).toBe('non-final');
    chain.mineBlocks(1);
    await confirm(timeout);
  });

  it('lets Bob claim on her commitment: by preimage what she offered, by timeout what he offered', async () => {
    const { commitment, raw } = aliceHolds(open(format), specOf(3n));
    await confirm(raw);
    const key: Claim = { kind: 'htlc', per_commitment_point: alice.perCommitmentPoint(0, 3n) };
    const [offered, received] = (['timeout', 'success'] as const).map((kind) => commitment.htlcs.find((htlc) => htlc.kind === kind)!);
    expect(await broadcast(sweep(bob, key, remoteHtlcInput(commitment, offered!, hex32('43'.repeat(32)))))).toBe(SCRIPT_FAILED);
    await confirm(sweep(bob, key, remoteHtlcInput(commitment, offered!, PREIMAGE)));
    const byTimeout = sweep(bob, key, remoteHtlcInput(commitment, received!));
    expect(await broadcast(byTimeout)).toBe('non-final');
    chain.mineBlocks(EXPIRY - (await chain.tip()).height);
    await confirm(byTimeout);
  });

  it('punishes a revoked commitment: all of it at once goes to Bob, second stages too', async () => {
    const { commitment, raw, bobs } = aliceHolds(open(format), specOf(3n));
    // Another signer of the same seed has no memory of what this one signed: as a stolen or restored machine.
    const revealed = createSigner(new Uint8Array(32).fill(1), { network: 'bitcoin-regtest' }).revealPerCommitmentSecret(0, 3n);
    await confirm(raw);
    const index = commitment.htlcs.findIndex(({ kind }) => kind === 'success');
    const htlc = commitment.htlcs[index]!;
    await confirm(secondStage(format, htlc, bobs.htlc_signatures[index]!, PREIMAGE));
    const stage = chain.blockAt((await chain.tip()).height)!.transactions[1]!;
    const inputs = [...penaltyInputs(commitment).filter((input) => input.index !== htlc.output_index), secondStagePenalty(htlc, { txid: stage.txid, index: 0 })];
    expect(inputs).toHaveLength(3);
    expect(await broadcast(sweep(bob, { kind: 'penalty', per_commitment_secret: hex32('55'.repeat(32)) }, ...inputs)), 'a wrong secret').toBe(SCRIPT_FAILED);
    await confirm(sweep(bob, { kind: 'penalty', per_commitment_secret: revealed }, ...inputs));
  });
});

it('an anchor carries a child that pays, for its owner alone', async () => {
  const { commitment, raw } = aliceHolds(open('anchors_zero_fee_htlc_tx'), specOf(3n));
  const anchor = anchorInput(commitment, 'anchor_owner')!;
  const child = (signer: LocalSigner, input: SweepInput): Hex => {
    const { key, ...coin } = fundKey(chain, purse, 20_000n, { unconfirmed: true });
    const built = buildSweep({ inputs: [input, { ...coin, sequence: NO_DELAY, spend: { branch: 'p2wpkh', pubkey: key.point } }], destination_script: purse.script, feerate_per_kw: 2000 })!;
    return signedSweep(built, [signer.signSweepInput(0, { kind: 'anchor' }, built.sighashes[0]!), signInput(built.tx, 1, p2wpkhScriptCode(key.point), coin.value, key)]);
  };
  expect(await broadcast(raw)).toBe('ok');
  expect(await broadcast(child(bob, anchor))).toBe(SCRIPT_FAILED);
  expect(await broadcast(child(alice, anchor))).toBe('ok');
  const [block] = chain.mineBlocks(1);
  expect(block!.transactions.map(({ txid }) => txid)).toContain(txidOf(commitment.tx));
});
