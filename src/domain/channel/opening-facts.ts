/** BOLT 2, "Channel Establishment v1": how the facts of an opening fold into a channel. */
import { ANNOUNCE_CHANNEL } from '../../bolt/02-peer-protocol/opening.ts';
import { EMPTY_SECRET_STORE } from '../../bolt/03-transactions/per-commitment-secret.ts';
import { decodeChannelType } from '../../bolt/09-features/channel-types.ts';
import { msat, satToMsat, type ShortChannelId, type Signature } from '../../bolt/primitives.ts';
import type { OpeningEvent } from '../../events/channel/opening.ts';
import type { ChannelState, Commitments, Established, Funding, Proposal, SideTerms, Terms } from './state.ts';

type Event<T extends OpeningEvent['type']> = Extract<OpeningEvent, { type: T }>;
type Opening<S extends Extract<ChannelState, { phase: 'opening' }>['step']> = Extract<ChannelState, { phase: 'opening'; step: S }>;

type ProposalEvent = Event<'OpenChannelSent'> | Event<'OpenChannelReceived'>;

export function evolveProposal(event: ProposalEvent): ChannelState {
  const ours = event.type === 'OpenChannelSent';
  const proposal: Proposal = {
    peer_id: event.peer_id,
    role: ours ? 'opener' : 'accepter',
    key_index: ours ? event.key_index : undefined,
    chain_hash: event.chain_hash,
    temporary_channel_id: event.temporary_channel_id,
    channel_type: event.channel_type,
    funding_satoshis: event.funding_satoshis,
    push_msat: event.push_msat,
    feerate_per_kw: event.feerate_per_kw,
    announce: (event.channel_flags & ANNOUNCE_CHANNEL) !== 0,
    terms: sideTerms(event),
    first_per_commitment_point: event.first_per_commitment_point,
  };
  return { phase: 'opening', step: 'proposed', proposal };
}

function sideTerms(event: ProposalEvent | AcceptEvent): SideTerms {
  const { funding_pubkey, revocation_basepoint, payment_basepoint, delayed_payment_basepoint, htlc_basepoint } = event;
  return {
    keys: { funding_pubkey, revocation_basepoint, payment_basepoint, delayed_payment_basepoint, htlc_basepoint },
    dust_limit_satoshis: event.dust_limit_satoshis,
    max_htlc_value_in_flight_msat: event.max_htlc_value_in_flight_msat,
    channel_reserve_satoshis: event.channel_reserve_satoshis,
    htlc_minimum_msat: event.htlc_minimum_msat,
    to_self_delay: event.to_self_delay,
    max_accepted_htlcs: event.max_accepted_htlcs,
    upfront_shutdown_script: event.upfront_shutdown_script,
  };
}

type AcceptEvent = Event<'AcceptChannelSent'> | Event<'AcceptChannelReceived'>;

export function evolveAccept({ proposal }: Opening<'proposed'>, event: AcceptEvent): ChannelState {
  const [mine, theirs] = [sideTerms(event), proposal.terms];
  const opener = proposal.role === 'opener';
  const terms: Terms = {
    peer_id: proposal.peer_id,
    role: proposal.role,
    key_index: event.type === 'AcceptChannelSent' ? event.key_index : proposal.key_index!,
    chain_hash: proposal.chain_hash,
    temporary_channel_id: proposal.temporary_channel_id,
    ...decodeChannelType(proposal.channel_type)!,
    funding_satoshis: proposal.funding_satoshis,
    push_msat: proposal.push_msat,
    opening_feerate_per_kw: proposal.feerate_per_kw,
    announce: proposal.announce,
    minimum_depth: event.minimum_depth,
    local: opener ? theirs : mine,
    remote: opener ? mine : theirs,
  };
  const [proposed, accepted] = [proposal.first_per_commitment_point, event.first_per_commitment_point];
  return { phase: 'opening', step: 'accepted', terms, points: opener ? { local: proposed, remote: accepted } : { local: accepted, remote: proposed } };
}

