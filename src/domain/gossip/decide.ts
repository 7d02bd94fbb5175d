/** BOLT 7: which announcements we believe. Whatever is refused changes nothing; only a broken signature is worth a warning. */
import { CHANNEL_FLAG, MESSAGE_FLAG, type ChannelAnnouncement, type ChannelUpdate, type NodeAnnouncement } from '../../bolt/07-routing-gossip/announcements.ts';
import { unknownEvenBits } from '../../bolt/09-features/features.ts';
import { fundingScript, p2wsh } from '../../bolt/03-transactions/scripts.ts';
import { satToMsat, type Hex32 } from '../../bolt/primitives.ts';
import type { GossipEvent } from '../../events/gossip.ts';
import { accept, never, refuse, type Decider, type Decision, type Refusal } from '../decider.ts';
import type { GossipCommand } from './commands.ts';
import { aliasText } from './own-announcements.ts';
import { createGossipState, degreeOf, evolveGossip, policyText, type GossipState } from './state.ts';

/** Four times the channels of the mainnet of 2026: what a hostile peer can make us keep. */
export const MAX_CHANNELS = 200_000;
/** An update from further ahead of our clock is not believed, seconds. */
const MAX_AHEAD_SECONDS = 600;
/** A channel whose last update is older counts as dead (BOLT 7, "Pruning the Network View"), seconds. */
const STALE_SECONDS = 14 * 24 * 3_600;
/** An update that changes nothing is kept only as a sign of life, so often, seconds. */
const KEEPALIVE_SECONDS = 24 * 3_600;

type CommandOf<T extends GossipCommand['type']> = Extract<GossipCommand, { type: T }>;
export type Announcement = ChannelAnnouncement | ChannelUpdate | NodeAnnouncement;

export function decideGossip(command: GossipCommand, state: GossipState): Decision<GossipEvent> {
  switch (command.type) {
    case 'ReceiveChannelAnnouncement':
      return receiveChannel(command, state);
    case 'ReceiveChannelUpdate':
      return receiveUpdate(command, state);
    case 'ReceiveNodeAnnouncement':
      return receiveNode(command, state);
    case 'CloseAnnouncedChannel': {
      const { short_channel_id, block_height } = command;
      return state.channels.has(short_channel_id) ? accept({ type: 'AnnouncedChannelClosed', short_channel_id, block_height }) : accept();
    }
    default:
      return never(command);
  }
}

/** `evolve` changes the state it is given: one writer, one state. */
export const gossipDecider = (): Decider<GossipState, GossipCommand, GossipEvent> => ({ initial: createGossipState(), decide: decideGossip, evolve: evolveGossip });

type Refused = { readonly refused: Refusal };
const KNOWN = 'known';

/** What can be said before signatures and the chain are asked: asked by the gatherer, so that old news costs nothing. */
export function worthReading(message: Announcement, state: GossipState, chain_hash: Hex32, now: number): 'yes' | typeof KNOWN | Refused {
  switch (message.type) {
    case 'channel_announcement':
      return channelIsNews(message, state, chain_hash);
    case 'channel_update':
      return updateIsNews(message, state, chain_hash, now);
    case 'node_announcement':
      return nodeIsNews(message, state, now);
  }
}

function channelIsNews({ chain_hash, short_channel_id, features }: ChannelAnnouncement, state: GossipState, ours: Hex32): 'yes' | typeof KNOWN | Refused {
  if (chain_hash !== ours) return refuse('unknown_chain', { expected: ours, got: chain_hash });
  // BOLT 7: "if there is an unknown even bit in the features field: MUST NOT attempt to route messages through the channel".
  const [unknown] = unknownEvenBits(features);
  if (unknown !== undefined) return refuse('unknown_even_feature', { short_channel_id, bit: unknown });
  if (state.channels.has(short_channel_id)) return KNOWN;
  if (state.channels.size >= MAX_CHANNELS) return refuse('too_many_channels', { maximum: MAX_CHANNELS });
  return 'yes';
}

