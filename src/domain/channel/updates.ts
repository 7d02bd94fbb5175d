/** BOLT 2, "Adding an HTLC" and "Removing an HTLC". */
import { crypto } from '../../bolt/crypto.ts';
import { fromHex, msat, toHex, type Hex32 } from '../../bolt/primitives.ts';
import type { ChannelEvent } from '../../events/channel/index.ts';
import type { Hop, UpdateEvent } from '../../events/channel/updates.ts';
import type { ChainTrouble } from '../chain-contact.ts';
import { accept, refuse, type Decision } from '../decider.ts';
import { possibleFeerates, proposalView, worstView } from './commitment-spec.ts';
import type { ChannelCommand } from './commands.ts';
import type { HtlcState } from './htlc-lifecycle.ts';
import { affordabilityBreach, describeBreach, dustBreach, dustFeerate, inFlightBreach, type Breach } from './limits.ts';
import { isLive, type ChannelState, type Commitments, type Htlc, type LiveState, type Removal } from './state.ts';

type Command<T extends ChannelCommand['type']> = Extract<ChannelCommand, { type: T }>;
type Event<T extends UpdateEvent['type']> = Extract<UpdateEvent, { type: T }>;

/** BOLT 2: a cltv_expiry from here on would be a time, not a height. */
const CLTV_EXPIRY_LIMIT = 500_000_000;
/** BOLT 4 failure codes the channel itself can be the reason of. */
const TEMPORARY_NODE_FAILURE = 0x2002;
const TEMPORARY_CHANNEL_FAILURE = 0x1007;
const PERMANENT_CHANNEL_FAILURE = 0x4008;
const EXPIRY_TOO_SOON = 0x100e;
const BADONION = 0x8000;

// ---- decide

/** Offers an HTLC, or says for good why not: a wish that was turned down is a fact, so that it is never granted later. */
export function offerHtlc(command: Command<'OfferHtlc'>, state: ChannelState): Decision<ChannelEvent> {
  const { origin, payment_hash, amount_msat } = command;
  const breach = offerBreach(command, state);
  if (breach !== undefined) {
    const { code, failure_code = TEMPORARY_CHANNEL_FAILURE } = breach;
    return accept<ChannelEvent>({ type: 'HtlcOfferDeclined', origin, payment_hash, amount_msat, code, detail: describeBreach(breach), failure_code });
  }
  const { commitments } = state as LiveState;
  const { cltv_expiry, onion_hash } = command;
  return accept<ChannelEvent>({ type: 'UpdateAddHtlcSent', id: commitments.next_offered_id, amount_msat, payment_hash, cltv_expiry, onion_hash, origin });
}

function offerBreach(command: Command<'OfferHtlc'>, state: ChannelState): (Breach & { failure_code?: number }) | undefined {
  if (state.phase !== 'normal') {
    const gone = state.phase === 'closing' || state.phase === 'resolving' || state.phase === 'closed';
    return { code: 'channel_not_open', detail: { phase: state.phase }, failure_code: gone ? PERMANENT_CHANNEL_FAILURE : TEMPORARY_CHANNEL_FAILURE };
  }
  if (!command.connected) return { code: 'peer_not_connected', detail: { peer_id: state.terms.peer_id } };
  if (command.chain_trouble !== undefined) return troubleBreach(command.chain_trouble);
  const { amount_msat, cltv_expiry, height } = command;
  const minimum = state.terms.remote.htlc_minimum_msat;
  if (amount_msat === 0n || amount_msat < minimum) return { code: 'htlc_value_too_small', detail: { amount_msat, htlc_minimum_msat: minimum } };
  if (cltv_expiry >= CLTV_EXPIRY_LIMIT) return { code: 'cltv_expiry_too_large', detail: { cltv_expiry, limit: CLTV_EXPIRY_LIMIT } };
  if (cltv_expiry <= height) return { code: 'expiry_too_soon', detail: { cltv_expiry, height }, failure_code: EXPIRY_TOO_SOON };
  return limitsBreach(command, state);
}

/** No payment is taken whose deadline could pass unseen. */
function troubleBreach({ code, ...detail }: ChainTrouble): Breach & { failure_code: number } {
  return { code, detail, failure_code: TEMPORARY_NODE_FAILURE };
}

