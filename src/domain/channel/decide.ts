/** A channel's decisions: one case per command, each in the file of its subject. */
import type { ChannelEvent } from '../../events/channel/index.ts';
import { never, type Decider, type Decision } from '../decider.ts';
import type { ChannelCommand } from './commands.ts';
import { receiveCommitmentSigned, receiveRevokeAndAck, signCommitment } from './committing.ts';
import { evolveChannel } from './evolve.ts';
import { confirmFunding, createFunding, missFunding, receiveFundingCreated, receiveFundingSigned } from './funding.ts';
import { abandonOpening, openChannel, receiveAcceptChannel, receiveAnnouncementSignatures, receiveChannelReady, receiveOpenChannel } from './opening.ts';
import { enterRecovery, restoreChannel } from './recovery.ts';
import { withFailedOffers } from '../onchain/preimages.ts';
import { receiveChannelReestablish } from './reestablish.ts';
import { closeChannel, failClosing, negotiateClosing, receiveClosingSigned, receiveShutdown } from './shutdown.ts';
import { proposeClosing, receiveClosingComplete, receiveClosingSig } from './simple-close.ts';
import { forceClose, receiveBlock, receiveError, receiveMempoolTransaction, rollBack } from './spending.ts';
import { initialChannel, type ChannelState } from './state.ts';
import { failHtlc, failMalformedHtlc, fulfillHtlc, offerHtlc, receiveUpdateAddHtlc, receiveUpdateFailHtlc, receiveUpdateFailMalformedHtlc, receiveUpdateFulfillHtlc } from './updates.ts';
import { receiveUpdateFee, updateFee } from './update-fee.ts';
import { refuse } from '../decider.ts';

/** Pure: the same command on the same state yields the same events, for ever. */
export function decideChannel(command: ChannelCommand, state: ChannelState): Decision<ChannelEvent> {
  const decision = decideByType(command, state);
  return 'accepted' in decision ? { accepted: withFailedOffers(decision.accepted, state) } : decision;
}

function decideByType(command: ChannelCommand, state: ChannelState): Decision<ChannelEvent> {
  switch (command.type) {
    case 'OpenChannel':
      return state.phase === 'none' ? openChannel(command) : refuse('channel_exists', { phase: state.phase });
    case 'ReceiveOpenChannel':
      return state.phase === 'none' ? receiveOpenChannel(command) : refuse('channel_exists', { phase: state.phase }, 'warning');
    case 'ReceiveAcceptChannel':
      return receiveAcceptChannel(command, state);
    case 'CreateFunding':
      return createFunding(command, state);
    case 'ReceiveFundingCreated':
      return receiveFundingCreated(command, state);
    case 'ReceiveFundingSigned':
      return receiveFundingSigned(command, state);
    case 'AbandonOpening':
      return abandonOpening(command, state);
    case 'ConfirmFunding':
      return confirmFunding(command, state);
    case 'MissFunding':
      return missFunding(command, state);
    case 'ReceiveChannelReady':
      return receiveChannelReady(command, state);
    case 'ReceiveAnnouncementSignatures':
      return receiveAnnouncementSignatures(command, state);

    case 'OfferHtlc':
      return offerHtlc(command, state);
    case 'FulfillHtlc':
      return fulfillHtlc(command, state);
    case 'FailHtlc':
      return failHtlc(command, state);
    case 'FailMalformedHtlc':
      return failMalformedHtlc(command, state);
    case 'UpdateFee':
      return updateFee(command, state);
    case 'ReceiveUpdateAddHtlc':
      return receiveUpdateAddHtlc(command, state);
    case 'ReceiveUpdateFulfillHtlc':
      return receiveUpdateFulfillHtlc(command, state);
    case 'ReceiveUpdateFailHtlc':
      return receiveUpdateFailHtlc(command, state);
    case 'ReceiveUpdateFailMalformedHtlc':
      return receiveUpdateFailMalformedHtlc(command, state);
    case 'ReceiveUpdateFee':
      return receiveUpdateFee(command, state);
    case 'SignCommitment':
      return signCommitment(state);
    case 'ReceiveCommitmentSigned':
      return receiveCommitmentSigned(command, state);
    case 'ReceiveRevokeAndAck':
      return receiveRevokeAndAck(command, state);
    case 'ReceiveChannelReestablish':
      return receiveChannelReestablish(command, state);

    case 'CloseChannel':
      return closeChannel(command, state);
    case 'ReceiveShutdown':
      return receiveShutdown(command, state);
    case 'NegotiateClosing':
      return negotiateClosing(command, state);
    case 'ReceiveClosingSigned':
      return receiveClosingSigned(command, state);
    case 'ProposeClosing':
      return proposeClosing(command, state);
    case 'FailClosing':
      return failClosing(command, state);
    case 'ReceiveClosingComplete':
      return receiveClosingComplete(command, state);
    case 'ReceiveClosingSig':
      return receiveClosingSig(command, state);
    case 'ForceClose':
      return forceClose(command, state);
    case 'ReceiveError':
      return receiveError(command, state);
    case 'ReceiveBlock':
      return receiveBlock(command, state);
    case 'ReceiveMempoolTransaction':
      return receiveMempoolTransaction(command, state);
    case 'RollBack':
      return rollBack(command, state);
    case 'EnterRecovery':
      return enterRecovery(command, state);
    case 'RestoreChannel':
      return restoreChannel(command, state);
    default:
      return never(command);
  }
}

export const channelDecider: Decider<ChannelState, ChannelCommand, ChannelEvent> = {
  initial: initialChannel,
  decide: decideChannel,
  evolve: evolveChannel,
};
