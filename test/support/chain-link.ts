/** A Chain handed to another process over its IPC channel, so that nodes can be killed while their chain lives on. */
import type { ChildProcess } from 'node:child_process';
import type { Chain, ChainEvent } from '../../src/domain/ports.ts';

type Verb = 'tip' | 'confirmedTransaction' | 'unspentOutput' | 'broadcast' | 'estimateFeerate';
type Ask = { readonly chain: 'ask'; readonly id: number; readonly verb: Verb; readonly args: readonly unknown[] };
type Follow = { readonly chain: 'follow'; readonly id: number; readonly fromHeight: number };
type Took = { readonly chain: 'took'; readonly id: number };
type Listen = { readonly chain: 'listen'; readonly id: number };
type ToOwner = Ask | Follow | Took | Listen;
type ToUser =
  | { readonly chain: 'answer'; readonly id: number; readonly value?: unknown; readonly error?: string }
  | { readonly chain: 'event'; readonly id: number; readonly event: ChainEvent }
  | { readonly chain: 'heard'; readonly id: number; readonly transaction: MempoolTransaction };
type MempoolTransaction = Parameters<Parameters<Chain['onMempoolTransaction']>[0]>[0];

const isChainMessage = <T>(message: unknown): message is T => typeof message === 'object' && message !== null && 'chain' in message;

/** In the process that owns the chain: serves one child until it exits. */
export function serveChain(chain: Chain, child: ChildProcess): void {
  const stops: (() => void)[] = [];
  const taken = new Map<number, () => void>();
  const send = (message: ToUser) => child.connected && child.send(message);
  child.on('message', (message: unknown) => {
    if (!isChainMessage<ToOwner>(message)) return;
    if (message.chain === 'ask') return answer(message);
    if (message.chain === 'took') return taken.get(message.id)?.();
    const { id } = message;
    if (message.chain === 'listen') return void stops.push(chain.onMempoolTransaction(({ txid, transaction }) => void send({ chain: 'heard', id, transaction: { txid, transaction } })));
    const { fromHeight } = message;
    // One event at a time, as the port promises: the next waits for the child's word.
    stops.push(chain.follow(fromHeight, (event) => new Promise<void>((resolve) => {
      taken.set(id, resolve);
      if (send({ chain: 'event', id, event }) === false) resolve();
    })));
  });
  child.once('exit', () => {
    for (const stop of stops) stop();
    for (const resolve of taken.values()) resolve();
  });

  function answer({ id, verb, args }: Ask): void {
    void (chain[verb] as (...rest: readonly unknown[]) => Promise<unknown>)(...args).then(
      (value) => send({ chain: 'answer', id, value }),
      (error: Error) => send({ chain: 'answer', id, error: error.message }),
    );
  }
}

/** In a child: the parent's chain. */
export function linkedChain({ network, chain_hash }: Pick<Chain, 'network' | 'chain_hash'>): Chain {
  let last = 0;
  const asked = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  const followers = new Map<number, (event: ChainEvent) => void | Promise<void>>();
  const listeners = new Map<number, (transaction: MempoolTransaction) => void>();
  const send = (message: ToOwner) => process.send!(message);
  process.on('message', (message: unknown) => {
    if (!isChainMessage<ToUser>(message)) return;
    if (message.chain === 'heard') return listeners.get(message.id)?.(message.transaction);
    if (message.chain === 'event') {
      const { id, event } = message;
      return void Promise.resolve(followers.get(id)?.(event)).then(() => send({ chain: 'took', id }));
    }
    const waiting = asked.get(message.id);
    asked.delete(message.id);
    if (message.error === undefined) waiting?.resolve(message.value as never);
    else waiting?.reject(new Error(message.error));
  });
  const ask = <T>(verb: Verb, ...args: readonly unknown[]): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      asked.set(++last, { resolve, reject });
      send({ chain: 'ask', id: last, verb, args });
    });
  return {
    network,
    chain_hash,
    tip: () => ask('tip'),
    follow(fromHeight, onEvent) {
      const id = ++last;
      followers.set(id, onEvent);
      send({ chain: 'follow', id, fromHeight });
      return () => void followers.delete(id);
    },
    onMempoolTransaction(listener) {
      const id = ++last;
      listeners.set(id, listener);
      send({ chain: 'listen', id });
      return () => void listeners.delete(id);
    },
    confirmedTransaction: (txid) => ask('confirmedTransaction', txid),
    unspentOutput: (outpoint) => ask('unspentOutput', outpoint),
    broadcast: (transaction) => ask('broadcast', transaction),
    estimateFeerate: (blocks) => ask('estimateFeerate', blocks),
    close: async () => undefined,
  };
}
