/** BOLT 2, "Legacy Closing Negotiation": which fee a mutual close may pay, and how both sides come to one. All fees in sat. */
import { closingWeight } from '../../bolt/03-transactions/closing-tx.ts';
import { FEERATE_FLOOR, feeOf } from '../../bolt/03-transactions/fees.ts';
import { msatToSat, sat, type Sat } from '../../bolt/primitives.ts';
import type { ChannelEvent } from '../../events/channel/index.ts';
import { accept, refuse, type Decision } from '../decider.ts';
import type { ChannelCommand } from './commands.ts';
import type { ChannelState, ClosingOffer } from './state.ts';

export type ClosingState = Extract<ChannelState, { phase: 'closing' }>;
type ClosingSigned = Extract<ChannelCommand, { type: 'ReceiveClosingSigned' }>['message'];
type FeeRange = NonNullable<ClosingOffer['fee_range']>;
type FeeAnswer = { readonly fee_satoshis: Sat; readonly fee_range: FeeRange };

/** The opener, who pays, bears up to this many times the estimate. */
const FEE_RANGE_FACTOR = 3n;

export interface Fees {
  readonly ideal: Sat;
  readonly fee_range: FeeRange;
}

/** What we would pay, and what we would bear, at an estimate in sat per 1000 weight. */
export function ourFees(state: ClosingState, feerate_per_kw: number): Fees {
  const weight = closingWeight(state.scripts.local, state.scripts.remote);
  const opener = state.terms.role === 'opener';
  const affordable = msatToSat(opener ? state.commitments.local_msat : state.commitments.remote_msat);
  const atMost = (fee: bigint) => sat(fee < affordable ? fee : affordable);
  const min_fee_satoshis = atMost(feeOf(FEERATE_FLOOR, weight));
  const ideal = atMost(feeOf(Math.max(feerate_per_kw, FEERATE_FLOOR), weight));
  // Who does not pay bears any fee that the payer can afford.
  return { ideal, fee_range: { min_fee_satoshis, max_fee_satoshis: opener ? atMost(ideal * FEE_RANGE_FACTOR) : affordable } };
}

export const lastOffer = (state: ClosingState, by: ClosingOffer['by']): ClosingOffer | undefined => state.offers.findLast((offer) => offer.by === by);

/** BOLT 2, "Legacy Closing Negotiation": the fee we sign for next; the peer's own when it suits us. */
export function answerFee(state: ClosingState, { fee_satoshis, tlvs }: ClosingSigned, { ideal, fee_range }: Fees): FeeAnswer | Decision<ChannelEvent> {
  const range = lastOffer(state, 'local')?.fee_range ?? fee_range;
  if (isWithin(fee_satoshis, range) && isWithin(fee_satoshis, tlvs.fee_range ?? range)) return { fee_satoshis, fee_range: range };
  return tlvs.fee_range === undefined ? meetHalfway(state, fee_satoshis, { ideal, fee_range: range }) : withinBoth(state, fee_satoshis, tlvs.fee_range, { ideal, fee_range: range });
}

const isWithin = (fee: Sat, { min_fee_satoshis, max_fee_satoshis }: FeeRange): boolean => fee >= min_fee_satoshis && fee <= max_fee_satoshis;

/** Both sides name a range: the opener's first offer is answered once, from what the ranges have in common. */
function withinBoth(state: ClosingState, theirs: Sat, theirRange: FeeRange, { ideal, fee_range }: Fees): FeeAnswer | Decision<ChannelEvent> {
  const min = larger(fee_range.min_fee_satoshis, theirRange.min_fee_satoshis);
  const max = smaller(fee_range.max_fee_satoshis, theirRange.max_fee_satoshis);
  const detail = { fee_satoshis: theirs, our_range: rangeText(fee_range), their_range: rangeText(theirRange) };
  if (min > max) return refuse('closing_fee_ranges_do_not_overlap', detail, 'warning');
  if (state.terms.role === 'opener' || lastOffer(state, 'local') !== undefined) {
    return accept<ChannelEvent>({ type: 'ChannelFailed', by: 'local', code: 'closing_fee_out_of_range', reason: `closing_signed: fee_satoshis ${theirs}, expected ${min} to ${max}` });
  }
  return { fee_satoshis: smaller(larger(ideal, min), max), fee_range };
}

/** Without ranges each offer lies strictly between the two before it, so that there is an end. */
function meetHalfway(state: ClosingState, theirs: Sat, { ideal, fee_range }: Fees): FeeAnswer | Decision<ChannelEvent> {
  const [ours, before] = [lastOffer(state, 'local')?.fee_satoshis, lastOffer(state, 'remote')?.fee_satoshis];
  if (ours !== undefined && before !== undefined && !(theirs > smaller(ours, before) && theirs < larger(ours, before))) {
    return refuse('closing_fee_not_between', { fee_satoshis: theirs, ours, before }, 'disconnect');
  }
  const middle = (((ours ?? ideal) + theirs) / 2n) as Sat;
  const fee_satoshis = smaller(larger(middle, fee_range.min_fee_satoshis), fee_range.max_fee_satoshis);
  // We stand at the end of our range already: to say the same again would be no answer.
  if (fee_satoshis === ours) return refuse('closing_fee_beyond_our_range', { fee_satoshis: theirs, our_range: rangeText(fee_range) }, 'warning');
  return { fee_satoshis, fee_range };
}

const larger = (a: Sat, b: Sat): Sat => (a > b ? a : b);
const smaller = (a: Sat, b: Sat): Sat => (a < b ? a : b);
const rangeText = ({ min_fee_satoshis, max_fee_satoshis }: FeeRange): string => `${min_fee_satoshis} to ${max_fee_satoshis}`;
