/** Our own claims on commitment outputs: sweeps, claims by preimage or timeout, penalties (BOLT 3's witnesses, BOLT 5's cases). */
import type { Hex, Hex32, Point, Sat, Signature } from '../primitives.ts';
import type { Commitment, CommitmentOutput } from './commitment-tx.ts';
import { feeOf } from './fees.ts';
import type { HtlcTransaction } from './htlc-tx.ts';
import { p2wpkhScriptCode } from './scripts.ts';
import { dustLimitOf } from './shutdown-script.ts';
import { derSignature, serialize, txidOf, type TxOutput, type UnsignedTx, weightOf, type Witness, witnessSighasher } from './tx.ts';

/** The branch of a script that we take, which decides the witness around our signature. */
export type Spend =
  /** `to_local`, or a second stage's output, after to_self_delay: `<sig> <>`, delayed key. */
  | { readonly branch: 'delayed' }
  /** `to_remote` with anchors, after one block, or an anchor: `<sig>`. */
  | { readonly branch: 'signature' }
  /** `to_remote` without anchors, or a wallet's input: `<sig> <pubkey>`. */
  | { readonly branch: 'p2wpkh'; readonly pubkey: Point }
  /** A revoked `to_local` or second stage: `<revocation_sig> 1`. */
  | { readonly branch: 'penalty' }
  /** A revoked HTLC output: `<revocation_sig> <revocationpubkey>`. */
  | { readonly branch: 'htlc_penalty'; readonly revocationpubkey: Point }
  /** An HTLC that the owner offered us: `<remotehtlcsig> <payment_preimage>`. */
  | { readonly branch: 'htlc_preimage'; readonly payment_preimage: Hex32 }
  /** An HTLC that we offered the owner, after cltv_expiry: `<remotehtlcsig> <>`. */
  | { readonly branch: 'htlc_timeout'; readonly cltv_expiry: number };

export interface SweepInput {
  readonly txid: Hex32;
  readonly index: number;
  readonly value: Sat;
  readonly sequence: number;
  /** Absent for a P2WPKH. */
  readonly witness_script?: Hex;
  readonly spend: Spend;
}

export interface SweepRequest {
  readonly inputs: readonly SweepInput[];
  readonly destination_script: Hex;
  readonly feerate_per_kw: number;
}

export interface Sweep {
  readonly tx: UnsignedTx;
  readonly txid: Hex32;
  readonly inputs: readonly SweepInput[];
  /** One per input, SIGHASH_ALL. */
  readonly sighashes: readonly Uint8Array[];
  readonly fee_satoshis: Sat;
  /** Expected, with signatures of 73 bytes. */
  readonly weight: number;
}

/** All inputs to one script, less the fee. Answers undefined when nothing above the script's dust limit would be left. */
export function buildSweep({ inputs, destination_script, feerate_per_kw }: SweepRequest): Sweep | undefined {
  const total = inputs.reduce((sum, input) => sum + input.value, 0n);
  const weight = sweepWeight(inputs, destination_script);
  const fee_satoshis = feeOf(feerate_per_kw, weight);
  const value = (total - fee_satoshis) as Sat;
  if (inputs.length === 0 || value <= 0n || value < (dustLimitOf(destination_script) ?? 0n)) return undefined;
  const tx = sweepTx(inputs, [{ value, script_pubkey: destination_script }]);
  return { tx, txid: txidOf(tx), inputs, sighashes: sweepSighashes(tx, inputs), fee_satoshis, weight };
}

/** The raw sweep; one signature per input, in order. */
export function signedSweep(sweep: Pick<Sweep, 'tx' | 'inputs'>, signatures: readonly Signature[]): Hex {
  return serialize(sweep.tx, sweep.inputs.map((input, i) => sweepWitness(input, derSignature(signatures[i]!))));
}

/** The expected weight of a sweep to one output: what `buildSweep` pays for. In weight units. */
export function sweepWeight(inputs: readonly SweepInput[], destination_script: Hex): number {
  const tx = sweepTx(inputs, [{ value: 0n as Sat, script_pubkey: destination_script }]);
  return weightOf(tx, inputs.map((input) => sweepWitness(input, '00'.repeat(73))));
}

/** The witness of one input around a DER signature with its sighash byte. */
export function sweepWitness(input: SweepInput, signature: Hex): Witness {
  const script = input.witness_script === undefined ? [] : [input.witness_script];
  const { spend } = input;
  switch (spend.branch) {
    case 'delayed':
    case 'htlc_timeout':
      return [signature, '', ...script];
    case 'signature':
      return [signature, ...script];
    case 'p2wpkh':
      return [signature, spend.pubkey];
    case 'penalty':
      return [signature, '01', ...script];
    case 'htlc_penalty':
      return [signature, spend.revocationpubkey, ...script];
    case 'htlc_preimage':
      return [signature, spend.payment_preimage, ...script];
  }
}

function sweepTx(inputs: readonly SweepInput[], outputs: readonly TxOutput[]): UnsignedTx {
  const expiries = inputs.map(({ spend }) => (spend.branch === 'htlc_timeout' ? spend.cltv_expiry : 0));
  return {
    version: 2,
    locktime: Math.max(0, ...expiries),
    inputs: inputs.map(({ txid, index, sequence }) => ({ txid, index, sequence })),
    outputs,
  };
}

function sweepSighashes(tx: UnsignedTx, inputs: readonly SweepInput[], from = 0): readonly Uint8Array[] {
  const sighash = witnessSighasher(tx);
  return inputs.map((input, i) => sighash(from + i, scriptCode(input), input.value));
}

