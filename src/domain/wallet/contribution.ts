/** Coins of ours for a transaction that is not ours alone: a claim that cannot pay its own fee, or a parent's (BOLT 3, "Fees"; BIP 125). */
import { feeOf, INCREMENTAL_FEERATE } from '../../bolt/03-transactions/fees.ts';
import { parseTx } from '../../bolt/03-transactions/tx-parse.ts';
import { type TxOutput, type UnsignedTx } from '../../bolt/03-transactions/tx.ts';
import type { Hex, Hex32, Sat } from '../../bolt/primitives.ts';
import { COIN_WEIGHT, REPLACEABLE, smallestChange } from './payment.ts';
import { type Coin, type OutPoint, outPointKey, type OwnTransaction, type WalletState } from './state.ts';

export interface ContributionRequest {
  /** What it is for: asked for again it is the same one, or a dearer one in its place. Said in the log. */
  readonly purpose: string;
  /** The inputs and outputs that are not the wallet's. The wallet's follow behind them, its change last. */
  readonly tx: UnsignedTx;
  /** Expected, of `tx` with its witnesses, in weight units. */
  readonly weight: number;
  /** Of the inputs of `tx`, in sat. */
  readonly value_in: Sat;
  /** What waits unconfirmed below it and has to be lifted along: its weight, and the fee it pays already, in sat. */
  readonly parent?: { readonly weight: number; readonly fee_satoshis: Sat };
  /** For the transaction, and for it with its parent, sat per 1000 weight. */
  readonly feerate_per_kw: number;
  /** More than this is not worth paying, sat. */
  readonly max_fee_satoshis?: Sat;
}

/** A coin of ours in a claim; its script says which key signs. */
export interface ContributedCoin extends OutPoint {
  readonly value: Sat;
  readonly script_pubkey: Hex;
}

export interface Contribution {
  /** Of the whole transaction. */
  readonly txid: Hex32;
  readonly inputs: readonly ContributedCoin[];
  readonly change?: TxOutput;
  /** Of the whole transaction, in sat. */
  readonly fee_satoshis: Sat;
  readonly feerate_per_kw: number;
}

export interface BuiltContribution {
  readonly tx: UnsignedTx;
  readonly coins: readonly Coin[];
  readonly fee_satoshis: Sat;
  readonly has_change: boolean;
}

/** A P2WPKH output, in weight units. */
const CHANGE_WEIGHT = 124;
const SEGWIT_MARKER_WEIGHT = 2;
/** More coins are not gathered for one transaction. */
const MAX_COINS = 50;

/** What a replacement has to outbid. */
export type Outbid = Pick<OwnTransaction, 'fee_satoshis'>;

/**
 * Chooses from `candidates` (besides `kept`, which are spent in any case) until the fee is paid. Undefined when they do
 * not suffice. Small coins first, so that a big one does not wait for a small claim.
 */
export function chooseContribution(
  kept: readonly Coin[], candidates: readonly Coin[], request: ContributionRequest, change_script: Hex, outbid?: Outbid,
): BuiltContribution | undefined {
  const chosen = [...kept];
  const left = candidates.toSorted((a, b) => Number(a.value - b.value));
  const built = () => (chosen.length === 0 ? undefined : buildContribution(chosen, request, change_script, outbid));
  for (; built() === undefined; chosen.push(left.pop()!)) {
    const enough = left.findIndex((coin) => buildContribution([...chosen, coin], request, change_script, outbid) !== undefined);
    if (enough >= 0) left.push(...left.splice(enough, 1));
    if (left.length === 0 || chosen.length === MAX_COINS) return undefined;
  }
  return built();
}

/** Change where it is worth its place, and always where the transaction would have no output else. */
export function buildContribution(coins: readonly Coin[], request: ContributionRequest, change_script: Hex, outbid?: Outbid): BuiltContribution | undefined {
  const { tx, value_in, feerate_per_kw } = request;
  const given = tx.outputs.reduce((left, { value }) => left - value, value_in + coins.reduce((sum, { value }) => sum + value, 0n));
  const weight = request.weight + coins.length * COIN_WEIGHT + SEGWIT_MARKER_WEIGHT;
  const change = given - feeFor(weight + CHANGE_WEIGHT, request, outbid);
  if (change >= smallestChange(change_script, feerate_per_kw)) {
    const output: TxOutput = { value: change as Sat, script_pubkey: change_script };
    return { tx: joined(tx, coins, output), coins, fee_satoshis: (given - change) as Sat, has_change: true };
  }
  if (tx.outputs.length === 0 || given < feeFor(weight, request, outbid)) return undefined;
  return { tx: joined(tx, coins), coins, fee_satoshis: given as Sat, has_change: false };
}

function feeFor(weight: number, { feerate_per_kw, parent }: ContributionRequest, outbid: Outbid | undefined): bigint {
  const own = feeOf(feerate_per_kw, weight) + 1n;
  const together = parent === undefined ? 0n : feeOf(feerate_per_kw, weight + parent.weight) + 1n - parent.fee_satoshis;
  const dearer = outbid === undefined ? 0n : outbid.fee_satoshis + feeOf(INCREMENTAL_FEERATE, weight) + 1n;
  return [own, together, dearer].reduce((most, fee) => (fee > most ? fee : most));
}

const joined = (tx: UnsignedTx, coins: readonly Coin[], change?: TxOutput): UnsignedTx => ({
  ...tx,
  inputs: [...tx.inputs, ...coins.map(({ txid, output_index }) => ({ txid, index: output_index, sequence: REPLACEABLE }))],
  outputs: change === undefined ? tx.outputs : [...tx.outputs, change],
});

/** A contribution as the log has it. Undefined once its coins are forgotten. */
export function contributionOf(state: WalletState, { txid, transaction, inputs, fee_satoshis, contributed }: OwnTransaction): Contribution | undefined {
  const coins = inputs.map((key) => state.coins.get(key));
  if (contributed === undefined || coins.includes(undefined)) return undefined;
  const change = parseTx(transaction).outputs.findLast(({ script_pubkey }) => state.scripts.get(script_pubkey)?.branch === 'change');
  const spent = (coins as readonly Coin[]).map((coin) => ({ txid: coin.txid, output_index: coin.output_index, value: coin.value, script_pubkey: coin.script_pubkey }));
  return { txid, inputs: spent, change, fee_satoshis, feerate_per_kw: contributed.feerate_per_kw };
}

/** Whether a contribution is to the very transaction that is asked about: the same inputs and outputs of others. */
export function isTo({ transaction, inputs }: OwnTransaction, tx: UnsignedTx): boolean {
  const made = parseTx(transaction);
  const foreign = made.inputs.slice(0, made.inputs.length - inputs.length);
  const samePlaces = foreign.length === tx.inputs.length && foreign.every(({ txid, index }, i) => outPointKey({ txid, output_index: index }) === outPointKey({ txid: tx.inputs[i]!.txid, output_index: tx.inputs[i]!.index }));
  return samePlaces && tx.outputs.every(({ value, script_pubkey }, i) => made.outputs[i]?.value === value && made.outputs[i].script_pubkey === script_pubkey);
}
