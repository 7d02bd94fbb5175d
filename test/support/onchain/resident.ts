/** A whole node of a world, in this process and on a memory log: its invoices can be held open, and it can be ended and started again. */
import type { LocalSigner } from '../../../src/adapters/signer/local-signer.ts';
import type { LogStore } from '../../../src/adapters/store/log-store.ts';
import { createMemoryDisk, type MemoryDisk } from '../../../src/adapters/store/memory-storage.ts';
import { openMemoryStore } from '../../../src/adapters/store/memory.ts';
import { selectCoins } from '../../../src/adapters/wallet/coin-selection.ts';
import { fromHex, type Hex, type Hex32 } from '../../../src/bolt/primitives.ts';
import type { ContactLimits } from '../../../src/domain/chain-contact.ts';
import type { ChannelPolicy } from '../../../src/domain/channel/commands.ts';
import type { ChannelState } from '../../../src/domain/channel/state.ts';
import type { EventEnvelope } from '../../../src/events/envelope.ts';
import type { StreamId } from '../../../src/events/store.ts';
import { assembleNode, type AssembledNode } from '../../../src/node.ts';
import { type Hold, holdInvoices } from '../held-invoices.ts';
import { keysOf, NETWORK, signerOf } from '../simulation/identities.ts';
import { hash } from '../words.ts';
import type { View, World } from './world.ts';

export const TO_SELF_DELAY = 6;
export const MINIMUM_DEPTH = 3;

export interface Resident {
  readonly name: string;
  /** Throws while it is off. */
  readonly node: AssembledNode;
  readonly running: boolean;
  readonly view: View;
  readonly store: LogStore;
  readonly log: readonly string[];
  /** A signer of its seed that remembers nothing: for thieves. */
  readonly signer: LocalSigner;
  /** The invoice is settled when its HTLC has come; all others wait, as if their payer's other parts were on the way. */
  release(payment_hash: Hex32): void;
  /** HTLCs that came for invoices held open. */
  readonly held: number;
  state(stream: StreamId): ChannelState;
  events(stream: StreamId): Promise<readonly EventEnvelope[]>;
  /** Every script that its wallet has ever handed out. */
  scripts(): Promise<ReadonlySet<Hex>>;
  balance(): Promise<bigint>;
  stop(): Promise<void>;
  /** Again, on the same log. */
  start(): Promise<void>;
}

export interface ResidentOptions {
  readonly chainLimits?: Partial<ContactLimits>;
  readonly policy?: Partial<ChannelPolicy>;
}

export async function startResident(world: World, name: string, { policy, chainLimits }: ResidentOptions = {}): Promise<Resident> {
  const disk = createMemoryDisk();
  const view = world.view(name);
  const birthday = world.height;
  const log: string[] = [];
  const letGo = new Set<Hex32>();
  let life: Life | undefined;
  let lives = 0;

  const resident: Resident = {
    name, view, log,
    get signer() {
      return signerOf(name);
    },
    get node() {
      if (life === undefined) throw new Error(`${name} is off`);
      return life.node;
    },
    get running() {
      return life !== undefined;
    },
    get store() {
      if (life === undefined) throw new Error(`${name} is off`);
      return life.store;
    },
    get held() {
      return life?.hold.waiting() ?? 0;
    },
    release(payment_hash) {
      letGo.add(payment_hash);
      life?.hold.release();
    },
    state(stream) {
      const found = resident.node.channels().find((channel) => channel.stream === stream);
      if (found === undefined) throw new Error(`${name} has no ${stream}`);
      return found.state;
    },
    async events(stream) {
      const store = life?.store ?? (await openLog(name, disk));
      const events: EventEnvelope[] = [];
      for await (const envelope of store.read(stream)) events.push(envelope);
      return events;
    },
    async scripts() {
      const issued = (await resident.events('wallet')).map(({ event }) => event).filter((event) => event.type === 'AddressIssued');
      return new Set(issued.map(({ script_pubkey }) => script_pubkey));
    },
    balance: async () => (await resident.node.wallet.balance()).total_sat,
    async stop() {
      const ended = life;
      if (ended === undefined) return;
      life = undefined;
      ended.unwatch();
      ended.hold.end();
      await ended.node.stop();
      await ended.store.close();
      view.asleep = true;
    },
    async start() {
      view.asleep = false;
      const number = lives++;
      const store = await openLog(name, disk);
      const hold = holdInvoices(store, letGo);
      let drawn = 0;
      const node = await assembleNode({
        name, network: NETWORK, store: hold.store, signer: signerOf(name), chain: view.chain,
        coins: { keys: keysOf(name), selectCoins },
        entropy: (length) => fromHex(hash(`${name} ${number} draws ${drawn++}`)).slice(0, length),
        now: () => new Date(), crypto_backend: 'test',
        policy: { to_self_delay: TO_SELF_DELAY, minimum_depth: MINIMUM_DEPTH, ...policy },
        fromHeight: birthday, chainLimits, onLog: (line) => void log.push(`${world.height} ${line}`),
      });
      const unwatch = world.watch(() => {
        const outstanding = node.sagas.counters().outstanding - hold.waiting();
        return outstanding > 0 ? [`${name} has ${outstanding} reactions under way`] : [];
      });
      life = { node, store, hold, unwatch };
    },
  };
  await resident.start();
  return resident;
}

interface Life {
  readonly node: AssembledNode;
  readonly store: LogStore;
  readonly hold: Hold;
  readonly unwatch: () => void;
}

function openLog(name: string, disk: MemoryDisk): Promise<LogStore> {
  const signer = signerOf(name);
  return openMemoryStore({ nodeId: signer.nodeId, logKeySeed: signer.logKeySeed(), disk, verify: false });
}
