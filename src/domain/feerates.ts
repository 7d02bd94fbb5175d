/** What a transaction should pay for its weight, by how soon it must confirm (BOLT 2, "Updating Fees"; BOLT 5): which estimates are believed. */
import { FEERATE_FLOOR } from '../bolt/03-transactions/fees.ts';

/** sat per 1000 weight units; never rising from left to right. */
export interface Feerates {
  /** Within 2 blocks: a deadline is near. */
  readonly urgent: number;
  /** Within 6 blocks. */
  readonly normal: number;
  /** Within 144 blocks: nothing is lost by waiting. */
  readonly economic: number;
}

/** Targets in blocks. */
export const TARGET_BLOCKS = { urgent: 2, normal: 6, economic: 144 } as const;

/** Estimates so many times above or below the last one are an error, until they have been heard this often in a row. */
const FARTHEST_STEP = 10;
export const BELIEVED_AFTER = 3;

/** One target's estimate as it has settled. */
export interface Estimate {
  readonly feerate_per_kw: number;
  /** Looks in a row that were too far off to be believed. */
  readonly doubted: number;
}

export type Judged =
  | { readonly estimate: Estimate }
  /** Not taken: the one before stands. */
  | { readonly estimate: Estimate | undefined; readonly doubt: { readonly code: string; readonly expected: string; readonly got: number } };

/**
 * What becomes of an answer of the chain's. A rise counts at once, for a claim must not lag behind; a fall counts by half
 * with each look, for the next block may be dear again. All within the floor and `ceiling` (sat per 1000 weight units).
 */
export function judgeEstimate(last: Estimate | undefined, answer: number, ceiling: number): Judged {
  if (!Number.isFinite(answer) || answer <= 0) return { estimate: last, doubt: { code: 'estimate_is_nonsense', expected: 'a feerate above 0', got: answer } };
  const bounded = Math.min(Math.max(Math.ceil(answer), FEERATE_FLOOR), ceiling);
  if (last === undefined) return { estimate: { feerate_per_kw: bounded, doubted: 0 } };
  const doubted = isFar(last.feerate_per_kw, bounded) ? last.doubted + 1 : 0;
  if (doubted > 0 && doubted < BELIEVED_AFTER) {
    return { estimate: { ...last, doubted }, doubt: { code: 'estimate_jumps', expected: `at most ${FARTHEST_STEP} times more or less than ${last.feerate_per_kw}`, got: answer } };
  }
  return { estimate: { feerate_per_kw: smoothed(last.feerate_per_kw, bounded), doubted: 0 } };
}

const isFar = (last: number, next: number): boolean => next > last * FARTHEST_STEP || next * FARTHEST_STEP < last;

const smoothed = (last: number, next: number): number => (next >= last ? next : Math.floor((last + next) / 2));

/** A target without an estimate takes its neighbour's, and sooner is never cheaper than later. Undefined while nothing is known. */
export function ordered(known: Readonly<Partial<Feerates>>): Feerates | undefined {
  const economic = known.economic ?? known.normal ?? known.urgent;
  if (economic === undefined) return undefined;
  const normal = Math.max(known.normal ?? economic, economic);
  return { economic, normal, urgent: Math.max(known.urgent ?? normal, normal) };
}
