/** Delivers blocks and transactions to those who listen: each in its own time and in order, none able to hold up another. */
import type { Hex32 } from '../../bolt/primitives.ts';
import type { Block, ChainEvent } from '../../domain/ports.ts';

/** One who listens. `idle` resolves when everything known so far has been delivered and worked off. */
export interface Listener {
  wake(): void;
  stop(): void;
  idle(): Promise<void>;
}

export type OnListenerError = (error: unknown) => void;

/** How many blocks back a follower remembers what it delivered: the deepest reorganisation it can tell. */
const MEMORY_BLOCKS = 2016;

/**
 * Delivers blocks from `fromHeight` on, and a roll-back where what was delivered has left the chain. Nothing is queued:
 * a slow follower reads the chain where it stands, so what came and went meanwhile it never hears of.
 */
export function followBlocks(
  chain: { readonly height: number; blockAt(height: number): Block | undefined },
  fromHeight: number,
  onEvent: (event: ChainEvent) => void | Promise<void>,
  onError: OnListenerError,
): Listener {
  const delivered = new Map<number, Hex32>();
  for (let height = Math.max(0, fromHeight - MEMORY_BLOCKS); height < fromHeight && height <= chain.height; height++) {
    delivered.set(height, chain.blockAt(height)!.block_hash);
  }
  let next = fromHeight;

  const nextEvent = (): ChainEvent | undefined => {
    const agreed = agreedHeight();
    if (agreed < next - 1) return rolledBack(agreed);
    const block = chain.blockAt(next);
    if (block === undefined) return undefined;
    delivered.set(next, block.block_hash);
    delivered.delete(next - MEMORY_BLOCKS);
    next++;
    return { type: 'block_connected', block };
  };
  /** The highest block delivered that is still on the chain. */
  const agreedHeight = (): number => {
    let height = next - 1;
    for (; delivered.has(height) && chain.blockAt(height)?.block_hash !== delivered.get(height); height--) delivered.delete(height);
    return height;
  };
  const rolledBack = (agreed: number): ChainEvent => {
    const height = Math.min(agreed, chain.height);
    next = height + 1;
    return { type: 'rolled_back', tip: { height, block_hash: chain.blockAt(height)!.block_hash } };
  };
  return deliver(nextEvent, onEvent, onError);
}

/** Transactions waiting for one listener; the oldest are dropped beyond this, for the mempool is best effort. */
const MAX_WAITING = 10_000;

/** Delivers what is pushed, one at a time. */
export function deliverQueue<T>(onItem: (item: T) => void | Promise<void>, onError: OnListenerError): Listener & { push(item: T): void } {
  const waiting: T[] = [];
  const listener = deliver(() => waiting.shift(), onItem, onError);
  return {
    ...listener,
    push(item) {
      if (waiting.length >= MAX_WAITING) waiting.shift();
      waiting.push(item);
      listener.wake();
    },
  };
}

/** Calls `onItem` for what `next` has, until it has nothing; a failing listener is reported, and the next item follows. */
function deliver<T>(next: () => T | undefined, onItem: (item: T) => void | Promise<void>, onError: OnListenerError): Listener {
  let running: Promise<void> | undefined;
  let stopped = false;
  const run = async () => {
    // Never within the caller's turn: whoever mines a block or broadcasts has finished before anyone hears of it.
    await Promise.resolve();
    for (let item = stopped ? undefined : next(); item !== undefined; item = stopped ? undefined : next()) {
      try {
        await onItem(item);
      } catch (error) {
        onError(error);
      }
    }
    running = undefined;
  };
  return {
    wake: () => void (running ??= run()),
    stop: () => void (stopped = true),
    idle: () => running ?? Promise.resolve(),
  };
}
