/** BOLT 2, "Message Retransmission": what both sides say after a reconnection, and what is owed again for it. */
import { ZERO_32 } from '../../bolt/primitives.ts';
import type { ChannelEvent } from '../../events/channel/index.ts';
import type { UpdateEvent } from '../../events/channel/updates.ts';
import { accept, refuse, type Decision } from '../decider.ts';
import type { ChannelCommand } from './commands.ts';
import { isEstablished, type ChannelState, type Commitments, type EstablishedState, type FeeUpdate, type Htlc } from './state.ts';

type Command<T extends ChannelCommand['type']> = Extract<ChannelCommand, { type: T }>;
type Reestablish = Extract<UpdateEvent, { type: 'ChannelReestablishReceived' }>;

/** Where we stand, in the words of channel_reestablish. */
export function ourNumbers({ local, remote }: Commitments): { next_commitment_number: bigint; next_revocation_number: bigint } {
  return {
    next_commitment_number: local.number + 1n,
    next_revocation_number: remote.awaiting_revocation ? remote.number - 1n : remote.number,
  };
}

/** Compares the peer's numbers with ours: one step behind is repaired by repeating, anything else is lost data. */
export function receiveChannelReestablish(command: Command<'ReceiveChannelReestablish'>, state: ChannelState): Decision<ChannelEvent> {
  const { message, knows_our_secret } = command;
  // Before funding_signed the opener holds nothing to come back to: the connection that began the channel also ends it.
  if (!isEstablished(state) || (state.phase === 'opening' && state.step !== 'funded')) return refuse('unexpected_message', { message: message.type, phase: state.phase }, 'warning');
  if (state.phase === 'resolving' || state.phase === 'closed') return refuse('channel_failed', { phase: state.phase }, 'warning');
  const { next_commitment_number, next_revocation_number } = message;
  const { local, remote } = state.commitments;
  const received: ChannelEvent = { type: 'ChannelReestablishReceived', next_commitment_number, next_revocation_number };
  if (next_revocation_number > local.number) return peerIsAhead(received, knows_our_secret, local.number, next_revocation_number);
  const oldestCommitment = remote.awaiting_revocation ? remote.number : remote.number + 1n;
  if (next_commitment_number > remote.number + 1n) return lost(received, 'peer_ahead', `next_commitment_number: expected at most ${remote.number + 1n}, got ${next_commitment_number}`);
  if (next_commitment_number < oldestCommitment) return lost(received, 'peer_behind', `next_commitment_number: expected at least ${oldestCommitment}, got ${next_commitment_number}`);
  if (next_revocation_number < local.number - 1n) return lost(received, 'peer_behind', `next_revocation_number: expected at least ${local.number - 1n}, got ${next_revocation_number}`);
  const wrong = wrongSecret(message, knows_our_secret);
  return wrong === undefined ? accept<ChannelEvent>(received) : lost(received, 'wrong_last_secret', wrong);
}

/** BOLT 2: the secret of the commitment before next_revocation_number; zeros when there is none yet. */
function wrongSecret({ next_revocation_number, your_last_per_commitment_secret }: Command<'ReceiveChannelReestablish'>['message'], knows_our_secret: boolean): string | undefined {
  if (next_revocation_number > 0n) return knows_our_secret ? undefined : `your_last_per_commitment_secret is not that of our commitment ${next_revocation_number - 1n}`;
  return your_last_per_commitment_secret === ZERO_32 ? undefined : `your_last_per_commitment_secret: expected ${ZERO_32} at next_revocation_number 0, got another`;
}

/** The peer holds a revocation that we do not remember giving: our data is old, and what we would publish is revoked. */
function peerIsAhead(received: ChannelEvent, knows_our_secret: boolean, expected: bigint, got: bigint): Decision<ChannelEvent> {
  const values = `next_revocation_number: expected at most ${expected}, got ${got}`;
  return knows_our_secret ? lost(received, 'data_loss', `${values}, and the peer proved it with our secret`) : lost(received, 'peer_ahead', `${values}, without proof`);
}

const lost = (received: ChannelEvent, code: string, reason: string): Decision<ChannelEvent> =>
  accept<ChannelEvent>(received, { type: 'ChannelFailed', by: 'local', code, reason });

