/**
 * A thief rebuilt from an honest node's log and seed: any commitment it ever held, signed again by a signer that remembers no
 * revocation, with the second stage of its HTLCs. For tests alone.
 */
import { sweepWitness, type SweepInput, NO_DELAY } from '../../../src/bolt/03-transactions/claim-tx.ts';
import { buildCommitment, type Commitment, signedCommitment } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { htlcWitness, type HtlcTransaction } from '../../../src/bolt/03-transactions/htlc-tx.ts';
import { derSignature, serialize, txidOf, type TxOutput, type UnsignedTx, type Witness, witnessSighash } from '../../../src/bolt/03-transactions/tx.ts';
import { crypto } from '../../../src/bolt/crypto.ts';
import { type Hex, type Hex32, sat, toSignature } from '../../../src/bolt/primitives.ts';
import { commitmentParams, commitmentSpec } from '../../../src/domain/channel/commitment-spec.ts';
import { evolveChannel } from '../../../src/domain/channel/evolve.ts';
import { type ChannelState, type EstablishedState, initialChannel, isEstablished } from '../../../src/domain/channel/state.ts';
import type { ChannelEvent } from '../../../src/events/channel/index.ts';
import type { LocalSigner } from '../../../src/adapters/signer/local-signer.ts';
import type { EventEnvelope } from '../../../src/events/envelope.ts';
import type { KeyCoin } from '../coins.ts';
import { p2wpkhScriptCode } from '../../../src/bolt/03-transactions/scripts.ts';

/** A commitment that its owner may no longer publish, and does. */
export interface OldCommitment {
  readonly number: bigint;
  readonly state: EstablishedState;
  readonly commitment: Commitment;
  /** Raw, with both signatures. */
  readonly transaction: Hex;
}

/** The owner's state when it held commitment `number` with the peer's signatures. */
export function stateAt(log: readonly EventEnvelope[], number: bigint): EstablishedState {
  let state: ChannelState = initialChannel;
  for (const { event } of log) {
    state = evolveChannel(state, event as ChannelEvent);
    if (isEstablished(state) && state.commitments.local.number === number && state.commitments.local.signature !== undefined) return state;
  }
  throw new Error(`there was no commitment ${number}`);
}

/** A signer of the node's seed that remembers nothing. */
export type Forgetful = Pick<LocalSigner, 'signLocalCommitment' | 'signSweepInput'>;

/** The commitment of that number, as the node of this log and this seed once held it. */
export function oldCommitment(signer: Forgetful, log: readonly EventEnvelope[], number: bigint): OldCommitment {
  const state = stateAt(log, number);
  const params = commitmentParams(state, 'local');
  const commitment = buildCommitment(params, commitmentSpec(state, 'local'));
  const signature = signer.signLocalCommitment(state.terms.key_index, commitment);
  return { number, state, commitment, transaction: signedCommitment(commitment, params, signature, state.commitments.local.signature!) };
}

/** By payment_hash: the preimages that the thief has ever sent. */
export function preimagesOf(log: readonly EventEnvelope[], { state }: OldCommitment): ReadonlyMap<Hex32, Hex32> {
  const sent = new Map(log.flatMap(({ event }) => (event.type === 'UpdateFulfillHtlcSent' ? [[event.id, event.payment_preimage] as const] : [])));
  const received = state.commitments.htlcs.filter(({ direction, id }) => direction === 'received' && sent.has(id));
  return new Map(received.map(({ id, payment_hash }) => [payment_hash, sent.get(id)!]));
}

export interface SecondStageOptions {
  /** By payment_hash: what the thief has learned. */
  readonly preimages: ReadonlyMap<Hex32, Hex32>;
  /** Timeouts whose cltv_expiry the next block allows. */
  readonly height: number;
  /** Pays the fee where the format leaves it to others; one for each transaction. */
  readonly coins: readonly KeyCoin[];
  /** HTLCs in one transaction, where the format allows it. */
  readonly together?: number;
}