/** From two sets of terms and an outpoint to a channel with commitment 0 on both sides. */
export function establish({ terms, points }: Opening<'accepted'>, funding: Funding): Established {
  const openerMsat = msat(satToMsat(terms.funding_satoshis) - terms.push_msat);
  const opener = terms.role === 'opener';
  const commitments: Commitments = {
    local_msat: opener ? openerMsat : terms.push_msat,
    remote_msat: opener ? terms.push_msat : openerMsat,
    htlcs: [],
    fees: [{ feerate_per_kw: terms.opening_feerate_per_kw, state: opener ? 'SENT_ADD_ACK_REVOCATION' : 'RCVD_ADD_ACK_REVOCATION' }],
    next_offered_id: 0n,
    next_received_id: 0n,
    local: { number: 0n, point: points.local, htlc_signatures: [] },
    remote: { number: 0n, awaiting_revocation: false, point: points.remote, secrets: EMPTY_SECRET_STORE },
    last_sent: 'neither',
  };
  return { terms, funding, commitments, ready: { sent: false, received: false, local_aliases: [], remote_aliases: [] }, announcement: { sent: false } };
}

export function evolveFundingCreated(state: Opening<'accepted'>, event: Event<'FundingCreatedSent'> | Event<'FundingCreatedReceived'>): ChannelState {
  const { funding_txid, funding_output_index, channel_id } = event;
  const transaction = event.type === 'FundingCreatedSent' ? event.funding_transaction : undefined;
  const established = establish(state, { txid: funding_txid, output_index: funding_output_index, channel_id, transaction });
  const signed = event.type === 'FundingCreatedReceived' ? withSignature(established, event.signature) : established;
  return { phase: 'opening', step: 'funding_created', ...signed };
}

const withSignature = <S extends Established>(state: S, signature: Signature): S => ({
  ...state,
  commitments: { ...state.commitments, local: { ...state.commitments.local, signature } },
});

export function evolveFundingSigned(state: Opening<'funding_created'>, event: Event<'FundingSignedSent'> | Event<'FundingSignedReceived'>): ChannelState {
  const signed = event.type === 'FundingSignedReceived' ? withSignature(state, event.signature) : state;
  return { ...signed, step: 'funded' };
}

export function evolveFundingConfirmed<S extends Established>(state: S, event: Event<'FundingConfirmed'>): S {
  const { block_height, short_channel_id, funding_transaction } = event;
  // Signatures for another place are void: both sides sign again.
  const moved = state.announcement.received !== undefined && state.announcement.received.short_channel_id !== short_channel_id;
  return { ...state, announcement: moved ? { sent: false } : state.announcement, funding: { ...state.funding, transaction: funding_transaction, confirmed: { block_height, short_channel_id } } };
}

export function evolveFundingAwaited<S extends Established>(state: S, { block_height }: Event<'FundingAwaited'>): S {
  return { ...state, funding: { ...state.funding, awaited_from: block_height } };
}

/** The first one brings the point of commitment 1; a later one only another alias. */
export function evolveReady<S extends Established>(state: S, event: Event<'ChannelReadySent'> | Event<'ChannelReadyReceived'>): S {
  const { commitments, ready } = state;
  const [owner, done, aliases] = event.type === 'ChannelReadySent' ? (['local', 'sent', 'local_aliases'] as const) : (['remote', 'received', 'remote_aliases'] as const);
  const named = { ...ready, [done]: true, [aliases]: withAlias(ready[aliases], event.short_channel_id_alias) };
  if (ready[done]) return { ...state, ready: named };
  const next_point = event.second_per_commitment_point;
  return { ...state, ready: named, commitments: { ...commitments, [owner]: { ...commitments[owner], next_point } } };
}

const withAlias = (known: readonly ShortChannelId[], alias: ShortChannelId | undefined): readonly ShortChannelId[] => (alias === undefined ? known : [...known, alias]);

/** Both channel_ready have passed: updates may flow. */
export function becomeNormal(state: ChannelState): ChannelState {
  if (state.phase !== 'opening' || state.step !== 'funded' || !state.ready.sent || !state.ready.received) return state;
  const { step: _step, ...established } = state;
  return { ...established, phase: 'normal' };
}

export function evolveAnnouncement<S extends Established>(state: S, event: Event<'AnnouncementSignaturesSent'> | Event<'AnnouncementSignaturesReceived'>): S {
  if (event.type === 'AnnouncementSignaturesSent') return { ...state, announcement: { ...state.announcement, sent: true } };
  const { short_channel_id, node_signature, bitcoin_signature } = event;
  return { ...state, announcement: { ...state.announcement, received: { short_channel_id, node_signature, bitcoin_signature } } };
}

/** Signed on both sides, and the chain has not shown the funding deep enough: the channel may be in use by then. */
export const awaitsFunding = (state: ChannelState): state is Extract<ChannelState, { phase: 'opening' | 'normal' }> & Established =>
  ((state.phase === 'opening' && state.step === 'funded') || state.phase === 'normal') && state.funding.confirmed === undefined;
