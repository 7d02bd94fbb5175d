/** BOLT 2, "Channel Establishment v1": both roles from open_channel to channel_ready. */
import { anchorsCost, commitmentFee, type CommitmentFormat } from '../../bolt/03-transactions/fees.ts';
import type { ChannelPublicKeys } from '../../bolt/03-transactions/keys.ts';
import { decodeChannelType, type ChannelType } from '../../bolt/09-features/channel-types.ts';
import { ANNOUNCE_CHANNEL } from '../../bolt/02-peer-protocol/opening.ts';
import { crypto } from '../../bolt/crypto.ts';
import { fromHex, satToMsat, type BlockHeight, type Hex, type Point, type Sat, type ShortChannelId } from '../../bolt/primitives.ts';
import type { ChannelEvent } from '../../events/channel/index.ts';
import { accept, refuse, type Decision } from '../decider.ts';
import type { ChannelCommand, ChannelPolicy, LocalKeys } from './commands.ts';
import { MAX_HTLCS_OF_A_SIDE } from './limits.ts';
import { upfrontBreach } from './shutdown-scripts.ts';
import type { ChannelState, Established } from './state.ts';

type Command<T extends ChannelCommand['type']> = Extract<ChannelCommand, { type: T }>;

/** BOLT 3, "Dust Limits": below 354 sat some standard output would not be relayed. */
const MIN_DUST_LIMIT_SAT = 354n;
/** BOLT 2: a commitment with more HTLCs in both directions might not fit into a standard transaction. */
const MAX_ACCEPTED_HTLCS = 483;

/** A day's blocks: a peer that wants more of them before it uses a channel does not want it. */
const MAX_MINIMUM_DEPTH = 144;

/** BOLT 7: confirmations of the funding before a channel is announced. */
const ANNOUNCEMENT_DEPTH = 6;

export function openChannel(command: Command<'OpenChannel'>): Decision<ChannelEvent> {
  const { policy, funding_satoshis, push_msat } = command;
  if (funding_satoshis < policy.min_funding_satoshis || funding_satoshis > policy.max_funding_satoshis) {
    return refuse('funding_out_of_range', { funding_satoshis, min: policy.min_funding_satoshis, max: policy.max_funding_satoshis });
  }
  if (push_msat > satToMsat(funding_satoshis)) return refuse('push_exceeds_funding', { push_msat, funding_satoshis });
  const channelType = decodeChannelType(command.channel_type);
  if (channelType === undefined) return refuse('unknown_channel_type', { channel_type: command.channel_type });
  if (channelType.scid_alias && command.announce) return refuse('announced_under_alias', { channel_type: command.channel_type, announce: command.announce });
  const reserve = reserveFor(policy, funding_satoshis);
  const poor = initialFeeBreach(channelType.format, command.feerate_per_kw, satToMsat(funding_satoshis) - push_msat, reserve);
  if (poor !== undefined) return refuse('opener_cannot_pay_fee', poor);
  return accept<ChannelEvent>({
    type: 'OpenChannelSent',
    peer_id: command.peer_id,
    key_index: command.local.key_index,
    chain_hash: command.chain_hash,
    temporary_channel_id: command.temporary_channel_id,
    funding_satoshis,
    push_msat,
    ...ourLimits(policy, funding_satoshis),
    feerate_per_kw: command.feerate_per_kw,
    ...ourKeys(command.local),
    channel_flags: command.announce ? ANNOUNCE_CHANNEL : 0,
    upfront_shutdown_script: ourUpfrontScript(command),
    channel_type: command.channel_type,
  });
}

const reserveFor = (policy: ChannelPolicy, funding: Sat): Sat => {
  const share = (funding * BigInt(policy.reserve_millionths)) / 1_000_000n;
  return (share > policy.dust_limit_satoshis ? share : policy.dust_limit_satoshis) as Sat;
};

const ourLimits = (policy: ChannelPolicy, funding: Sat) => ({
  dust_limit_satoshis: policy.dust_limit_satoshis,
  max_htlc_value_in_flight_msat: policy.max_htlc_value_in_flight_msat,
  channel_reserve_satoshis: reserveFor(policy, funding),
  htlc_minimum_msat: policy.htlc_minimum_msat,
  to_self_delay: policy.to_self_delay,
  max_accepted_htlcs: Math.min(policy.max_accepted_htlcs, MAX_HTLCS_OF_A_SIDE),
});

