/** Which outputs a block spends: read once for all channels. */
import { parseTx } from '../../bolt/03-transactions/tx-parse.ts';
import type { BlockHeight, Hex, Hex32 } from '../../bolt/primitives.ts';
import type { OutPoint, WatchedSpend } from '../../domain/onchain/types.ts';
import type { Block } from '../../domain/ports.ts';

export interface Spend {
  readonly txid: Hex32;
  readonly input_index: number;
  /** Raw, with witnesses. */
  readonly transaction: Hex;
}

export interface BlockSpends {
  readonly height: BlockHeight;
  of(output: OutPoint): Spend | undefined;
  /** In the order of `watched`; outputs that the block leaves alone are left out. */
  among(watched: readonly OutPoint[]): readonly WatchedSpend[];
}

/** A block's transactions may have any shape that consensus allows (safety 17). */
export function spendsIn({ height, transactions }: Block): BlockSpends {
  const spends = new Map<string, Spend>();
  for (const { txid, transaction } of transactions) {
    for (const [input_index, { txid: spent, index }] of parseTx(transaction).inputs.entries()) spends.set(`${spent}:${index}`, { txid, input_index, transaction });
  }
  const of = ({ txid, output_index }: OutPoint) => spends.get(`${txid}:${output_index}`);
  return {
    height,
    of,
    among: (watched) => watched.flatMap(({ txid, output_index }) => {
      const spend = of({ txid, output_index });
      return spend === undefined ? [] : [{ txid, output_index, spending_txid: spend.txid, input_index: spend.input_index, transaction: spend.transaction, block_height: height }];
    }),
  };
}
