/** One channel stream under audit: replayed event by event, its invariants asserted, its cryptography repeated. */
import type { Hex32 } from '../../bolt/primitives.ts';
import { evolveChannel } from '../../domain/channel/evolve.ts';
import { isIrrevocablyAdded } from '../../domain/channel/htlc-lifecycle.ts';
import { assertInvariants } from '../../domain/channel/invariants.ts';
import { initialChannel, isEstablished, type ChannelState, type EstablishedState, type Htlc } from '../../domain/channel/state.ts';
import type { ChannelEvent } from '../../events/channel/index.ts';
import { msatDifference } from '../channels.ts';
import { checkAgreement, checkClosingSignature, checkClosingSigReceived, checkClosingSigSent, checkFundingSpend, checkSweep, checkSweepConfirmed, type KnownCommitments } from './closing.ts';
import { checkLocalCommitment, checkPreimage, checkRevocation, deriveCommitment } from './commitments.ts';
import { checkChannelId, checkConfirmation, checkFundingTransaction } from './funding.ts';
import { checkClaim, checkOutputsFound, checkOutputSpent } from './onchain.ts';
import { CheckFailed, mustEqual, type Tally } from './report.ts';

export interface ChannelAudit {
  /** Takes the stream's next event. Throws CheckFailed (or what the rules throw) and is then of no more use. */
  take(event: ChannelEvent): void;
  state(): ChannelState;
  /** The txid of a commitment that was derived on the way. */
  readonly known: KnownCommitments;
}

/** Commitments whose txids are kept, of each side: enough to recognise any that can still confirm, and many that are revoked. */
const KEPT_TXIDS = 4096n;

/** `cryptography: false` replays and asserts the invariants only. */
export function auditChannel(tally: Tally, cryptography: boolean): ChannelAudit {
  let state: ChannelState = initialChannel;
  const txids = { local: new Map<bigint, Hex32>(), remote: new Map<bigint, Hex32>() };
  const known: KnownCommitments = (owner, number) => txids[owner].get(number);

  function remember(owner: 'local' | 'remote', number: bigint, txid: Hex32): void {
    txids[owner].set(number, txid);
    txids[owner].delete(number - KEPT_TXIDS);
  }

  return {
    take(event) {
      checkFacts(state, event);
      if (cryptography) checkBefore(state, event, known, tally);
      state = evolveChannel(state, event);
      assertInvariants(state);
      if (isEstablished(state)) mustEqual('msat_conserved', 'msat of the channel not accounted for', 0n, msatDifference(state));
      if (cryptography) checkAfter(state, event, remember, tally);
    },
    state: () => state,
    known,
  };
}

/** What an event says of HTLCs and numbers must be what the state knows: needs no cryptography. */
function checkFacts(state: ChannelState, event: ChannelEvent): void {
  switch (event.type) {
    case 'CommitmentSignedSent':
      return mustEqual('commitment_number', 'number of the peer\'s commitment', established(state, event).commitments.remote.number + 1n, event.commitment_number);
    case 'CommitmentSignedReceived':
      return mustEqual('commitment_number', 'number of our commitment', established(state, event).commitments.local.number + 1n, event.commitment_number);
    case 'RevokeAndAckSent':
      return mustEqual('revocation_number', 'we revoke the commitment before our newest', established(state, event).commitments.local.number - 1n, event.commitment_number);
    case 'UpdateAddHtlcSent':
      return mustEqual('htlc_id', 'id of the offered HTLC', established(state, event).commitments.next_offered_id, event.id);
    case 'UpdateAddHtlcReceived':
      return mustEqual('htlc_id', 'id of the received HTLC', established(state, event).commitments.next_received_id, event.id);
    case 'IncomingHtlcCommitted': {
      const htlc = findHtlc(state, 'received', event.htlc_id, event);
      mustEqual('htlc_amount', `amount of the committed HTLC ${htlc.id}, msat`, htlc.amount_msat, event.amount_msat);
      mustEqual('htlc_hash', `payment_hash of the committed HTLC ${htlc.id}`, htlc.payment_hash, event.payment_hash);
      return mustEqual('htlc_committed', `HTLC ${htlc.id} can no longer be taken back`, true, isIrrevocablyAdded(htlc.state));
    }
    default:
      return;
  }
}

