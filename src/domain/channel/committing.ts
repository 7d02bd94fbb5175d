/** BOLT 2, "Committing Updates So Far" and "Completing the Transition to the Updated State": commitment_signed and revoke_and_ack. */
import { buildCommitment, verifyCommitment, type CommitmentCheck } from '../../bolt/03-transactions/commitment-tx.ts';
import { insertSecret, secretIndex } from '../../bolt/03-transactions/per-commitment-secret.ts';
import { perCommitmentPoint } from '../../bolt/03-transactions/keys.ts';
import { crypto } from '../../bolt/crypto.ts';
import { fromHex, type Hex32, type Point } from '../../bolt/primitives.ts';
import type { ChannelEvent } from '../../events/channel/index.ts';
import type { UpdateEvent } from '../../events/channel/updates.ts';
import { accept, refuse, type Decision } from '../decider.ts';
import { commitmentParams, nextCommitmentSpec } from './commitment-spec.ts';
import type { ChannelCommand } from './commands.ts';
import { isIrrevocablyAdded, isIrrevocablyRemoved, step, waitsFor, type Arrow } from './htlc-lifecycle.ts';
import { isLive, type ChannelState, type Commitments, type FeeUpdate, type Htlc, type LiveState } from './state.ts';
import { settle } from './updates.ts';

type Command<T extends ChannelCommand['type']> = Extract<ChannelCommand, { type: T }>;
type Event<T extends UpdateEvent['type']> = Extract<UpdateEvent, { type: T }>;

// ---- decide

/** Changes wait for our signature, and the peer has revoked what we signed before. */
export const commitmentIsDue = (state: ChannelState): state is LiveState =>
  isLive(state) && !state.commitments.remote.awaiting_revocation && hasWaiting(state.commitments, 'SENT_COMMIT');

const hasWaiting = ({ htlcs, fees }: Commitments, arrow: 'SENT_COMMIT' | 'RCVD_COMMIT'): boolean =>
  htlcs.some((htlc) => waitsFor(htlc.state, arrow)) || fees.some((fee) => waitsFor(fee.state, arrow));

export function signCommitment(state: ChannelState): Decision<ChannelEvent> {
  if (!commitmentIsDue(state)) return accept<ChannelEvent>();
  return accept<ChannelEvent>({ type: 'CommitmentSignedSent', commitment_number: state.commitments.remote.number + 1n });
}

/** Checks the peer's signatures on our next commitment, then gives up the one before: two facts of one turn. */
export function receiveCommitmentSigned(command: Command<'ReceiveCommitmentSigned'>, state: ChannelState): Decision<ChannelEvent> {
  const { message } = command;
  if (!isLive(state)) return refuse('unexpected_message', { message: message.type, phase: state.phase }, 'warning');
  const { number, next_point } = state.commitments.local;
  if (next_point === undefined) return refuse('commitment_signed_before_channel_ready', { commitment_number: number + 1n }, 'disconnect');
  const check = checkSignatures(state, next_point, message);
  if (!check.ok && !hasWaiting(state.commitments, 'RCVD_COMMIT')) return refuse('unexpected_commitment_signed', { commitment_number: number + 1n }, 'disconnect');
  if (!check.ok) return failed('invalid_signature', describeCheck(check, number + 1n, message.htlc_signatures.length));
  return accept<ChannelEvent>(
    { type: 'CommitmentSignedReceived', commitment_number: number + 1n, signature: message.signature, htlc_signatures: [...message.htlc_signatures] },
    { type: 'RevokeAndAckSent', commitment_number: number, next_per_commitment_point: command.next_per_commitment_point },
  );
}

function checkSignatures(state: LiveState, point: Point, { signature, htlc_signatures }: Command<'ReceiveCommitmentSigned'>['message']): CommitmentCheck {
  const params = commitmentParams(state, 'local');
  const spec = nextCommitmentSpec(state.commitments, 'local', point);
  return verifyCommitment(buildCommitment(params, spec), params, spec, signature, htlc_signatures);
}

function describeCheck(check: Exclude<CommitmentCheck, { ok: true }>, commitment_number: bigint, htlcSignatures: number): string {
  const what = check.reason === 'htlc_signature' ? `htlc_signature ${check.index}` : check.reason;
  return `commitment_signed for our commitment ${commitment_number}: ${what} does not fit (${htlcSignatures} htlc_signatures came)`;
}

const failed = (code: string, reason: string): Decision<ChannelEvent> => accept<ChannelEvent>({ type: 'ChannelFailed', by: 'local', code, reason });

