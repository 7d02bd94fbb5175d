/** From chosen coins to a transaction: exact fees in bigint, change only where it is worth its place (BIP 69 order, BIP 125). */
import { feeOf } from '../../bolt/03-transactions/fees.ts';
import { dustLimitOf } from '../../bolt/03-transactions/shutdown-script.ts';
import { type TxOutput, type UnsignedTx, weightOf, type Witness } from '../../bolt/03-transactions/tx.ts';
import type { Hex, Sat } from '../../bolt/primitives.ts';
import type { Coin } from './state.ts';

export interface PaymentRequest {
  readonly script_pubkey: Hex;
  readonly amount_sat: Sat;
  readonly feerate_per_kw: number;
}

export interface Payment {
  readonly tx: UnsignedTx;
  /** In the order of the transaction's inputs. */
  readonly coins: readonly Coin[];
  readonly output_index: number;
  readonly fee_satoshis: Sat;
  readonly has_change: boolean;
}

/** A witness of P2WPKH at its largest: a signature of 72 bytes with its sighash byte, and the key. */
const WITNESS: Witness = ['00'.repeat(72), '00'.repeat(33)];
/** BIP 125: may be replaced by one that pays more. */
export const REPLACEABLE = 0xfffffffd;
/** What a P2WPKH coin adds to a transaction, in weight units. */
export const COIN_WEIGHT = 272;

/** Builds the payment, or answers undefined when the coins do not suffice. Without need of it, change is left to the miner. */
export function buildPayment(chosen: readonly Coin[], { script_pubkey, amount_sat, feerate_per_kw }: PaymentRequest, change_script: Hex): Payment | undefined {
  const coins = chosen.toSorted((a, b) => compare(a.txid, b.txid) || a.output_index - b.output_index);
  const total = coins.reduce((sum, { value }) => sum + value, 0n);
  const target: TxOutput = { value: amount_sat, script_pubkey };
  const feeWith = (outputs: readonly TxOutput[]) => feeOf(feerate_per_kw, expectedWeight(transaction(coins, outputs))) + 1n;
  const change = total - amount_sat - feeWith([target, { value: 0n as Sat, script_pubkey: change_script }]);
  const has_change = change >= smallestChange(change_script, feerate_per_kw);
  if (!has_change && total < amount_sat + feeWith([target])) return undefined;
  const outputs = has_change ? inOrder([target, { value: change as Sat, script_pubkey: change_script }]) : [target];
  const fee_satoshis = outputs.reduce((left, { value }) => left - value, total) as Sat;
  return { tx: transaction(coins, outputs), coins, output_index: outputs.indexOf(target), fee_satoshis, has_change };
}

export interface SplitRequest {
  readonly pieces: number;
  readonly each_sat: Sat;
  readonly feerate_per_kw: number;
}

/** One coin becomes several of `each_sat` and what is left, all of one script of ours. Undefined when it is too small. */
export function buildSplit(coin: Coin, { pieces, each_sat, feerate_per_kw }: SplitRequest, script_pubkey: Hex): Omit<Payment, 'output_index' | 'has_change'> | undefined {
  const equal = Array.from({ length: pieces }, (): TxOutput => ({ value: each_sat, script_pubkey }));
  const draft = [...equal, { value: each_sat, script_pubkey }];
  const fee_satoshis = (feeOf(feerate_per_kw, expectedWeight(transaction([coin], draft))) + 1n) as Sat;
  const left = coin.value - each_sat * BigInt(pieces) - fee_satoshis;
  if (left < each_sat) return undefined;
  return { tx: transaction([coin], inOrder([...equal, { value: left as Sat, script_pubkey }])), coins: [coin], fee_satoshis };
}

/** Change below this costs more than it is worth, or is not relayed. In sat. */
export function smallestChange(change_script: Hex, feerate_per_kw: number): bigint {
  const dust = dustLimitOf(change_script) ?? 0n;
  const spending = feeOf(feerate_per_kw, COIN_WEIGHT);
  return spending > dust ? spending : dust;
}

export const expectedWeight = (tx: UnsignedTx): number => weightOf(tx, tx.inputs.map(() => WITNESS));

const transaction = (coins: readonly Coin[], outputs: readonly TxOutput[]): UnsignedTx => ({
  version: 2,
  locktime: 0,
  inputs: coins.map(({ txid, output_index }) => ({ txid, index: output_index, sequence: REPLACEABLE })),
  outputs,
});

/** BIP 69: by value, then script, so that the place of the change tells nothing. */
const inOrder = (outputs: readonly TxOutput[]): readonly TxOutput[] =>
  outputs.toSorted((a, b) => compare(a.value, b.value) || compare(a.script_pubkey, b.script_pubkey));

const compare = <T extends bigint | string>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0);