/** Checks against the state that the event meets. */
function checkBefore(state: ChannelState, event: ChannelEvent, known: KnownCommitments, tally: Tally): void {
  switch (event.type) {
    case 'FundingCreatedSent':
      checkChannelId(event);
      if (state.phase === 'opening' && state.step === 'accepted') checkFundingTransaction(state, event, tally);
      return;
    case 'FundingCreatedReceived':
      return checkChannelId(event);
    case 'FundingConfirmed':
      return checkConfirmation(established(state, event), event, tally);
    case 'RevokeAndAckReceived':
      return checkRevocation(established(state, event), event.commitment_number, event.per_commitment_secret, tally);
    case 'UpdateFulfillHtlcSent':
      return checkPreimage(findHtlc(state, 'received', event.id, event).payment_hash, event.payment_preimage, tally);
    case 'UpdateFulfillHtlcReceived':
      return checkPreimage(findHtlc(state, 'offered', event.id, event).payment_hash, event.payment_preimage, tally);
    case 'OutgoingHtlcFulfilled':
      return checkPreimage(event.payment_hash, event.payment_preimage, tally);
    case 'ClosingSignedReceived':
      return 'scripts' in state ? checkClosingSignature(state, event, tally) : outOfPlace(state, event);
    case 'ClosingAgreed':
      return 'scripts' in state ? checkAgreement(state, event) : outOfPlace(state, event);
    case 'ClosingSigSent':
      return state.phase === 'closing' ? checkClosingSigSent(state, event, tally) : outOfPlace(state, event);
    case 'ClosingSigReceived':
      return state.phase === 'closing' ? checkClosingSigReceived(state, event, tally) : outOfPlace(state, event);
    case 'FundingSpent':
      return checkFundingSpend(established(state, event), event, known, tally);
    case 'CommitmentOutputsFound':
      return checkOutputsFound(state, event);
    case 'ClaimStarted':
      return checkClaim(state, event, tally);
    case 'OutputSpent':
      return checkOutputSpent(state, event, tally);
    case 'PreimageFound':
      return checkPreimage(findHtlc(state, 'offered', event.htlc_id, event).payment_hash, event.payment_preimage, tally);
    case 'IncomingPreimageLearned':
      return checkPreimage(findHtlc(state, 'received', event.htlc_id, event).payment_hash, event.payment_preimage, tally);
    case 'SweepStarted':
      return checkSweep(established(state, event), event, tally);
    case 'SweepConfirmed':
      return checkSweepConfirmed(established(state, event), event);
    default:
      return;
  }
}

type Remember = (owner: 'local' | 'remote', number: bigint, txid: Hex32) => void;

/** Checks against the state that the event leaves: a commitment exists once the event that completes it is folded. */
function checkAfter(state: ChannelState, event: ChannelEvent, remember: Remember, tally: Tally): void {
  switch (event.type) {
    case 'FundingCreatedReceived':
    case 'FundingSignedReceived': {
      const here = established(state, event);
      remember('local', 0n, checkLocalCommitment(here, event.signature, [], tally).txid);
      return deriveRemote(here, remember, tally);
    }
    case 'CommitmentSignedReceived':
      return remember('local', event.commitment_number, checkLocalCommitment(established(state, event), event.signature, event.htlc_signatures, tally).txid);
    case 'CommitmentSignedSent':
      return deriveRemote(established(state, event), remember, tally);
    default:
      return;
  }
}

function deriveRemote(state: EstablishedState, remember: Remember, tally: Tally): void {
  remember('remote', state.commitments.remote.number, deriveCommitment(state, 'remote').txid);
  tally.commitments_derived += 1;
}

function established(state: ChannelState, event: ChannelEvent): EstablishedState {
  return isEstablished(state) ? state : outOfPlace(state, event);
}

function findHtlc(state: ChannelState, direction: Htlc['direction'], id: bigint, event: ChannelEvent): Htlc {
  const htlc = established(state, event).commitments.htlcs.find((candidate) => candidate.direction === direction && candidate.id === id);
  if (htlc === undefined) throw new CheckFailed('unknown_htlc', `${event.type}: a live ${direction} HTLC`, `one with id ${id}`, 'none');
  return htlc;
}

function outOfPlace(state: ChannelState, event: ChannelEvent): never {
  throw new CheckFailed('out_of_place', `phase in which ${event.type} can happen`, 'one after the opening', state.phase);
}
