/** The wallet's write side: addresses, payments on chain, and what blocks say of our coins. One stream, one turn at a time. */
import { dustLimitOf } from '../bolt/03-transactions/shutdown-script.ts';
import { parseTx } from '../bolt/03-transactions/tx-parse.ts';
import { serialize, type UnsignedTx, txidOf, type Witness } from '../bolt/03-transactions/tx.ts';
import { type BlockHeight, type Hex, type Hex32, type Point, sat, type Sat, type Signature, toHex32 } from '../bolt/primitives.ts';
import { describeRefusal, type Refusal } from '../domain/decider.ts';
import type { Block, Chain, ChainEvent } from '../domain/ports.ts';
import { chooseContribution, type Contribution, contributionOf, type ContributionRequest, isTo } from '../domain/wallet/contribution.ts';
import { type NewAddress, type WalletCommand, walletDecider } from '../domain/wallet/decide.ts';
import { buildPayment, buildSplit, COIN_WEIGHT, expectedWeight, type Payment, type PaymentRequest } from '../domain/wallet/payment.ts';
import { type PathOf, scanBlock } from '../domain/wallet/scan.ts';
import {
  balanceOf, type Branch, type Coin, contributionsTo, isConfirmed, outPointKey, type OwnTransaction, spendableCoins, type WalletBalance, type WalletState,
} from '../domain/wallet/state.ts';
import type { EventStore } from '../events/store.ts';
import type { WalletEvent } from '../events/wallet.ts';
import { createExecutor, type StreamFamily } from './execute.ts';

interface KeyPath {
  readonly branch: Branch;
  readonly index: number;
}

export interface WalletOptions {
  readonly store: EventStore;
  readonly chain: Pick<Chain, 'tip'>;
  readonly keys: {
    script(path: KeyPath): Hex;
    address(path: KeyPath): string;
    sign(tx: UnsignedTx, coins: readonly (KeyPath & { readonly value: Sat })[]): readonly Witness[];
    signDigest(path: KeyPath, sighash: Uint8Array): { readonly signature: Signature; readonly pubkey: Point };
  };
  readonly selectCoins: <C extends { readonly value: bigint }>(request: {
    coins: readonly C[]; amount_sat: bigint; feerate_per_kw: number; base_weight: number; coin_weight: number;
  }) => readonly C[] | undefined;
  readonly entropy: (length: number) => Uint8Array;
  /** The first block that can hold a coin of ours; 0 for a seed that may be old. */
  readonly birthday?: BlockHeight;
  /** What payments leave in the wallet, for the fees of claims, in sat; 0 unless told. */
  readonly reserve?: () => Sat;
}

export interface FundRequest extends PaymentRequest {
  /** Said in the log. */
  readonly purpose: string;
  /** Answers the live transaction of the same purpose, script and amount, if there is one: for a caller that may ask twice. */
  readonly reuse?: boolean;
  /** The same one again is the same payment, however long ago. */
  readonly command_id?: Hex32;
}

export interface CoinsRequest {
  readonly count: number;
  readonly each_sat: Sat;
  readonly feerate_per_kw: number;
}

export interface FundedTransaction {
  readonly txid: Hex32;
  readonly output_index: number;
  /** Raw and signed. Its coins are spoken for from now on; broadcasting it is for the caller. */
  readonly transaction: Hex;
  readonly fee_satoshis: Sat;
}

/** The wallet's rules say no; `refusal` has the values. */
export class WalletRefusal extends Error {
  readonly code: string;
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(describeRefusal(refusal));
    this.name = 'WalletRefusal';
    this.code = refusal.code;
    this.refusal = refusal;
  }
}

