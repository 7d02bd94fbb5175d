/** BOLT 2, "Updating Fees": the feerate a commitment should have, and when its opener proposes it. */
import type { CommitmentFormat } from '../../bolt/03-transactions/fees.ts';
import type { Feerates } from '../feerates.ts';
import type { LiveState } from './state.ts';
import { feerateBreach, mayStillUpdate, newestFeerate, type DustPolicy } from './update-fee.ts';

/** When an opener acts by itself; percentages of the feerate that is right now. */
export interface FeePolicy {
  /** A feerate below this share of the right one is raised. */
  readonly raise_below_percent: number;
  /** A feerate above this share of the right one is lowered. */
  readonly lower_above_percent: number;
}

export const DEFAULT_FEE_POLICY: FeePolicy = { raise_below_percent: 80, lower_above_percent: 125 };

/**
 * With anchors a child pays for the hurry: the commitment need only be relayed. Without, what it pays today must do on the
 * day it is published ("by a significant margin").
 */
export const commitmentFeerate = (format: CommitmentFormat, { urgent, economic }: Feerates): number =>
  format === 'anchors_zero_fee_htlc_tx' ? economic : urgent;

/** The feerate that the opener should propose now: the right one, or as much of it as can be paid. Undefined where all is well. */
export function dueFeerate(state: LiveState, feerates: Feerates, { raise_below_percent, lower_above_percent, ...policy }: FeePolicy & DustPolicy): number | undefined {
  const { terms, commitments } = state;
  if (terms.role !== 'opener' || commitments.fees.length > 1 || !mayStillUpdate(state)) return undefined;
  const current = newestFeerate(state);
  const isOff = (right: number): boolean => current * 100 < right * raise_below_percent || current * 100 > right * lower_above_percent;
  const right = commitmentFeerate(terms.format, feerates);
  const payable = isOff(right) ? mostPayable(state, current, right, policy) : undefined;
  return payable !== undefined && isOff(payable) ? payable : undefined;
}

/** The highest feerate up to `right` that breaks no limit; a lower one than today's is taken as it is or not at all. */
function mostPayable(state: LiveState, current: number, right: number, policy: DustPolicy): number | undefined {
  const isPayable = (feerate_per_kw: number): boolean => feerateBreach(state, feerate_per_kw, policy) === undefined;
  if (isPayable(right)) return right;
  let [payable, tooMuch] = [current, right];
  while (tooMuch - payable > 1) {
    const middle = Math.floor((payable + tooMuch) / 2);
    if (isPayable(middle)) payable = middle;
    else tooMuch = middle;
  }
  return payable > current ? payable : undefined;
}
