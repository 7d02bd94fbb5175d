/** BOLT 5 and BIP 125: what a claim pays, by the blocks left to its deadline; never less than before, never more than it brings. */
import { FEERATE_FLOOR, feeOf, INCREMENTAL_FEERATE } from '../../bolt/03-transactions/fees.ts';
import type { BlockHeight, Sat } from '../../bolt/primitives.ts';
import type { Feerates } from '../feerates.ts';

/** From here on every block counts: the spec's `security_delay`. */
export const SECURITY_DELAY = 18;
/** From here on each block makes it dearer, whatever the estimates say. */
const LAST_BLOCKS = 6;
/** Blocks between two rises while nothing presses. */
const PATIENCE = 6;
/** No bid is raised by less than a quarter once the last blocks have come. */
const LAST_RISE = { by: 5, of: 4 } as const;
/** What a claim with time may spend on fees of what it brings. */
const CALM_SHARE = 2n;

/** sat per 1000 weight. `deadline`: absent where only we can take the output, and waiting costs nothing. */
export function wantedFeerate(feerates: Feerates, deadline: BlockHeight | undefined, height: BlockHeight): number {
  if (deadline === undefined) return feerates.economic;
  const left = deadline - height;
  if (left > SECURITY_DELAY) return feerates.normal;
  const steps = Math.max(0, LAST_BLOCKS + 1 - Math.max(left, 0));
  return feerates.urgent + Math.floor((feerates.urgent * steps) / 2);
}

/** The most a claim may pay: half of what it brings while there is time, all but what must be left over at the end. In sat. */
export function feeCap(brings: Sat, least: Sat, deadline: BlockHeight | undefined, height: BlockHeight): Sat {
  const pressing = deadline !== undefined && deadline - height <= SECURITY_DELAY;
  const all = brings - least;
  const cap = pressing ? all : brings / CALM_SHARE;
  return (cap < all ? cap : all) as Sat;
}

/** The highest feerate whose fee stays within a cap, but at most `wanted`. Undefined below what is relayed at all. */
export function cappedFeerate(wanted: number, weight: number, cap: Sat): number | undefined {
  const most = Number((cap * 1000n) / BigInt(weight));
  const feerate = Math.min(wanted, most);
  return feerate < FEERATE_FLOOR ? undefined : feerate;
}

export interface Bid {
  readonly feerate_per_kw: number;
  readonly fee_satoshis: Sat;
  /** When it was made. */
  readonly block_height: BlockHeight;
}

/**
 * The feerate that should replace a bid now, or undefined to leave it. With each block once the deadline is near, else in
 * patience; a replacement pays for its own relay on top of the bid before.
 */
export function raisedFeerate(bid: Bid, wanted: number, weight: number, deadline: BlockHeight | undefined, height: BlockHeight): number | undefined {
  const left = deadline === undefined ? Infinity : deadline - height;
  const waited = height - bid.block_height;
  if (waited < (left <= SECURITY_DELAY ? 1 : PATIENCE)) return undefined;
  const feerate = left <= LAST_BLOCKS ? Math.max(wanted, Math.ceil((bid.feerate_per_kw * LAST_RISE.by) / LAST_RISE.of)) : wanted;
  const least = Math.max(bid.feerate_per_kw + INCREMENTAL_FEERATE, feerateFor(bid.fee_satoshis + feeOf(INCREMENTAL_FEERATE, weight) + 1n, weight));
  if (left <= LAST_BLOCKS) return Math.max(feerate, least);
  return feerate >= least ? feerate : undefined;
}

/** The lowest feerate that pays a fee, sat per 1000 weight. */
const feerateFor = (fee: bigint, weight: number): number => Number((fee * 1000n + BigInt(weight) - 1n) / BigInt(weight));
