/** BOLT 3, "Legacy Closing Transaction" and "Closing Transaction": the mutual close. */
import { crypto } from '../crypto.ts';
import { fromHex, type Hex, type Hex32, type Point, type Sat, sat, type Signature } from '../primitives.ts';
import { fundingWitness } from './commitment-tx.ts';
import { fundingScript } from './scripts.ts';
import { serialize, txidOf, type TxOutput, type UnsignedTx, weightOf, witnessSighash } from './tx.ts';

/** What both variants spend and pay, as seen by us. */
interface ClosingParams {
  readonly funding_txid: Hex32;
  readonly funding_output_index: number;
  readonly funding_satoshis: Sat;
  readonly local_funding_pubkey: Point;
  readonly remote_funding_pubkey: Point;
  readonly local_script: Hex;
  readonly remote_script: Hex;
  /** Final balances, rounded down to whole sat, before the fee. */
  readonly local_sat: Sat;
  readonly remote_sat: Sat;
  readonly fee_satoshis: Sat;
}

/** `closing_signed`: the channel's opener pays the fee. */
export interface LegacyClosing extends ClosingParams {
  readonly opener: 'local' | 'remote';
  /** Of the side that signs: each side removes outputs below its own. */
  readonly dust_limit_satoshis: Sat;
  /** A side may leave out its own output, whatever its value. */
  readonly omit?: 'local' | 'remote';
}

/** `closing_complete`: the closer pays the fee and chooses the locktime; `outputs` says which of the variants is signed. */
export interface SimpleClosing extends ClosingParams {
  readonly closer: 'local' | 'remote';
  readonly locktime: number;
  readonly outputs: 'closer_output_only' | 'closee_output_only' | 'closer_and_closee_outputs';
}

export interface ClosingTransaction {
  readonly tx: UnsignedTx;
  readonly txid: Hex32;
  /** Of the funding input, SIGHASH_ALL. */
  readonly sighash: Uint8Array;
  readonly funding_script: Hex;
  /** What the transaction pays in the end: `fee_satoshis` and what was removed, in sat. */
  readonly fee_satoshis: Sat;
  readonly local_funding_pubkey: Point;
  readonly remote_funding_pubkey: Point;
}

/** Builds the legacy close. Answers undefined when the payer cannot afford the fee, or no output is left. */
export function buildClosing(params: LegacyClosing): ClosingTransaction | undefined {
  const { opener, omit, dust_limit_satoshis: dust } = params;
  const outputs = (['local', 'remote'] as const).flatMap((side) => {
    const value = balanceOf(params, side) - (side === opener ? params.fee_satoshis : 0n);
    return side === omit || value < dust ? [] : [output(scriptOf(params, side), value)];
  });
  if (params.fee_satoshis > balanceOf(params, opener)) return undefined;
  return closing(params, outputs, { sequence: 0xffffffff, locktime: 0 });
}

/** Builds a close of option_simple_close. Answers undefined when the closer cannot afford the fee. */
export function buildSimpleClosing(params: SimpleClosing): ClosingTransaction | undefined {
  const { closer } = params;
  const closee = closer === 'local' ? 'remote' : 'local';
  if (params.fee_satoshis > balanceOf(params, closer)) return undefined;
  const closerOutput = output(scriptOf(params, closer), balanceOf(params, closer) - params.fee_satoshis);
  const closeeOutput = output(scriptOf(params, closee), balanceOf(params, closee));
  const outputs = {
    closer_output_only: [closerOutput],
    closee_output_only: [closeeOutput],
    closer_and_closee_outputs: [closerOutput, closeeOutput],
  }[params.outputs];
  return closing(params, outputs, { sequence: 0xfffffffd, locktime: params.locktime });
}

/** True if `signature` is the remote side's funding signature over this close. */
export function verifyClosing(closing: ClosingTransaction, signature: Signature): boolean {
  return crypto().verify(fromHex(signature), closing.sighash, fromHex(closing.remote_funding_pubkey));
}

/** The raw closing transaction, ready to broadcast. */
export function signedClosing(closing: ClosingTransaction, localSignature: Signature, remoteSignature: Signature): Hex {
  const witness = fundingWitness(
    closing.funding_script,
    { funding_pubkey: closing.local_funding_pubkey, signature: localSignature },
    { funding_pubkey: closing.remote_funding_pubkey, signature: remoteSignature },
  );
  return serialize(closing.tx, [witness]);
}

/** The weight of a signed close with both outputs and signatures of 73 bytes, to estimate its fee. In weight units. */
export function closingWeight(local_script: Hex, remote_script: Hex): number {
  const signature = '00'.repeat(73);
  const outputs = [local_script, remote_script].map((script) => output(script, 0n));
  const tx: UnsignedTx = { version: 2, locktime: 0, inputs: [{ txid: '00'.repeat(32) as Hex32, index: 0, sequence: 0 }], outputs };
  return weightOf(tx, [['', signature, signature, '00'.repeat(71)]]);
}

function closing(params: ClosingParams, outputs: readonly TxOutput[], form: { sequence: number; locktime: number }): ClosingTransaction | undefined {
  if (outputs.length === 0) return undefined;
  const { local_funding_pubkey, remote_funding_pubkey } = params;
  const tx: UnsignedTx = {
    version: 2,
    locktime: form.locktime,
    inputs: [{ txid: params.funding_txid, index: params.funding_output_index, sequence: form.sequence }],
    outputs: [...outputs].sort(byValueThenScript),
  };
  const funding_script = fundingScript(local_funding_pubkey, remote_funding_pubkey);
  return {
    tx, txid: txidOf(tx), funding_script, local_funding_pubkey, remote_funding_pubkey,
    sighash: witnessSighash(tx, 0, funding_script, params.funding_satoshis),
    fee_satoshis: tx.outputs.reduce((left, { value }) => left - value, params.funding_satoshis as bigint) as Sat,
  };
}

const balanceOf = (params: ClosingParams, side: 'local' | 'remote'): Sat => (side === 'local' ? params.local_sat : params.remote_sat);
const scriptOf = (params: ClosingParams, side: 'local' | 'remote'): Hex => (side === 'local' ? params.local_script : params.remote_script);

/** The amount of an `OP_RETURN` output is 0. */
const output = (script_pubkey: Hex, value: bigint): TxOutput =>
  ({ script_pubkey, value: script_pubkey.startsWith('6a') ? sat(0) : (value as Sat) });

function byValueThenScript(a: TxOutput, b: TxOutput): number {
  if (a.value !== b.value) return a.value < b.value ? -1 : 1;
  return a.script_pubkey < b.script_pubkey ? -1 : 1;
}