function limitsBreach(command: Command<'OfferHtlc'>, { terms, commitments }: LiveState): Breach | undefined {
  const { amount_msat, payment_hash, cltv_expiry, onion_hash } = command;
  const added: Htlc = { direction: 'offered', id: commitments.next_offered_id, amount_msat, payment_hash, cltv_expiry, onion_hash, state: 'SENT_ADD_HTLC' };
  const view = worstView({ ...commitments, htlcs: [...commitments.htlcs, added] });
  return (
    inFlightBreach(terms, view.htlcs, 'local') ??
    firstBreach(feeratesToBear(terms, commitments), (feerate_per_kw) => affordabilityBreach(terms, { ...view, feerate_per_kw }, 'local')) ??
    dustBreach(terms, view.htlcs, dustFeerate(terms, view.feerate_per_kw), command.policy.max_dust_exposure_msat)
  );
}

/** BOLT 2, "Adding an HTLC": the opener should keep room for a doubled feerate, or a rise would lock the channel. */
function feeratesToBear(terms: LiveState['terms'], commitments: Commitments): readonly number[] {
  const feerates = possibleFeerates(commitments);
  return terms.role === 'opener' ? [...feerates, ...feerates.map((feerate) => feerate * 2)] : feerates;
}

function firstBreach<T>(cases: readonly T[], breachOf: (each: T) => Breach | undefined): Breach | undefined {
  for (const each of cases) {
    const breach = breachOf(each);
    if (breach !== undefined) return breach;
  }
  return undefined;
}

/** BOLT 2, "Adding an HTLC": the receiving node. What breaks the rules is not recorded; the connection ends. */
export function receiveUpdateAddHtlc(command: Command<'ReceiveUpdateAddHtlc'>, state: ChannelState): Decision<ChannelEvent> {
  const { message } = command;
  if (!isLive(state)) return unexpected(message.type, state);
  const { commitments, terms } = state;
  const no = (code: string, detail: Record<string, unknown>) => refuse(code, detail, 'disconnect');
  if (state.phase === 'shutdown' && state.scripts.remote !== undefined) return no('add_after_shutdown', { id: message.id });
  if (message.id !== commitments.next_received_id) return no('htlc_id_out_of_order', { expected: commitments.next_received_id, got: message.id });
  if (message.amount_msat < terms.local.htlc_minimum_msat || message.amount_msat === 0n) {
    return no('htlc_value_too_small', { amount_msat: message.amount_msat, htlc_minimum_msat: terms.local.htlc_minimum_msat });
  }
  if (message.cltv_expiry >= CLTV_EXPIRY_LIMIT) return no('cltv_expiry_too_large', { cltv_expiry: message.cltv_expiry, limit: CLTV_EXPIRY_LIMIT });
  const { id, amount_msat, payment_hash, cltv_expiry } = message;
  const added: Htlc = { direction: 'received', id, amount_msat, payment_hash, cltv_expiry, onion_hash: command.onion_hash, state: 'RCVD_ADD_HTLC' };
  const after = { ...commitments, htlcs: [...commitments.htlcs, added] };
  const view = proposalView(after);
  const breach = inFlightBreach(terms, view.htlcs, 'remote') ?? overdraft(terms, view);
  if (breach !== undefined) return no(breach.code, breach.detail);
  const worst = worstView(after);
  // BOLT 2, "Bounding exposure": an HTLC too many is failed once it is committed, never taken up.
  const dusty = dustBreach(terms, worst.htlcs, dustFeerate(terms, worst.feerate_per_kw), command.policy.max_dust_exposure_msat) !== undefined;
  const hop: Hop = dusty ? { kind: 'invalid', failure_code: TEMPORARY_CHANNEL_FAILURE, failure_data: '0000' } : command.hop;
  const { onion_hash, onion_ephemeral_key } = command;
  return accept<ChannelEvent>({ type: 'UpdateAddHtlcReceived', id, amount_msat, payment_hash, cltv_expiry, onion_hash, onion_ephemeral_key, hop });
}

/** The peer must keep its reserve; that we, as opener, could not pay a fee is no fault of the peer's. */
function overdraft(terms: LiveState['terms'], view: ReturnType<typeof proposalView>): Breach | undefined {
  const breach = affordabilityBreach(terms, view, 'remote');
  return breach?.code === 'opener_cannot_pay_fee' ? undefined : breach;
}

export function fulfillHtlc({ htlc_id, payment_preimage }: Command<'FulfillHtlc'>, state: ChannelState): Decision<ChannelEvent> {
  if (state.phase === 'resolving') return learnPreimage(state.commitments, htlc_id, payment_preimage);
  const htlc = removable(state, htlc_id);
  if ('refused' in htlc) return htlc;
  if (!hashesTo(payment_preimage, htlc.payment_hash)) return refuse('wrong_preimage', { htlc_id, payment_hash: htlc.payment_hash });
  return accept<ChannelEvent>({ type: 'UpdateFulfillHtlcSent', id: htlc_id, payment_preimage });
}

