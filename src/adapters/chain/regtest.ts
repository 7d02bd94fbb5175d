/** A regtest chain inside the process: mempool, blocks on demand, reorganisations; every script is executed. Implements the Chain port. */
import { FEERATE_FLOOR } from '../../bolt/03-transactions/fees.ts';
import { weightOf } from '../../bolt/03-transactions/tx.ts';
import { NETWORKS } from '../../bolt/networks.ts';
import { type BlockHeight, type Hex, type Hex32, sat, type Sat } from '../../bolt/primitives.ts';
import type { BroadcastResult, Chain, ChainTip, ConfirmedTransaction } from '../../domain/ports.ts';
import { type MadeBlock, makeBlock } from './blocks.ts';
import { type Coin, coinsOf, outPointKey, type OutPointKey } from './coins.ts';
import { type BlockTransaction, ConfirmedChain } from './confirmed-chain.ts';
import { FAUCET_SCRIPT, type FaucetPayment, payFromFaucet } from './faucet.ts';
import { deliverQueue, followBlocks, type Listener, type OnListenerError } from './follow.ts';
import { type Admission, Mempool, type MempoolEntry } from './mempool.ts';
import { COINBASE_MATURITY } from './policy.ts';
import { createScriptVerifier } from './script-verifier.ts';

export interface RegtestOptions {
  /** Blocks mined at the start, so that the faucet has a coin: 101 unless told. */
  readonly initial_blocks?: number;
  /** Hears of a listener that threw; a process warning unless told. */
  readonly onListenerError?: OnListenerError;
}

export interface MineOptions {
  /** Who earns the blocks; the faucet unless told. */
  readonly coinbase_script?: Hex;
  /** Raw transactions the miner takes whatever the relay policy says; what conflicts with them is dropped. Throws on an invalid one. */
  readonly transactions?: readonly Hex[];
  /** Leaves transactions of the mempool out, and all that spend from them. */
  readonly include?: (entry: MempoolEntry) => boolean;
  /** Seconds since 1970 of the first block; ten minutes after the last unless told. */
  readonly time?: number;
}

/** The tests' and the playground's view of the chain: what a node sees, and what the world does. */
export interface RegtestChain extends Chain {
  /** Mines now and answers the blocks; listeners hear of them afterwards. */
  mineBlocks(count: number, options?: MineOptions): readonly MadeBlock[];
  /** Pays from the faucet, into the mempool. */
  fund(script_pubkey: Hex, value: Sat): FaucetPayment;
  /** Takes blocks off; their transactions wait again where they are still valid, but those in `drop` (and what spends from them) are gone. */
  reorg(depth: number, options?: { readonly drop?: readonly Hex32[] }): ChainTip;
  /** Takes off the block that holds a transaction, and all above, and drops the transaction. Throws if no block holds it. */
  invalidate(txid: Hex32): ChainTip;
  /** What waits for a block, parents first. */
  mempool(): readonly MempoolEntry[];
  blockAt(height: BlockHeight): MadeBlock | undefined;
  /** What estimateFeerate answers from now on, in sat per 1000 weight units. */
  setFeerate(feerate_per_kw: number): void;
  /** Resolves when every listener has worked off what happened so far. */
  settled(): Promise<void>;
}

/** A test asked for what the chain cannot do. */
export class RegtestError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'RegtestError';
    this.code = code;
  }
}

/**
 * A new chain at regtest's genesis. Deterministic: the same calls make the same blocks. One value is shared by all nodes
 * of a process. It keeps every block in memory, about 1 kB each and the transactions in it: for tests and the playground.
 */
export function createRegtestChain({ initial_blocks = 101, onListenerError = warn }: RegtestOptions = {}): RegtestChain {
  const chain = new Regtest(onListenerError);
  if (initial_blocks > 0) chain.mineBlocks(initial_blocks);
  return chain;
}

const warn: OnListenerError = (error) => process.emitWarning(`a chain listener failed: ${error instanceof Error ? error.message : String(error)}`);

