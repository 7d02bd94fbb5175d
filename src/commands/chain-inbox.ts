/** What the chain says finds the channels it concerns: confirmations, spends, heights, reorganisations. */
import type { CommitmentSpec } from '../bolt/03-transactions/commitment-tx.ts';
import type { BlockHeight } from '../bolt/primitives.ts';
import { revokedNumber } from '../domain/channel/spending.ts';
import { mayBeForgotten } from '../domain/channel/funding.ts';
import { awaitsFunding } from '../domain/channel/opening-facts.ts';
import { isEstablished, type ChannelState, type EstablishedState } from '../domain/channel/state.ts';
import { rollBackFacts, watchedOutputs } from '../domain/onchain/decide.ts';
import { outPointKey, type OutPoint } from '../domain/outpoint.ts';
import type { Block, Chain, ChainEvent, Signer } from '../domain/ports.ts';
import type { ChannelLoop } from './channel-loop.ts';
import type { Channels } from './channels.ts';
import { readyFacts } from './gather.ts';
import type { StreamId } from '../events/store.ts';
import type { FeerateSource } from './feerates.ts';
import { keptUpTo, spendsIn, type BlockSpends } from './onchain/block-spends.ts';
import type { ClaimDesk } from './onchain/claim-desk.ts';

export interface ChainInboxOptions {
  readonly chain: Chain;
  readonly channels: Channels;
  readonly signer: Pick<Signer, 'perCommitmentPoint'>;
  /** Called before the channels hear of a block: the wallet's coins come first. */
  readonly onEvent: (event: ChainEvent) => Promise<void>;
  /** What a commitment held that the peer has revoked. */
  readonly revokedSpec: (stream: StreamId, commitment_number: bigint) => Promise<CommitmentSpec | undefined>;
  readonly claims: ClaimDesk;
  readonly feerates: FeerateSource;
  /** Called when every channel has heard of a block, from the tip of the start on. */
  readonly afterBlock?: (height: BlockHeight) => void;
  readonly log: (line: string) => void;
}

/** Pauses before an event of the chain is taken again; the last one repeats. In milliseconds. */
const PAUSES_MS = [50, 200, 1_000, 5_000, 30_000];
/** Tries of one channel before the others go on without it: a channel that stopped must not stop the node. */
const CHANNEL_TRIES = 3;
/** Transactions that spend each other in one block, as far as a channel goes: funding, commitment, second stage, its sweep. */
const MAX_GENERATIONS = 8;

export class ChainInbox {
  readonly #options: ChainInboxOptions;
  #height: BlockHeight;
  #newest: BlockHeight = 0;
  #unfollow: (() => void) | undefined;
  #stopped = false;
  #tipAtStart: BlockHeight = 0;
  readonly #heightWaiters = new Set<() => void>();
  /** The chain has no block that we have not heard of, as far as we know. */
  #atTip = false;
  readonly #considered = new Set<ChannelLoop>();
  /** Channels whose funding has to be found on the chain again: after a reorganisation, or a start. */
  readonly #unfound = new Set<ChannelLoop>();

  constructor(options: ChainInboxOptions) {
    this.#options = options;
    this.#height = 0;
  }

  /** Of the last block that every channel has heard of. */
  get height(): BlockHeight {
    return this.#height;
  }

  /** Of the last block that any channel may have heard of. */
  get newest(): BlockHeight {
    return this.#newest;
  }

