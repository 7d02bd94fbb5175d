/** The blocks of the regtest chain, and what follows from them: unspent outputs, where each transaction stands, median times. */
import type { ParsedTx } from '../../bolt/03-transactions/tx-parse.ts';
import type { BlockHeight, Hex32 } from '../../bolt/primitives.ts';
import type { ChainTip, ConfirmedTransaction } from '../../domain/ports.ts';
import { genesisBlock, type MadeBlock, medianTime, parseBlock } from './blocks.ts';
import { type Coin, type CoinSet, connectCoins, disconnectCoins, type OutPointKey, type Undo } from './coins.ts';
import type { ConfirmedView } from './mempool.ts';

export type BlockTransaction = MadeBlock['transactions'][number];

export class ConfirmedChain implements ConfirmedView {
  readonly #blocks: MadeBlock[] = [genesisBlock()];
  readonly #undo: Undo[] = [[]];
  /** The genesis coinbase is no coin, as in Bitcoin. */
  readonly #coins: CoinSet = new Map();
  readonly #places = new Map<Hex32, { readonly block_height: BlockHeight; readonly transaction_index: number }>();

  get height(): BlockHeight {
    return this.#blocks.length - 1;
  }

  newest(): MadeBlock {
    return this.#blocks.at(-1)!;
  }

  tip(): ChainTip {
    const { height, block_hash } = this.newest();
    return { height, block_hash };
  }

  blockAt(height: BlockHeight): MadeBlock | undefined {
    return this.#blocks[height];
  }

  coin(key: OutPointKey): Coin | undefined {
    return this.#coins.get(key);
  }

  /** Oldest first. */
  coins(): Iterable<readonly [OutPointKey, Coin]> {
    return this.#coins;
  }

  isConfirmed(txid: Hex32): boolean {
    return this.#places.has(txid);
  }

  transaction(txid: Hex32): ConfirmedTransaction | undefined {
    const place = this.#places.get(txid);
    return place && { txid, ...place, transaction: this.#blocks[place.block_height]!.transactions[place.transaction_index]!.transaction };
  }

  /** BIP 113, in seconds. */
  medianTimeAt(height: BlockHeight): number {
    return medianTime(this.#blocks.slice(Math.max(0, height - 10), height + 1).map(({ time }) => time));
  }

  /** Puts a block on top, whose transactions the mempool has judged; answers them read. */
  connect(block: MadeBlock): readonly ParsedTx[] {
    const transactions = parseBlock(block);
    this.#undo.push(connectCoins(this.#coins, transactions, block.height));
    this.#blocks.push(block);
    for (const [transaction_index, { txid }] of transactions.entries()) this.#places.set(txid, { block_height: block.height, transaction_index });
    return transactions;
  }

  /** Takes the newest block off; answers its transactions without the coinbase, which dies with it. */
  disconnect(): readonly BlockTransaction[] {
    const block = this.#blocks.pop()!;
    disconnectCoins(this.#coins, parseBlock(block), this.#undo.pop()!);
    for (const { txid } of block.transactions) this.#places.delete(txid);
    return block.transactions.slice(1);
  }
}