/** BOLT 2: peers that both know option_upfront_shutdown_script must hear of one; an empty one binds nobody. */
const ourUpfrontScript = ({ upfront_shutdown_script = '' }: Pick<Command<'OpenChannel'>, 'upfront_shutdown_script'>): Hex => upfront_shutdown_script;

const ourKeys = ({ keys, first_per_commitment_point }: LocalKeys) => ({ ...keys, first_per_commitment_point });

function initialFeeBreach(format: CommitmentFormat, feerate_per_kw: number, opener_msat: bigint, reserve: Sat) {
  const needed = commitmentFee(format, feerate_per_kw, 0) + anchorsCost(format) + reserve;
  return opener_msat < satToMsat(needed as Sat)
    ? { opener_msat, needed_msat: satToMsat(needed as Sat), feerate_per_kw }
    : undefined;
}

/** BOLT 2, "The open_channel Message": the receiving node. What we take is answered at once. */
export function receiveOpenChannel(command: Command<'ReceiveOpenChannel'>): Decision<ChannelEvent> {
  const { message, policy } = command;
  const no = (code: string, detail: Record<string, unknown>) => refuse(code, detail, 'warning');
  if (message.chain_hash !== command.chain_hash) return no('unknown_chain_hash', { expected: command.chain_hash, got: message.chain_hash });
  const channelType = decodeChannelType(message.tlvs.channel_type);
  if (channelType === undefined) return no('unknown_channel_type', { got: message.tlvs.channel_type ?? 'none' });
  const unsuitable = typeBreach(channelType, command);
  if (unsuitable !== undefined) return unsuitable;
  if (message.funding_satoshis < policy.min_funding_satoshis || message.funding_satoshis > policy.max_funding_satoshis) {
    return no('funding_out_of_range', { funding_satoshis: message.funding_satoshis, min: policy.min_funding_satoshis, max: policy.max_funding_satoshis });
  }
  if (message.push_msat > satToMsat(message.funding_satoshis)) return no('push_exceeds_funding', { push_msat: message.push_msat, funding_satoshis: message.funding_satoshis });
  if (message.feerate_per_kw < policy.min_feerate_per_kw || message.feerate_per_kw > policy.max_feerate_per_kw) {
    return no('feerate_out_of_range', { feerate_per_kw: message.feerate_per_kw, min: policy.min_feerate_per_kw, max: policy.max_feerate_per_kw });
  }
  const breach = termsBreach(message, policy, ourLimits(policy, message.funding_satoshis)) ?? upfrontBreach(message.tlvs.upfront_shutdown_script);
  if (breach !== undefined) return breach;
  const poor = initialFeeBreach(channelType.format, message.feerate_per_kw, satToMsat(message.funding_satoshis) - message.push_msat, reserveFor(policy, message.funding_satoshis));
  if (poor !== undefined) return no('opener_cannot_pay_fee', poor);
  const stuck = nothingCanMove(message, policy);
  if (stuck !== undefined) return no(stuck.code, stuck.detail);
  const { type: _type, tlvs, ...fields } = message;
  return accept<ChannelEvent>(
    { type: 'OpenChannelReceived', peer_id: command.peer_id, ...fields, upfront_shutdown_script: tlvs.upfront_shutdown_script, channel_type: tlvs.channel_type! },
    {
      type: 'AcceptChannelSent',
      peer_id: command.peer_id,
      key_index: command.local.key_index,
      temporary_channel_id: message.temporary_channel_id,
      ...ourLimits(policy, message.funding_satoshis),
      minimum_depth: channelType.zero_conf ? 0 : policy.minimum_depth,
      ...ourKeys(command.local),
      upfront_shutdown_script: ourUpfrontScript(command),
      channel_type: tlvs.channel_type!,
    },
  );
}

/** BOLT 2: someone must have more than the reserve that is asked of us, and the smallest HTLC must fit into the channel. */
function nothingCanMove({ funding_satoshis, push_msat, channel_reserve_satoshis, htlc_minimum_msat }: Command<'ReceiveOpenChannel'>['message'], policy: ChannelPolicy) {
  const funding_msat = satToMsat(funding_satoshis);
  const opener_msat = funding_msat - push_msat;
  const reserve_msat = satToMsat(channel_reserve_satoshis);
  if (opener_msat <= reserve_msat && push_msat <= reserve_msat) return { code: 'both_below_reserve', detail: { opener_msat, push_msat, reserve_msat } };
  const most = funding_msat - satToMsat(reserveFor(policy, funding_satoshis));
  return htlc_minimum_msat > most ? { code: 'htlc_minimum_too_large', detail: { htlc_minimum_msat, max: most } } : undefined;
}

