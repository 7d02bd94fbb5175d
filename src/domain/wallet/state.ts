/** The wallet as its events leave it: scripts handed out, coins, transactions of ours on their way. */
import type { BlockHeight, Hex, Hex32, Sat } from '../../bolt/primitives.ts';
import type { OutPoint, OutPointKey } from '../outpoint.ts';

/** BIP 44's last level but one: `receive` is shown to others, `change` is not. */
export { outPointKey, type OutPoint, type OutPointKey } from '../outpoint.ts';
export type Branch = 'receive' | 'change';

export interface ScriptInfo {
  readonly branch: Branch;
  readonly index: number;
  readonly purpose: string;
}

export interface Coin extends OutPoint {
  readonly value: Sat;
  readonly script_pubkey: Hex;
  readonly branch: Branch;
  readonly index: number;
  readonly coinbase: boolean;
  /** Undefined while no block holds it: the change of a transaction of ours. */
  readonly block_height: BlockHeight | undefined;
  /** A block holds a transaction that spends it. Kept for a while: a reorganisation may bring it back. */
  readonly spent: { readonly spending_txid: Hex32; readonly block_height: BlockHeight } | undefined;
}

/** Made by us and not abandoned. */
export interface OwnTransaction {
  readonly txid: Hex32;
  readonly purpose: string;
  /** Raw and signed. */
  readonly transaction: Hex;
  readonly fee_satoshis: Sat;
  /** Coins of ours that it spends. */
  readonly inputs: readonly OutPointKey[];
  /** Not ours alone: our coins pay for it, and a dearer one of the same purpose may take its place. It has no witness here. */
  readonly contributed?: { readonly feerate_per_kw: number };
}

export interface ScannedBlock {
  readonly block_height: BlockHeight;
  readonly block_hash: Hex32;
}

export interface WalletState {
  /** The next free index of each branch. */
  readonly next: Readonly<Record<Branch, number>>;
  readonly scripts: ReadonlyMap<Hex, ScriptInfo>;
  readonly coins: ReadonlyMap<OutPointKey, Coin>;
  readonly transactions: ReadonlyMap<Hex32, OwnTransaction>;
  /** Of the last thousand blocks, lowest first. */
  readonly scanned: readonly ScannedBlock[];
}

export const initialWallet: WalletState = { next: { receive: 0, change: 0 }, scripts: new Map(), coins: new Map(), transactions: new Map(), scanned: [] };

/** In sat. Every coin of ours that no block has spent is in one of the first four. */
export interface WalletBalance {
  /** In a block and free to spend. */
  readonly confirmed_sat: Sat;
  /** Change of transactions of ours that no block has yet; free to spend. */
  readonly pending_sat: Sat;
  /** Spoken for by a transaction of ours that no block has yet; of a claim also what it will pay back. */
  readonly reserved_sat: Sat;
  /** Earned by mining less than 100 blocks ago. */
  readonly immature_sat: Sat;
  /** What is left when everything on its way has arrived: all but the reserved. */
  readonly total_sat: Sat;
}

/** Balances at a chain height. */
export function balanceOf(state: WalletState, height: BlockHeight): WalletBalance {
  const reserved = reservedCoins(state);
  const sum = { confirmed: 0n, pending: 0n, reserved: 0n, immature: 0n };
  for (const [key, coin] of state.coins) {
    if (coin.spent !== undefined) continue;
    if (reserved.has(key)) sum.reserved += coin.value;
    else if (!isMature(coin, height)) sum.immature += coin.value;
    else if (coin.block_height === undefined) sum.pending += coin.value;
    else sum.confirmed += coin.value;
  }
  return {
    confirmed_sat: sum.confirmed as Sat, pending_sat: sum.pending as Sat, reserved_sat: sum.reserved as Sat, immature_sat: sum.immature as Sat,
    total_sat: (sum.confirmed + sum.pending + sum.immature) as Sat,
  };
}

/** What a new transaction may spend; `confirmed` come first. */
export function spendableCoins(state: WalletState, height: BlockHeight): { readonly confirmed: readonly Coin[]; readonly pending: readonly Coin[] } {
  const reserved = reservedCoins(state);
  const free = [...state.coins].filter(([key, coin]) => coin.spent === undefined && !reserved.has(key) && isMature(coin, height)).map(([, coin]) => coin);
  return { confirmed: free.filter((coin) => coin.block_height !== undefined), pending: free.filter((coin) => coin.block_height === undefined) };
}

/** The live contributions to one purpose that no block holds, oldest first. */
export const contributionsTo = (state: WalletState, purpose?: string): readonly OwnTransaction[] =>
  [...state.transactions.values()].filter((tx) => tx.contributed !== undefined && (purpose === undefined || tx.purpose === purpose) && !isConfirmed(state, tx));

/** Coins that a live transaction of ours spends. */
export const reservedCoins = (state: WalletState): ReadonlySet<OutPointKey> => new Set([...state.transactions.values()].flatMap(({ inputs }) => inputs));

/** A block holds it. */
export const isConfirmed = (state: WalletState, { txid, inputs }: OwnTransaction): boolean =>
  inputs.some((key) => state.coins.get(key)?.spent?.spending_txid === txid);

/** Consensus: a coinbase waits for 100 blocks on top of it; it can be in the one after. */
export const isMature = ({ coinbase, block_height }: Pick<Coin, 'coinbase' | 'block_height'>, height: BlockHeight): boolean =>
  !coinbase || (block_height !== undefined && height + 1 - block_height >= 100);