  /** Follows the chain from a height on. Resolves when its tip of now is reached. */
  async start(fromHeight: BlockHeight): Promise<void> {
    const { chain, channels, feerates } = this.#options;
    const tip = await chain.tip();
    await feerates.start();
    this.#tipAtStart = tip.height;
    for (const loop of channels.all()) if (isConfirmed(loop.state)) this.#unfound.add(loop);
    // Blocks may have gone while we were down, and none has come in their place yet.
    await Promise.all(channels.all().filter(({ state }) => rollBackFacts(state, tip.height).length > 0).map((loop) => this.#send(loop, { type: 'RollBack', to_height: tip.height })));
    this.#unfollow = chain.follow(Math.min(fromHeight, ...channels.all().map(({ state }) => endOf(state))), (event) => this.#takeSurely(event));
    if (fromHeight > tip.height) this.#height = this.#newest = tip.height;
    await this.reached(tip.height);
  }

  stop(): void {
    this.#stopped = true;
    this.#unfollow?.();
  }

  /** A channel on its way to the chain has news: a failure, a preimage. What it may claim now does not wait for the next block. */
  consider(stream: StreamId): void {
    const loop = this.#options.channels.get(stream);
    if (loop === undefined || loop.state.phase !== 'resolving' || !this.#atTip || this.#considered.has(loop)) return;
    this.#considered.add(loop);
    setImmediate(() => {
      this.#considered.delete(loop);
      if (!this.#stopped) void this.#surely(loop, 'planning claims', () => this.#options.claims.plan(loop, this.#newest)).catch(() => undefined);
    });
  }

  /** Resolves once blocks up to `height` have been handed to every channel. */
  async reached(height: BlockHeight): Promise<void> {
    while (this.#height < height) await new Promise<void>((resolve) => this.#heightWaiters.add(resolve));
  }

  /** No event is passed over: while the store or the chain fails, the chain waits. What was taken already is taken again. */
  async #takeSurely(event: ChainEvent): Promise<void> {
    for (let tries = 0; !this.#stopped; tries++) {
      try {
        return await this.#take(event);
      } catch (error) {
        const pause = PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)]!;
        this.#options.log(`${describe(event)} could not be taken: ${(error as Error).message}; again in ${pause} ms`);
        await sleep(pause);
      }
    }
  }

  async #take(event: ChainEvent): Promise<void> {
    await this.#options.onEvent(event);
    if (event.type === 'rolled_back') return this.#rollBack(event.tip.height);
    this.#newest = event.block.height;
    await this.#block(event.block);
    this.#height = event.block.height;
    if (this.#height >= this.#tipAtStart) this.#options.afterBlock?.(this.#height);
    for (const resolve of this.#heightWaiters) resolve();
    this.#heightWaiters.clear();
  }

  async #rollBack(to_height: BlockHeight): Promise<void> {
    this.#height = to_height;
    this.#newest = to_height;
    const loops = this.#options.channels.all();
    for (const loop of loops) if (isConfirmed(loop.state, to_height)) this.#unfound.add(loop);
    await Promise.all(loops.map((loop) => this.#send(loop, { type: 'RollBack', to_height })));
  }

  async #block(block: Block): Promise<void> {
    // Blocks of the past ask for nothing that today's feerates would answer.
    if (block.height >= this.#tipAtStart) await this.#options.feerates.refresh();
    const spends = spendsIn(block);
    const atTip = await this.#isAtTip(block.height);
    this.#atTip = atTip;
    const { channels, claims } = this.#options;
    await Promise.all(channels.all().map((loop) => this.#tell(loop, spends, atTip)));
    if (atTip) await claims.giveBack(block.height);
  }

  /** Claims are planned on the newest block alone: what a node that was down did not do in time, it does not do for each block that it missed. */
  async #isAtTip(height: BlockHeight): Promise<boolean> {
    if (height < this.#tipAtStart) return false;
    // A chain that cannot say how far it is stops no claim.
    const tip = await this.#options.chain.tip().catch(() => undefined);
    return tip === undefined || tip.height <= height;
  }

  async #tell(loop: ChannelLoop, spends: BlockSpends, atTip: boolean): Promise<void> {
    const { state } = loop;
    const to_height = keptUpTo(state, spends);
    if (to_height !== undefined) {
      await this.#send(loop, { type: 'RollBack', to_height });
      // A channel that has stopped stays as it is, and holds up nobody.
      if (loop.state !== state) return this.#tell(loop, spends, atTip);
    }
    if (!isEstablished(state) || state.phase === 'closed') return;
    if (awaitsFunding(state) || mayBeForgotten(state)) await this.#confirm(loop, state, spends.height);
    const funding_spend = await this.#fundingSpend(loop, state, spends);
    if (funding_spend === undefined && spends.height >= this.#tipAtStart && this.#unfound.has(loop)) await this.#findFunding(loop, state, spends.height);
    await this.#tellSpends(loop, spends, funding_spend);
    if (atTip) await this.#surely(loop, 'planning claims', () => this.#options.claims.plan(loop, spends.height));
    loop.rebroadcast();
  }

  async #fundingSpend({ stream }: ChannelLoop, state: EstablishedState, spends: BlockSpends): Promise<ReceiveBlock['funding_spend']> {
    const spend = spends.of(state.funding);
    if (spend === undefined) return undefined;
    const { txid, transaction } = spend;
    const number = revokedNumber(state, transaction);
    const revoked_spec = number === undefined ? undefined : await this.#options.revokedSpec(stream, number);
    return { txid, transaction, block_height: spends.height, revoked_spec };
  }

  /** A block may hold a commitment, a second stage upon it and what spends that: each is told once the one before it is known. */
  async #tellSpends(loop: ChannelLoop, spends: BlockSpends, funding_spend: ReceiveBlock['funding_spend']): Promise<void> {
    const told = new Set<string>();
    const isNews = (output: OutPoint) => !told.has(outPointKey(output));
    for (let generation = 0; generation < MAX_GENERATIONS; generation++) {
      const news = spends.among(watchedOutputs(loop.state).filter(isNews));
      if (generation > 0 && news.length === 0) return;
      for (const spend of news) told.add(outPointKey(spend));
      await this.#send(loop, { type: 'ReceiveBlock', height: spends.height, funding_spend: generation === 0 ? funding_spend : undefined, spends: news });
    }
  }

  /** Enough confirmations: the channel is told of its output as the chain has it. None: it is told that, too. */
  async #confirm(loop: ChannelLoop, { phase, terms, funding }: EstablishedState, height: BlockHeight): Promise<void> {
    const { chain, channels, signer } = this.#options;
    const found = await chain.confirmedTransaction(funding.txid);
    if (found === undefined) return this.#send(loop, { type: 'MissFunding', height });
    if (phase === 'resolving' || height - found.block_height + 1 < Math.max(terms.minimum_depth, 1)) return;
    const ready = readyFacts(terms.key_index, { signer, names: channels.names });
    const { transaction: funding_transaction, block_height, transaction_index } = found;
    await this.#send(loop, { type: 'ConfirmFunding', funding_txid: funding.txid, funding_transaction, block_height, transaction_index, ...ready });
  }

  /** A funding that a reorganisation threw out has to come back: both ends know the transaction. */
  async #findFunding(loop: ChannelLoop, state: EstablishedState, height: BlockHeight): Promise<void> {
    const { chain, log } = this.#options;
    const { txid, transaction } = state.funding;
    if ('spend' in state && state.spend !== undefined) return void this.#unfound.delete(loop);
    if ((await chain.confirmedTransaction(txid)) !== undefined) {
      await this.#confirm(loop, state, height);
      return void this.#unfound.delete(loop);
    }
    const sent = transaction === undefined ? undefined : await chain.broadcast(transaction);
    log(`${loop.stream}: the funding transaction ${txid} is in no block any more; ${sent?.ok === true ? 'it is sent again' : `it could not be sent again: ${sent?.code ?? 'not known'}`}`);
  }

  #send(loop: ChannelLoop, command: Parameters<ChannelLoop['run']>[0]): Promise<void> {
    return this.#surely(loop, command.type, async () => {
      const outcome = await loop.run(command);
      if ('refused' in outcome) this.#options.log(`${loop.stream}: ${command.type} was refused: ${outcome.refused.code}`);
    });
  }

  /** A store that cannot write now makes the whole block wait: nothing that it says of money may be lost. */
  async #surely(loop: ChannelLoop, what: string, work: () => Promise<void>): Promise<void> {
    for (let tries = 1; !this.#stopped; tries++) {
      try {
        return await work();
      } catch (error) {
        this.#options.log(`${loop.stream}: ${what} went wrong: ${(error as Error).message}`);
        if (tries >= CHANNEL_TRIES && mayPass(error)) throw error;
        if (tries >= CHANNEL_TRIES) return;
        await sleep(PAUSES_MS[tries]!);
      }
    }
  }
}

type ReceiveBlock = Extract<Parameters<ChannelLoop['run']>[0], { type: 'ReceiveBlock' }>;

const PASSING: ReadonlySet<string> = new Set(['store_full', 'store_busy', 'store_closed', 'outcome_unknown']);
const mayPass = (error: unknown): boolean => PASSING.has((error as { code?: string }).code ?? '');

/** Confirmed above a height, as the channel believes. */
const isConfirmed = (state: ChannelState, above = -1): boolean =>
  isEstablished(state) && state.phase !== 'closed' && state.funding.confirmed !== undefined && state.funding.confirmed.block_height > above;

/** The block in which an end that is not over began: from there on, other blocks may stand where we knew some. */
const endOf = (state: ChannelState): BlockHeight => (state.phase === 'resolving' ? (state.spend?.block_height ?? Infinity) : Infinity);

const describe = (event: ChainEvent): string => (event.type === 'block_connected' ? `block ${event.block.height}` : `the roll-back to block ${event.tip.height}`);

const sleep = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms).unref());