export interface Wallet {
  /** A new address to show to a payer. */
  address(purpose: string): Promise<{ readonly address: string; readonly script_pubkey: Hex }>;
  /** A new script of ours for a channel's end or a sweep. */
  destinationScript(purpose: string): Promise<Hex>;
  /** The script of ours for this purpose: the same one whenever it is asked for again. */
  scriptFor(purpose: string): Promise<Hex>;
  balance(): Promise<WalletBalance>;
  /** Coins that no block has spent; those spoken for too. */
  coins(): Promise<readonly Coin[]>;
  /** Pays a script: chooses coins, signs, keeps them back. Throws WalletRefusal `insufficient_funds` or `amount_below_dust`. */
  fund(request: FundRequest): Promise<FundedTransaction>;
  /**
   * Adds coins (and change) to a transaction that is not ours alone until it pays a feerate, and keeps them back. Asked again
   * for the same purpose and transaction at no higher feerate it answers the same; at a higher one a dearer one that spends the same
   * coins first (BIP 125). The reserve may be spent for this. Throws WalletRefusal `insufficient_funds` or `not_worth_its_fee`.
   */
  contribute(request: ContributionRequest): Promise<Contribution>;
  /**
   * So many free coins of at least `each_sat`, by splitting a larger one where there are too few. Answers the raw transaction
   * that is to be broadcast before they are spent, if there is one.
   */
  provideCoins(request: CoinsRequest): Promise<Hex | undefined>;
  /** Signs an input that spends a coin of ours, SIGHASH_ALL. Throws on a script that is not ours. */
  signCoin(script_pubkey: Hex, sighash: Uint8Array): { readonly signature: Signature; readonly pubkey: Point };
  /** Coins that a first contribution may spend. */
  freeCoins(): Promise<number>;
  /** Purposes with contributions that no block holds. */
  contributions(): Promise<readonly { readonly purpose: string; readonly txid: Hex32; readonly fee_satoshis: Sat }[]>;
  /** Gives all coins of a purpose back that no block has spent: its claim is lost, or given up. */
  release(purpose: string, reason: string): Promise<void>;
  /** Gives a transaction's coins back. It must never have been broadcast. Throws WalletRefusal. */
  abandon(txid: Hex32, reason: string): Promise<void>;
  /** Transactions of ours that no block holds yet. */
  unconfirmed(): Promise<readonly OwnTransaction[]>;
  /** For Chain.follow, from resumeHeight on. */
  onChainEvent(event: ChainEvent): Promise<void>;
  /** Where to follow the chain from after a restart: deep enough to see a reorganisation that we slept through. */
  resumeHeight(): Promise<BlockHeight>;
}

const STREAM = 'wallet';
/** Said in the log of a transaction that makes several coins of one. */
export const SPLIT_PURPOSE = 'coins for claims';
/** A mempool takes 25 transactions that descend from each other. */
const MAX_PIECES = 20;
/** BIP 44's gap: payments to so many scripts beyond the last issued one are still found. */
const GAP = 20;
/** Deeper reorganisations than this are not looked for at a start. */
const RESUME_DEPTH = 144;

type Intent =
  | { readonly type: 'IssueAddress'; readonly branch: Branch; readonly purpose: string }
  | { readonly type: 'ScanBlock'; readonly block: Block }
  | { readonly type: 'Pay'; readonly request: FundRequest; readonly height: BlockHeight }
  | { readonly type: 'Split'; readonly request: CoinsRequest; readonly height: BlockHeight }
  | { readonly type: 'Contribute'; readonly request: ContributionRequest; readonly height: BlockHeight }
  | Extract<WalletCommand, { type: 'AbandonTransaction' | 'RollBack' }>;

