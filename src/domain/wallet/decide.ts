/** The wallet's rules: which addresses are next, which coins may be spent, what a block changes. */
import type { BlockHeight, Hex, Hex32, Sat } from '../../bolt/primitives.ts';
import type { WalletEvent } from '../../events/wallet.ts';
import { accept, type Decider, type Decision, evolveAll, never, refuse } from '../decider.ts';
import { evolve, initial } from './evolve.ts';
import { type Branch, type Coin, contributionsTo, isConfirmed, isMature, type OutPoint, type OutPointKey, outPointKey, reservedCoins, type WalletState } from './state.ts';

/** An address: its place, and the script that our keys have there. */
export interface NewAddress {
  readonly branch: Branch;
  readonly index: number;
  readonly script_pubkey: Hex;
  readonly purpose: string;
}

export interface IssueAddress extends NewAddress {
  readonly type: 'IssueAddress';
}

/** A block's outputs to scripts of our keys, and its inputs that spend coins of ours (or outputs of this very block). */
export interface ReceiveBlock {
  readonly type: 'ReceiveBlock';
  readonly block_height: BlockHeight;
  readonly block_hash: Hex32;
  readonly received: readonly (OutPoint & { readonly value: Sat; readonly script_pubkey: Hex; readonly branch: Branch; readonly index: number; readonly coinbase: boolean })[];
  readonly spent: readonly (OutPoint & { readonly spending_txid: Hex32 })[];
}

/** A signed transaction of ours; `change` names the address that it pays back to, if it is a new one. */
export interface CreateTransaction {
  readonly type: 'CreateTransaction';
  readonly txid: Hex32;
  readonly purpose: string;
  readonly transaction: Hex;
  readonly fee_satoshis: Sat;
  readonly inputs: readonly OutPoint[];
  readonly change: NewAddress | undefined;
  readonly height: BlockHeight;
}

/** Coins of ours for a transaction that is not ours alone. `replaces`: the newest one of the same purpose. */
export interface ContributeCoins {
  readonly type: 'ContributeCoins';
  readonly txid: Hex32;
  readonly purpose: string;
  /** Without witnesses. */
  readonly transaction: Hex;
  readonly fee_satoshis: Sat;
  readonly feerate_per_kw: number;
  readonly inputs: readonly OutPoint[];
  readonly change: NewAddress | undefined;
  readonly replaces: Hex32 | undefined;
  readonly height: BlockHeight;
}

export interface AbandonTransaction {
  readonly type: 'AbandonTransaction';
  readonly txid: Hex32;
  readonly reason: string;
}

/** Blocks above `to_height` have left the chain. */
export interface RollBack {
  readonly type: 'RollBack';
  readonly to_height: BlockHeight;
}

/** No transaction could be made of what was asked. Refused here, so that callers hear it as any other refusal. */
export interface RefuseTransaction {
  readonly type: 'RefuseTransaction';
  readonly code: 'insufficient_funds' | 'amount_below_dust' | 'anchor_reserve' | 'not_worth_its_fee';
  readonly detail: Readonly<Record<string, unknown>>;
}

export type WalletCommand = IssueAddress | ReceiveBlock | CreateTransaction | ContributeCoins | AbandonTransaction | RollBack | RefuseTransaction;

type Decided = Decision<WalletEvent>;

export function decide(command: WalletCommand, state: WalletState): Decided {
  switch (command.type) {
    case 'IssueAddress': return issueAddress(command, state);
    case 'ReceiveBlock': return receiveBlock(command, state);
    case 'CreateTransaction': return createTransaction(command, state);
    case 'ContributeCoins': return contributeCoins(command, state);
    case 'AbandonTransaction': return abandonTransaction(command, state);
    case 'RollBack': return rollBack(command, state);
    case 'RefuseTransaction': return refuse(command.code, command.detail);
    default: return never(command);
  }
}

export const walletDecider: Decider<WalletState, WalletCommand, WalletEvent> = { initial, decide, evolve };

function issueAddress({ branch, index, script_pubkey, purpose }: NewAddress, state: WalletState): Decided {
  const expected = state.next[branch];
  if (index !== expected) return refuse('address_index_taken', { branch, expected, index });
  return accept({ type: 'AddressIssued', branch, index, script_pubkey, purpose });
}