/** The HTLC transactions of an old commitment that the thief can publish now, signed. */
export function secondStages(signer: Forgetful, { state, commitment }: OldCommitment, { preimages, height, coins, together = 1 }: SecondStageOptions): readonly Hex[] {
  const { key_index, point } = { key_index: state.terms.key_index, point: state.commitments.local.point };
  const signatures = state.commitments.local.htlc_signatures;
  const claims = commitment.htlcs
    .map((htlc, i): Claim => ({ htlc, peers: signatures[i]!, preimage: htlc.kind === 'success' ? preimages.get(htlc.htlc.payment_hash) : undefined }))
    .filter(({ htlc, preimage }) => (htlc.kind === 'success' ? preimage !== undefined : htlc.htlc.cltv_expiry <= height));
  const ours = (tx: UnsignedTx, index: number, { witness_script, input_value }: HtlcTransaction) =>
    signer.signSweepInput(key_index, { kind: 'htlc', per_commitment_point: point }, witnessSighash(tx, index, witness_script, input_value));
  const witnessOf = (tx: UnsignedTx, index: number, { htlc, peers, preimage }: Claim): Witness => htlcWitness(htlc, ours(tx, index, htlc), peers, preimage);
  if (state.terms.format === 'static_remotekey') return claims.map((claim) => serialize(claim.htlc.tx, [witnessOf(claim.htlc.tx, 0, claim)]));
  return packed(claims, together).map((chunk, i) => {
    const coin = coins[i];
    if (coin === undefined) throw new Error(`${chunk.length} HTLCs need a coin, the thief has ${coins.length}`);
    return withCoin(chunk, coin, witnessOf);
  });
}

interface Claim {
  readonly htlc: HtlcTransaction;
  readonly peers: HtlcTransactionSignature;
  readonly preimage: Hex32 | undefined;
}
type HtlcTransactionSignature = EstablishedState['commitments']['local']['htlc_signatures'][number];

const FEE = sat(5_000);

/** Several HTLC transactions in one, each with its output at its input's index, and a coin behind them that pays. */
function withCoin(claims: readonly Claim[], coin: KeyCoin, witnessOf: (tx: UnsignedTx, index: number, claim: Claim) => Witness): Hex {
  const fee = FEE * BigInt(claims.length);
  const change: TxOutput = { value: sat(coin.value - fee), script_pubkey: coin.key.script };
  const tx: UnsignedTx = {
    version: 2,
    locktime: Math.max(...claims.map(({ htlc }) => htlc.tx.locktime)),
    inputs: [...claims.flatMap(({ htlc }) => htlc.tx.inputs), { txid: coin.txid, index: coin.index, sequence: NO_DELAY }],
    outputs: [...claims.flatMap(({ htlc }) => htlc.tx.outputs), change],
  };
  return serialize(tx, [...claims.map((claim, i) => witnessOf(tx, i, claim)), coinWitness(tx, claims.length, coin)]);
}

function coinWitness(tx: UnsignedTx, index: number, { value, key }: KeyCoin): Witness {
  const signature = toSignature(crypto().sign(witnessSighash(tx, index, p2wpkhScriptCode(key.point), value), key.secret));
  return [derSignature(signature), key.point];
}

/** The peer signed each locktime: only HTLCs of the same one go together. */
function packed(claims: readonly Claim[], together: number): readonly (readonly Claim[])[] {
  const locktimes = [...new Set(claims.map(({ htlc }) => htlc.tx.locktime))];
  return locktimes.flatMap((locktime) => chunksOf(claims.filter(({ htlc }) => htlc.tx.locktime === locktime), together));
}

function chunksOf<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

/** What the thief takes home of its old commitment once to_self_delay is over, if nobody stops it. */
export function thiefSweep(signer: Forgetful, { state, commitment, number }: OldCommitment, destination_script: Hex, fee = 1_000n): Hex | undefined {
  const index = commitment.outputs.findIndex(({ kind }) => kind === 'to_local');
  const output = commitment.outputs[index];
  if (output === undefined) return undefined;
  const input: SweepInput = { txid: txidOf(commitment.tx), index, value: output.value, sequence: state.terms.remote.to_self_delay, witness_script: output.witness_script!, spend: { branch: 'delayed' } };
  const tx: UnsignedTx = { version: 2, locktime: 0, inputs: [{ txid: input.txid, index, sequence: input.sequence }], outputs: [{ value: sat(output.value - fee), script_pubkey: destination_script }] };
  const signature = signer.signSweepInput(state.terms.key_index, { kind: 'to_local', commitment_number: number }, witnessSighash(tx, 0, output.witness_script!, output.value));
  return serialize(tx, [sweepWitness(input, derSignature(signature))]);
}