export function createWallet(options: WalletOptions): Wallet {
  const { store, chain, keys, entropy, birthday = 0, reserve = () => sat(0) } = options;
  const watch = createWatch(keys.script);
  const pathOf = watch.pathOf;
  const family: StreamFamily<WalletState, WalletCommand, WalletEvent, Intent> = {
    decider: walletDecider,
    gather: (intent, state) => ({ command: commandFor(intent, state) }),
  };
  const executor = createExecutor(family, { store });
  const state = () => executor.state(STREAM);

  function commandFor(intent: Intent, current: WalletState): WalletCommand {
    switch (intent.type) {
      case 'IssueAddress': return { type: 'IssueAddress', ...nextAddress(current, intent.branch, intent.purpose) };
      case 'ScanBlock': return scanBlock(intent.block, current, pathOf(current));
      case 'Pay': return createTransaction(intent.request, intent.height, current);
      case 'Split': return splitCoin(intent.request, intent.height, current);
      case 'Contribute': return contribution(intent.request, intent.height, current);
      default: return intent;
    }
  }

  function nextAddress(current: WalletState, branch: Branch, purpose: string): NewAddress {
    const index = current.next[branch];
    return { branch, index, purpose, script_pubkey: keys.script({ branch, index }) };
  }

  function createTransaction(request: FundRequest, height: BlockHeight, current: WalletState): WalletCommand {
    const dust = dustLimitOf(request.script_pubkey) ?? sat(1);
    if (request.amount_sat < dust) return { type: 'RefuseTransaction', code: 'amount_below_dust', detail: { amount_sat: request.amount_sat, dust_limit_sat: dust } };
    const change = nextAddress(current, 'change', `change of ${request.purpose}`);
    const payment = choosePayment(request, spendableCoins(current, height), change.script_pubkey, options);
    if (payment === undefined) {
      const { confirmed_sat, pending_sat } = balanceOf(current, height);
      return { type: 'RefuseTransaction', code: 'insufficient_funds', detail: { amount_sat: request.amount_sat, confirmed_sat, pending_sat, feerate_per_kw: request.feerate_per_kw } };
    }
    const { tx, coins, fee_satoshis, has_change } = payment;
    const { confirmed_sat, pending_sat } = balanceOf(current, height);
    const left_sat = confirmed_sat + pending_sat - request.amount_sat - fee_satoshis;
    if (left_sat < reserve()) return { type: 'RefuseTransaction', code: 'anchor_reserve', detail: { amount_sat: request.amount_sat, fee_satoshis, left_sat, reserve_sat: reserve() } };
    return {
      type: 'CreateTransaction', txid: txidOf(tx), purpose: request.purpose, transaction: serialize(tx, keys.sign(tx, coins)),
      fee_satoshis, inputs: coins, change: has_change ? change : undefined, height,
    };
  }

  /** The coins of the contribution that it replaces first; what it adds then has to be in a block (BIP 125, rule 2). */
  function contribution(request: ContributionRequest, height: BlockHeight, current: WalletState): WalletCommand {
    const { purpose, feerate_per_kw } = request;
    const newest = contributionsTo(current, purpose).at(-1);
    const before = newest && contributionOf(current, newest);
    const kept = before === undefined ? [] : before.inputs.map((coin) => current.coins.get(outPointKey(coin))!);
    const change = before?.change === undefined ? nextAddress(current, 'change', `change of ${purpose}`) : undefined;
    const change_script = before?.change?.script_pubkey ?? change!.script_pubkey;
    const { confirmed, pending } = spendableCoins(current, height);
    const choose = (candidates: readonly Coin[]) => chooseContribution(kept, candidates, request, change_script, newest);
    const built = choose(confirmed) ?? (newest === undefined ? choose([...confirmed, ...pending]) : undefined);
    if (built === undefined) {
      const { confirmed_sat, pending_sat } = balanceOf(current, height);
      return { type: 'RefuseTransaction', code: 'insufficient_funds', detail: { purpose, confirmed_sat, pending_sat, feerate_per_kw } };
    }
    const { tx, coins, fee_satoshis, has_change } = built;
    const { max_fee_satoshis } = request;
    if (max_fee_satoshis !== undefined && fee_satoshis > max_fee_satoshis) return { type: 'RefuseTransaction', code: 'not_worth_its_fee', detail: { purpose, fee_satoshis, max_fee_satoshis } };
    return {
      type: 'ContributeCoins', txid: txidOf(tx), purpose, transaction: serialize(tx), fee_satoshis, feerate_per_kw,
      inputs: coins, change: has_change ? change : undefined, replaces: newest?.txid, height,
    };
  }

  /** The largest coin in a block, into as many as are missing. */
  function splitCoin({ count, each_sat, feerate_per_kw }: CoinsRequest, height: BlockHeight, current: WalletState): WalletCommand {
    const { confirmed } = spendableCoins(current, height);
    const largest = confirmed.toSorted((a, b) => Number(b.value - a.value))[0];
    const script = nextAddress(current, 'change', SPLIT_PURPOSE);
    const pieces = Math.min(count - freeCoins(current, height, each_sat), MAX_PIECES);
    const split = largest && buildSplit(largest, { pieces, each_sat, feerate_per_kw }, script.script_pubkey);
    if (split === undefined) return { type: 'RefuseTransaction', code: 'insufficient_funds', detail: { count, each_sat, largest_sat: largest?.value ?? 0n } };
    const { tx, coins, fee_satoshis } = split;
    return { type: 'CreateTransaction', txid: txidOf(tx), purpose: SPLIT_PURPOSE, transaction: serialize(tx, keys.sign(tx, coins)), fee_satoshis, inputs: coins, change: script, height };
  }

  async function run(intent: Intent, command_id = toHex32(entropy(32))): Promise<WalletState> {
    const outcome = await executor.execute(STREAM, intent, { command_id, correlation_id: command_id });
    if ('refused' in outcome) throw new WalletRefusal(outcome.refused);
    return state();
  }

  /** Addresses are issued one after the other, so that each caller knows its own. */
  const oneByOne = createQueue();
  const issue = (purpose: string) => oneByOne(async (): Promise<KeyPath> => {
    const { scripts } = await run({ type: 'IssueAddress', branch: 'receive', purpose });
    return [...scripts.values()].findLast((script) => script.branch === 'receive' && script.purpose === purpose)!;
  });

  const scriptFor = (purpose: string) => oneByOne(async (): Promise<Hex> => {
    const ofPurpose = ({ scripts }: WalletState) => [...scripts].findLast(([, script]) => script.branch === 'receive' && script.purpose === purpose)?.[0];
    const current = await state();
    return ofPurpose(current) ?? ofPurpose(await run({ type: 'IssueAddress', ...nextAddress(current, 'receive', purpose) }))!;
  });

  const fund = (request: FundRequest) => oneByOne(async (): Promise<FundedTransaction> => {
    const before = request.reuse ? findPaid(await state(), request) : undefined;
    if (before !== undefined) return before;
    const { height } = await chain.tip();
    const paid = findPaid(await run({ type: 'Pay', request, height }, request.command_id), request);
    if (paid !== undefined) return paid;
    throw new WalletRefusal({ code: 'paid_long_ago', answer: 'to_caller', detail: { purpose: request.purpose } });
  });

  const contribute = (request: ContributionRequest) => oneByOne(async (): Promise<Contribution> => {
    const before = newestContribution(await state(), request);
    if (before !== undefined && before.feerate_per_kw >= request.feerate_per_kw) return before;
    const { height } = await chain.tip();
    return newestContribution(await run({ type: 'Contribute', request, height }), request)!;
  });

  const provideCoins = (request: CoinsRequest) => oneByOne(async (): Promise<Hex | undefined> => {
    const { height } = await chain.tip();
    if (freeCoins(await state(), height, request.each_sat) >= request.count) return undefined;
    const after = await run({ type: 'Split', request, height });
    return [...after.transactions.values()].findLast(({ purpose }) => purpose === SPLIT_PURPOSE)!.transaction;
  });

  const release = (purpose: string, reason: string) => oneByOne(async (): Promise<void> => {
    for (const { txid } of contributionsTo(await state(), purpose)) await run({ type: 'AbandonTransaction', txid, reason });
  });

  return {
    async address(purpose) {
      const path = await issue(purpose);
      return { address: keys.address(path), script_pubkey: keys.script(path) };
    },
    destinationScript: async (purpose) => keys.script(await issue(purpose)),
    scriptFor,
    balance: async () => balanceOf(await state(), (await chain.tip()).height),
    coins: async () => [...(await state()).coins.values()].filter(({ spent }) => spent === undefined),
    fund,
    contribute,
    release,
    provideCoins,
    signCoin(script_pubkey, sighash) {
      const path = watch.find(script_pubkey);
      if (path === undefined) throw new Error(`no key of the wallet is behind the script ${script_pubkey}`);
      return keys.signDigest(path, sighash);
    },
    freeCoins: async () => freeCoins(await state(), (await chain.tip()).height),
    contributions: async () => contributionsTo(await state()).map(({ purpose, txid, fee_satoshis }) => ({ purpose, txid, fee_satoshis })),
    async abandon(txid, reason) {
      await run({ type: 'AbandonTransaction', txid, reason });
    },
    async unconfirmed() {
      const current = await state();
      return [...current.transactions.values()].filter((tx) => tx.contributed === undefined && !isConfirmed(current, tx));
    },
    async onChainEvent(event) {
      await run(event.type === 'block_connected' ? { type: 'ScanBlock', block: event.block } : { type: 'RollBack', to_height: event.tip.height });
    },
    async resumeHeight() {
      const { height } = await chain.tip();
      const current = await run({ type: 'RollBack', to_height: height });
      pathOf(current);
      const { scanned } = current;
      const newest = scanned.at(-1);
      if (newest === undefined) return birthday;
      return (scanned.findLast(({ block_height }) => block_height <= newest.block_height - RESUME_DEPTH) ?? scanned[0]!).block_height;
    },
  };
}