const BLOCK_SECONDS = 600;
const MAX_TEMPLATE_WEIGHT = 3_996_000;
const DEFAULT_FEERATE_PER_KW = 1000;

class Regtest implements RegtestChain {
  readonly network = NETWORKS['bitcoin-regtest'].name;
  readonly chain_hash = NETWORKS['bitcoin-regtest'].chain_hash;
  readonly #blocks = new ConfirmedChain();
  readonly #mempool = new Mempool(this.#blocks, createScriptVerifier());
  readonly #followers = new Set<Listener>();
  readonly #watchers = new Set<ReturnType<typeof deliverQueue<MempoolEntry>>>();
  readonly #onListenerError: OnListenerError;
  #feerate_per_kw = DEFAULT_FEERATE_PER_KW;
  #blocksMade = 0;

  constructor(onListenerError: OnListenerError) {
    this.#onListenerError = onListenerError;
  }

  // The Chain port.

  async tip(): Promise<ChainTip> {
    return this.#blocks.tip();
  }

  follow(fromHeight: BlockHeight, onEvent: Parameters<Chain['follow']>[1]): () => void {
    const follower = followBlocks(this.#blocks, fromHeight, onEvent, this.#onListenerError);
    return start(this.#followers, follower);
  }

  onMempoolTransaction(listener: Parameters<Chain['onMempoolTransaction']>[0]): () => void {
    return start(this.#watchers, deliverQueue<MempoolEntry>(({ txid, transaction }) => listener({ txid, transaction }), this.#onListenerError));
  }

  async confirmedTransaction(txid: Hex32): Promise<ConfirmedTransaction | undefined> {
    return this.#blocks.transaction(txid);
  }

  async unspentOutput({ txid, index }: Parameters<Chain['unspentOutput']>[0]): ReturnType<Chain['unspentOutput']> {
    const key = outPointKey(txid, index);
    const coin = this.#mempool.isSpent(key) ? undefined : this.#mempool.coin(key);
    return coin && { value: coin.value, script_pubkey: coin.script_pubkey, block_height: coin.block_height };
  }

  async broadcast(transaction: Hex): Promise<BroadcastResult> {
    const admission = this.#mempool.admit(transaction);
    if ('rejected' in admission) return { ok: false, ...admission.rejected };
    this.#announce(admission);
    return { ok: true };
  }

  async estimateFeerate(): Promise<number> {
    return this.#feerate_per_kw;
  }

  async close(): Promise<void> {
    for (const listener of [...this.#followers, ...this.#watchers]) listener.stop();
    this.#followers.clear();
    this.#watchers.clear();
  }

  // What the world does.

  mineBlocks(count: number, { coinbase_script = FAUCET_SCRIPT, transactions = [], include = () => true, time }: MineOptions = {}): readonly MadeBlock[] {
    for (const transaction of transactions) this.#force(transaction);
    const blocks = Array.from({ length: count }, (_, i) => this.#mineBlock(coinbase_script, include, i === 0 ? time : undefined));
    for (const follower of this.#followers) follower.wake();
    return blocks;
  }

  fund(script_pubkey: Hex, value: Sat): FaucetPayment {
    const paid = payFromFaucet(this.#faucetCoins(), script_pubkey, value);
    if (paid === undefined) throw new RegtestError('faucet_empty', `the faucet has too few coins to pay ${value} sat: mine more blocks`);
    const admission = this.#mempool.admit(paid.transaction);
    if ('rejected' in admission) throw new RegtestError('faucet_refused', `the faucet cannot pay ${value} sat: ${admission.rejected.reason}`);
    this.#announce(admission);
    return paid;
  }

  reorg(depth: number, { drop = [] }: { readonly drop?: readonly Hex32[] } = {}): ChainTip {
    if (depth < 1 || depth > this.#blocks.height) throw new RegtestError('reorg_too_deep', `depth ${depth}, the chain has ${this.#blocks.height} blocks`);
    // Judged again from the start: a parent that came off a block stands before its children then.
    const again: BlockTransaction[] = [...this.#mempool.entries()];
    for (let i = 0; i < depth; i++) again.unshift(...this.#blocks.disconnect());
    this.#mempool.clear();
    for (const { txid, transaction } of again) if (!drop.includes(txid)) this.#mempool.admit(transaction, 'reorg');
    for (const follower of this.#followers) follower.wake();
    return this.#blocks.tip();
  }

  invalidate(txid: Hex32): ChainTip {
    const place = this.#blocks.transaction(txid);
    if (place === undefined) throw new RegtestError('not_confirmed', `no block holds ${txid}`);
    return this.reorg(this.#blocks.height - place.block_height + 1, { drop: [txid] });
  }

  mempool(): readonly MempoolEntry[] {
    return this.#mempool.entries();
  }

  blockAt(height: BlockHeight): MadeBlock | undefined {
    return this.#blocks.blockAt(height);
  }

  setFeerate(feerate_per_kw: number): void {
    this.#feerate_per_kw = Math.max(FEERATE_FLOOR, Math.ceil(feerate_per_kw));
  }

  async settled(): Promise<void> {
    for (let previous = ''; previous !== this.#state();) {
      previous = this.#state();
      await Promise.all([...this.#followers, ...this.#watchers].map((listener) => listener.idle()));
    }
  }

  /** Changes whenever a listener made something new happen. */
  #state(): string {
    return `${this.#blocks.tip().block_hash} ${this.#mempool.entries().map(({ txid }) => txid).join()}`;
  }

  #announce(admission: Admission): void {
    if ('added' in admission) for (const watcher of this.#watchers) watcher.push(admission.added);
  }

  #force(transaction: Hex): void {
    const admission = this.#mempool.admit(transaction, 'miner');
    if ('rejected' in admission) throw new RegtestError(admission.rejected.code, `no block can hold it: ${admission.rejected.reason}`);
  }

  #mineBlock(coinbase_script: Hex, include: (entry: MempoolEntry) => boolean, time?: number): MadeBlock {
    const previous = this.#blocks.newest();
    const entries = template(this.#mempool.entries(), include);
    const block = makeBlock({
      previous, coinbase_script,
      time: Math.max(time ?? previous.time + BLOCK_SECONDS, this.#blocks.medianTimeAt(previous.height) + 1),
      fees: sat(entries.reduce((sum, { fee }) => sum + fee, 0n)),
      transactions: entries.map(({ txid, transaction }) => ({ txid, transaction })),
      extra_nonce: this.#blocksMade++,
    });
    this.#mempool.confirmed(this.#blocks.connect(block));
    return block;
  }

  /** Mature coins of the chain first, then the change of payments that wait. */
  *#faucetCoins(): Iterable<readonly [OutPointKey, Coin]> {
    const spendable = ([key, { script_pubkey, coinbase, block_height }]: readonly [OutPointKey, Coin]) =>
      script_pubkey === FAUCET_SCRIPT && !this.#mempool.isSpent(key) && (!coinbase || this.#blocks.height + 1 - block_height! >= COINBASE_MATURITY);
    for (const coin of this.#blocks.coins()) if (spendable(coin)) yield coin;
    for (const { tx } of this.#mempool.entries()) yield* coinsOf(tx, undefined).filter(spendable);
  }
}

function start<T extends Listener>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener);
  listener.wake();
  return () => {
    listener.stop();
    listeners.delete(listener);
  };
}

/** What the next block takes: what the miner wants, parents before children, up to a block's weight. */
function template(entries: readonly MempoolEntry[], include: (entry: MempoolEntry) => boolean): readonly MempoolEntry[] {
  const left = new Set<Hex32>();
  let weight = 0;
  return entries.filter((entry) => {
    const entryWeight = weightOf(entry.tx, entry.tx.witnesses);
    const taken = include(entry) && weight + entryWeight <= MAX_TEMPLATE_WEIGHT && !entry.tx.inputs.some(({ txid }) => left.has(txid));
    if (taken) weight += entryWeight;
    else left.add(entry.txid);
    return taken;
  });
}