/** BOLT 2: a channel that is announced cannot hide behind aliases, and only a trusted peer's is used before its funding is in a block. */
function typeBreach({ scid_alias, zero_conf }: ChannelType, { message, trusted = false, peer_id }: Command<'ReceiveOpenChannel'>) {
  const announce = (message.channel_flags & ANNOUNCE_CHANNEL) !== 0;
  if (scid_alias && announce) return refuse('announced_under_alias', { channel_type: message.tlvs.channel_type, announce }, 'warning');
  return zero_conf && !trusted ? refuse('zero_conf_needs_trust', { peer_id, trusted }, 'warning') : undefined;
}

type TheirTerms = Pick<
  Command<'ReceiveAcceptChannel'>['message'],
  'dust_limit_satoshis' | 'channel_reserve_satoshis' | 'to_self_delay' | 'max_accepted_htlcs' | 'htlc_minimum_msat' | 'max_htlc_value_in_flight_msat' | keyof ChannelPublicKeys | 'first_per_commitment_point'
>;

/** The rules that open_channel and accept_channel share: both sides' limits must let the channel work and keep dust out of reserves. */
function termsBreach(theirs: TheirTerms, policy: ChannelPolicy, ours: { dust_limit_satoshis: Sat; channel_reserve_satoshis: Sat }) {
  const no = (code: string, detail: Record<string, unknown>) => refuse(code, detail, 'warning');
  const { dust_limit_satoshis, channel_reserve_satoshis, to_self_delay, max_accepted_htlcs } = theirs;
  if (dust_limit_satoshis < MIN_DUST_LIMIT_SAT) return no('dust_limit_too_small', { dust_limit_satoshis, min: MIN_DUST_LIMIT_SAT });
  // BOLT 2: dust_limit_satoshis of either side must not exceed the reserve that the other one keeps.
  if (dust_limit_satoshis > ours.channel_reserve_satoshis) return no('dust_limit_above_reserve', { dust_limit_satoshis, channel_reserve_satoshis: ours.channel_reserve_satoshis });
  if (channel_reserve_satoshis < ours.dust_limit_satoshis) return no('reserve_below_dust_limit', { channel_reserve_satoshis, dust_limit_satoshis: ours.dust_limit_satoshis });
  if (dust_limit_satoshis > channel_reserve_satoshis) return no('dust_limit_above_own_reserve', { dust_limit_satoshis, channel_reserve_satoshis });
  if (to_self_delay > policy.max_to_self_delay) return no('to_self_delay_too_long', { to_self_delay, max: policy.max_to_self_delay });
  if (max_accepted_htlcs > MAX_ACCEPTED_HTLCS || max_accepted_htlcs < 1) return no('max_accepted_htlcs_out_of_range', { max_accepted_htlcs, max: MAX_ACCEPTED_HTLCS });
  const bad = keysOf(theirs).find((key) => !crypto().isPoint(fromHex(key)));
  return bad === undefined ? undefined : no('invalid_point', { point: bad });
}

const keysOf = (theirs: TheirTerms): readonly Point[] => [
  theirs.funding_pubkey, theirs.revocation_basepoint, theirs.payment_basepoint, theirs.delayed_payment_basepoint, theirs.htlc_basepoint, theirs.first_per_commitment_point,
];

/** BOLT 2, "The accept_channel Message": the receiving node, our proposal in hand. */
export function receiveAcceptChannel(command: Command<'ReceiveAcceptChannel'>, state: ChannelState): Decision<ChannelEvent> {
  const { message, policy } = command;
  if (state.phase !== 'opening' || state.step !== 'proposed' || state.proposal.role !== 'opener') return refuse('unexpected_message', { message: message.type, phase: state.phase }, 'warning');
  const { proposal } = state;
  if (message.temporary_channel_id !== proposal.temporary_channel_id) {
    return refuse('temporary_channel_id_differs', { expected: proposal.temporary_channel_id, got: message.temporary_channel_id }, 'warning');
  }
  if (message.tlvs.channel_type !== proposal.channel_type) {
    return abandoned('channel_type_differs', `expected channel_type ${proposal.channel_type}, got ${message.tlvs.channel_type ?? 'none'}`);
  }
  const breach = depthBreach(message.minimum_depth, proposal.channel_type) ?? termsBreach(message, policy, proposal.terms) ?? upfrontBreach(message.tlvs.upfront_shutdown_script);
  if (breach !== undefined) return abandoned(breach.refused.code, JSON.stringify(breach.refused.detail, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value)));
  const { type: _type, tlvs, ...fields } = message;
  return accept<ChannelEvent>({ type: 'AcceptChannelReceived', ...fields, upfront_shutdown_script: tlvs.upfront_shutdown_script, channel_type: proposal.channel_type });
}