/** Coins of blocks first; our own change that still waits only where they do not suffice. */
function choosePayment(
  request: FundRequest, { confirmed, pending }: ReturnType<typeof spendableCoins>, change_script: Hex, { selectCoins }: Pick<WalletOptions, 'selectCoins'>,
): Payment | undefined {
  const { amount_sat, feerate_per_kw } = request;
  const base_weight = expectedWeight({ version: 2, locktime: 0, inputs: [], outputs: [{ value: sat(0), script_pubkey: request.script_pubkey }] });
  for (const coins of [confirmed, [...confirmed, ...pending]]) {
    if (coins.reduce((sum, { value }) => sum + value, 0n) < amount_sat) continue;
    const chosen = selectCoins({ coins, amount_sat, feerate_per_kw, base_weight, coin_weight: COIN_WEIGHT });
    const payment = chosen && buildPayment(chosen, request, change_script);
    if (payment !== undefined) return payment;
  }
  return undefined;
}

/** The newest live transaction of a purpose that pays what is asked. */
function findPaid({ transactions }: WalletState, { purpose, script_pubkey, amount_sat }: FundRequest): FundedTransaction | undefined {
  for (const { txid, transaction, fee_satoshis } of [...transactions.values()].filter((tx) => tx.purpose === purpose).toReversed()) {
    const output_index = parseTx(transaction).outputs.findIndex((output) => output.script_pubkey === script_pubkey && output.value === amount_sat);
    if (output_index >= 0) return { txid, output_index, transaction, fee_satoshis };
  }
  return undefined;
}

