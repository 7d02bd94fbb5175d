/** BOLT 2, "Updating Fees": the opener sets the feerate of both commitments, in sat per 1000 weight. */
import type { ChannelEvent } from '../../events/channel/index.ts';
import type { UpdateEvent } from '../../events/channel/updates.ts';
import { accept, refuse, type Decision } from '../decider.ts';
import { proposalView, worstView, type View } from './commitment-spec.ts';
import type { ChannelCommand, ChannelPolicy } from './commands.ts';
import { isUnsigned, standing } from './htlc-lifecycle.ts';
import { absurdFeerate, describeBreach, dustBreach, feeBreach, type Breach } from './limits.ts';
import { isLive, type ChannelState, type Commitments, type LiveState } from './state.ts';

type Command<T extends ChannelCommand['type']> = Extract<ChannelCommand, { type: T }>;
type Event<T extends UpdateEvent['type']> = Extract<UpdateEvent, { type: T }>;

export type DustPolicy = Pick<ChannelPolicy, 'max_dust_exposure_msat'>;

// ---- decide

export function updateFee({ feerate_per_kw, policy }: Command<'UpdateFee'>, state: ChannelState): Decision<ChannelEvent> {
  if (!isLive(state)) return refuse('channel_not_open', { phase: state.phase });
  if (state.terms.role !== 'opener') return refuse('only_the_opener_sets_the_fee', { role: state.terms.role });
  if (!mayStillUpdate(state)) return refuse('channel_is_closing', { phase: state.phase });
  if (newestFeerate(state) === feerate_per_kw) return accept<ChannelEvent>();
  const breach = feerateBreach(state, feerate_per_kw, policy);
  return breach === undefined ? accept<ChannelEvent>({ type: 'UpdateFeeSent', feerate_per_kw }) : refuse(breach.code, breach.detail);
}

/** Why the opener cannot propose this feerate: it could not be paid in the worst case, or would turn too much into dust. */
export function feerateBreach(state: LiveState, feerate_per_kw: number, policy: DustPolicy): Breach | undefined {
  const view = { ...worstView(state.commitments), feerate_per_kw };
  return feeBreach(state.terms, view) ?? raisedDust(state, view, policy);
}

/**
 * BOLT 2, "Closing Initiation": no update after our shutdown once the channel may be quiet. It cannot be at the peer while an
 * HTLC stands in the peer's commitment as we signed it last.
 */
export const mayStillUpdate = (state: LiveState): boolean =>
  state.phase === 'normal' || state.scripts.local === undefined || state.commitments.htlcs.some((htlc) => standing(htlc.state, 'remote') === 'included');

export const newestFeerate = ({ commitments }: Pick<LiveState, 'commitments'>): number => commitments.fees.at(-1)!.feerate_per_kw;

/** BOLT 2, "Updating Fees": without anchors a higher feerate turns HTLCs into dust. */
function raisedDust(state: LiveState, { htlcs, feerate_per_kw }: View, policy: DustPolicy): Breach | undefined {
  const raised = state.terms.format === 'static_remotekey' && feerate_per_kw > newestFeerate(state);
  return raised ? dustBreach(state.terms, htlcs, feerate_per_kw, policy.max_dust_exposure_msat) : undefined;
}

export function receiveUpdateFee({ message, policy, feerates }: Command<'ReceiveUpdateFee'>, state: ChannelState): Decision<ChannelEvent> {
  if (!isLive(state)) return refuse('unexpected_message', { message: message.type, phase: state.phase }, 'warning');
  const { feerate_per_kw } = message;
  if (state.terms.role === 'opener') return refuse('only_the_opener_sets_the_fee', { role: state.terms.role }, 'disconnect');
  if (feerate_per_kw < policy.min_feerate_per_kw || feerate_per_kw > policy.max_feerate_per_kw) {
    return refuse('feerate_out_of_range', { feerate_per_kw, min: policy.min_feerate_per_kw, max: policy.max_feerate_per_kw }, 'disconnect');
  }
  const absurd = feerates === undefined ? undefined : absurdFeerate(state.terms, { from: newestFeerate(state), to: feerate_per_kw }, feerates);
  if (absurd !== undefined) return refuse(absurd.code, absurd.detail, 'disconnect');
  // Proposed already on this connection. One that is in force is an update like any other: the peer waits for our signature on it.
  const newest = state.commitments.fees.at(-1)!;
  if (isUnsigned(newest.state) && newest.feerate_per_kw === feerate_per_kw) return accept<ChannelEvent>();
  const view = { ...proposalView(state.commitments), feerate_per_kw };
  const breach = feeBreach(state.terms, view);
  if (breach !== undefined) return refuse(breach.code, breach.detail, 'disconnect');
  // A peer that insists would repeat it with every connection; our commitment, at the old feerate, still holds these HTLCs.
  const dust = raisedDust(state, view, policy);
  if (dust !== undefined) return accept<ChannelEvent>({ type: 'ChannelFailed', by: 'local', code: dust.code, reason: `update_fee to ${feerate_per_kw}: ${describeBreach(dust)}` });
  return accept<ChannelEvent>({ type: 'UpdateFeeReceived', feerate_per_kw });
}

// ---- evolve

export function evolveFee(commitments: Commitments, event: Event<'UpdateFeeSent'> | Event<'UpdateFeeReceived'>): Commitments {
  const state = event.type === 'UpdateFeeSent' ? 'SENT_ADD_HTLC' : 'RCVD_ADD_HTLC';
  // Of several between two signatures only the last can ever count; no peer makes us remember more.
  const signed = commitments.fees.filter((fee) => fee.state !== state);
  return { ...commitments, fees: [...signed, { feerate_per_kw: event.feerate_per_kw, state }] };
}
