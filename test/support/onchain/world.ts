/** One litecoind for many nodes: each has a view of the chain of its own, may sleep, and a block is over only when every node has worked it off. */
import { openBitcoindChain } from '../../../src/adapters/chain/bitcoind/chain.ts';
import { parseTx, type ParsedTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import type { Hex, Hex32 } from '../../../src/bolt/primitives.ts';
import type { BroadcastResult, Chain, ChainEvent, ChainTip } from '../../../src/domain/ports.ts';
import { sleep, until } from '../../../src/playground/waiting.ts';
import { type Litecoind, startLitecoind } from '../litecoind.ts';

/** What a node asked the chain to take, and the answer. */
export interface Broadcast {
  readonly by: string;
  readonly txid: Hex32;
  readonly height: number;
  readonly result: BroadcastResult;
}

/** A node's window on the chain. While it sleeps it hears nothing; then it hears all, in order. */
export interface View {
  readonly name: string;
  readonly chain: Chain;
  asleep: boolean;
  /** Lets go of it: nothing is delivered any more. */
  close(): void;
}

/** Something that has to rest before the next block: what it still works on, as sentences. */
export type Busy = () => readonly string[];

export interface PlacedTransaction extends ParsedTx {
  readonly height: number;
  readonly raw: Hex;
}

export interface World {
  readonly daemon: Litecoind;
  readonly broadcasts: readonly Broadcast[];
  /** Of the newest block that nodes were told of. */
  readonly height: number;
  view(name: string): View;
  /** Asked for before each block. Answers how to take it back. */
  watch(busy: Busy): () => void;
  /** Mines blocks one by one; each is worked off by every node that is awake, and their broadcasts answered, before the next. */
  mine(blocks?: number): Promise<void>;
  /** Waits until all who are awake have heard everything and rest. */
  settled(): Promise<void>;
  /** Hands a transaction to the daemon's mempool under its relay policy; throws what it says against it. */
  send(transaction: Hex): Promise<Hex32>;
  /** A block of just these, past the relay policy: consensus alone judges. For adversaries who mine. */
  mineOnly(transactions: readonly Hex[]): Promise<void>;
  /** Every transaction in a block of the best chain since the world began, by txid. */
  transactions(): ReadonlyMap<Hex32, PlacedTransaction>;
  stop(): Promise<void>;
}

interface Subscriber {
  readonly view: View;
  readonly onEvent: (event: ChainEvent) => void | Promise<void>;
  next: number;
  running: boolean;
  stopped: boolean;
}

const SETTLE_MS = 150_000;

export async function startWorld(): Promise<World> {
  const daemon = await startLitecoind();
  const chain = await openBitcoindChain({ url: daemon.url, cookieFile: daemon.cookieFile, network: 'bitcoin-regtest', genesis: 'stand-in', pollMs: 3_600_000 });
  const history: ChainEvent[] = [];
  const subscribers = new Set<Subscriber>();
  const mempoolListeners = new Set<{ readonly view: View; readonly hear: (tx: { txid: Hex32; transaction: Hex }) => void }>();
  const views = new Set<View>();
  const watched = new Set<Busy>();
  const broadcasts: Broadcast[] = [];
  const feerates = new Map<string, Promise<number>>();
  let pending = 0;
  let height = await daemon.height();
  const birthday = height;
  const stopFollowing = chain.follow(birthday, (event) => {
    history.push(event);
    height = event.type === 'block_connected' ? event.block.height : event.tip.height;
    for (const subscriber of subscribers) void pump(subscriber);
  });
  const stopListening = chain.onMempoolTransaction((tx) => {
    for (const { view, hear } of mempoolListeners) if (!view.asleep) hear(tx);
  });

  async function pump(subscriber: Subscriber): Promise<void> {
    if (subscriber.running) return;
    subscriber.running = true;
    while (!subscriber.stopped && !subscriber.view.asleep && subscriber.next < history.length) await subscriber.onEvent(history[subscriber.next++]!);
    subscriber.running = false;
  }

  function view(name: string): View {
    let asleep = false;
    let dreamt: ChainTip | undefined;
    const own = new Set<() => void>();
    const made: View = {
      name,
      get asleep() {
        return asleep;
      },
      set asleep(value: boolean) {
        asleep = value;
        dreamt = value ? tipOf(history) : undefined;
        if (!value) for (const subscriber of subscribers) if (subscriber.view === made) void pump(subscriber);
      },
      chain: {
        network: chain.network,
        chain_hash: chain.chain_hash,
        // What nodes were told of: a block that the daemon has beyond it is nobody's yet.
        tip: async () => dreamt ?? tipOf(history) ?? (await chain.tip()),
        follow(fromHeight, onEvent) {
          const start = history.findLastIndex((event) => event.type === 'block_connected' && event.block.height === fromHeight);
          const first = start >= 0 ? start : fromHeight > height ? history.length : 0;
          const subscriber: Subscriber = { view: made, onEvent, next: first, running: false, stopped: false };
          subscribers.add(subscriber);
          setImmediate(() => void pump(subscriber));
          const stop = () => {
            subscriber.stopped = true;
            subscribers.delete(subscriber);
          };
          own.add(stop);
          return stop;
        },
        onMempoolTransaction(hear) {
          const listener = { view: made, hear };
          mempoolListeners.add(listener);
          const stop = () => void mempoolListeners.delete(listener);
          own.add(stop);
          return stop;
        },
        confirmedTransaction: (txid) => chain.confirmedTransaction(txid),
        unspentOutput: (outpoint) => chain.unspentOutput(outpoint),
        async broadcast(transaction) {
          pending++;
          try {
            const result = await chain.broadcast(transaction);
            broadcasts.push({ by: name, txid: parseTx(transaction).txid, height, result });
            return result;
          } finally {
            pending--;
          }
        },
        estimateFeerate(blocks) {
          const id = `${height}/${blocks}`;
          const known = feerates.get(id) ?? chain.estimateFeerate(blocks);
          feerates.set(id, known);
          return known;
        },
        close: async () => undefined,
      },
      close() {
        for (const stop of own) stop();
        views.delete(made);
      },
    };
    views.add(made);
    return made;
  }

  const unrest = (): readonly string[] => [
    ...[...subscribers].filter(({ view: { asleep }, next, running }) => !asleep && (running || next < history.length)).map(({ view: { name }, next }) => `${name} has heard ${next} of ${history.length} events`),
    ...(pending > 0 ? [`${pending} broadcasts wait for an answer`] : []),
    ...[...watched].flatMap((busy) => busy()),
  ];

  /** Rest is believed when it lasts: a reaction may be between two queues. */
  async function rest(): Promise<void> {
    for (let calm = 0; calm < 3; calm++) {
      if (unrest().length > 0) calm = -1;
      await until('the nodes rest', unrest, { timeoutMs: SETTLE_MS, everyMs: 5 });
      await sleep(2);
    }
  }

  async function settled(): Promise<void> {
    await chain.refresh();
    await rest();
    // What they sent by now is in the mempool: those who watch it hear.
    await chain.refresh();
    await rest();
  }

  return {
    daemon,
    broadcasts,
    get height() {
      return height;
    },
    view,
    watch(busy) {
      watched.add(busy);
      return () => void watched.delete(busy);
    },
    async mine(blocks = 1) {
      for (let i = 0; i < blocks; i++) {
        await daemon.mine(1);
        await settled();
      }
    },
    settled,
    async send(transaction) {
      const result = await chain.broadcast(transaction);
      const { txid } = parseTx(transaction);
      broadcasts.push({ by: 'test', txid, height, result });
      if (!result.ok) throw new Error(`${txid} was refused: ${result.code} (${result.reason})`);
      return txid;
    },
    async mineOnly(transactions) {
      await daemon.mineThese(transactions);
      await settled();
    },
    transactions: () => bestChain(history),
    async stop() {
      stopFollowing();
      stopListening();
      for (const subscriber of subscribers) subscriber.stopped = true;
      await chain.close();
      await daemon.stop();
    },
  };
}

function tipOf(history: readonly ChainEvent[]): ChainTip | undefined {
  const newest = history.at(-1);
  return newest === undefined || newest.type === 'rolled_back' ? newest?.tip : { height: newest.block.height, block_hash: newest.block.block_hash };
}

function bestChain(history: readonly ChainEvent[]): ReadonlyMap<Hex32, PlacedTransaction> {
  const blocks = new Map<number, Extract<ChainEvent, { type: 'block_connected' }>['block']>();
  for (const event of history) {
    if (event.type === 'block_connected') blocks.set(event.block.height, event.block);
    else for (const at of blocks.keys()) if (at > event.tip.height) blocks.delete(at);
  }
  return new Map([...blocks.values()].flatMap(({ height, transactions }) => transactions.map(({ txid, transaction }) => [txid, { ...parseTx(transaction), height, raw: transaction }] as const)));
}
