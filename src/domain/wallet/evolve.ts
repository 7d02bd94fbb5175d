/** Folds the wallet's events. */
import { parseTx } from '../../bolt/03-transactions/tx-parse.ts';
import type { BlockHeight, Hex, Hex32 } from '../../bolt/primitives.ts';
import type { WalletEvent } from '../../events/wallet.ts';
import { never } from '../decider.ts';
import { type Branch, type Coin, initialWallet, isConfirmed, type OutPointKey, outPointKey, type WalletState } from './state.ts';

/** Spent coins, finished transactions and scanned blocks are forgotten this many blocks later. */
const KEPT_BLOCKS = 1000;

export const initial = initialWallet;

export function evolve(state: WalletState, event: WalletEvent): WalletState {
  switch (event.type) {
    case 'AddressIssued': return addressIssued(state, event);
    case 'BlockScanned': return forgetBelow({ ...state, scanned: [...state.scanned, { block_height: event.block_height, block_hash: event.block_hash }] }, event.block_height - KEPT_BLOCKS);
    case 'CoinReceived': return withCoin(state, { ...coinOf(event), spent: state.coins.get(outPointKey(event))?.spent });
    case 'CoinSpent': return coinSpent(state, event);
    case 'TransactionCreated': return transactionCreated(state, event);
    case 'CoinsContributed': return coinsContributed(state, event);
    case 'TransactionAbandoned': return transactionAbandoned(state, event.txid);
    case 'WalletRolledBack': return rolledBack(state, event.to_height);
    default: return never(event);
  }
}

type Fact<T extends WalletEvent['type']> = Extract<WalletEvent, { type: T }>;

function addressIssued(state: WalletState, { branch, index, script_pubkey, purpose }: Fact<'AddressIssued'>): WalletState {
  return {
    ...state,
    next: { ...state.next, [branch]: Math.max(state.next[branch], index + 1) } as Record<Branch, number>,
    scripts: new Map(state.scripts).set(script_pubkey, { branch, index, purpose }),
  };
}

const coinOf = ({ txid, output_index, value, script_pubkey, branch, index, coinbase, block_height }: Fact<'CoinReceived'>): Omit<Coin, 'spent'> =>
  ({ txid, output_index, value, script_pubkey, branch, index, coinbase, block_height });

const withCoin = (state: WalletState, coin: Coin): WalletState => ({ ...state, coins: new Map(state.coins).set(outPointKey(coin), coin) });

function coinSpent(state: WalletState, { spending_txid, block_height, ...outpoint }: Fact<'CoinSpent'>): WalletState {
  const coin = state.coins.get(outPointKey(outpoint));
  return coin === undefined ? state : withCoin(state, { ...coin, spent: { spending_txid, block_height } });
}

function transactionCreated(state: WalletState, { txid, purpose, transaction, fee_satoshis, inputs }: Fact<'TransactionCreated'>): WalletState {
  const created = { txid, purpose, transaction, fee_satoshis, inputs: inputs.map(outPointKey) };
  return {
    ...state,
    transactions: new Map(state.transactions).set(txid, created),
    coins: new Map([...changeOf(state, txid, transaction), ...state.coins]),
  };
}

/** Its change is no coin before a block has it: a dearer transaction may take its place at any time. */
function coinsContributed(state: WalletState, { txid, purpose, transaction, fee_satoshis, feerate_per_kw, inputs }: Fact<'CoinsContributed'>): WalletState {
  const contributed = { txid, purpose, transaction, fee_satoshis, inputs: inputs.map(outPointKey), contributed: { feerate_per_kw } };
  return { ...state, transactions: new Map(state.transactions).set(txid, contributed) };
}

/** What a transaction of ours pays back to us, until a block holds it. */
function changeOf(state: WalletState, txid: Hex32, transaction: Hex): readonly (readonly [OutPointKey, Coin])[] {
  return parseTx(transaction).outputs.flatMap(({ value, script_pubkey }, output_index) => {
    const script = state.scripts.get(script_pubkey);
    if (script === undefined) return [];
    const { branch, index } = script;
    const coin: Coin = { txid, output_index, value, script_pubkey, branch, index, coinbase: false, block_height: undefined, spent: undefined };
    return [[outPointKey(coin), coin] as const];
  });
}

function transactionAbandoned(state: WalletState, txid: Hex32): WalletState {
  const transactions = new Map(state.transactions);
  transactions.delete(txid);
  const coins = new Map([...state.coins].filter(([, coin]) => coin.txid !== txid || coin.block_height !== undefined));
  return { ...state, transactions, coins };
}

/** Coins above the height are gone, or wait again where a transaction of ours makes them; spends above it are undone. */
function rolledBack(state: WalletState, to_height: BlockHeight): WalletState {
  const coins = [...state.coins].flatMap(([key, coin]) => {
    const spent = coin.spent !== undefined && coin.spent.block_height > to_height ? undefined : coin.spent;
    if (coin.block_height === undefined || coin.block_height <= to_height) return [[key, { ...coin, spent }] as const];
    const made = state.transactions.get(coin.txid);
    return made !== undefined && made.contributed === undefined ? [[key, { ...coin, spent, block_height: undefined }] as const] : [];
  });
  return { ...state, coins: new Map(coins), scanned: state.scanned.filter(({ block_height }) => block_height <= to_height) };
}

/** What no reorganisation will ever bring back. The state stays as small as what is in use. */
function forgetBelow(state: WalletState, height: BlockHeight): WalletState {
  const scanned = state.scanned.filter(({ block_height }) => block_height >= height);
  const buried = ({ spent }: Coin) => spent !== undefined && spent.block_height < height;
  if (![...state.coins.values()].some(buried)) return { ...state, scanned };
  const coins = new Map([...state.coins].filter(([, coin]) => !buried(coin)));
  // A transaction leaves with the last coin that it spent.
  const transactions = new Map([...state.transactions].filter(([, tx]) => !isConfirmed(state, tx) || tx.inputs.some((key) => coins.has(key))));
  return { ...state, scanned, coins, transactions };
}
