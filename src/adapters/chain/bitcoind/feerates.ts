/** What a transaction should pay for its weight, by the backend's estimate: within bounds, never less than is relayed. */
import { FEERATE_FLOOR } from '../../../bolt/03-transactions/fees.ts';
import { feeEstimate, mempoolInfo } from './answers.ts';
import { ChainError } from './errors.ts';
import type { Rpc } from './rpc.ts';

export interface FeerateOptions {
  /** sat per 1000 weight units where the backend has no estimate yet. */
  readonly fallback: number | undefined;
}

/** A thousand sat a virtual byte, in sat per 1000 weight units. */
export const MAX_FEERATE_PER_KW = 250_000;
const MAX_TARGET_BLOCKS = 1008;

/** Answers in sat per 1000 weight units. Throws ChainError `chain_no_estimate` when there is nothing to go by. */
export function createFeerates(rpc: Rpc, { fallback }: FeerateOptions): (blocks: number) => Promise<number> {
  const newest = new Map<number, number>();
  return async (blocks) => {
    const target = Math.min(Math.max(Math.ceil(blocks), 1), MAX_TARGET_BLOCKS);
    const [estimate, { mempoolminfee }] = await Promise.all([rpc.call('estimatesmartfee', [target], feeEstimate), rpc.call('getmempoolinfo', [], mempoolInfo)]);
    const known = estimate.feerate === undefined ? newest.get(target) ?? fallback : perKw(estimate.feerate);
    if (known === undefined) throw new ChainError('chain_no_estimate', `${rpc.host} has no fee estimate for ${target} blocks: ${estimate.errors?.join('; ') ?? 'no reason given'}`);
    if (estimate.feerate !== undefined) newest.set(target, known);
    return Math.min(Math.max(known, perKw(mempoolminfee), FEERATE_FLOOR), MAX_FEERATE_PER_KW);
  };
}

/** From coins for 1000 virtual bytes, which are 4000 weight units. */
const perKw = (coinsPerKvb: number): number => Math.ceil(Math.round(coinsPerKvb * 1e8) / 4);
