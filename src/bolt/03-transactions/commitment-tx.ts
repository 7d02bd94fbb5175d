/** BOLT 3, "Commitment Transaction Construction": spec and keys to an unsigned transaction, its HTLC transactions and its checks. */
import { bounded } from '../bounded.ts';
import { crypto } from '../crypto.ts';
import { fromHex, type Hex, type Hex32, type Msat, msatToSat, type Point, type Sat, type Signature } from '../primitives.ts';
import { ANCHOR_SAT, anchorsCost, commitmentFee, type CommitmentFormat, isTrimmed } from './fees.ts';
import { buildHtlcTransaction, type CommitmentHtlc, type HtlcTransaction } from './htlc-tx.ts';
import { type ChannelPublicKeys, type CommitmentKeys, derivePublicKey, deriveRevocationPublicKey } from './keys.ts';
import { commitmentLocktime, commitmentSequence, obscureCommitmentNumber } from './obscured-number.ts';
import {
  anchorScript, fundingScript, htlcOutputScript, offeredHtlcScript, p2wpkh, p2wsh, receivedHtlcScript, toLocalScript, toRemoteAnchorScript,
} from './scripts.ts';
import { derSignature, serialize, txidOf, type UnsignedTx, type Witness, witnessSighash } from './tx.ts';

export type { CommitmentFormat } from './fees.ts';
export type { CommitmentHtlc, HtlcTransaction } from './htlc-tx.ts';
export type { ChannelPublicKeys, CommitmentKeys } from './keys.ts';

/** One side's part in the channel. */
export interface CommitmentSide extends ChannelPublicKeys {
  readonly dust_limit_satoshis: Sat;
  /** Blocks that THIS side's own outputs must wait, as the other side asked. */
  readonly to_self_delay: number;
}

/** What stays the same for all commitments of one side, as seen by their owner. */
export interface CommitmentParams {
  readonly format: CommitmentFormat;
  readonly funding_txid: Hex32;
  readonly funding_output_index: number;
  readonly funding_satoshis: Sat;
  /** Who pays the fee and the anchors. */
  readonly opener: 'owner' | 'other';
  readonly owner: CommitmentSide;
  readonly other: CommitmentSide;
}

/** One state of the channel, as seen by the owner of the commitment. */
export interface CommitmentSpec {
  readonly commitment_number: bigint;
  readonly feerate_per_kw: number;
  /** Balances without the HTLCs' amounts, before the opener pays the fee and the anchors. */
  readonly owner_msat: Msat;
  readonly other_msat: Msat;
  readonly htlcs: readonly CommitmentHtlc[];
  /** The owner's. */
  readonly per_commitment_point: Point;
}

export interface CommitmentOutput {
  readonly kind: 'to_local' | 'to_remote' | 'anchor_owner' | 'anchor_other' | 'htlc';
  readonly value: Sat;
  readonly script_pubkey: Hex;
  /** Absent where `to_remote` is a P2WPKH. */
  readonly witness_script?: Hex;
  readonly htlc?: CommitmentHtlc;
}

export interface Commitment {
  readonly tx: UnsignedTx;
  readonly txid: Hex32;
  /** What the transaction pays in the end: the base fee, and all that was trimmed or rounded away. Below zero only where
   *  the opener cannot pay for the anchors, which BOLT 2's reserve and fee rules refuse beforehand. */
  readonly fee_satoshis: Sat;
  readonly funding_script: Hex;
  /** Of the funding input, SIGHASH_ALL. */
  readonly sighash: Uint8Array;
  readonly keys: CommitmentKeys;
  /** In the transaction's order. */
  readonly outputs: readonly CommitmentOutput[];
  /** Untrimmed, in output order, which is the order of `htlc_signatures`. */
  readonly htlcs: readonly HtlcTransaction[];
  readonly trimmed: readonly CommitmentHtlc[];
}

/** Builds a commitment. Pure; throws only on keys that are no points, which the opening has checked. */
export function buildCommitment(params: CommitmentParams, spec: CommitmentSpec): Commitment {
  const keys = commitmentKeys(params, spec.per_commitment_point);
  const trims = (htlc: CommitmentHtlc) => isTrimmed(params.format, spec.feerate_per_kw, params.owner.dust_limit_satoshis, htlc);
  const trimmed = spec.htlcs.filter(trims);
  const untrimmed = trimmed.length === 0 ? spec.htlcs : spec.htlcs.filter((htlc) => !trims(htlc));
  const outputs = sortOutputs([...htlcOutputs(params, keys, untrimmed), ...mainOutputs(params, spec, keys, untrimmed.length)]);
  const tx = commitmentTx(params, spec, outputs);
  const hasHtlcs = spec.htlcs.length > trimmed.length;
  const txid = hasHtlcs ? txidOf(tx) : undefined;
  const funding_script = fundingScript(params.owner.funding_pubkey, params.other.funding_pubkey);
  return {
    tx, funding_script, keys, outputs, trimmed,
    // Where no HTLC transaction names it, it is needed only once the chain has it: not hashed at every update.
    get txid() {
      return txid ?? txidOf(tx);
    },
    fee_satoshis: outputs.reduce((left, output) => left - output.value, params.funding_satoshis as bigint) as Sat,
    sighash: witnessSighash(tx, 0, funding_script, params.funding_satoshis),
    htlcs: txid === undefined ? [] : htlcTransactions(params, spec, keys, txid, outputs),
  };
}

