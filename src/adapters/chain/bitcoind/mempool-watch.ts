/** Tells listeners of transactions that wait in the backend's mempool: each once, a bounded number at a time, best effort. */
import { parseTx } from '../../../bolt/03-transactions/tx-parse.ts';
import type { Hex, Hex32 } from '../../../bolt/primitives.ts';
import { deliverQueue, type OnListenerError } from '../follow.ts';
import { hashes, rawHex } from './answers.ts';
import { messageOf } from './errors.ts';
import type { Rpc } from './rpc.ts';

export interface WaitingTransaction {
  readonly txid: Hex32;
  readonly transaction: Hex;
}

export interface MempoolWatch {
  listen(listener: (transaction: WaitingTransaction) => void): () => void;
  /** Looks once; nothing is asked while nobody listens. Never rejects: blocks must not wait for it. */
  look(): Promise<void>;
  idle(): Promise<void>;
}

/** Fetched with one look; the next look goes on. */
const MAX_FETCHED = 500;
const BATCH = 100;

/** What waits when the first listener comes is told as well: it may spend something of ours since before we started. */
export function createMempoolWatch(rpc: Rpc, onListenerError: OnListenerError, onLog: (line: string) => void): MempoolWatch {
  const listeners = new Set<ReturnType<typeof deliverQueue<WaitingTransaction>>>();
  let problem: string | undefined;
  let seen = new Set<Hex32>();

  async function fetch(txids: readonly Hex32[]): Promise<void> {
    const raws = await rpc.batch('getrawtransaction', txids.map((txid) => [txid]), rawHex);
    for (const [i, txid] of txids.entries()) {
      seen.add(txid);
      const transaction = raws[i];
      // Gone between two answers, or not what was asked for.
      if (transaction === undefined || txidOf(transaction) !== txid) continue;
      for (const listener of listeners) listener.push({ txid, transaction });
    }
  }

  async function look(): Promise<void> {
    const waiting = await rpc.call('getrawmempool', [], hashes);
    seen = new Set(waiting.filter((txid) => seen.has(txid)));
    const fresh = waiting.filter((txid) => !seen.has(txid)).slice(0, MAX_FETCHED);
    for (let i = 0; i < fresh.length; i += BATCH) await fetch(fresh.slice(i, i + BATCH));
  }

  function complain(error: unknown): void {
    const told = messageOf(error);
    if (told !== problem) onLog(`the mempool cannot be watched: ${told}; asking again`);
    problem = told;
  }

  return {
    listen(listener) {
      const queue = deliverQueue(listener, onListenerError);
      listeners.add(queue);
      return () => {
        queue.stop();
        listeners.delete(queue);
        if (listeners.size === 0) seen = new Set();
      };
    },
    look: async () => (listeners.size === 0 ? undefined : await look().then(() => void (problem = undefined), complain)),
    idle: async () => void (await Promise.all([...listeners].map((listener) => listener.idle()))),
  };
}

/** Undefined for what we cannot read: a relative of Bitcoin may have transactions of its own. */
function txidOf(transaction: Hex): Hex32 | undefined {
  try {
    return parseTx(transaction).txid;
  } catch {
    return undefined;
  }
}
