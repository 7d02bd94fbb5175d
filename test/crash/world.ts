/** Four nodes in processes of their own on one chain, in a line of three channels: killed, started again from their logs, and asked what they still know. */
import type { ChildProcess } from 'node:child_process';
import { basename, dirname, join } from 'node:path';
import { createRegtestChain, type RegtestChain } from '../../src/adapters/chain/regtest.ts';
import type { PeerAddress } from '../../src/adapters/peer/dialer.ts';
import { msat, sat } from '../../src/bolt/primitives.ts';
import { until } from '../../src/playground/waiting.ts';
import type { Fuse } from '../support/doomed-store.ts';
import type { Fact } from '../support/node-past.ts';
import { startNodeProcess, type NodeProcess } from '../support/node-processes.ts';
import { readWireRecord, type WireWord } from '../support/wire-record.ts';
import { RunBroken, type Losses } from './losses.ts';
import { NAMES, type Name } from './plan.ts';
import { checkMemory, numbersSpoken } from './wire-laws.ts';

export interface WorldOptions {
  /** Holds one folder per node. */
  readonly dataDir: string;
  /** The child's program, compiled. */
  readonly program: string;
  readonly losses: Losses;
  /** Address of the event database; SQLite files without. */
  readonly esdb?: string;
}

export interface Waking {
  /** Dies at one of its first appends. */
  readonly fuse?: Fuse;
  readonly onSpawn?: (child: ChildProcess) => void;
  /** Its store breaks its promise in this life. */
  readonly lies?: boolean;
}

const CHANNEL = { funding_satoshis: sat(10_000_000), push_msat: msat(5_000_000_000n) };
const COIN = sat(20_000_000n);
const DEPTH = 6;
/** A busy machine is slow to start four processes. */
const PATIENCE = { timeoutMs: 60_000, everyMs: 20 };
const LINKS = NAMES.length - 1;

export class World {
  readonly chain: RegtestChain = createRegtestChain();
  readonly #options: WorldOptions;
  readonly #alive = new Map<Name, NodeProcess>();
  readonly #addresses = new Map<Name, PeerAddress>();
  /** What the world outside was told, by whom. */
  readonly #told = new Map<Name, Set<Fact>>(NAMES.map((name) => [name, new Set()]));

  constructor(options: WorldOptions) {
    this.#options = options;
  }

  /** Undefined while it is dead, or still waking. */
  node(name: Name): NodeProcess | undefined {
    return this.#alive.get(name);
  }

  folder(name: Name): string {
    return join(this.#options.dataDir, name);
  }

  nodeId(name: Name): PeerAddress['node_id'] {
    return this.#addresses.get(name)!.node_id;
  }

  /** Something that a node said to the world: it must be true for ever. */
  tell(name: Name, fact: Fact): void {
    this.#told.get(name)!.add(fact);
  }

  told(name: Name): ReadonlySet<Fact> {
    return this.#told.get(name)!;
  }

  // ---- the line

  /** Starts everybody, pays their wallets and opens the three channels. */
  async open(): Promise<void> {
    await Promise.all(NAMES.map((name) => this.wake(name)));
    for (const name of NAMES) this.chain.fund(await this.node(name)!.fundingScript(), COIN);
    this.mine(DEPTH);
    await this.#reached();
    await this.connect(NAMES);
    for (const [index, name] of NAMES.slice(0, -1).entries()) {
      await this.node(name)!.openChannel({ peer_id: this.nodeId(NAMES[index + 1]!), ...CHANNEL });
    }
    await until('three funding transactions', () => (this.chain.mempool().length === LINKS ? [] : [`${this.chain.mempool().length} are there`]), PATIENCE);
    this.mine(DEPTH);
    await this.whole();
    await until('the line in every graph', async () => {
      const edges = await Promise.all(NAMES.map((name) => this.node(name)!.edges()));
      return edges.every((count) => count === LINKS) ? [] : [`${edges.join(', ')} edges`];
    }, PATIENCE);
  }

  /** Blocks that come while others do something else, at another price of room in them. */
  mine(blocks: number, feerate_per_kw?: number): void {
    if (feerate_per_kw !== undefined) this.chain.setFeerate(feerate_per_kw);
    this.chain.mineBlocks(blocks);
  }

  async #reached(): Promise<void> {
    const { height } = await this.chain.tip();
    await Promise.all(NAMES.map((name) => this.node(name)!.reached(height)));
  }

  // ---- death and waking

