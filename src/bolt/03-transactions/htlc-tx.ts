/** BOLT 3, "HTLC-Timeout and HTLC-Success Transactions": the second stage of HTLCs on the owner's own commitment. */
import type { Hex, Hex32, Msat, Point, Sat, Signature } from '../primitives.ts';
import { msatToSat } from '../primitives.ts';
import { type CommitmentFormat, htlcFee } from './fees.ts';
import type { CommitmentKeys } from './keys.ts';
import {
  derSignature, serialize, SIGHASH_ALL, SIGHASH_SINGLE_ANYONECANPAY, txidOf, type UnsignedTx, type Witness, witnessSighash,
} from './tx.ts';

/** An HTLC as a commitment holds it; `direction` is as the owner of the commitment sees it. */
export interface CommitmentHtlc {
  readonly direction: 'offered' | 'received';
  readonly id: bigint;
  readonly amount_msat: Msat;
  readonly payment_hash: Hex32;
  readonly cltv_expiry: number;
}

/** The transaction that moves one HTLC's output on: by timeout (offered) or by preimage (received). */
export interface HtlcTransaction {
  readonly htlc: CommitmentHtlc;
  readonly kind: 'timeout' | 'success';
  /** Of the commitment's output that it spends. */
  readonly output_index: number;
  readonly tx: UnsignedTx;
  readonly txid: Hex32;
  /** The script of the output it spends, and that output's value. */
  readonly witness_script: Hex;
  readonly input_value: Sat;
  /** The script of the output it makes, like `to_local`. */
  readonly output_witness_script: Hex;
  /** What the counterparty signs: SIGHASH_ALL, or SINGLE|ANYONECANPAY with anchors. */
  readonly sighash: Uint8Array;
  /** The sighash byte behind the counterparty's signature. */
  readonly sighash_type: number;
  readonly local_htlcpubkey: Point;
  readonly remote_htlcpubkey: Point;
}

/** What all HTLC transactions of one commitment share. */
export interface HtlcContext {
  readonly format: CommitmentFormat;
  readonly feerate_per_kw: number;
  readonly commitment_txid: Hex32;
  readonly keys: CommitmentKeys;
  /** The second stage's output: its witness script, and the script that pays to it. */
  readonly output_witness_script: Hex;
  readonly output_script_pubkey: Hex;
}

/** Builds the second stage of one HTLC output. */
export function buildHtlcTransaction(context: HtlcContext, htlc: CommitmentHtlc, output_index: number, witness_script: Hex): HtlcTransaction {
  const { format, keys } = context;
  const anchors = format === 'anchors_zero_fee_htlc_tx';
  const timeout = htlc.direction === 'offered';
  const input_value = msatToSat(htlc.amount_msat);
  const value = (input_value - htlcFee(format, context.feerate_per_kw, htlc.direction)) as Sat;
  const tx: UnsignedTx = {
    version: 2,
    locktime: timeout ? htlc.cltv_expiry : 0,
    inputs: [{ txid: context.commitment_txid, index: output_index, sequence: anchors ? 1 : 0 }],
    outputs: [{ value, script_pubkey: context.output_script_pubkey }],
  };
  const sighash_type = anchors ? SIGHASH_SINGLE_ANYONECANPAY : SIGHASH_ALL;
  return {
    htlc, kind: timeout ? 'timeout' : 'success', output_index, tx,
    // Only needed once the chain sees it: not hashed at every update.
    get txid() {
      return txidOf(tx);
    },
    witness_script, input_value,
    output_witness_script: context.output_witness_script,
    sighash: witnessSighash(tx, 0, witness_script, input_value, sighash_type),
    sighash_type,
    local_htlcpubkey: keys.local_htlcpubkey,
    remote_htlcpubkey: keys.remote_htlcpubkey,
  };
}

/** What the owner signs, SIGHASH_ALL (BOLT 5): over the transaction itself or, with anchors, over the one with fee inputs added. */
export function ownerHtlcSighash(htlc: HtlcTransaction, tx: UnsignedTx = htlc.tx): Uint8Array {
  return witnessSighash(tx, 0, htlc.witness_script, htlc.input_value, SIGHASH_ALL);
}

/** `0 <remotehtlcsig> <localhtlcsig> <payment_preimage>` for HTLC-success, `0 <remotehtlcsig> <localhtlcsig> <>` for HTLC-timeout. */
export function htlcWitness(htlc: HtlcTransaction, ownerSignature: Signature, otherSignature: Signature, payment_preimage?: Hex32): Witness {
  if ((htlc.kind === 'success') !== (payment_preimage !== undefined)) {
    throw new Error(`an HTLC-${htlc.kind} transaction with${payment_preimage === undefined ? 'out' : ''} a preimage`);
  }
  return ['', derSignature(otherSignature, htlc.sighash_type), derSignature(ownerSignature), payment_preimage ?? '', htlc.witness_script];
}

/** The raw HTLC-timeout transaction. With anchors it pays no fee: give it inputs first (`withFeeInputs` in claim-tx.ts). */
export function signedHtlcTimeout(htlc: HtlcTransaction, ownerSignature: Signature, otherSignature: Signature): Hex {
  return serialize(htlc.tx, [htlcWitness(htlc, ownerSignature, otherSignature)]);
}

/** The raw HTLC-success transaction. */
export function signedHtlcSuccess(htlc: HtlcTransaction, ownerSignature: Signature, otherSignature: Signature, payment_preimage: Hex32): Hex {
  return serialize(htlc.tx, [htlcWitness(htlc, ownerSignature, otherSignature, payment_preimage)]);
}
