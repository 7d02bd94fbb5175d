/** A channel's facts fold into its state: one case per event, trusting each. */
import type { ChannelEvent } from '../../events/channel/index.ts';
import { evolveCommitmentSignedReceived, evolveCommitmentSignedSent, evolveRevokeAndAckReceived, evolveRevokeAndAckSent } from './committing.ts';
import { evolveChannelResolved, evolveClaimStarted, evolveCommitmentOutputsFound, evolveFailureTold, evolveIncomingPreimageLearned, evolveOutputSpent, evolveOutputUnspent, evolvePreimageFound, reopened } from '../onchain/evolve.ts';
import { becomeNormal, evolveAccept, evolveAnnouncement, evolveFundingAwaited, evolveFundingConfirmed, evolveFundingCreated, evolveFundingSigned, evolveProposal, evolveReady } from './opening-facts.ts';
import { evolveChannelRestored } from './recovery.ts';
import { evolveReestablish } from './reestablish.ts';
import { becomeClosing, closingReestablished, evolveClosingAgreed, evolveClosingSigned, evolveShutdown, evolveShutdownAgain } from './shutdown.ts';
import { evolveClosingCompleteReceived, evolveClosingCompleteSent, evolveClosingSigReceived, evolveClosingSigSent } from './simple-close.ts';
import { evolveChannelClosed, evolveSweepConfirmed, evolveSweepStarted } from './old-sweeps.ts';
import { evolveChannelFailed, evolveFundingSpent, evolveFundingUnspent } from './spending.ts';
import { never } from '../decider.ts';
import { isEstablished, isLive, type ChannelState, type Commitments, type EstablishedState } from './state.ts';
import { evolveFee } from './update-fee.ts';
import { evolveAdd, evolveRemoval } from './updates.ts';

/** Throws only when the event cannot follow this state: the log is not one of a channel. */
export function evolveChannel(state: ChannelState, event: ChannelEvent): ChannelState {
  switch (event.type) {
    case 'OpenChannelSent':
    case 'OpenChannelReceived':
      return state.phase === 'none' ? evolveProposal(event) : misplaced(state, event);
    case 'AcceptChannelSent':
    case 'AcceptChannelReceived':
      return state.phase === 'opening' && state.step === 'proposed' ? evolveAccept(state, event) : misplaced(state, event);
    case 'FundingCreatedSent':
    case 'FundingCreatedReceived':
      return state.phase === 'opening' && state.step === 'accepted' ? evolveFundingCreated(state, event) : misplaced(state, event);
    case 'FundingSignedSent':
    case 'FundingSignedReceived':
      return state.phase === 'opening' && state.step === 'funding_created' ? evolveFundingSigned(state, event) : misplaced(state, event);
    case 'FundingConfirmed':
      return evolveFundingConfirmed(established(state, event), event);
    case 'FundingAwaited':
      return evolveFundingAwaited(established(state, event), event);
    case 'ChannelReadySent':
    case 'ChannelReadyReceived':
      return becomeNormal(evolveReady(established(state, event), event));
    case 'AnnouncementSignaturesSent':
    case 'AnnouncementSignaturesReceived':
      return evolveAnnouncement(established(state, event), event);

    case 'UpdateAddHtlcSent':
    case 'UpdateAddHtlcReceived':
      return update(state, event, (commitments) => evolveAdd(commitments, event));
    case 'UpdateFulfillHtlcSent':
    case 'UpdateFailHtlcSent':
    case 'UpdateFailMalformedHtlcSent':
    case 'UpdateFulfillHtlcReceived':
    case 'UpdateFailHtlcReceived':
    case 'UpdateFailMalformedHtlcReceived':
      return update(state, event, (commitments) => evolveRemoval(commitments, event));
    case 'UpdateFeeSent':
    case 'UpdateFeeReceived':
      return update(state, event, (commitments) => evolveFee(commitments, event));
    case 'CommitmentSignedSent':
      return update(state, event, (commitments) => evolveCommitmentSignedSent(commitments, event));
    case 'CommitmentSignedReceived':
      return update(state, event, (commitments) => evolveCommitmentSignedReceived(commitments, event));
    case 'RevokeAndAckSent':
      return becomeClosing(update(state, event, (commitments) => evolveRevokeAndAckSent(commitments, event)));
    case 'RevokeAndAckReceived':
      return becomeClosing(update(state, event, (commitments) => evolveRevokeAndAckReceived(commitments, event)));
    case 'ChannelReestablishReceived':
      return reestablished(established(state, event));

    case 'ShutdownSent':
    case 'ShutdownReceived':
      if (event.type === 'ShutdownReceived' && state.phase === 'closing') return evolveShutdownAgain(state, event);
      return isLive(state) ? becomeClosing(evolveShutdown(state, event)) : misplaced(state, event);
    case 'ClosingSignedSent':
    case 'ClosingSignedReceived':
      return state.phase === 'closing' ? evolveClosingSigned(state, event) : misplaced(state, event);
    case 'ClosingAgreed':
      return state.phase === 'closing' ? evolveClosingAgreed(state, event) : misplaced(state, event);
    case 'ClosingCompleteSent':
      return state.phase === 'closing' ? evolveClosingCompleteSent(state, event) : misplaced(state, event);
    case 'ClosingCompleteReceived':
      return state.phase === 'closing' ? evolveClosingCompleteReceived(state, event) : misplaced(state, event);
    case 'ClosingSigSent':
      return state.phase === 'closing' ? evolveClosingSigSent(state, event) : misplaced(state, event);
    case 'ClosingSigReceived':
      return state.phase === 'closing' ? evolveClosingSigReceived(state, event) : misplaced(state, event);
    case 'OpeningAbandoned':
      return abandon(state, event);
    case 'ChannelRestored':
      return state.phase === 'none' ? evolveChannelRestored(event) : misplaced(state, event);
    case 'ChannelFailed':
      return evolveChannelFailed(established(state, event), event);
    case 'FundingSpent':
      return evolveFundingSpent(established(state, event), event);
    case 'FundingUnspent':
      return evolveFundingUnspent(reopened(ending(state, event)));
    case 'SweepStarted':
      return state.phase === 'resolving' ? evolveSweepStarted(state, event) : misplaced(state, event);
    case 'SweepConfirmed':
      return state.phase === 'resolving' ? evolveSweepConfirmed(state, event) : misplaced(state, event);
    case 'ChannelClosed':
      return state.phase === 'resolving' ? evolveChannelClosed(state) : misplaced(state, event);

    case 'CommitmentOutputsFound':
      return evolveCommitmentOutputsFound(resolving(state, event), event);
    case 'OutputSpent':
      return evolveOutputSpent(resolving(state, event), event);
    case 'OutputUnspent':
      return evolveOutputUnspent(reopened(ending(state, event)), event);
    case 'ClaimStarted':
      return evolveClaimStarted(resolving(state, event), event);
    case 'PreimageFound':
      return evolvePreimageFound(established(state, event), event);
    case 'IncomingPreimageLearned':
      return evolveIncomingPreimageLearned(resolving(state, event), event);
    case 'ChannelResolved':
      return evolveChannelResolved(resolving(state, event));
    case 'OutgoingHtlcFailed':
      return state.phase === 'resolving' ? evolveFailureTold(state, event.htlc_id) : state;

    // Told to other streams; the channel itself learns nothing from them.
    case 'IncomingHtlcCommitted':
    case 'OutgoingHtlcFulfilled':
    case 'HtlcOfferDeclined':
      return state;
    default:
      return never(event);
  }
}