/** The channel has failed: what the message would have settled the chain settles, at whatever stage it is. */
function learnPreimage(commitments: Commitments, htlc_id: bigint, payment_preimage: Hex32): Decision<ChannelEvent> {
  const htlc = find(commitments, 'received', htlc_id);
  if (htlc === undefined) return refuse('unknown_htlc', { htlc_id });
  if (!hashesTo(payment_preimage, htlc.payment_hash)) return refuse('wrong_preimage', { htlc_id, payment_hash: htlc.payment_hash });
  if (htlc.known_preimage !== undefined || htlc.removal?.kind === 'fulfilled') return accept<ChannelEvent>();
  return accept<ChannelEvent>({ type: 'IncomingPreimageLearned', htlc_id, payment_preimage });
}

export function failHtlc({ htlc_id, failure }: Command<'FailHtlc'>, state: ChannelState): Decision<ChannelEvent> {
  const htlc = removable(state, htlc_id);
  return 'refused' in htlc ? htlc : accept<ChannelEvent>({ type: 'UpdateFailHtlcSent', id: htlc_id, failure });
}

export function failMalformedHtlc(command: Command<'FailMalformedHtlc'>, state: ChannelState): Decision<ChannelEvent> {
  const { htlc_id, failure_code, sha256_of_onion } = command;
  const htlc = removable(state, htlc_id);
  if ('refused' in htlc) return htlc;
  if ((failure_code & BADONION) === 0) return refuse('not_a_badonion_code', { failure_code });
  return accept<ChannelEvent>({ type: 'UpdateFailMalformedHtlcSent', id: htlc_id, sha256_of_onion, failure_code });
}

/** BOLT 2, "Removing an HTLC": only what both commitments hold for good, and once. */
function removable(state: ChannelState, htlc_id: bigint): Htlc | ReturnType<typeof refuse> {
  if (!isLive(state)) return refuse('channel_not_open', { phase: state.phase });
  const htlc = find(state.commitments, 'received', htlc_id);
  if (htlc === undefined) return refuse('unknown_htlc', { htlc_id });
  if (htlc.state !== 'RCVD_ADD_ACK_REVOCATION') return refuse('htlc_not_removable', { htlc_id, expected: 'RCVD_ADD_ACK_REVOCATION', got: htlc.state });
  return htlc;
}

export function receiveUpdateFulfillHtlc({ message }: Command<'ReceiveUpdateFulfillHtlc'>, state: ChannelState): Decision<ChannelEvent> {
  const htlc = removableByPeer(state, message.id, message.type);
  if ('refused' in htlc) return htlc;
  const { id, payment_preimage } = message;
  if (!hashesTo(payment_preimage, htlc.payment_hash)) return refuse('wrong_preimage', { id, expected: htlc.payment_hash, got: payment_preimage }, 'disconnect');
  const received: ChannelEvent = { type: 'UpdateFulfillHtlcReceived', id, payment_preimage };
  if (htlc.known_preimage !== undefined) return accept(received); // Repeated after a reconnection: told already.
  // The preimage is ours from here on, whatever becomes of the channel: other streams may use it at once.
  return accept<ChannelEvent>(received, { type: 'OutgoingHtlcFulfilled', htlc_id: id, payment_hash: htlc.payment_hash, payment_preimage, origin: htlc.origin! });
}

export function receiveUpdateFailHtlc({ message, reason_hash }: Command<'ReceiveUpdateFailHtlc'>, state: ChannelState): Decision<ChannelEvent> {
  const htlc = removableByPeer(state, message.id, message.type);
  return 'refused' in htlc ? htlc : accept<ChannelEvent>({ type: 'UpdateFailHtlcReceived', id: message.id, reason_hash });
}

export function receiveUpdateFailMalformedHtlc({ message }: Command<'ReceiveUpdateFailMalformedHtlc'>, state: ChannelState): Decision<ChannelEvent> {
  const htlc = removableByPeer(state, message.id, message.type);
  if ('refused' in htlc) return htlc;
  const { id, sha256_of_onion, failure_code } = message;
  if ((failure_code & BADONION) === 0) return refuse('not_a_badonion_code', { failure_code }, 'disconnect');
  return accept<ChannelEvent>({ type: 'UpdateFailMalformedHtlcReceived', id, sha256_of_onion, failure_code });
}