function createTransaction(command: CreateTransaction, state: WalletState): Decided {
  const { txid, purpose, transaction, fee_satoshis, change, height } = command;
  if (state.transactions.has(txid)) return accept();
  const inputs = command.inputs.map(outPointOf);
  const complaint = firstComplaint(inputs, state, reservedCoins(state), height);
  if (complaint !== undefined) return refuse('coin_unavailable', { ...complaint });
  return withAddress(change, state, { type: 'TransactionCreated', txid, purpose, transaction, fee_satoshis, inputs });
}

/** What replaces an earlier one of its purpose may spend the same coins; the feerate never falls. */
function contributeCoins(command: ContributeCoins, state: WalletState): Decided {
  const { txid, purpose, transaction, fee_satoshis, feerate_per_kw, change, replaces, height } = command;
  if (state.transactions.has(txid)) return accept();
  const inputs = command.inputs.map(outPointOf);
  const earlier = contributionsTo(state, purpose);
  const newest = earlier.at(-1);
  if (newest?.txid !== replaces) return refuse('not_the_newest', { expected: newest?.txid, got: replaces });
  if (newest !== undefined && fee_satoshis <= newest.fee_satoshis) return refuse('fee_not_raised', { before: newest.fee_satoshis, fee_satoshis });
  const reserved = new Set(reservedCoins(state));
  for (const key of earlier.flatMap((contribution) => contribution.inputs)) reserved.delete(key);
  const complaint = firstComplaint(inputs, state, reserved, height);
  if (complaint !== undefined) return refuse('coin_unavailable', { ...complaint });
  return withAddress(change, state, { type: 'CoinsContributed', txid, purpose, transaction, fee_satoshis, feerate_per_kw, inputs, replaces });
}

const outPointOf = ({ txid, output_index }: OutPoint): OutPoint => ({ txid, output_index });

function withAddress(address: NewAddress | undefined, state: WalletState, created: WalletEvent): Decided {
  if (address === undefined) return accept(created);
  const issued = issueAddress(address, state);
  return 'refused' in issued ? issued : accept<WalletEvent>(...issued.accepted, created);
}

function firstComplaint(inputs: readonly OutPoint[], state: WalletState, reserved: ReadonlySet<OutPointKey>, height: BlockHeight): (OutPoint & { readonly why: string }) | undefined {
  for (const input of inputs) {
    const why = whyNotSpendable(outPointKey(input), state, reserved, height);
    if (why !== undefined) return { ...input, why };
  }
  return undefined;
}

function whyNotSpendable(key: OutPointKey, state: WalletState, reserved: ReadonlySet<OutPointKey>, height: BlockHeight): string | undefined {
  const coin = state.coins.get(key);
  if (coin === undefined) return 'unknown';
  if (coin.spent !== undefined) return `spent by ${coin.spent.spending_txid}`;
  if (reserved.has(key)) return 'reserved';
  return isMature(coin, height) ? undefined : `immature until block ${coin.block_height! + 100}`;
}

function abandonTransaction({ txid, reason }: AbandonTransaction, state: WalletState): Decided {
  const tx = state.transactions.get(txid);
  if (tx === undefined) return refuse('unknown_transaction', { txid });
  if (isConfirmed(state, tx)) return refuse('transaction_confirmed', { txid });
  return accept(...abandon(txid, reason, state));
}

/** With it go the transactions of ours that spend its change: children first. */
function abandon(txid: Hex32, reason: string, state: WalletState): readonly WalletEvent[] {
  return familyOf([txid], state).map((member) =>
    ({ type: 'TransactionAbandoned', txid: member, reason: member === txid ? reason : `it descends from ${txid}: ${reason}` }));
}

/** Transactions of ours and all that descend from them, each once, children before their parents. */
function familyOf(roots: readonly Hex32[], { transactions }: WalletState): readonly Hex32[] {
  const family = new Set(roots);
  for (const member of family) {
    for (const { txid, inputs } of transactions.values()) if (inputs.some((key) => key.startsWith(member))) family.add(txid);
  }
  // They stand in the order of their creation.
  return [...transactions.keys()].filter((txid) => family.has(txid)).toReversed();
}