function misplaced(state: ChannelState, event: ChannelEvent): never {
  const step = state.phase === 'opening' ? `opening (${state.step})` : state.phase;
  throw new Error(`${event.type} cannot follow in phase ${step}`);
}

const established = (state: ChannelState, event: ChannelEvent): EstablishedState => (isEstablished(state) ? state : misplaced(state, event));

type EndingState = Extract<ChannelState, { phase: 'resolving' | 'closed' }>;
const resolving = (state: ChannelState, event: ChannelEvent): Extract<ChannelState, { phase: 'resolving' }> => (state.phase === 'resolving' ? state : misplaced(state, event));
const ending = (state: ChannelState, event: ChannelEvent): EndingState => (state.phase === 'resolving' || state.phase === 'closed' ? state : misplaced(state, event));

function update(state: ChannelState, event: ChannelEvent, change: (commitments: Commitments) => Commitments): ChannelState {
  return isLive(state) ? { ...state, commitments: change(state.commitments) } : misplaced(state, event);
}

/** The closing negotiation starts again with each connection. */
function reestablished(state: EstablishedState): ChannelState {
  const after = { ...state, commitments: evolveReestablish(state.commitments) };
  return after.phase === 'closing' ? closingReestablished(after) : becomeClosing(after);
}

function abandon(state: ChannelState, { code, reason, type }: Extract<ChannelEvent, { type: 'OpeningAbandoned' }>): ChannelState {
  const unfunded = state.phase === 'resolving' && state.funding.confirmed === undefined && state.spend === undefined;
  if (state.phase !== 'opening' && !unfunded) throw new Error(`${type} cannot follow in phase ${state.phase}`);
  const { peer_id, temporary_channel_id } = 'proposal' in state ? state.proposal : state.terms;
  const channel_id = isEstablished(state) ? state.funding.channel_id : temporary_channel_id;
  return { phase: 'abandoned', code, reason, peer_id, channel_id };
}