/** What a reconnection made undone on both sides: updates that no commitment_signed covered. */
export function evolveReestablish(commitments: Commitments): Commitments {
  const dropped = commitments.htlcs.filter(({ state }) => state === 'RCVD_ADD_HTLC');
  return {
    ...commitments,
    htlcs: commitments.htlcs.filter(({ state }) => state !== 'RCVD_ADD_HTLC').map(undoRemoval),
    fees: commitments.fees.filter(({ state }) => state !== 'RCVD_ADD_HTLC'),
    next_received_id: dropped.reduce((lowest, { id }) => (id < lowest ? id : lowest), commitments.next_received_id),
  };
}

function undoRemoval(htlc: Htlc): Htlc {
  if (htlc.state !== 'RCVD_REMOVE_HTLC') return htlc;
  const { removal: _removal, ...kept } = htlc;
  return { ...kept, state: 'SENT_ADD_ACK_REVOCATION' };
}

/** What is sent again, in its order. */
export type Retransmission =
  | { readonly kind: 'channel_ready' | 'announcement_signatures' | 'shutdown' | 'revoke_and_ack' | 'commitment_signed' }
  | { readonly kind: 'add' | 'removal'; readonly htlc: Htlc }
  | { readonly kind: 'fee'; readonly fee: FeeUpdate };

export function retransmissions(state: EstablishedState, peer: Reestablish): readonly Retransmission[] {
  const { commitments } = state;
  const revoke: Retransmission[] = peer.next_revocation_number === commitments.local.number - 1n ? [{ kind: 'revoke_and_ack' }] : [];
  const missed = commitments.remote.awaiting_revocation && peer.next_commitment_number === commitments.remote.number;
  const commit: Retransmission[] = missed ? [...signedUpdates(commitments), { kind: 'commitment_signed' }] : [];
  const dance = commitments.last_sent === 'revoke_and_ack' ? [...commit, ...revoke] : [...revoke, ...commit];
  return [...readiness(state, peer), ...dance, ...unsignedUpdates(commitments), ...shutdownAgain(state)];
}

/** BOLT 2: channel_ready again while neither side can have got any commitment after the first. */
function readiness(state: EstablishedState, peer: Reestablish): Retransmission[] {
  const fresh = peer.next_commitment_number === 1n && state.commitments.local.number === 0n;
  const { sent, received } = state.announcement;
  return [
    ...(state.ready.sent && fresh ? [{ kind: 'channel_ready' } as const] : []),
    ...(sent && received === undefined ? [{ kind: 'announcement_signatures' } as const] : []),
  ];
}

const shutdownAgain = (state: EstablishedState): Retransmission[] =>
  (state.phase === 'shutdown' || state.phase === 'closing') && state.scripts.local !== undefined ? [{ kind: 'shutdown' }] : [];

/** The updates that our last commitment_signed covered. */
function signedUpdates({ htlcs, fees }: Commitments): Retransmission[] {
  return [
    ...htlcs.filter(({ state }) => state === 'SENT_ADD_COMMIT').map((htlc) => ({ kind: 'add', htlc }) as const),
    ...htlcs.filter(({ state }) => state === 'SENT_REMOVE_COMMIT').map((htlc) => ({ kind: 'removal', htlc }) as const),
    ...fees.filter(({ state }) => state === 'SENT_ADD_COMMIT').map((fee) => ({ kind: 'fee', fee }) as const),
  ];
}

/** Our updates that no commitment_signed covered: the peer has forgotten them. */
function unsignedUpdates({ htlcs, fees }: Commitments): Retransmission[] {
  return [
    ...htlcs.filter(({ state }) => state === 'SENT_ADD_HTLC').map((htlc) => ({ kind: 'add', htlc }) as const),
    ...htlcs.filter(({ state }) => state === 'SENT_REMOVE_HTLC').map((htlc) => ({ kind: 'removal', htlc }) as const),
    ...fees.filter(({ state }) => state === 'SENT_ADD_HTLC').map((fee) => ({ kind: 'fee', fee }) as const),
  ];
}