/** Coins that a first contribution may spend, of at least so much: in blocks, or of a payment of ours on its way. */
function freeCoins(state: WalletState, height: BlockHeight, least = sat(1)): number {
  const { confirmed, pending } = spendableCoins(state, height);
  return [...confirmed, ...pending].filter(({ value }) => value >= least).length;
}

/** The newest live contribution of a purpose, if it is to the transaction asked about. */
function newestContribution(state: WalletState, { purpose, tx }: ContributionRequest): Contribution | undefined {
  const newest = contributionsTo(state, purpose).at(-1);
  return newest !== undefined && isTo(newest, tx) ? contributionOf(state, newest) : undefined;
}

/** Knows the scripts of all issued addresses and of the next ones, and where their keys are. */
function createWatch(script: (path: KeyPath) => Hex): { readonly pathOf: (state: WalletState) => PathOf; readonly find: PathOf } {
  const paths = new Map<Hex, KeyPath>();
  const watched: Record<Branch, number> = { receive: 0, change: 0 };
  const find: PathOf = (script_pubkey) => paths.get(script_pubkey);
  const pathOf = ({ next }: WalletState): PathOf => {
    for (const branch of ['receive', 'change'] as const) {
      for (; watched[branch] < next[branch] + GAP; watched[branch]++) {
        const path = { branch, index: watched[branch] };
        paths.set(script(path), path);
      }
    }
    return find;
  };
  return { pathOf, find };
}

/** Runs jobs one after the other, in the order of the calls. */
function createQueue(): <T>(job: () => Promise<T>) => Promise<T> {
  let tail: Promise<unknown> = Promise.resolve();
  return (job) => {
    const result = tail.then(job, job);
    tail = result.catch(() => undefined);
    return result;
  };
}
