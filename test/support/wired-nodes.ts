/** Whole nodes in this process whose messages a test hands over itself, one by one: real rules, logs, keys and bytes; no sockets. */
import { expect } from 'vitest';
import { createSigner } from '../../src/adapters/signer/local-signer.ts';
import type { HighWater } from '../../src/adapters/signer/high-water.ts';
import type { RegtestChain } from '../../src/adapters/chain/regtest.ts';
import type { LogStore } from '../../src/adapters/store/log-store.ts';
import { createMemoryDisk } from '../../src/adapters/store/memory-storage.ts';
import { openMemoryStore } from '../../src/adapters/store/memory.ts';
import { selectCoins } from '../../src/adapters/wallet/coin-selection.ts';
import { negotiate, type FeatureName } from '../../src/bolt/09-features/features.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { decodeMessage, encodeMessage, type Message } from '../../src/bolt/messages.ts';
import { fromHex, sat } from '../../src/bolt/primitives.ts';
import type { Session } from '../../src/commands/channel-context.ts';
import type { Event } from '../../src/events/registry.ts';
import { comparePeers } from '../../src/projections/audit/peers.ts';
import { auditLog } from '../../src/projections/audit.ts';
import { assembleNode, OUR_FEATURES, type AssembledNode, type NodeParts } from '../../src/node.ts';
import { keysOf, NETWORK, seedOf } from './simulation/identities.ts';
import { hash } from './words.ts';

await chooseCryptoBackend();

export type WiredOptions = Partial<Pick<NodeParts, 'policy' | 'forwarding' | 'limits' | 'trusted_peers'>>;

/** A node, and what it keeps when it is started again. */
export class Wired {
  readonly name: string;
  readonly #chain: RegtestChain;
  readonly #options: WiredOptions;
  readonly #disk = createMemoryDisk();
  readonly #marks = new Map<number, HighWater>();
  readonly log: string[] = [];
  #drawn = 0;
  node!: AssembledNode;
  store!: LogStore;

  constructor(name: string, chain: RegtestChain, options: WiredOptions = {}) {
    this.name = name;
    this.#chain = chain;
    this.#options = options;
  }

  async start(): Promise<this> {
    const signer = createSigner(seedOf(this.name), { network: NETWORK, highWater: this.#marks, onHighWater: (key, mark) => void this.#marks.set(key, mark) });
    const now = () => new Date(1_800_000_000_000);
    this.store = await openMemoryStore({ nodeId: signer.nodeId, logKeySeed: signer.logKeySeed(), now, disk: this.#disk, verify: false });
    this.node = await assembleNode({
      name: this.name, network: NETWORK, store: this.store, signer, chain: this.#chain, coins: { keys: keysOf(this.name), selectCoins }, now,
      entropy: (length) => fromHex(hash(`${this.name} draws ${this.#drawn++}`)).slice(0, length),
      crypto_backend: 'test', fromHeight: 0, onLog: (line) => this.log.push(line), ...this.#options,
    });
    return this;
  }

  /** The process ends and begins again on the same log. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async stop(): Promise<void> {
    await this.node.stop();
    await this.store.close();
  }

  async events(): Promise<readonly Event[]> {
    const all: Event[] = [];
    for await (const { event } of this.store.readAll()) all.push(event);
    return all;
  }

  /** Coins of its own, so many of a million sat. */
  async fund(coins = 3): Promise<void> {
    const { script_pubkey } = await this.node.wallet.address('test');
    for (let coin = 0; coin < coins; coin++) this.#chain.fund(script_pubkey, sat(1_000_000n));
    this.#chain.mineBlocks(1);
    await this.#chain.settled();
  }
}

/** A connection on which nothing moves by itself. */
export class Wire {
  readonly #ends: readonly [Wired, Wired];
  #queue: { readonly to: 0 | 1; readonly bytes: Uint8Array }[] = [];
  #sessions: readonly [Session, Session] | undefined;
  /** Every message that arrived, as `bob <- open_channel`. */
  readonly heard: string[] = [];
  readonly messages: Message[] = [];

  constructor(a: Wired, b: Wired) {
    this.#ends = [a, b];
  }

  connect(features: ReadonlySet<FeatureName> = commonFeatures): this {
    const session = (me: 0 | 1): Session => {
      const mine: Session = {
        peer_id: this.#ends[me === 0 ? 1 : 0].node.node_id,
        features,
        send: (message) => {
          if (this.#sessions?.[me] !== mine) return false;
          this.#queue.push({ to: me === 0 ? 1 : 0, bytes: encodeMessage(message) });
          return true;
        },
        close: () => void this.cut(),
      };
      return mine;
    };
    this.#sessions = [session(0), session(1)];
    this.#ends.forEach(({ node }, end) => node.inbox.connected(this.#sessions![end]!));
    return this;
  }

  /** What is on its way is lost. */
  async cut(): Promise<void> {
    const sessions = this.#sessions;
    this.#sessions = undefined;
    this.#queue = [];
    if (sessions === undefined) return;
    this.#ends.forEach(({ node }, end) => node.inbox.disconnected(sessions[end]!));
    await this.#quiet();
  }

  get connected(): boolean {
    return this.#sessions !== undefined;
  }

  /** The message that arrives next. */
  get next(): Message | undefined {
    const [first] = this.#queue;
    return first && (decodeMessage(first.bytes) as Message);
  }

  async deliver(): Promise<void> {
    const { to, bytes } = this.#queue.shift()!;
    const message = decodeMessage(bytes) as Message;
    this.heard.push(`${this.#ends[to].name} <- ${message.type}`);
    this.messages.push(message);
    await this.#ends[to].node.inbox.receive(message, this.#sessions![to]);
    await this.#quiet();
  }

  /** Delivers until nothing is on its way, or `stop` says of the next message that it shall wait. */
  async settle(stop: (message: Message) => boolean = () => false): Promise<void> {
    for (;;) {
      await this.#quiet();
      const { next } = this;
      if (next === undefined || stop(next)) return;
      await this.deliver();
    }
  }

  /** Both nodes rest, and no wallet is at work for an opening. */
  async #quiet(): Promise<void> {
    for (let rest = 0, rounds = 0; rest < 2 && rounds < 2_000; rounds++) {
      await Promise.all(this.#ends.map(({ node }) => node.settled()));
      await new Promise((resolve) => setTimeout(resolve, 1));
      const atWork = this.connected && this.#ends.some(({ node }) => node.channels().some(({ state }) => state.phase === 'opening' && state.step === 'accepted' && state.terms.role === 'opener'));
      rest = atWork ? 0 : rest + 1;
    }
  }
}

/** Their logs stand alone, and tell of each other alike. */
export async function audited(...nodes: readonly Wired[]): Promise<void> {
  const peers = comparePeers();
  for (const { name, store } of nodes) {
    const lines = (async function* () {
      for await (const entry of store.entries()) yield { kind: 'entry', ...entry } as const;
    })();
    const report = await auditLog({ lines, checkpoints: await store.checkpoints(), onEvent: (envelope) => peers.take(name, envelope) });
    expect(report.failures, `the audit of ${name}'s log`).toEqual([]);
    expect(report.msat_difference, `msat missing at ${name}`).toBe(0n);
  }
  expect(peers.failures(), 'logs of both ends').toEqual([]);
}

const negotiated = negotiate(OUR_FEATURES, OUR_FEATURES);
export const commonFeatures: ReadonlySet<FeatureName> = negotiated.ok ? negotiated.features : new Set();
