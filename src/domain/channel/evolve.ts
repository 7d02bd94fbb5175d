/** A channel's facts fold into its state: one case per event, trusting each. */
import type { ChannelEvent } from '../../events/channel/index.ts';
import { evolveCommitmentSignedReceived, evolveCommitmentSignedSent, evolveRevokeAndAckReceived, evolveRevokeAndAckSent } from './committing.ts';
import { becomeNormal, evolveAccept, evolveAnnouncement, evolveFundingConfirmed, evolveFundingCreated, evolveFundingSigned, evolveProposal, evolveReady } from './opening-facts.ts';
import { evolveReestablish } from './reestablish.ts';
import { becomeClosing, evolveClosingAgreed, evolveClosingSigned, evolveShutdown } from './shutdown.ts';
import { evolveChannelClosed, evolveChannelFailed, evolveFundingSpent, evolveFundingUnspent, evolveSweepConfirmed, evolveSweepStarted } from './spending.ts';
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
      return isLive(state) ? becomeClosing(evolveShutdown(state, event)) : misplaced(state, event);
    case 'ClosingSignedSent':
    case 'ClosingSignedReceived':
      return state.phase === 'closing' ? evolveClosingSigned(state, event) : misplaced(state, event);
    case 'ClosingAgreed':
      return state.phase === 'closing' ? evolveClosingAgreed(state, event) : misplaced(state, event);
    case 'OpeningAbandoned':
      return abandon(state, event);
    case 'ChannelFailed':
      return evolveChannelFailed(established(state, event), event);
    case 'FundingSpent':
      return evolveFundingSpent(established(state, event), event);
    case 'FundingUnspent':
      return state.phase === 'resolving' ? evolveFundingUnspent(state) : misplaced(state, event);
    case 'SweepStarted':
      return state.phase === 'resolving' ? evolveSweepStarted(state, event) : misplaced(state, event);
    case 'SweepConfirmed':
      return state.phase === 'resolving' ? evolveSweepConfirmed(state, event) : misplaced(state, event);
    case 'ChannelClosed':
      return state.phase === 'resolving' ? evolveChannelClosed(state) : misplaced(state, event);

    // Told to other streams; the channel itself learns nothing from them.
    case 'IncomingHtlcCommitted':
    case 'OutgoingHtlcFulfilled':
    case 'OutgoingHtlcFailed':
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

function update(state: ChannelState, event: ChannelEvent, change: (commitments: Commitments) => Commitments): ChannelState {
  return isLive(state) ? { ...state, commitments: change(state.commitments) } : misplaced(state, event);
}

/** The closing negotiation starts again with each connection. */
function reestablished(state: EstablishedState): ChannelState {
  const after = { ...state, commitments: evolveReestablish(state.commitments) };
  return after.phase === 'closing' ? { ...after, offers: [] } : becomeClosing(after);
}

function abandon(state: ChannelState, { code, reason, type }: Extract<ChannelEvent, { type: 'OpeningAbandoned' }>): ChannelState {
  if (state.phase !== 'opening') throw new Error(`${type} cannot follow in phase ${state.phase}`);
  const { peer_id, temporary_channel_id } = state.step === 'proposed' ? state.proposal : state.terms;
  const channel_id = isEstablished(state) ? state.funding.channel_id : temporary_channel_id;
  return { phase: 'abandoned', code, reason, peer_id, channel_id };
}
