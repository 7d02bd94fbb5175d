/** One life of a machine, from a boot to the next crash: what a dead one asks for is never answered, and what it says never leaves. */
import type { NodeId } from '../../../src/bolt/primitives.ts';
import type { Chain } from '../../../src/domain/ports.ts';
import type { AssembledNode } from '../../../src/node.ts';

export interface Life {
  readonly node_id: NodeId;
  readonly node: AssembledNode;
  readonly alive: boolean;
  log(line: string): void;
  /** Counts a message that leaves; false when it never gets out. */
  mayStillSend(): boolean;
}

export class RunningLife implements Life {
  readonly node_id: NodeId;
  readonly ended: Promise<undefined>;
  readonly #log: (line: string) => void;
  readonly #stops: (() => void)[] = [];
  #node: AssembledNode | undefined;
  #end!: () => void;
  #wordsLeft = Infinity;
  booted = false;
  /** Nothing reaches the disk any more. */
  diskless = false;
  alive = true;

  constructor(node_id: NodeId, log: (line: string) => void) {
    this.node_id = node_id;
    this.#log = log;
    this.ended = new Promise((resolve) => (this.#end = () => resolve(undefined)));
  }

  get node(): AssembledNode {
    return this.#node!;
  }

  set node(node: AssembledNode) {
    this.#node = node;
  }

  log(line: string): void {
    if (this.alive) this.#log(line);
  }

  end(): void {
    this.log('dies');
    this.alive = false;
    for (const stop of this.#stops) stop();
    this.#end();
  }

  lastWords(count: number): void {
    this.#wordsLeft = count;
  }

  mayStillSend(): boolean {
    return this.#wordsLeft-- > 0;
  }

  /** The dead hear nothing. */
  async answer<T>(promise: Promise<T>): Promise<T> {
    try {
      const value = await promise;
      return this.alive ? value : never();
    } catch (error) {
      if (this.alive) throw error;
      return never();
    }
  }

  async *answers<T>(values: AsyncIterable<T>): AsyncGenerator<T> {
    const iterator = values[Symbol.asyncIterator]();
    for (let next = await this.answer(iterator.next()); !next.done; next = await this.answer(iterator.next())) yield next.value;
  }

  mortalChain(chain: Chain): Chain {
    return {
      ...boundMethods(chain),
      follow: (from, onEvent) => this.#stoppable(chain.follow(from, (event) => (this.alive ? onEvent(event) : undefined))),
      onMempoolTransaction: (listener) => this.#stoppable(chain.onMempoolTransaction(listener)),
      broadcast: (transaction) => (this.alive ? chain.broadcast(transaction) : never()),
    };
  }

  #stoppable(stop: () => void): () => void {
    this.#stops.push(stop);
    return stop;
  }
}

const boundMethods = (chain: Chain): Chain => ({
  network: chain.network,
  chain_hash: chain.chain_hash,
  tip: () => chain.tip(),
  follow: (from, onEvent) => chain.follow(from, onEvent),
  onMempoolTransaction: (listener) => chain.onMempoolTransaction(listener),
  confirmedTransaction: (txid) => chain.confirmedTransaction(txid),
  unspentOutput: (outpoint) => chain.unspentOutput(outpoint),
  broadcast: (transaction) => chain.broadcast(transaction),
  estimateFeerate: (blocks) => chain.estimateFeerate(blocks),
  close: () => chain.close(),
});

/** A question that is never answered. */
export const never = <T>(): Promise<T> => new Promise(() => undefined);
