/** Two nodes, or three, in processes of their own on one chain in this process: killed, woken from their logs and asked what they still know. */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createRegtestChain, type RegtestChain } from '../../../src/adapters/chain/regtest.ts';
import type { PeerAddress } from '../../../src/adapters/peer/dialer.ts';
import type { ParsedTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import type { Hex32, Sat } from '../../../src/bolt/primitives.ts';
import { sleep, until, within } from '../../../src/playground/waiting.ts';
import type { Fuse } from '../../support/doomed-store.ts';
import type { Fact } from '../../support/node-past.ts';
import { startNodeProcess, type NodeProcess } from '../../support/node-processes.ts';
import { other } from '../../support/onchain/books.ts';
import { readWireRecord, type WireWord } from '../../support/wire-record.ts';
import { RunBroken, type Losses } from '../losses.ts';
import type { Chance } from '../plan.ts';
import { checkMemory, numbersSpoken } from '../wire-laws.ts';
import { CAST, SIDES, type Who } from './plan.ts';

export interface StageOptions {
  /** Holds one folder per node. */
  readonly dataDir: string;
  /** The child's program, compiled. */
  readonly program: string;
  readonly losses: Losses;
  readonly policy: { readonly to_self_delay: number; readonly minimum_depth: number };
  readonly weather: Chance;
}

/** A busy machine is slow to start processes. */
const PATIENCE = { timeoutMs: 60_000, everyMs: 20 };
/** How long a block may keep the nodes busy before the next comes: one that dies of it never answers. */
const BLOCK_MS = 5_000;

export class Stage {
  readonly chain: RegtestChain = createRegtestChain();
  /** Whoever wrote these is off, and stays off. */
  readonly gone = new Set<Who>();
  readonly #options: StageOptions;
  readonly #alive = new Map<Who, NodeProcess>();
  readonly #addresses = new Map<Who, PeerAddress>();
  readonly #told = new Map<Who, Set<Fact>>(CAST.map((who) => [who, new Set()]));
  readonly #letGo = new Set<Hex32>();
  #toHoldBack = 0;
  #oneIn = 1;
  #heldBack: (tx: ParsedTx) => boolean = () => false;

  constructor(options: StageOptions) {
    this.#options = options;
  }

  /** Undefined while it is dead, or still waking. */
  node(side: Who): NodeProcess | undefined {
    return this.#alive.get(side);
  }

  folder(side: Who): string {
    return join(this.#options.dataDir, side);
  }

  nodeId(side: Who): PeerAddress['node_id'] {
    return this.#addresses.get(side)!.node_id;
  }

  told(side: Who): ReadonlySet<Fact> {
    return this.#told.get(side)!;
  }

  wire(side: Who): readonly WireWord[] {
    return readWireRecord(join(this.folder(side), 'wire.jsonl'));
  }

  get height(): number {
    return this.#height;
  }

  #height = 101;

  // ---- life and death

  /** Starts a node from its log and holds what the log says against what the world was told. Answers false when it died of its fuse. */
  async wake(side: Who, fuse?: Fuse): Promise<boolean> {
    const { dataDir, program, policy, losses } = this.#options;
    const heirloom = { told: [...this.told(side)], spoken: numbersSpoken(this.wire(side)) };
    const options = { name: side, dataDir, network: 'bitcoin-regtest', policy, records: true, holds: [...this.#letGo], fromHeight: 101, fuse } as const;
    let child: ChildProcess | undefined;
    const started = startNodeProcess(options, this.chain, { program, onSpawn: (spawned) => (child = spawned), onFact: (fact) => this.#told.get(side)!.add(fact) });
    const node = await within(`${side} wakes`, started, PATIENCE.timeoutMs).catch((error: Error) => {
      child?.kill('SIGKILL');
      if (fuse !== undefined && /ended before it was ready/.test(error.message)) return undefined;
      losses.add('resumed', error.message);
      throw new RunBroken(error.message);
    });
    if (node === undefined) return false;
    checkMemory(side, node.past!, heirloom, losses);
    // One that dies of its fuse now has shown what it remembers.
    const address = await node.about().catch(() => undefined);
    if (address === undefined) return false;
    this.#addresses.set(side, address);
    this.#alive.set(side, node);
    return true;
  }

  async kill(...victims: readonly Who[]): Promise<void> {
    const dying = victims.map((side) => this.#alive.get(side));
    for (const side of victims) this.#alive.delete(side);
    await Promise.all(dying.map((node) => node?.kill()));
  }

  /** Resolves when the node has ended by itself, and no later than that. */
  async died(side: Who, mostMs: number): Promise<void> {
    await Promise.race([this.#alive.get(side)?.exited, sleep(mostMs)]);
  }

  async connect(): Promise<void> {
    if (SIDES.some((side) => this.gone.has(side))) return;
    const call = (from: Who, to: Who) => this.node(from)?.connect(this.#addresses.get(to)!).catch(() => undefined);
    await Promise.all([call('ours', 'theirs'), call('payer', 'ours')]);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#alive.values()].map((node) => node.stop()));
    this.#alive.clear();
  }

  async destroy(): Promise<void> {
    await this.kill(...CAST);
    await this.chain.close();
  }

  // ---- invoices

  /** An invoice is held open until then, in whichever life. */
  async letGo(payment_hashes: readonly Hex32[]): Promise<void> {
    for (const payment_hash of payment_hashes) this.#letGo.add(payment_hash);
    await Promise.all(payment_hashes.flatMap((payment_hash) => [...this.#alive.values()].map((node) => node.letGo(payment_hash).catch(() => undefined))));
  }

  // ---- the chain

  async fund(side: Who, values: readonly Sat[]): Promise<void> {
    const script = await this.node(side)!.fundingScript();
    for (const value of values) this.chain.fund(script, value);
  }

  /** Blocks with all that waits, worked off by whoever is alive. */
  async mine(blocks: number): Promise<void> {
    for (let i = 0; i < blocks; i += 1) {
      this.#block(() => true);
      await this.quiet();
    }
  }

  /** A block at some price; now and then one without claims, so that they have to be replaced. */
  async mineInAnyWeather(): Promise<void> {
    this.strikeBlock();
    await this.quiet();
  }

  /** The same, and nobody waits for anybody. */
  strikeBlock(): void {
    const { weather } = this.#options;
    this.chain.setFeerate(500 + weather(4_000));
    const holds = this.#toHoldBack > 0 && weather(this.#oneIn) === 0;
    if (holds) this.#toHoldBack -= 1;
    this.#block((tx) => !holds || !this.#heldBack(tx));
  }

  /** So many blocks, one in so many of those that come, leave these transactions out. */
  holdBack(blocks: number, oneIn: number, heldBack: (tx: ParsedTx) => boolean): void {
    this.#toHoldBack = blocks;
    this.#oneIn = oneIn;
    this.#heldBack = heldBack;
  }

  #block(take: (tx: ParsedTx) => boolean): void {
    this.#height += this.chain.mineBlocks(1, { include: ({ tx }) => take(tx) }).length;
  }

  /** Takes blocks off, and as many come again; what was in them waits for a block anew, or was forgotten. */
  reorganise(depth: number, drop: readonly Hex32[]): void {
    this.chain.reorg(depth, { drop });
    this.#height -= depth;
    for (let i = 0; i < depth; i += 1) this.strikeBlock();
  }

  /** Resolves when whoever is alive has worked off the newest block and sends nothing new. */
  async quiet(): Promise<void> {
    const height = this.#height;
    await within('a block', Promise.all([...this.#alive.values()].map((node) => Promise.race([node.reached(height), node.exited]).catch(() => undefined))), BLOCK_MS).catch(() => undefined);
    for (let calm = 0, before = ''; calm < 2; ) {
      await sleep(25);
      const now = this.chain.mempool().map(({ txid }) => txid).join();
      calm = now === before ? calm + 1 : 0;
      before = now;
    }
  }

  // ---- the channel

  /** The one between ours and theirs; the payer's is with ours. */
  async channel(side: Who) {
    const peer = this.nodeId(side === 'payer' ? 'ours' : other(side));
    return (await this.node(side)?.channels().catch(() => undefined))?.find(({ stream }) => stream.includes(peer));
  }

  /** Resolves when nothing is missing at either end any more. Throws RunBroken when that takes too long. */
  async both(what: string, missing: (channel: NonNullable<Awaited<ReturnType<Stage['channel']>>>) => boolean): Promise<void> {
    await until(what, async () => (await Promise.all(SIDES.map(async (side) => {
      const channel = await this.channel(side);
      return channel === undefined ? [`${side} has none`] : missing(channel) ? [`${side} is ${channel.phase} with ${channel.committed} of ${channel.pending}`] : [];
    }))).flat(), PATIENCE).catch((error: Error) => {
      this.#options.losses.add('resumed', error.message);
      throw new RunBroken(error.message);
    });
  }
}
