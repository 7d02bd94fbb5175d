/** A peer that plays by the rules of consensus and against us: it claims HTLCs by preimage when it hurts, and takes its claims back. */
import { remoteHtlcInput, sweepWitness, NO_DELAY } from '../../../src/bolt/03-transactions/claim-tx.ts';
import { buildCommitment, type Commitment } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import type { HtlcTransaction } from '../../../src/bolt/03-transactions/htlc-tx.ts';
import { p2wpkhScriptCode } from '../../../src/bolt/03-transactions/scripts.ts';
import { derSignature, serialize, txidOf, type UnsignedTx, witnessSighash, type Witness } from '../../../src/bolt/03-transactions/tx.ts';
import { crypto } from '../../../src/bolt/crypto.ts';
import { type Hex, type Hex32, sat, toSignature } from '../../../src/bolt/primitives.ts';
import { commitmentParams, commitmentSpec } from '../../../src/domain/channel/commitment-spec.ts';
import type { EstablishedState } from '../../../src/domain/channel/state.ts';
import type { Key, KeyCoin } from '../coins.ts';
import type { Resident } from './resident.ts';

/** The preimage of an invoice of this node, which it has told nobody. */
export async function preimageOf(payee: Resident, payment_hash: Hex32): Promise<Hex32> {
  const created = (await payee.events(`invoice-${payment_hash}`))[0]?.event;
  if (created?.type !== 'InvoiceCreated') throw new Error(`${payee.name} has no invoice ${payment_hash}`);
  return payee.signer.invoiceSecrets(created.nonce).payment_preimage;
}

/** Our newest commitment, as the peer's state has it. */
export const ourCommitmentOf = (peer: EstablishedState): Commitment => buildCommitment(commitmentParams(peer, 'remote'), commitmentSpec(peer, 'remote'));

export interface Snatch {
  readonly transaction: Hex;
  /** Its only output. */
  readonly change: KeyCoin;
}

/** The peer takes an HTLC of our commitment by its preimage, with a coin of its own beside it, and pays a fee in sat. */
export function snatch(peer: Resident, state: EstablishedState, htlc: HtlcTransaction, preimage: Hex32, coin: KeyCoin, fee: bigint): Snatch {
  const input = remoteHtlcInput(ourCommitmentOf(state), htlc, preimage)!;
  const tx: UnsignedTx = {
    version: 2, locktime: 0,
    inputs: [{ txid: input.txid, index: input.index, sequence: input.sequence }, { txid: coin.txid, index: coin.index, sequence: NO_DELAY }],
    outputs: [{ value: sat(input.value + coin.value - fee), script_pubkey: coin.key.script }],
  };
  const key = { kind: 'htlc', per_commitment_point: state.commitments.remote.point } as const;
  const signature = peer.signer.signSweepInput(state.terms.key_index, key, witnessSighash(tx, 0, input.witness_script!, input.value));
  return spentBy(tx, [sweepWitness(input, derSignature(signature)), coinWitness(tx, 1, coin)], coin.key);
}

/** The coin moves on alone: whatever it paid for before falls out of the mempool. */
export function takeBack(coin: KeyCoin, fee: bigint): Snatch {
  const tx: UnsignedTx = { version: 2, locktime: 0, inputs: [{ txid: coin.txid, index: coin.index, sequence: NO_DELAY }], outputs: [{ value: sat(coin.value - fee), script_pubkey: coin.key.script }] };
  return spentBy(tx, [coinWitness(tx, 0, coin)], coin.key);
}

function spentBy(tx: UnsignedTx, witnesses: readonly Witness[], key: Key): Snatch {
  return { transaction: serialize(tx, witnesses), change: { txid: txidOf(tx), index: 0, value: tx.outputs[0]!.value, key } };
}

function coinWitness(tx: UnsignedTx, index: number, { value, key }: KeyCoin): Witness {
  return [derSignature(toSignature(crypto().sign(witnessSighash(tx, index, p2wpkhScriptCode(key.point), value), key.secret))), key.point];
}