function removableByPeer(state: ChannelState, id: bigint, message: string): Htlc | ReturnType<typeof refuse> {
  if (!isLive(state)) return unexpected(message, state);
  const htlc = find(state.commitments, 'offered', id);
  if (htlc === undefined) return refuse('unknown_htlc', { message, id }, 'disconnect');
  if (htlc.state !== 'SENT_ADD_ACK_REVOCATION') return refuse('htlc_not_removable', { message, id, expected: 'SENT_ADD_ACK_REVOCATION', got: htlc.state }, 'disconnect');
  return htlc;
}

const unexpected = (message: string, state: ChannelState) => refuse('unexpected_message', { message, phase: state.phase }, 'warning');
const hashesTo = (preimage: Hex32, payment_hash: Hex32): boolean => toHex(crypto().sha256(fromHex(preimage))) === payment_hash;

export const find = (commitments: Commitments, direction: Htlc['direction'], id: bigint): Htlc | undefined =>
  commitments.htlcs.find((htlc) => htlc.id === id && htlc.direction === direction);

// ---- evolve

export function evolveAdd(commitments: Commitments, event: Event<'UpdateAddHtlcSent'> | Event<'UpdateAddHtlcReceived'>): Commitments {
  const { id, amount_msat, payment_hash, cltv_expiry, onion_hash } = event;
  const common = { id, amount_msat, payment_hash, cltv_expiry, onion_hash };
  return event.type === 'UpdateAddHtlcSent'
    ? { ...commitments, next_offered_id: id + 1n, htlcs: [...commitments.htlcs, { ...common, direction: 'offered', state: 'SENT_ADD_HTLC', origin: event.origin }] }
    : {
        ...commitments,
        next_received_id: id + 1n,
        htlcs: [...commitments.htlcs, { ...common, direction: 'received', state: 'RCVD_ADD_HTLC', hop: event.hop, onion_ephemeral_key: event.onion_ephemeral_key }],
      };
}

type RemovalEvent = Event<
  | 'UpdateFulfillHtlcSent' | 'UpdateFailHtlcSent' | 'UpdateFailMalformedHtlcSent'
  | 'UpdateFulfillHtlcReceived' | 'UpdateFailHtlcReceived' | 'UpdateFailMalformedHtlcReceived'
>;

export function evolveRemoval(commitments: Commitments, event: RemovalEvent): Commitments {
  const byUs = event.type.endsWith('Sent');
  const [direction, state]: [Htlc['direction'], HtlcState] = byUs ? ['received', 'SENT_REMOVE_HTLC'] : ['offered', 'RCVD_REMOVE_HTLC'];
  const removal = removalOf(event);
  const known = event.type === 'UpdateFulfillHtlcReceived' ? { known_preimage: event.payment_preimage } : {};
  const htlcs = commitments.htlcs.map((htlc) => (htlc.id === event.id && htlc.direction === direction ? { ...htlc, state, removal, ...known } : htlc));
  return { ...commitments, htlcs };
}

function removalOf(event: RemovalEvent): Removal {
  switch (event.type) {
    case 'UpdateFulfillHtlcSent':
    case 'UpdateFulfillHtlcReceived':
      return { kind: 'fulfilled', payment_preimage: event.payment_preimage };
    case 'UpdateFailHtlcSent':
      return { kind: 'failed_by_us', failure: event.failure };
    case 'UpdateFailMalformedHtlcSent':
      return { kind: 'malformed_by_us', failure_code: event.failure_code, sha256_of_onion: event.sha256_of_onion };
    case 'UpdateFailHtlcReceived':
      return { kind: 'failed_by_peer', failure: { kind: 'reason', reason_hash: event.reason_hash } };
    case 'UpdateFailMalformedHtlcReceived':
      return { kind: 'failed_by_peer', failure: { kind: 'malformed', failure_code: event.failure_code, sha256_of_onion: event.sha256_of_onion } };
  }
}

/** An HTLC that both sides have let go: its amount ends at one side for good. */
export function settle(commitments: Commitments, htlc: Htlc): Pick<Commitments, 'local_msat' | 'remote_msat'> {
  const { local_msat, remote_msat } = commitments;
  if (htlc.removal?.kind !== 'fulfilled') return { local_msat, remote_msat };
  const sign = htlc.direction === 'offered' ? -1n : 1n;
  return { local_msat: msat(local_msat + sign * htlc.amount_msat), remote_msat: msat(remote_msat - sign * htlc.amount_msat) };
}
