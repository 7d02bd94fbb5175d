/** BOLT 2 and BOLT 3: who can afford what, how much may be in flight, and how much may be lost as dust. All sums in msat. */
import { anchorsCost, commitmentFee, isTrimmed } from '../../bolt/03-transactions/fees.ts';
import { satToMsat, type Msat, type Sat } from '../../bolt/primitives.ts';
import type { Feerates } from '../feerates.ts';
import type { View } from './commitment-spec.ts';
import { otherSide, type CommitmentOwner } from './htlc-lifecycle.ts';
import type { Htlc, Terms } from './state.ts';

export type Breach = { readonly code: string; readonly detail: Readonly<Record<string, unknown>> };

/** Both values in words: the code stands beside them. */
export const describeBreach = ({ detail }: Breach): string => Object.entries(detail).map(([name, value]) => `${name} ${String(value)}`).join(', ');

/**
 * HTLCs of one side, whatever BOLT 2 would allow (483): with as many of the other, all signatures of a commitment_signed
 * (131 characters each) fit into one entry of the log, which has at most 65,535 bytes.
 */
export const MAX_HTLCS_OF_A_SIDE = 240;

const openerSide = (terms: Terms): CommitmentOwner => (terms.role === 'opener' ? 'local' : 'remote');

/** What the opener pays for a commitment of `owner` in this view: base fee and anchors. */
export function openerCostMsat(terms: Terms, view: View, owner: CommitmentOwner): bigint {
  const untrimmed = view.htlcs.filter((htlc) => !trimmedOn(terms, view.feerate_per_kw, owner, htlc)).length;
  return satToMsat(commitmentFee(terms.format, view.feerate_per_kw, untrimmed)) + satToMsat(anchorsCost(terms.format));
}

function trimmedOn(terms: Terms, feerate_per_kw: number, owner: CommitmentOwner, htlc: Pick<Htlc, 'direction' | 'amount_msat'>): boolean {
  const direction = (htlc.direction === 'offered') === (owner === 'local') ? 'offered' : 'received';
  return isTrimmed(terms.format, feerate_per_kw, terms[owner].dust_limit_satoshis, { direction, amount_msat: htlc.amount_msat });
}

/** What `side` must keep: the reserve that the other side asked for. */
export const reserveMsat = (terms: Terms, side: CommitmentOwner): Msat => satToMsat(terms[otherSide(side)].channel_reserve_satoshis);

/**
 * BOLT 2, "Adding an HTLC": in this view, which holds the new HTLC already, the offerer keeps its reserve, and the opener
 * (whoever offers) can pay fee and anchors beside its own.
 */
export function affordabilityBreach(terms: Terms, view: View, offerer: CommitmentOwner): Breach | undefined {
  const opener = openerSide(terms);
  const balance = { local: view.local_msat, remote: view.remote_msat };
  const cost = highestCostMsat(terms, view);
  const needed = reserveMsat(terms, offerer) + (offerer === opener ? cost : 0n);
  if (balance[offerer] < needed) {
    return { code: 'insufficient_balance', detail: { balance_msat: balance[offerer], needed_msat: needed, reserve_msat: reserveMsat(terms, offerer) } };
  }
  const openerNeeds = reserveMsat(terms, opener) + cost;
  if (offerer !== opener && balance[opener] < openerNeeds) {
    return { code: 'opener_cannot_pay_fee', detail: { opener_msat: balance[opener], needed_msat: openerNeeds } };
  }
  return undefined;
}

/** What the opener pays for the dearer of both sides' commitments. */
function highestCostMsat(terms: Terms, view: View): bigint {
  const [local, remote] = [openerCostMsat(terms, view, 'local'), openerCostMsat(terms, view, 'remote')];
  return local > remote ? local : remote;
}

/** BOLT 2, "Adding an HTLC": counts and sums of what `offerer` has in flight, against what the other side allows. */
export function inFlightBreach(terms: Terms, htlcs: readonly Htlc[], offerer: CommitmentOwner): Breach | undefined {
  const limits = terms[otherSide(offerer)];
  const max_accepted_htlcs = Math.min(limits.max_accepted_htlcs, MAX_HTLCS_OF_A_SIDE);
  const direction = offerer === 'local' ? 'offered' : 'received';
  const mine = htlcs.filter((htlc) => htlc.direction === direction);
  if (mine.length > max_accepted_htlcs) {
    return { code: 'too_many_htlcs', detail: { max_accepted_htlcs, htlcs: mine.length } };
  }
  const total = mine.reduce((sum, htlc) => sum + htlc.amount_msat, 0n);
  if (total > limits.max_htlc_value_in_flight_msat) {
    return { code: 'max_htlc_value_in_flight_exceeded', detail: { max_htlc_value_in_flight_msat: limits.max_htlc_value_in_flight_msat, in_flight_msat: total } };
  }
  return undefined;
}