/** BOLT 2: no block is waited for where the type says so, and an unreasonable number of them nowhere. */
function depthBreach(minimum_depth: number, channel_type: Hex) {
  const most = decodeChannelType(channel_type)?.zero_conf === true ? 0 : MAX_MINIMUM_DEPTH;
  return minimum_depth > most ? refuse('minimum_depth_too_large', { minimum_depth, max: most }) : undefined;
}

export const abandoned = (code: string, reason: string): Decision<ChannelEvent> => accept<ChannelEvent>({ type: 'OpeningAbandoned', code, reason });

/** Only before money is at stake: an opener that holds no funding_signed never broadcasts. */
export function abandonOpening(command: Command<'AbandonOpening'>, state: ChannelState): Decision<ChannelEvent> {
  const free = state.phase === 'opening' && state.step !== 'funded';
  return free ? abandoned(command.code, command.reason) : refuse('too_late_to_abandon', { phase: state.phase });
}

/** BOLT 7: announcement_signatures once channel_ready has passed both ways and the funding is deep enough; once for each place on chain. */
export function announcementDue({ terms, funding, ready, announcement }: Established, height: BlockHeight): ChannelEvent[] {
  const { confirmed } = funding;
  if (!terms.announce || announcement.sent || !ready.sent || confirmed === undefined) return [];
  const deep = height - confirmed.block_height + 1 >= ANNOUNCEMENT_DEPTH;
  return deep ? [{ type: 'AnnouncementSignaturesSent', short_channel_id: confirmed.short_channel_id }] : [];
}

/** A peer may have so many names for a channel; one would do. */
const MAX_ALIASES = 8;

const isNewAlias = ({ ready: { remote_aliases } }: Established, alias: ShortChannelId | undefined): boolean =>
  alias !== undefined && !remote_aliases.includes(alias) && remote_aliases.length < MAX_ALIASES;

export function receiveChannelReady({ message, height }: Command<'ReceiveChannelReady'>, state: ChannelState): Decision<ChannelEvent> {
  if (!('ready' in state) || (state.phase === 'opening' && state.step !== 'funded')) return refuse('unexpected_message', { message: message.type, phase: state.phase }, 'warning');
  // BOLT 2: what is repeated after a reconnection is ignored; a new alias may come at any time.
  if (state.ready.received && !isNewAlias(state, message.tlvs.short_channel_id)) return accept<ChannelEvent>();
  if (!crypto().isPoint(fromHex(message.second_per_commitment_point))) return refuse('invalid_point', { point: message.second_per_commitment_point }, 'disconnect');
  const received: ChannelEvent = { type: 'ChannelReadyReceived', second_per_commitment_point: message.second_per_commitment_point, short_channel_id_alias: message.tlvs.short_channel_id };
  return accept<ChannelEvent>(received, ...(state.ready.sent ? announcementDue(state, height) : []));
}

export function receiveAnnouncementSignatures(command: Command<'ReceiveAnnouncementSignatures'>, state: ChannelState): Decision<ChannelEvent> {
  const { message } = command;
  if (!('announcement' in state) || !state.terms.announce) return accept<ChannelEvent>();
  const expected = state.funding.confirmed?.short_channel_id;
  if (expected !== undefined && expected !== message.short_channel_id) return refuse('short_channel_id_differs', { expected, got: message.short_channel_id }, 'warning');
  const { short_channel_id, node_signature, bitcoin_signature } = message;
  const digest = fromHex(command.announcement_digest);
  const signers = { node_signature: state.terms.peer_id, bitcoin_signature: state.terms.remote.keys.funding_pubkey };
  for (const name of ['node_signature', 'bitcoin_signature'] as const) {
    if (!crypto().verify(fromHex(message[name]), digest, fromHex(signers[name]))) return refuse('invalid_announcement_signature', { field: name, expected_of: signers[name], got: message[name] }, 'warning');
  }
  // Repeated: the peer has not received ours (BOLT 7: "MUST respond with its own").
  if (state.announcement.received?.short_channel_id === short_channel_id) return accept<ChannelEvent>(...(state.announcement.sent ? [{ type: 'AnnouncementSignaturesSent', short_channel_id } as const] : []));
  return accept<ChannelEvent>({ type: 'AnnouncementSignaturesReceived', short_channel_id, node_signature, bitcoin_signature });
}