/** Commitments whose keys are remembered: each is built several times, by its signer, its checker and whoever spends it. */
const REMEMBERED_KEYS = 1024;

/** BOLT 3, "Key Derivation": four derivations, shared by all outputs and HTLCs; a commitment's keys are remembered for a while. */
export function commitmentKeys({ owner, other }: CommitmentParams, per_commitment_point: Point): CommitmentKeys {
  return keysOf([per_commitment_point, other.revocation_basepoint, owner.delayed_payment_basepoint, owner.htlc_basepoint, other.htlc_basepoint, other.payment_basepoint].join());
}

const keysOf = bounded(REMEMBERED_KEYS, (joined: string): CommitmentKeys => {
  const [point, revocation, delayed, ownerHtlc, otherHtlc, remotepubkey] = joined.split(',') as [Point, Point, Point, Point, Point, Point];
  return {
    revocationpubkey: deriveRevocationPublicKey(revocation, point),
    local_delayedpubkey: derivePublicKey(delayed, point),
    local_htlcpubkey: derivePublicKey(ownerHtlc, point),
    remote_htlcpubkey: derivePublicKey(otherHtlc, point),
    remotepubkey,
  };
});

function htlcOutputs({ format }: CommitmentParams, keys: CommitmentKeys, untrimmed: readonly CommitmentHtlc[]): readonly CommitmentOutput[] {
  return untrimmed.map((htlc) => {
    const witness_script = htlc.direction === 'offered'
      ? offeredHtlcScript(format, keys, htlc.payment_hash)
      : receivedHtlcScript(format, keys, htlc.payment_hash, htlc.cltv_expiry);
    return { kind: 'htlc', value: msatToSat(htlc.amount_msat), script_pubkey: p2wsh(witness_script), witness_script, htlc };
  });
}

/** `to_local`, `to_remote` and the anchors: each only where it is not dust, or secures something that is not. */
function mainOutputs(params: CommitmentParams, spec: CommitmentSpec, keys: CommitmentKeys, untrimmedHtlcs: number): readonly CommitmentOutput[] {
  const { owner, other, format } = params;
  const { to_local, to_remote } = mainAmounts(params, spec, untrimmedHtlcs);
  const hasLocal = to_local >= owner.dust_limit_satoshis;
  const hasRemote = to_remote >= owner.dust_limit_satoshis;
  const outputs: CommitmentOutput[] = [];
  if (hasLocal) outputs.push(paysTo('to_local', to_local, toLocalScript(keys.revocationpubkey, owner.to_self_delay, keys.local_delayedpubkey)));
  if (hasRemote) outputs.push(toRemote(format, to_remote, keys.remotepubkey));
  if (format === 'static_remotekey') return outputs;
  const hasHtlcs = untrimmedHtlcs > 0;
  if (hasLocal || hasHtlcs) outputs.push(paysTo('anchor_owner', ANCHOR_SAT, anchorScript(owner.funding_pubkey)));
  if (hasRemote || hasHtlcs) outputs.push(paysTo('anchor_other', ANCHOR_SAT, anchorScript(other.funding_pubkey)));
  return outputs;
}

/** BOLT 3, "Fee Payment": the opener pays the base fee and the anchors, as far as its balance goes. In sat. */
function mainAmounts(params: CommitmentParams, spec: CommitmentSpec, untrimmedHtlcs: number): { to_local: Sat; to_remote: Sat } {
  const cost = commitmentFee(params.format, spec.feerate_per_kw, untrimmedHtlcs) + anchorsCost(params.format);
  const less = (balance: Msat, pays: boolean) => {
    const left = msatToSat(balance) - (pays ? cost : 0n);
    return (left > 0n ? left : 0n) as Sat;
  };
  return {
    to_local: less(spec.owner_msat, params.opener === 'owner'),
    to_remote: less(spec.other_msat, params.opener === 'other'),
  };
}