/** BOLT 2, "Bounding exposure to trimmed in-flight HTLCs": what would go to miners if this commitment were published. */
export function dustExposureMsat(terms: Terms, htlcs: readonly Htlc[], feerate_per_kw: number, owner: CommitmentOwner): bigint {
  return htlcs.reduce((sum, htlc) => (trimmedOn(terms, feerate_per_kw, owner, htlc) ? sum + htlc.amount_msat : sum), 0n);
}

/**
 * The feerate to measure dust at when an HTLC is added: without anchors a rise trims more of those that stand, so there is
 * room for one by a quarter or by 10 sat a virtual byte, whichever is more.
 */
export const dustFeerate = ({ format }: Pick<Terms, 'format'>, feerate_per_kw: number): number =>
  format === 'static_remotekey' ? Math.max(Math.ceil(feerate_per_kw * 1.25), feerate_per_kw + 2_500) : feerate_per_kw;

/** The sum of dust on each side's commitment, against what we bear. */
export function dustBreach(terms: Terms, htlcs: readonly Htlc[], feerate_per_kw: number, max_dust_exposure_msat: Msat): Breach | undefined {
  for (const owner of ['local', 'remote'] as const) {
    const dust_msat = dustExposureMsat(terms, htlcs, feerate_per_kw, owner);
    if (dust_msat > max_dust_exposure_msat) return { code: 'dust_exposure_exceeded', detail: { commitment: owner, max_dust_exposure_msat, dust_msat } };
  }
  return undefined;
}

/** BOLT 2, "Updating Fees": the opener can pay the new feerate and keep its reserve, on either commitment. */
export function feeBreach(terms: Terms, view: View): Breach | undefined {
  const opener = openerSide(terms);
  const balance = opener === 'local' ? view.local_msat : view.remote_msat;
  for (const owner of ['local', 'remote'] as const) {
    const needed = openerCostMsat(terms, view, owner) + reserveMsat(terms, opener);
    if (balance < needed) return { code: 'cannot_afford_feerate', detail: { feerate_per_kw: view.feerate_per_kw, balance_msat: balance, needed_msat: needed } };
  }
  return undefined;
}

/** A peer's feerate so many times above an urgent one is absurd: without anchors it eats our HTLCs' outputs, too. */
const ABSURDLY_HIGH = 10;
/** Whatever the estimates, so much (100 sat a virtual byte) is not absurd, in sat per 1000 weight units. */
const NEVER_ABSURD = 25_000;
/** Without anchors, a feerate below this part of an economic one will not confirm in time. */
const ABSURDLY_LOW = 4;

/**
 * BOLT 2, "Updating Fees": "too low for timely processing, OR unreasonably large", as today's feerates have it. A rise is
 * never too low: what it replaces is worse.
 */
export function absurdFeerate({ format }: Pick<Terms, 'format'>, { from, to }: { readonly from: number; readonly to: number }, { urgent, economic }: Feerates): Breach | undefined {
  const max_feerate_per_kw = Math.max(urgent * ABSURDLY_HIGH, NEVER_ABSURD);
  if (to > max_feerate_per_kw) return { code: 'feerate_absurdly_high', detail: { feerate_per_kw: to, max_feerate_per_kw } };
  const min_feerate_per_kw = Math.floor(economic / ABSURDLY_LOW);
  const isTooLow = format === 'static_remotekey' && to < from && to < min_feerate_per_kw;
  return isTooLow ? { code: 'feerate_too_low', detail: { feerate_per_kw: to, min_feerate_per_kw } } : undefined;
}

/** What we could offer at most now, msat; the opener keeps room for a doubled feerate and for the HTLC's own output. */
export function sendableMsat(terms: Terms, view: View): Msat {
  const left = view.local_msat - reserveMsat(terms, 'local') - (openerSide(terms) === 'local' ? roomForOneMore(terms, view) : 0n);
  return (left > 0n ? left : 0n) as Msat;
}

/** What the peer could offer at most now, msat, if it leaves the room that we would. */
export function receivableMsat(terms: Terms, view: View): Msat {
  const left = view.remote_msat - reserveMsat(terms, 'remote') - (openerSide(terms) === 'remote' ? roomForOneMore(terms, view) : 0n);
  const most = terms.local.max_htlc_value_in_flight_msat;
  return (left <= 0n ? 0n : left < most ? left : most) as Msat;
}

/** Without anchors the doubled feerate may be the cheaper one: it trims more. */
function roomForOneMore(terms: Terms, view: View): bigint {
  const costs = [view.feerate_per_kw, view.feerate_per_kw * 2].map((feerate_per_kw) => {
    const output = commitmentFee(terms.format, feerate_per_kw, 1) - commitmentFee(terms.format, feerate_per_kw, 0);
    return highestCostMsat(terms, { ...view, feerate_per_kw }) + satToMsat(output as Sat);
  });
  return costs.reduce((most, cost) => (cost > most ? cost : most), 0n);
}