function scriptCode({ witness_script, spend }: SweepInput): Hex {
  if (witness_script !== undefined) return witness_script;
  if (spend.branch === 'p2wpkh') return p2wpkhScriptCode(spend.pubkey);
  throw new Error(`spending by ${spend.branch} needs a witness script`);
}

/** Replaceable (BIP 125), and no relative lock. */
export const NO_DELAY = 0xfffffffd;
/** What an input needs where the script asks for one block. */
const ONE_BLOCK = 1;

/** Our `to_local` on our own commitment, spendable `to_self_delay` blocks after it confirms. Undefined where it is dust. */
export function toLocalInput(commitment: Commitment, to_self_delay: number): SweepInput | undefined {
  return findInput(commitment, 'to_local', to_self_delay, { branch: 'delayed' });
}

/** The output of our own HTLC transaction, spendable `to_self_delay` blocks after it confirms. */
export function secondStageInput(htlc: HtlcTransaction, to_self_delay: number, txid: Hex32 = htlc.txid): SweepInput {
  return { txid, index: 0, value: htlc.tx.outputs[0]!.value, sequence: to_self_delay, witness_script: htlc.output_witness_script, spend: { branch: 'delayed' } };
}

/** Our `to_remote` on the peer's commitment, signed with the payment key. Undefined where it is dust. */
export function toRemoteInput(commitment: Commitment): SweepInput | undefined {
  const output = commitment.outputs.find(({ kind }) => kind === 'to_remote');
  return output?.witness_script === undefined
    ? findInput(commitment, 'to_remote', NO_DELAY, { branch: 'p2wpkh', pubkey: commitment.keys.remotepubkey })
    : findInput(commitment, 'to_remote', ONE_BLOCK, { branch: 'signature' });
}

/** Our anchor, for a child that pays the commitment's fee: signed with the funding key. */
export function anchorInput(commitment: Commitment, whose: 'anchor_owner' | 'anchor_other'): SweepInput | undefined {
  return findInput(commitment, whose, NO_DELAY, { branch: 'signature' });
}

/**
 * An HTLC on the PEER's commitment: with the preimage if the peer (its owner) offered it to us, after the timeout if we
 * offered it. Signed with our HTLC key of that commitment. Undefined for one offered to us whose preimage we have not.
 */
export function remoteHtlcInput(commitment: Commitment, htlc: HtlcTransaction, payment_preimage?: Hex32): SweepInput | undefined {
  const ownerOffered = htlc.htlc.direction === 'offered';
  if (ownerOffered && payment_preimage === undefined) return undefined;
  const spend: Spend = ownerOffered
    ? { branch: 'htlc_preimage', payment_preimage: payment_preimage! }
    : { branch: 'htlc_timeout', cltv_expiry: htlc.htlc.cltv_expiry };
  return inputOf(commitment, htlc.output_index, htlc.tx.inputs[0]!.sequence === 1 ? ONE_BLOCK : NO_DELAY, spend);
}

/**
 * Everything on a REVOKED commitment of the peer that its revocation key takes: `to_local` and each HTLC output. The
 * commitment is built again from its number's spec. A second stage that the peer got in first is for `secondStagePenalty`.
 */
export function penaltyInputs(commitment: Commitment): readonly SweepInput[] {
  const { revocationpubkey } = commitment.keys;
  return commitment.outputs.flatMap(({ kind }, index) => {
    if (kind === 'to_local') return [inputOf(commitment, index, NO_DELAY, { branch: 'penalty' })];
    return kind === 'htlc' ? [inputOf(commitment, index, NO_DELAY, { branch: 'htlc_penalty', revocationpubkey })] : [];
  });
}

/** The output of an HTLC transaction that the peer published from a revoked commitment. `txid` and `index` as seen on chain. */
export function secondStagePenalty(htlc: HtlcTransaction, seen: { readonly txid: Hex32; readonly index: number }): SweepInput {
  return { ...seen, value: htlc.tx.outputs[0]!.value, sequence: NO_DELAY, witness_script: htlc.output_witness_script, spend: { branch: 'penalty' } };
}

/**
 * With anchors an HTLC transaction pays no fee: adds wallet inputs and change behind its own input and output, which the
 * peer's SINGLE|ANYONECANPAY signature allows. `sighashes` are those of the added inputs.
 */
export function withFeeInputs(htlc: HtlcTransaction, inputs: readonly SweepInput[], change?: TxOutput): { tx: UnsignedTx; sighashes: readonly Uint8Array[] } {
  const added = inputs.map(({ txid, index, sequence }) => ({ txid, index, sequence }));
  const tx: UnsignedTx = {
    ...htlc.tx,
    inputs: [...htlc.tx.inputs, ...added],
    outputs: change === undefined ? htlc.tx.outputs : [...htlc.tx.outputs, change],
  };
  return { tx, sighashes: sweepSighashes(tx, inputs, 1) };
}

function findInput(commitment: Commitment, kind: CommitmentOutput['kind'], sequence: number, spend: Spend): SweepInput | undefined {
  const index = commitment.outputs.findIndex((output) => output.kind === kind);
  return index < 0 ? undefined : inputOf(commitment, index, sequence, spend);
}

function inputOf(commitment: Commitment, index: number, sequence: number, spend: Spend): SweepInput {
  const { value, witness_script } = commitment.outputs[index]!;
  return { txid: commitment.txid, index, value, sequence, witness_script, spend };
}