  /** At one moment, as far as a kernel goes. */
  async kill(...victims: readonly Name[]): Promise<void> {
    const dying = victims.map((name) => this.#alive.get(name));
    for (const name of victims) this.#alive.delete(name);
    await Promise.all(dying.map((node) => node?.kill()));
  }

  /** Resolves when the node has ended by itself. */
  async gone(name: Name): Promise<void> {
    await this.#alive.get(name)?.exited;
    this.#alive.delete(name);
  }

  /** Starts a node from its log and holds what the log says against what the world was told. Rejects when it does not start. */
  async wake(name: Name, { fuse, onSpawn, lies }: Waking = {}): Promise<void> {
    const { dataDir, program, esdb } = this.#options;
    // What was said up to here; more comes as soon as the node runs.
    const [told, spoken] = [[...this.told(name)], numbersSpoken(this.wire(name))];
    const options = { name, dataDir, network: 'bitcoin-regtest', records: true, esdb, fuse, lies } as const;
    const node = await startNodeProcess(options, this.chain, { program, onSpawn, onFact: (fact) => this.tell(name, fact) });
    checkMemory(name, node.past!, { told, spoken }, this.#options.losses);
    this.#addresses.set(name, await node.about());
    this.#alive.set(name, node);
  }

  /** A whole node on a folder that its store refuses: it says so, and does not come up. */
  async mustNotWake(name: Name, folder: string): Promise<void> {
    const { losses, program } = this.#options;
    const options = { name: basename(folder), dataDir: dirname(folder), network: 'bitcoin-regtest' } as const;
    const node = await startNodeProcess(options, this.chain, { program }).catch((error: Error) => error);
    if (node instanceof Error) return /did not start: ./.test(node.message) ? undefined : losses.add('torn', `${name} on a torn folder ended without a word: ${node.message}`);
    losses.add('torn', `${name} came up on a torn folder`);
    await node.kill();
  }

  /** Everything it said and heard about commitments in all of its lives. */
  wire(name: Name): readonly WireWord[] {
    return readWireRecord(join(this.folder(name), 'wire.jsonl'));
  }

  /** Each calls its neighbour to the right, as a user would, at once; whoever was called before is called again by itself. */
  async connect(names: readonly Name[]): Promise<void> {
    const callers = NAMES.slice(0, -1).filter((name, index) => names.includes(name) || names.includes(NAMES[index + 1]!));
    await Promise.all(callers.map((name) => this.node(name)?.connect(this.#addresses.get(NAMES[NAMES.indexOf(name) + 1]!)!).catch(() => undefined)));
  }

  /** Resolves when every channel is in use again, at both ends. Throws RunBroken when that takes too long. */
  async whole(): Promise<void> {
    await until('a whole line', async () => (await Promise.all(NAMES.map((name) => this.#missing(name)))).flat(), PATIENCE).catch((error: Error) => {
      this.#options.losses.add('resumed', error.message);
      throw new RunBroken(error.message);
    });
  }

  async #missing(name: Name): Promise<readonly string[]> {
    const channels = await this.node(name)?.channels().catch(() => undefined);
    if (channels === undefined) return [`${name} is not there`];
    const sleeping = channels.filter(({ usable }) => !usable).map(({ stream, phase }) => `${stream} of ${name}, ${phase}`);
    const expected = name === NAMES[0] || name === NAMES.at(-1) ? 1 : 2;
    return channels.length === expected ? sleeping : [`${expected} channels of ${name}, it has ${channels.length}`];
  }

  /** Resolves when nothing is under way anywhere: no HTLC, no signature, no saga. */
  async rest(): Promise<void> {
    await until('rest', async () => (await Promise.all(NAMES.map((name) => this.#moving(name)))).flat(), PATIENCE).catch((error: Error) => {
      this.#options.losses.add('stuck', error.message);
      throw new RunBroken(error.message);
    });
  }

  async #moving(name: Name): Promise<readonly string[]> {
    const node = this.node(name)!;
    await node.settled();
    return (await node.channels()).filter(({ pending }) => pending > 0).map(({ stream, pending }) => `${pending} of ${stream} of ${name}`);
  }

  async funds(name: Name): Promise<bigint> {
    return (await this.node(name)!.channels()).reduce((sum, { local_msat }) => sum + local_msat, 0n);
  }

  /** Ends everybody in good order. */
  async stop(): Promise<void> {
    await Promise.all([...this.#alive.values()].map((node) => node.stop()));
    this.#alive.clear();
  }

  /** Lets nothing of it live on. */
  async destroy(): Promise<void> {
    await this.kill(...NAMES);
    await this.chain.close();
  }
}
