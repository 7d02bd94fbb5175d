/** The set of unspent outputs of a chain: blocks come on, and can be taken off again. */
import type { ParsedTx } from '../../bolt/03-transactions/tx-parse.ts';
import type { TxInput } from '../../bolt/03-transactions/tx.ts';
import type { Hex32 } from '../../bolt/primitives.ts';
import type { SpentOutput } from './script-verifier.ts';

/** `<txid>:<output index>`. */
export type OutPointKey = string;

export interface Coin extends SpentOutput {
  /** Undefined while only the mempool holds it. */
  readonly block_height: number | undefined;
  readonly coinbase: boolean;
}

export type CoinSet = Map<OutPointKey, Coin>;

/** What a block spent: needed to take it off again. */
export type Undo = readonly (readonly [OutPointKey, Coin])[];

export const outPointKey = (txid: Hex32, index: number): OutPointKey => `${txid}:${index}`;
export const keyOf = (input: Pick<TxInput, 'txid' | 'index'>): OutPointKey => outPointKey(input.txid, input.index);

export function parseOutPointKey(key: OutPointKey): { readonly txid: Hex32; readonly index: number } {
  const [txid, index] = key.split(':') as [Hex32, string];
  return { txid, index: Number(index) };
}

/** The coins a transaction makes. Nobody can ever spend an OP_RETURN. */
export function coinsOf(tx: ParsedTx, block_height: number | undefined, coinbase = false): readonly (readonly [OutPointKey, Coin])[] {
  return tx.outputs.flatMap(({ value, script_pubkey }, index) =>
    script_pubkey.startsWith('6a') ? [] : [[outPointKey(tx.txid, index), { value, script_pubkey, block_height, coinbase }] as const]);
}

/** Applies a block's transactions, the coinbase first. Throws on a missing coin: the block was not checked. */
export function connectCoins(coins: CoinSet, transactions: readonly ParsedTx[], height: number): Undo {
  const undo: [OutPointKey, Coin][] = [];
  for (const [position, tx] of transactions.entries()) {
    if (position > 0) for (const input of tx.inputs) undo.push([keyOf(input), spend(coins, keyOf(input))]);
    for (const [key, coin] of coinsOf(tx, height, position === 0)) coins.set(key, coin);
  }
  return undo;
}

/** Takes the newest block off again. */
export function disconnectCoins(coins: CoinSet, transactions: readonly ParsedTx[], undo: Undo): void {
  for (const [key, coin] of undo) coins.set(key, coin);
  // Last: a coin made and spent within the block is in `undo` too.
  for (const tx of transactions) for (const index of tx.outputs.keys()) coins.delete(outPointKey(tx.txid, index));
}

function spend(coins: CoinSet, key: OutPointKey): Coin {
  const coin = coins.get(key);
  if (coin === undefined) throw new Error(`a block spends ${key}, which does not exist`);
  coins.delete(key);
  return coin;
}