const paysTo = (kind: CommitmentOutput['kind'], value: Sat, witness_script: Hex): CommitmentOutput =>
  ({ kind, value, script_pubkey: p2wsh(witness_script), witness_script });

const toRemote = (format: CommitmentFormat, value: Sat, remotepubkey: Point): CommitmentOutput =>
  format === 'static_remotekey'
    ? { kind: 'to_remote', value, script_pubkey: p2wpkh(remotepubkey) }
    : paysTo('to_remote', value, toRemoteAnchorScript(remotepubkey));

/** BOLT 3, "Transaction Output Ordering": by value, then script, then cltv_expiry (which a signer must agree on too). */
function sortOutputs(outputs: CommitmentOutput[]): readonly CommitmentOutput[] {
  return outputs.sort((a, b) =>
    compare(a.value, b.value)
    || compare(a.script_pubkey, b.script_pubkey)
    || compare(a.htlc?.cltv_expiry ?? 0, b.htlc?.cltv_expiry ?? 0));
}

const compare = <T extends bigint | number | string>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0);

function commitmentTx(params: CommitmentParams, spec: CommitmentSpec, outputs: readonly CommitmentOutput[]): UnsignedTx {
  const [opener, accepter] = params.opener === 'owner' ? [params.owner, params.other] : [params.other, params.owner];
  const obscured = obscureCommitmentNumber(spec.commitment_number, opener.payment_basepoint, accepter.payment_basepoint);
  return {
    version: 2,
    locktime: commitmentLocktime(obscured),
    inputs: [{ txid: params.funding_txid, index: params.funding_output_index, sequence: commitmentSequence(obscured) }],
    outputs: outputs.map(({ value, script_pubkey }) => ({ value, script_pubkey })),
  };
}

function htlcTransactions(
  params: CommitmentParams, spec: CommitmentSpec, keys: CommitmentKeys, commitment_txid: Hex32, outputs: readonly CommitmentOutput[],
): readonly HtlcTransaction[] {
  const output_witness_script = htlcOutputScript(keys.revocationpubkey, params.owner.to_self_delay, keys.local_delayedpubkey);
  const context = {
    format: params.format, feerate_per_kw: spec.feerate_per_kw, commitment_txid, keys,
    output_witness_script, output_script_pubkey: p2wsh(output_witness_script),
  };
  return outputs.flatMap(({ htlc, witness_script }, index) =>
    htlc === undefined ? [] : [buildHtlcTransaction(context, htlc, index, witness_script!)]);
}

export type CommitmentCheck =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: 'signature' | 'htlc_signature_count' }
  | { readonly ok: false; readonly reason: 'htlc_signature'; readonly index: number };

/**
 * Checks a received `commitment_signed`: the other side's funding key over the commitment, and its HTLC key (derived with
 * the owner's per_commitment_point) over each HTLC transaction. `index` names the first bad HTLC signature.
 */
export function verifyCommitment(
  commitment: Commitment, params: CommitmentParams, _spec: CommitmentSpec, signature: Signature, htlc_signatures: readonly Signature[],
): CommitmentCheck {
  if (!verify(signature, commitment.sighash, params.other.funding_pubkey)) return { ok: false, reason: 'signature' };
  if (htlc_signatures.length !== commitment.htlcs.length) return { ok: false, reason: 'htlc_signature_count' };
  const index = commitment.htlcs.findIndex((htlc, i) => !verify(htlc_signatures[i]!, htlc.sighash, htlc.remote_htlcpubkey));
  return index < 0 ? { ok: true } : { ok: false, reason: 'htlc_signature', index };
}

const verify = (signature: Signature, digest: Uint8Array, key: Point): boolean =>
  crypto().verify(fromHex(signature), digest, fromHex(key));

/** The raw commitment with both signatures, ready to broadcast. */
export function signedCommitment(commitment: Commitment, params: CommitmentParams, ownerSignature: Signature, otherSignature: Signature): Hex {
  const witness = fundingWitness(
    commitment.funding_script,
    { funding_pubkey: params.owner.funding_pubkey, signature: ownerSignature },
    { funding_pubkey: params.other.funding_pubkey, signature: otherSignature },
  );
  return serialize(commitment.tx, [witness]);
}

interface FundingSignature {
  readonly funding_pubkey: Point;
  readonly signature: Signature;
}

/** `0 <signature_for_pubkey1> <signature_for_pubkey2>` in the order of the keys. */
export function fundingWitness(funding_script: Hex, a: FundingSignature, b: FundingSignature): Witness {
  const [first, second] = a.funding_pubkey < b.funding_pubkey ? [a, b] : [b, a];
  return ['', derSignature(first.signature), derSignature(second.signature), funding_script];
}
