/** The world of the matrix on a chain inside this process: no daemon, every script executed, seconds instead of minutes. */
import { createRegtestChain, type RegtestChain } from '../../../src/adapters/chain/regtest.ts';
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import type { Hex32, Sat } from '../../../src/bolt/primitives.ts';
import type { BroadcastResult, ChainTip } from '../../../src/domain/ports.ts';
import { sleep, until } from '../../../src/playground/waiting.ts';
import type { Resident } from './resident.ts';
import type { Broadcast, Busy, PlacedTransaction, View, World } from './world.ts';

export interface LocalWorld extends World {
  readonly chain: RegtestChain;
  /** What the chain answers to a broadcast instead of taking it; undefined to take it. */
  refuse: ((by: string, txid: Hex32) => BroadcastResult | undefined) | undefined;
  /** Everything a node asks of the chain fails, and nothing is delivered. */
  dead: boolean;
  give(resident: Resident, ...values: readonly Sat[]): Promise<void>;
}

interface Follower {
  readonly view: View;
  running: boolean;
  heard: string;
}

export function startLocalWorld(): LocalWorld {
  const chain = createRegtestChain();
  const followers = new Set<Follower>();
  const watched = new Set<Busy>();
  const broadcasts: Broadcast[] = [];
  const tip = (): ChainTip => {
    const { height, block_hash } = chain.blockAt(heightOf(chain))!;
    return { height, block_hash };
  };

  function view(name: string): View {
    const own = new Set<() => void>();
    let asleep = false;
    let dreamt: ChainTip | undefined;
    const isAwake = () => !asleep && !world.dead;
    const alive = <T>(work: () => Promise<T>): Promise<T> => (world.dead ? Promise.reject(new Error('the chain backend is down')) : work());
    const keep = (stop: () => void) => {
      own.add(stop);
      return stop;
    };
    const made: View = {
      name,
      get asleep() { return asleep; },
      set asleep(value: boolean) {
        asleep = value;
        dreamt = value ? tip() : undefined;
      },
      chain: {
        network: chain.network,
        chain_hash: chain.chain_hash,
        tip: () => alive(async () => dreamt ?? tip()),
        follow(fromHeight, onEvent) {
          const follower: Follower = { view: made, running: false, heard: fromHeight > tip().height ? tip().block_hash : '' };
          const run = { stopped: false };
          followers.add(follower);
          const stop = chain.follow(fromHeight, async (event) => {
            while (!run.stopped && !isAwake()) await sleep(1);
            if (run.stopped) return;
            follower.running = true;
            await onEvent(event);
            follower.running = false;
            follower.heard = event.type === 'block_connected' ? event.block.block_hash : event.tip.block_hash;
          });
          return keep(() => {
            run.stopped = true;
            followers.delete(follower);
            stop();
          });
        },
        onMempoolTransaction: (hear) => keep(chain.onMempoolTransaction((tx) => (isAwake() ? hear(tx) : undefined))),
        confirmedTransaction: (txid) => alive(() => chain.confirmedTransaction(txid)),
        unspentOutput: (outpoint) => alive(() => chain.unspentOutput(outpoint)),
        estimateFeerate: (blocks) => alive(() => chain.estimateFeerate(blocks)),
        async broadcast(transaction) {
          const { txid } = parseTx(transaction);
          const result = world.dead ? ({ ok: false, code: 'chain_unreachable', reason: 'the chain backend is down', permanent: false } as const) : (world.refuse?.(name, txid) ?? (await chain.broadcast(transaction)));
          broadcasts.push({ by: name, txid, height: world.height, result });
          return result;
        },
        close: async () => undefined,
      },
      close: () => own.forEach((stop) => stop()),
    };
    return made;
  }

  const unrest = (): readonly string[] => [
    ...[...followers].filter(({ view: { asleep }, running, heard }) => !asleep && !world.dead && (running || heard !== tip().block_hash)).map(({ view: { name } }) => `${name} has not heard of block ${tip().height}`),
    ...[...watched].flatMap((busy) => busy()),
  ];

  /** Rest is believed when it lasts: a reaction may be between two queues. */
  async function settled(): Promise<void> {
    for (let calm = 0; calm < 4; calm++) {
      if (unrest().length > 0) calm = 0;
      await until('the nodes rest', unrest, { everyMs: 2 });
      await sleep(3);
    }
  }

  const world: LocalWorld = {
    chain, broadcasts, refuse: undefined, dead: false, view, settled,
    get daemon(): never { throw new Error('there is no daemon in this world'); },
    get height() { return heightOf(chain); },
    watch(busy) {
      watched.add(busy);
      return () => void watched.delete(busy);
    },
    async mine(blocks = 1) {
      for (let i = 0; i < blocks; i++) {
        chain.mineBlocks(1);
        await settled();
      }
    },
    async send(transaction) {
      const result = await chain.broadcast(transaction);
      if (!result.ok) throw new Error(`${parseTx(transaction).txid} was refused: ${result.code} (${result.reason})`);
      return parseTx(transaction).txid;
    },
    async mineOnly(transactions) {
      const wanted = new Set(transactions.map((raw) => parseTx(raw).txid));
      chain.mineBlocks(1, { transactions, include: ({ txid }) => wanted.has(txid) });
      await settled();
    },
    transactions: () => placed(chain),
    async give(resident, ...values) {
      for (const value of values) chain.fund((await resident.node.wallet.address('from outside')).script_pubkey, value);
      await world.mine();
    },
    stop: () => chain.close(),
  };
  return world;
}

/** The chain's height, without asking it as a node does. */
function heightOf(chain: RegtestChain): number {
  let height = known.get(chain) ?? 0;
  while (chain.blockAt(height + 1) !== undefined) height++;
  while (chain.blockAt(height) === undefined) height--;
  known.set(chain, height);
  return height;
}

const known = new WeakMap<RegtestChain, number>();

/** Every transaction in a block of the best chain, by txid. */
export function placed(chain: RegtestChain): ReadonlyMap<Hex32, PlacedTransaction> {
  const found = new Map<Hex32, PlacedTransaction>();
  for (let height = 0, block = chain.blockAt(0); block !== undefined; block = chain.blockAt(++height)) {
    for (const { txid, transaction } of block.transactions) found.set(txid, { ...parseTx(transaction), height, raw: transaction });
  }
  return found;
}
