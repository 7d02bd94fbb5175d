/** The node's own coins on chain, folded from the wallet stream alone. */
import { parseTx } from '../bolt/03-transactions/tx-parse.ts';
import { sat, type Hex, type Hex32, type Sat } from '../bolt/primitives.ts';
import type { EventEnvelope } from '../events/envelope.ts';
import type { WalletEvent } from '../events/wallet.ts';
import type { Projection } from './projection.ts';

export interface WalletRow {
  /** In a block and free to spend. */
  readonly confirmed_sat: Sat;
  /** Change of transactions of ours that no block has yet. */
  readonly pending_sat: Sat;
  /** In a block, but spoken for by a transaction that no block has yet. */
  readonly reserved_sat: Sat;
  /** confirmed + pending: what the wallet is worth once the chain has caught up. */
  readonly total_sat: Sat;
}

interface Coin {
  readonly value: Sat;
  readonly block_height: number;
  readonly spent_height?: number;
}

type OutPoint = string;

export interface WalletView {
  readonly scripts: Set<Hex>;
  readonly coins: Map<OutPoint, Coin>;
  /** Transactions of ours that no block has shown: the coins they spend, and what comes back to us. */
  readonly unconfirmed: Map<Hex32, { readonly inputs: readonly OutPoint[]; readonly change: ReadonlyMap<OutPoint, Sat> }>;
}

export const wallet: Projection<WalletView, WalletRow> = {
  name: 'wallet',
  initial: () => ({ scripts: new Set(), coins: new Map(), unconfirmed: new Map() }),
  apply(view, envelope: EventEnvelope) {
    if (envelope.stream === 'wallet') take(view, envelope.event as WalletEvent);
    return view;
  },
  rows: walletRow,
};

const key = (txid: Hex32, output_index: number): OutPoint => `${txid}:${output_index}`;

function take(view: WalletView, event: WalletEvent): void {
  switch (event.type) {
    case 'AddressIssued':
      view.scripts.add(event.script_pubkey);
      return;
    case 'CoinReceived':
      view.coins.set(key(event.txid, event.output_index), { value: event.value, block_height: event.block_height });
      view.unconfirmed.delete(event.txid);
      return;
    case 'TransactionCreated':
      view.unconfirmed.set(event.txid, {
        inputs: event.inputs.map((input) => key(input.txid, input.output_index)),
        change: changeOf(view, event.txid, event.transaction),
      });
      return;
    case 'BlockScanned':
      return;
    case 'TransactionAbandoned':
      view.unconfirmed.delete(event.txid);
      return;
    case 'CoinSpent':
      spend(view, key(event.txid, event.output_index), event.block_height);
      // A block has it: what came back to us stands in it as CoinReceived.
      view.unconfirmed.delete(event.spending_txid);
      return;
    case 'WalletRolledBack':
      rollBack(view, event.to_height);
      return;
  }
}

/** What a transaction of ours pays back to scripts of ours. */
function changeOf(view: WalletView, txid: Hex32, transaction: Hex): ReadonlyMap<OutPoint, Sat> {
  return new Map(parseTx(transaction).outputs.flatMap(({ script_pubkey, value }, index) =>
    view.scripts.has(script_pubkey) ? [[key(txid, index), value] as const] : []));
}

function spend(view: WalletView, outpoint: OutPoint, spent_height: number): void {
  const coin = view.coins.get(outpoint);
  if (coin !== undefined) view.coins.set(outpoint, { ...coin, spent_height });
}

function rollBack(view: WalletView, to_height: number): void {
  for (const [outpoint, coin] of view.coins) {
    if (coin.block_height > to_height) view.coins.delete(outpoint);
    else if (coin.spent_height !== undefined && coin.spent_height > to_height) view.coins.set(outpoint, { ...coin, spent_height: undefined });
  }
}

function walletRow({ coins, unconfirmed }: WalletView): WalletRow {
  const spokenFor = new Set([...unconfirmed.values()].flatMap(({ inputs }) => inputs));
  let [confirmed, reserved, pending] = [0n, 0n, 0n];
  for (const { change } of unconfirmed.values()) for (const value of change.values()) pending += value;
  for (const [outpoint, { value, spent_height }] of coins) {
    if (spent_height !== undefined) continue;
    if (spokenFor.has(outpoint)) reserved += value;
    else confirmed += value;
  }
  return { confirmed_sat: sat(confirmed), pending_sat: sat(pending), reserved_sat: sat(reserved), total_sat: sat(confirmed + pending) };
}
