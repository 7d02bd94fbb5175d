/** Reads blocks from the backend and keeps the newest few, so that several followers ask once. */
import type { BlockHeight, Hex32 } from '../../../bolt/primitives.ts';
import type { Block } from '../../../domain/ports.ts';
import { blockHeader, hash, rawHex } from './answers.ts';
import type { Backend } from './backend.ts';
import { ChainError, isRefusal } from './errors.ts';
import { readBlock } from './raw-block.ts';
import type { Rpc } from './rpc.ts';

export interface BlockReader {
  /** Undefined above the tip. */
  hashAt(height: BlockHeight): Promise<Hex32 | undefined>;
  /** Throws ChainError; `chain_pruned` with both heights when the backend has thrown it away. */
  block(block_hash: Hex32, height: BlockHeight): Promise<Block>;
  /** A header that the backend knows, on the best chain or off it (then `confirmations` is -1). */
  header(block_hash: Hex32): Promise<{ readonly height: BlockHeight; readonly confirmations: number; readonly previous: Hex32 | undefined } | undefined>;
}

/** In memory at once: 8 MB each at the most. */
const KEPT_BLOCKS = 4;
/** Bitcoin Core's numbers for what does not exist: RPC_INVALID_ADDRESS_OR_KEY, RPC_INVALID_PARAMETER, RPC_MISC_ERROR. */
const NOT_FOUND = -5;
const OUT_OF_RANGE = -8;
const MISC = -1;

export function createBlockReader(rpc: Rpc, backend: Pick<Backend, 'oldestHeight'>, onRead: (block: Block) => void): BlockReader {
  const kept = new Map<Hex32, Promise<Block>>();

  async function fetchBlock(block_hash: Hex32, height: BlockHeight): Promise<Block> {
    const raw = await rpc.call('getblock', [block_hash, 0], rawHex).catch((error: unknown) => {
      throw isRefusal(error, MISC) && height < backend.oldestHeight ? pruned(height, backend.oldestHeight, rpc.host) : error;
    });
    const block = readBlock(raw, block_hash, height);
    onRead(block);
    return block;
  }

  return {
    hashAt: (height) => rpc.call('getblockhash', [height], hash).catch(nothingFor(OUT_OF_RANGE)),
    block(block_hash, height) {
      const known = kept.get(block_hash);
      if (known !== undefined) return known;
      const fetched = fetchBlock(block_hash, height);
      kept.set(block_hash, fetched);
      fetched.catch(() => kept.delete(block_hash));
      if (kept.size > KEPT_BLOCKS) kept.delete(kept.keys().next().value!);
      return fetched;
    },
    async header(block_hash) {
      const found = await rpc.call('getblockheader', [block_hash], blockHeader).catch(nothingFor(NOT_FOUND));
      return found && { height: found.height, confirmations: found.confirmations, previous: found.previousblockhash };
    },
  };
}

/** Turns one refusal of the daemon into undefined; everything else stays an error. */
export function nothingFor(rpc_code: number): (error: unknown) => undefined {
  return (error) => {
    if (!isRefusal(error, rpc_code)) throw error;
  };
}

const pruned = (height: BlockHeight, oldest: BlockHeight, host: string): ChainError =>
  new ChainError('chain_pruned', `${host} is pruned: block ${height} is wanted, ${oldest} is the oldest it keeps; point us to a backend that has it`);