function rollBack({ to_height }: Pick<RollBack, 'to_height'>, state: WalletState): Decided {
  const above = (height: BlockHeight | undefined) => height !== undefined && height > to_height;
  const touched = state.scanned.some(({ block_height }) => above(block_height))
    || [...state.coins.values()].some((coin) => above(coin.block_height) || above(coin.spent?.block_height));
  return touched ? accept({ type: 'WalletRolledBack', to_height }) : accept();
}

/** One block in a hundred is noted though it holds nothing of ours, so that a restart has not far to go. */
const NOTE_EVERY_BLOCKS = 100;

/** A block seen before changes nothing; one that stands where another stood rolls that one back first. */
function receiveBlock(command: ReceiveBlock, before: WalletState): Decided {
  const { block_height, block_hash } = command;
  const known = before.scanned.find((mark) => mark.block_height === block_height);
  const undone: readonly WalletEvent[] = known !== undefined && known.block_hash !== block_hash ? [{ type: 'WalletRolledBack', to_height: block_height - 1 }] : [];
  const state = evolveAll({ evolve }, before, undone);
  const changes = changesOf(command, state);
  const noted = known?.block_hash === block_hash || (changes.length === 0 && block_height % NOTE_EVERY_BLOCKS !== 0);
  const mark: readonly WalletEvent[] = noted ? [] : [{ type: 'BlockScanned', block_height, block_hash }];
  return accept<WalletEvent>(...undone, ...mark, ...changes);
}

function changesOf({ block_height, received, spent }: ReceiveBlock, state: WalletState): readonly WalletEvent[] {
  const arrivals = received.filter((coin) => state.coins.get(outPointKey(coin))?.block_height !== block_height);
  const coins = arrivals.map((coin) => coinReceived(coin, block_height));
  const after = evolveAll({ evolve }, state, coins);
  const spends = spent
    .filter((input) => isNews(after.coins.get(outPointKey(input)), input.spending_txid, block_height))
    .map(({ txid, output_index, spending_txid }): WalletEvent => ({ type: 'CoinSpent', txid, output_index, spending_txid, block_height }));
  return [...foundAddresses(arrivals, state), ...coins, ...spends, ...outrun(evolveAll({ evolve }, after, spends))];
}

const coinReceived = ({ txid, output_index, value, script_pubkey, branch, index, coinbase }: ReceiveBlock['received'][number], block_height: BlockHeight): WalletEvent =>
  ({ type: 'CoinReceived', txid, output_index, value, script_pubkey, branch, index, block_height, coinbase });

const isNews = (coin: Coin | undefined, spending_txid: Hex32, block_height: BlockHeight): boolean =>
  coin !== undefined && (coin.spent?.spending_txid !== spending_txid || coin.spent.block_height !== block_height);

/** Paid to a script that this log never issued: the seed was used before, and the log begins anew. */
function foundAddresses(arrivals: ReceiveBlock['received'], state: WalletState): readonly WalletEvent[] {
  const unknown = new Map(arrivals.filter(({ script_pubkey }) => !state.scripts.has(script_pubkey)).map((coin) => [coin.script_pubkey, coin]));
  return [...unknown.values()].map(({ branch, index, script_pubkey }) => ({ type: 'AddressIssued', branch, index, script_pubkey, purpose: 'found on chain' }));
}

/** Transactions of ours that can never confirm, for a block spends one of their coins otherwise; and their descendants. */
function outrun(state: WalletState): readonly WalletEvent[] {
  const rivals = new Map<Hex32, Hex32>();
  for (const { txid, inputs } of state.transactions.values()) {
    const rival = inputs.map((key) => state.coins.get(key)?.spent?.spending_txid).find((spender) => spender !== undefined && spender !== txid);
    if (rival !== undefined) rivals.set(txid, rival);
  }
  return familyOf([...rivals.keys()], state).map((txid) => {
    const rival = rivals.get(txid);
    return { type: 'TransactionAbandoned', txid, reason: rival === undefined ? 'its parent was outrun' : `${rival} spent its coin first` };
  });
}
