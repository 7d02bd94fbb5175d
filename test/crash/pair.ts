/** Two nodes in this process on disks of memory, one of which loses power at a chosen append: quick enough to try each append in turn. */
import { createRegtestChain } from '../../src/adapters/chain/regtest.ts';
import { createMemoryDisk, type MemoryDisk } from '../../src/adapters/store/memory-storage.ts';
import { openMemoryStore } from '../../src/adapters/store/memory.ts';
import type { LogStore } from '../../src/adapters/store/log-store.ts';
import { msat, sat, type Sat } from '../../src/bolt/primitives.ts';
import { OutcomeUnknown } from '../../src/events/store.ts';
import { runNode, type RunningNode } from '../../src/main.ts';
import { sleep } from '../../src/playground/waiting.ts';

export const FUNDING = { funding_satoshis: sat(1_000_000), push_msat: msat(400_000_000n) };
export const COIN = sat(5_000_000);

export const PAIR = ['alice', 'bob'] as const;
type Name = (typeof PAIR)[number];
export const CUT_POINTS = ['before', 'durable'] as const;

/** Where the power goes: `append` counts from 1 at the moment that `count` is called. */
export interface Cut {
  readonly victim: Name;
  readonly append: number;
  readonly point: (typeof CUT_POINTS)[number];
}

/** Who has which seed is new in each pair, and the chain is one for all. */
let made = 0;
const chain = createRegtestChain();

export class Pair {
  readonly log: string[] = [];
  readonly counted = { alice: 0, bob: 0 };
  readonly #disks: Readonly<Record<Name, MemoryDisk>> = { alice: createMemoryDisk(), bob: createMemoryDisk() };
  readonly #nodes = new Map<Name, RunningNode>();
  readonly #cut: Cut | undefined;
  readonly #seeds: Readonly<Record<Name, Uint8Array>>;
  #counting = false;
  #dead = false;

  private constructor(cut: Cut | undefined) {
    this.#cut = cut;
    const seed = (byte: number) => new Uint8Array(64).fill(byte).fill(made >> 8, 0, 1).fill(made & 255, 1, 2);
    made += 1;
    this.#seeds = { alice: seed(1), bob: seed(2) };
  }

  /** Alice has a coin, and a connection to bob. */
  static async start(cut?: Cut): Promise<Pair> {
    const pair = new Pair(cut);
    await Promise.all([pair.#run('alice'), pair.#run('bob')]);
    chain.fund((await pair.node('alice').wallet.address('a coin')).script_pubkey, COIN);
    chain.mineBlocks(1);
    await chain.settled();
    await pair.node('alice').connect(pair.node('bob'));
    return pair;
  }

  node(name: Name): RunningNode {
    return this.#nodes.get(name)!;
  }

  count(): void {
    this.#counting = true;
  }

  /** Blocks come meanwhile. How appends are grouped is a matter of microseconds: an opening may come to its end before. */
  async untilCut(): Promise<void> {
    for (let waits = 0; waits < 60 && !this.#dead; waits += 1) {
      if (waits % 5 === 4) chain.mineBlocks(1);
      await sleep(10);
    }
  }

  async #run(name: Name): Promise<void> {
    const node = await runNode({
      name,
      network: 'bitcoin-regtest',
      chain,
      seed: this.#seeds[name],
      fromHeight: 101,
      onLog: (line) => void this.log.push(`${name}: ${line}`),
      openStore: async (identity) => this.#mortal(name, await openMemoryStore({ ...identity, disk: this.#disks[name] })),
    });
    this.#nodes.set(name, node);
  }

  #mortal(name: Name, inner: LogStore): LogStore {
    return {
      ...inner,
      append: async (...given) => {
        const here = this.#counting && ++this.counted[name] === this.#cut?.append && name === this.#cut.victim && !this.#dead;
        if (!here) return inner.append(...given);
        this.#dead = true;
        if (this.#cut!.point === 'durable') await inner.append(...given);
        await inner.kill();
        throw new OutcomeUnknown(given[0], 'the power is gone');
      },
    };
  }

  /** Begins to open a channel; the wish itself may die. */
  async open(): Promise<void> {
    await this.node('alice').openChannel({ peer_id: this.node('bob').node_id, ...FUNDING }).catch((error: Error) => this.log.push(error.message));
  }

  async restart(victim: Name): Promise<void> {
    await this.node(victim).kill();
    await this.#run(victim);
    await this.node('alice').connect(this.node('bob'));
  }

  /** Begins to close it, as far as there is one. */
  async close(): Promise<void> {
    const { stream } = this.node('alice').channels()[0]!;
    await this.node('alice').closeChannel(stream).catch((error: Error) => this.log.push(error.message));
  }

  /** Blocks come until neither end moves any more. */
  async confirm(): Promise<void> {
    await this.#quiet();
    for (let rounds = 0; rounds < 3; rounds += 1) {
      chain.mineBlocks(3);
      await chain.settled();
      await this.#quiet();
    }
  }

  /** What both wallets hold. */
  async wealth(): Promise<Sat> {
    const balances = await Promise.all(PAIR.map((name) => this.node(name).wallet.balance()));
    return sat(balances.reduce((sum, { total_sat }) => sum + total_sat, 0n));
  }

  /** A transaction may wait for the block that comes next, a message for its turn. */
  async #quiet(): Promise<void> {
    for (let calm = 0, before = ''; calm < 3; ) {
      await sleep(8);
      await Promise.all([...this.#nodes.values()].map((node) => node.settled()));
      const now = JSON.stringify([this.counted, this.ends()]);
      calm = now === before ? calm + 1 : 0;
      before = now;
    }
  }

  /** The phase of the channel at each end; `none` where there is none (any more). */
  ends(): Readonly<Record<Name, string>> {
    return { alice: this.#phase('alice'), bob: this.#phase('bob') };
  }

  #phase(name: Name): string {
    const phases = this.node(name).channels().map(({ state, usable }) => (state.phase === 'normal' && !usable ? 'not usable' : state.phase));
    return phases.filter((phase) => phase !== 'abandoned').join() || 'none';
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#nodes.values()].map((node) => node.kill()));
  }
}
