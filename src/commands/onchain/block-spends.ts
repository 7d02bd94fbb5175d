/** Which outputs a block spends: read once for all channels. */
import { parseTx } from '../../bolt/03-transactions/tx-parse.ts';
import type { BlockHeight, Hex, Hex32 } from '../../bolt/primitives.ts';
import type { ChannelState } from '../../domain/channel/state.ts';
import type { WatchedSpend } from '../../domain/onchain/types.ts';
import { outPointKey, type OutPoint } from '../../domain/outpoint.ts';
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
    for (const [input_index, { txid: spent, index }] of parseTx(transaction).inputs.entries()) spends.set(outPointKey({ txid: spent, output_index: index }), { txid, input_index, transaction });
  }
  const of = (output: OutPoint) => spends.get(outPointKey(output));
  return {
    height,
    of,
    among: (watched) => watched.flatMap(({ txid, output_index }) => {
      const spend = of({ txid, output_index });
      return spend === undefined ? [] : [{ txid, output_index, spending_txid: spend.txid, input_index: spend.input_index, transaction: spend.transaction, block_height: height }];
    }),
  };
}

/**
 * A reorganisation that we slept through put another block where we knew one: it lacks a spend that we have at its height, or
 * has one that we have at another. Answers the height up to which what we know can be kept; undefined where nothing contradicts.
 */
export function keptUpTo(state: ChannelState, { height, of }: BlockSpends): BlockHeight | undefined {
  if (state.phase !== 'resolving' && state.phase !== 'closed') return undefined;
  const funding = { txid: state.funding.txid, output_index: state.funding.output_index, spent: state.spend };
  const wrong = [funding, ...(state.onchain?.outputs ?? [])].flatMap((output) => {
    const found = of(output);
    if (output.spent === undefined) return [];
    const { txid, block_height } = output.spent;
    return (block_height === height ? found?.txid !== txid : found !== undefined) ? [block_height] : [];
  });
  return wrong.length === 0 ? undefined : Math.min(height, ...wrong) - 1;
}