/** The revealed secret must be the one behind the point, and fit the secrets before it. */
export function receiveRevokeAndAck({ message }: Command<'ReceiveRevokeAndAck'>, state: ChannelState): Decision<ChannelEvent> {
  if (!isLive(state)) return refuse('unexpected_message', { message: message.type, phase: state.phase }, 'warning');
  const { remote } = state.commitments;
  if (!remote.awaiting_revocation) return refuse('unexpected_revoke_and_ack', { commitment_number: remote.number }, 'disconnect');
  const { per_commitment_secret, next_per_commitment_point } = message;
  const revoked = remote.number - 1n;
  const expected = remote.previous_point!;
  const got = pointBehind(per_commitment_secret);
  if (got !== expected) return failed('wrong_per_commitment_secret', `revoke_and_ack for commitment ${revoked}: expected the secret of ${expected}, got that of ${got ?? 'nothing'}`);
  if (insertSecret(remote.secrets, secretIndex(revoked), per_commitment_secret) === undefined) {
    return failed('secret_does_not_fit', `revoke_and_ack for commitment ${revoked}: the secret does not derive those before it`);
  }
  if (!crypto().isPoint(fromHex(next_per_commitment_point))) return failed('invalid_point', `revoke_and_ack: ${next_per_commitment_point} is no point`);
  return accept<ChannelEvent>({ type: 'RevokeAndAckReceived', commitment_number: revoked, per_commitment_secret, next_per_commitment_point }, ...consequences(state));
}

function pointBehind(secret: Hex32): Point | undefined {
  return crypto().isPrivateKey(fromHex(secret)) ? perCommitmentPoint(secret) : undefined;
}

/** What a revocation makes certain, told to other streams: HTLCs to take up, failures to pass on. */
function consequences({ commitments }: LiveState): ChannelEvent[] {
  const facts: ChannelEvent[] = [];
  for (const htlc of commitments.htlcs) {
    const after = step(htlc.state, 'RCVD_REVOCATION');
    if (after === htlc.state) continue;
    const { id: htlc_id, amount_msat, payment_hash, cltv_expiry } = htlc;
    if (after === 'RCVD_ADD_ACK_REVOCATION') facts.push({ type: 'IncomingHtlcCommitted', htlc_id, amount_msat, payment_hash, cltv_expiry, hop: htlc.hop! });
    // Whoever has shown the preimage and fails the HTLC afterwards gives the money back; other streams have been paid for.
    if (after === 'RCVD_REMOVE_ACK_REVOCATION' && htlc.removal?.kind === 'failed_by_peer' && htlc.known_preimage === undefined) {
      facts.push({ type: 'OutgoingHtlcFailed', htlc_id, payment_hash, origin: htlc.origin!, failure: htlc.removal.failure });
    }
  }
  return facts;
}

// ---- evolve

export function evolveCommitmentSignedSent(commitments: Commitments, event: Event<'CommitmentSignedSent'>): Commitments {
  const { remote } = commitments;
  return {
    ...advance(commitments, 'SENT_COMMIT'),
    remote: { ...remote, number: event.commitment_number, awaiting_revocation: true, previous_point: remote.point, point: remote.next_point!, next_point: undefined },
    last_sent: 'commitment_signed',
  };
}

export function evolveCommitmentSignedReceived(commitments: Commitments, event: Event<'CommitmentSignedReceived'>): Commitments {
  const { commitment_number, signature, htlc_signatures } = event;
  const { next_point } = commitments.local;
  return { ...advance(commitments, 'RCVD_COMMIT'), local: { number: commitment_number, point: next_point!, signature, htlc_signatures } };
}

export function evolveRevokeAndAckSent(commitments: Commitments, event: Event<'RevokeAndAckSent'>): Commitments {
  return { ...advance(commitments, 'SENT_REVOCATION'), local: { ...commitments.local, next_point: event.next_per_commitment_point }, last_sent: 'revoke_and_ack' };
}

export function evolveRevokeAndAckReceived(commitments: Commitments, event: Event<'RevokeAndAckReceived'>): Commitments {
  const { remote } = commitments;
  const secrets = insertSecret(remote.secrets, secretIndex(event.commitment_number), event.per_commitment_secret) ?? remote.secrets;
  return {
    ...advance(commitments, 'RCVD_REVOCATION'),
    remote: { ...remote, awaiting_revocation: false, previous_point: undefined, next_point: event.next_per_commitment_point, secrets },
  };
}

/** Moves every update along one arrow; HTLCs that both sides have let go leave, and their amounts find their side. */
function advance(commitments: Commitments, arrow: Arrow): Commitments {
  const moved = commitments.htlcs.map((htlc) => moveHtlc(htlc, arrow));
  const gone = moved.filter((htlc) => isIrrevocablyRemoved(htlc.state));
  const fees = pruneFees(commitments.fees.map((fee) => ({ ...fee, state: step(fee.state, arrow) })));
  const after: Commitments = { ...commitments, htlcs: gone.length === 0 ? moved : moved.filter((htlc) => !isIrrevocablyRemoved(htlc.state)), fees };
  return gone.reduce((current, htlc) => ({ ...current, ...settle(current, htlc) }), after);
}

function moveHtlc(htlc: Htlc, arrow: Arrow): Htlc {
  const state = step(htlc.state, arrow);
  return state === htlc.state ? htlc : { ...htlc, state };
}

/** Feerates before the newest one that both sides hold for good are history. */
function pruneFees(fees: readonly FeeUpdate[]): readonly FeeUpdate[] {
  const settled = fees.findLastIndex((fee) => isIrrevocablyAdded(fee.state));
  return settled <= 0 ? fees : fees.slice(settled);
}