function updateIsNews(message: ChannelUpdate, state: GossipState, ours: Hex32, now: number): 'yes' | typeof KNOWN | Refused {
  const { chain_hash, short_channel_id, timestamp, htlc_maximum_msat, channel_flags, message_flags } = message;
  if (chain_hash !== ours) return refuse('unknown_chain', { expected: ours, got: chain_hash });
  // BOLT 7: meant for us alone; what we keep we also tell.
  if ((message_flags & MESSAGE_FLAG.dont_forward) !== 0) return refuse('not_to_be_forwarded', { short_channel_id });
  const channel = state.channels.get(short_channel_id);
  if (channel === undefined) return refuse('unknown_channel', { short_channel_id });
  const known = channel.updates[channel_flags & CHANNEL_FLAG.direction];
  if (known !== undefined && timestamp <= known.timestamp) return KNOWN;
  const untimely = timeliness(timestamp, now);
  if (untimely !== undefined) return untimely;
  if (known !== undefined && known.policy === policyText(message) && timestamp < known.timestamp + KEEPALIVE_SECONDS) return KNOWN;
  if (channel.capacity !== undefined && htlc_maximum_msat > satToMsat(channel.capacity)) {
    return refuse('htlc_maximum_above_capacity', { htlc_maximum_msat, capacity: channel.capacity });
  }
  return 'yes';
}

function nodeIsNews({ node_id, timestamp }: NodeAnnouncement, state: GossipState, now: number): 'yes' | typeof KNOWN | Refused {
  // BOLT 7: "if node_id is NOT previously known from a channel_announcement message ...: SHOULD ignore the message".
  if (degreeOf(state, node_id) === 0) return refuse('unknown_node', { node_id });
  const known = state.nodes.get(node_id);
  if (known !== undefined && timestamp <= known.timestamp) return KNOWN;
  return timeliness(timestamp, now) ?? 'yes';
}

function timeliness(timestamp: number, now: number): Refused | undefined {
  if (timestamp > now + MAX_AHEAD_SECONDS) return refuse('timestamp_in_future', { timestamp, now });
  if (timestamp < now - STALE_SECONDS) return refuse('timestamp_too_old', { timestamp, now });
  return undefined;
}

function receiveChannel({ message, raw, chain_hash, verification, funding, min_confirmations }: CommandOf<'ReceiveChannelAnnouncement'>, state: GossipState): Decision<GossipEvent> {
  const news = channelIsNews(message, state, chain_hash);
  if (news === KNOWN) return accept();
  if (news !== 'yes') return news;
  if (verification !== true) return badSignature(verification.reason);
  const { short_channel_id, node_id_1, node_id_2, bitcoin_key_1, bitcoin_key_2 } = message;
  if (funding.kind === 'missing') return refuse('funding_output_missing', { short_channel_id });
  const script_pubkey = p2wsh(fundingScript(bitcoin_key_1, bitcoin_key_2));
  if (funding.script_pubkey !== script_pubkey) return refuse('funding_script_differs', { expected: script_pubkey, got: funding.script_pubkey });
  if (funding.confirmations < min_confirmations) return refuse('too_few_confirmations', { minimum: min_confirmations, confirmations: funding.confirmations });
  return accept({ type: 'ChannelAnnounced', short_channel_id, node_id_1, node_id_2, capacity: funding.value, raw });
}

function receiveUpdate({ message, raw, chain_hash, verification, now }: CommandOf<'ReceiveChannelUpdate'>, state: GossipState): Decision<GossipEvent> {
  const news = updateIsNews(message, state, chain_hash, now);
  if (news === KNOWN) return accept();
  if (news !== 'yes') return news;
  if (verification !== true) return badSignature(verification.reason);
  const { short_channel_id, channel_flags, timestamp, cltv_expiry_delta } = message;
  const { htlc_minimum_msat, htlc_maximum_msat, fee_base_msat, fee_proportional_millionths } = message;
  return accept({
    type: 'ChannelUpdated',
    short_channel_id,
    channel_flags,
    timestamp,
    cltv_expiry_delta,
    htlc_minimum_msat,
    htlc_maximum_msat,
    fee_base_msat,
    fee_proportional_millionths,
    raw,
  });
}

function receiveNode({ message, raw, verification, now }: CommandOf<'ReceiveNodeAnnouncement'>, state: GossipState): Decision<GossipEvent> {
  const news = nodeIsNews(message, state, now);
  if (news === KNOWN) return accept();
  if (news !== 'yes') return news;
  if (verification !== true) return badSignature(verification.reason);
  const { node_id, timestamp, alias } = message;
  return accept({ type: 'NodeAnnounced', node_id, timestamp, alias: aliasText(alias), raw });
}

/** BOLT 7: "SHOULD send a warning. MAY close the connection. MUST ignore the message". */
const badSignature = (reason: string): Refused => refuse('invalid_signature', { reason }, 'warning');
