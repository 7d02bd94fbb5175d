/**
 * Finds confirmed transactions by txid. A backend with `txindex=1` simply knows. Without one we look where ours can be: in
 * blocks read since somebody asked for it, and in the set of unspent outputs, where a funding or a sweep stays for long.
 * What is then not found: a transaction all of whose first 16 outputs were spent before anybody asked.
 */
import type { BlockHeight, Hex32 } from '../../../bolt/primitives.ts';
import type { Block, ConfirmedTransaction } from '../../../domain/ports.ts';
import { placedTransaction, txOut } from './answers.ts';
import type { Backend } from './backend.ts';
import { type BlockReader, nothingFor } from './blocks.ts';
import type { Rpc } from './rpc.ts';

export interface TransactionFinder {
  find(txid: Hex32): Promise<ConfirmedTransaction | undefined>;
  /** Somebody will ask for it. */
  expect(txid: Hex32): void;
  /** A block was read, by anyone. */
  sawBlock(block: Block): void;
}

interface Place {
  readonly block_hash: Hex32;
  readonly height: BlockHeight;
}

/** Txids remembered, each with its block once it was seen; the oldest are dropped. */
const MAX_EXPECTED = 10_000;
const PROBED_OUTPUTS = 16;
const NOT_FOUND = -5;

export function createTransactionFinder(rpc: Rpc, backend: Pick<Backend, 'hasTxIndex'>, blocks: BlockReader): TransactionFinder {
  const expected = new Map<Hex32, Place | undefined>();

  function expect(txid: Hex32): void {
    if (expected.has(txid)) return;
    expected.set(txid, undefined);
    if (expected.size > MAX_EXPECTED) expected.delete(expected.keys().next().value!);
  }

  async function placeOf(txid: Hex32): Promise<Place | undefined> {
    if (backend.hasTxIndex) return placeByIndex(txid);
    const seen = expected.get(txid);
    if (seen !== undefined && (await blocks.hashAt(seen.height)) === seen.block_hash) return seen;
    return placeByOutputs(txid);
  }

  async function placeByIndex(txid: Hex32): Promise<Place | undefined> {
    const found = await rpc.call('getrawtransaction', [txid, true], placedTransaction).catch(nothingFor(NOT_FOUND));
    const header = found?.blockhash === undefined ? undefined : await blocks.header(found.blockhash);
    // The index remembers blocks that have left the chain.
    return header === undefined || header.confirmations < 1 ? undefined : { block_hash: found!.blockhash!, height: header.height };
  }

  async function placeByOutputs(txid: Hex32): Promise<Place | undefined> {
    const outputs = await rpc.batch('gettxout', Array.from({ length: PROBED_OUTPUTS }, (_, index) => [txid, index, false]), txOut);
    const output = outputs.find((each) => each !== undefined && each !== null);
    const tip = output && (await blocks.header(output.bestblock));
    if (output === undefined || output === null || tip === undefined) return undefined;
    const height = tip.height - output.confirmations + 1;
    const block_hash = await blocks.hashAt(height);
    return block_hash && { block_hash, height };
  }

  return {
    expect,
    async find(txid) {
      expect(txid);
      const place = await placeOf(txid);
      if (place === undefined) return undefined;
      const { transactions } = await blocks.block(place.block_hash, place.height);
      const transaction_index = transactions.findIndex((each) => each.txid === txid);
      // The chain turned between two answers: whoever asks again will know.
      return transaction_index < 0 ? undefined : { txid, transaction: transactions[transaction_index]!.transaction, block_height: place.height, transaction_index };
    },
    sawBlock({ block_hash, height, transactions }) {
      if (expected.size === 0) return;
      for (const { txid } of transactions) if (expected.has(txid)) expected.set(txid, { block_hash, height });
    },
  };
}
