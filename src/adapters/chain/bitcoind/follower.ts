/** Walks the backend's best chain for one listener: each block after the one before it, and a roll-back where the chain has turned. */
import type { BlockHeight, Hex32 } from '../../../bolt/primitives.ts';
import type { Block, ChainEvent, ChainTip } from '../../../domain/ports.ts';
import type { OnListenerError } from '../follow.ts';
import type { BlockReader } from './blocks.ts';
import { ChainError } from './errors.ts';

export interface FollowSource extends BlockReader {
  /** The tip of the last poll; undefined while the backend cannot be believed, and nothing is delivered then. */
  tip(): ChainTip | undefined;
  /** The backend failed: the walk goes on with the next poll. */
  onProblem(error: unknown): void;
}

export interface Follower {
  /** There may be something new. */
  wake(): void;
  stop(): void;
  /** Resolves when nothing more can be delivered for now. */
  idle(): Promise<void>;
}

/** Delivered blocks whose hashes are remembered: enough to find the way back though the backend has forgotten them. */
const REMEMBERED_BLOCKS = 2016;

/** Delivers from `fromHeight` on. One block is in memory at a time, however far there is to go. */
export function createFollower(source: FollowSource, fromHeight: BlockHeight, onEvent: (event: ChainEvent) => void | Promise<void>, onListenerError: OnListenerError): Follower {
  const delivered = new Map<BlockHeight, Hex32>();
  /** What the next block must stand on. */
  let last: ChainTip | undefined;
  let running: Promise<void> | undefined;
  let wanted = false;
  let stopped = false;

  async function next(): Promise<ChainEvent | undefined> {
    const tip = stopped ? undefined : source.tip();
    if (tip === undefined) return undefined;
    last ??= await anchor(tip);
    if (last !== undefined && (tip.height < last.height || (tip.height === last.height && tip.block_hash !== last.block_hash))) return rollBack(last);
    const height = last === undefined ? fromHeight : last.height + 1;
    const block = height > tip.height ? undefined : await blockAt(height);
    if (block === undefined) return undefined;
    if (last !== undefined && block.previous_block_hash !== last.block_hash) return rollBack(last);
    remember(block);
    return { type: 'block_connected', block };
  }

  /** The block before the first one, so that a reorganisation below it is seen. */
  async function anchor(tip: ChainTip): Promise<ChainTip | undefined> {
    const height = fromHeight - 1;
    if (height < 0 || height > tip.height) return undefined;
    const block_hash = await source.hashAt(height);
    return block_hash && { height, block_hash };
  }

  async function blockAt(height: BlockHeight): Promise<Block | undefined> {
    const block_hash = await source.hashAt(height);
    return block_hash && source.block(block_hash, height);
  }

  function remember({ height, block_hash, previous_block_hash }: Block): void {
    last = { height, block_hash };
    delivered.set(height - 1, previous_block_hash).set(height, block_hash).delete(height - REMEMBERED_BLOCKS);
  }

  /** Down to the highest block of ours that is on the best chain. Undefined when that is the last one after all. */
  async function rollBack(from: ChainTip): Promise<ChainEvent | undefined> {
    let tip = from;
    while ((await source.hashAt(tip.height)) !== tip.block_hash) tip = await parentOf(tip);
    if (tip.height === from.height) return undefined;
    for (let height = from.height; height > tip.height; height--) delivered.delete(height);
    last = tip;
    return { type: 'rolled_back', tip };
  }

  async function parentOf({ height, block_hash }: ChainTip): Promise<ChainTip> {
    const parent = delivered.get(height - 1) ?? (await source.header(block_hash))?.previous;
    if (parent === undefined) throw new ChainError('chain_nonsense', `the backend does not know block ${block_hash} at height ${height}, which we have followed: it is not the chain it was`);
    return { height: height - 1, block_hash: parent };
  }

  async function run(): Promise<void> {
    try {
      for (let event = await next(); event !== undefined; event = await next()) await tell(event);
    } catch (error) {
      if (!stopped) source.onProblem(error);
    }
  }

  async function tell(event: ChainEvent): Promise<void> {
    try {
      if (!stopped) await onEvent(event);
    } catch (error) {
      onListenerError(error);
    }
  }

  function wake(): void {
    wanted = true;
    running ??= walk().finally(() => (running = undefined));
  }

  async function walk(): Promise<void> {
    // Never within the caller's turn.
    await Promise.resolve();
    for (; wanted; await run()) wanted = false;
  }

  return { wake, stop: () => void (stopped = true), idle: async () => running };
}
