/** BOLT 7: our own announcements, unsigned, and put together with their signatures. */
import type { ChannelAnnouncement, ChannelUpdate, NodeAnnouncement } from '../../bolt/07-routing-gossip/announcements.ts';
import { CHANNEL_FLAG, MESSAGE_FLAG } from '../../bolt/07-routing-gossip/announcements.ts';
import { signature, toHex, type Hex, type Hex32, type Msat, type NodeId, type Point, type ShortChannelId, type Signature } from '../../bolt/primitives.ts';
import type { ForwardingPolicy } from '../relay/commands.ts';

const UNSIGNED = signature('00'.repeat(64));

/** One end of a channel. */
export interface ChannelEnd {
  readonly node_id: NodeId;
  /** Its key in the funding output. */
  readonly bitcoin_key: Point;
}

export interface OwnChannel {
  readonly chain_hash: Hex32;
  readonly short_channel_id: ShortChannelId;
  readonly local: ChannelEnd;
  readonly remote: ChannelEnd;
  /** BOLT 9 channel features; none are defined that a channel of ours needs. */
  readonly features?: Hex;
}

/** Both sides build the same bytes, whoever is node_id_1 (the lesser). Sign channelAnnouncementDigest of it. */
export function unsignedChannelAnnouncement({ chain_hash, short_channel_id, local, remote, features = '' }: OwnChannel): ChannelAnnouncement {
  const [first, second] = local.node_id < remote.node_id ? [local, remote] : [remote, local];
  return {
    type: 'channel_announcement',
    node_signature_1: UNSIGNED,
    node_signature_2: UNSIGNED,
    bitcoin_signature_1: UNSIGNED,
    bitcoin_signature_2: UNSIGNED,
    features,
    chain_hash,
    short_channel_id,
    node_id_1: first.node_id,
    node_id_2: second.node_id,
    bitcoin_key_1: first.bitcoin_key,
    bitcoin_key_2: second.bitcoin_key,
    tlvs: {},
  };
}

/** What announcement_signatures carries. */
export interface EndSignatures {
  readonly node_signature: Signature;
  readonly bitcoin_signature: Signature;
}

export function signedChannelAnnouncement(channel: OwnChannel, local: EndSignatures, remote: EndSignatures): ChannelAnnouncement {
  const [first, second] = channel.local.node_id < channel.remote.node_id ? [local, remote] : [remote, local];
  return {
    ...unsignedChannelAnnouncement(channel),
    node_signature_1: first.node_signature,
    node_signature_2: second.node_signature,
    bitcoin_signature_1: first.bitcoin_signature,
    bitcoin_signature_2: second.bitcoin_signature,
  };
}

export interface OwnUpdate {
  readonly chain_hash: Hex32;
  readonly short_channel_id: ShortChannelId;
  readonly local: NodeId;
  readonly remote: NodeId;
  readonly policy: ForwardingPolicy;
  readonly htlc_maximum_msat: Msat;
  readonly disabled: boolean;
  /** Unix seconds; newer than the update before. */
  readonly timestamp: number;
}

/** Sign channelUpdateDigest of it. */
export function unsignedChannelUpdate({ chain_hash, short_channel_id, local, remote, policy, htlc_maximum_msat, disabled, timestamp }: OwnUpdate): ChannelUpdate {
  return {
    type: 'channel_update',
    signature: UNSIGNED,
    chain_hash,
    short_channel_id,
    timestamp,
    message_flags: MESSAGE_FLAG.must_be_one,
    channel_flags: (local < remote ? 0 : CHANNEL_FLAG.direction) | (disabled ? CHANNEL_FLAG.disable : 0),
    ...policy,
    htlc_maximum_msat,
    tlvs: {},
  };
}

export interface OwnNode {
  readonly node_id: NodeId;
  /** UTF-8, at most 32 bytes; longer ones are cut. */
  readonly alias: string;
  /** BOLT 9. */
  readonly features: Hex;
  readonly addresses: NodeAnnouncement['addresses'];
  readonly rgb_color?: Hex;
  readonly timestamp: number;
}

/** Sign nodeAnnouncementDigest of it. */
export function unsignedNodeAnnouncement({ node_id, alias, features, addresses, rgb_color = '8a7f6d', timestamp }: OwnNode): NodeAnnouncement {
  return { type: 'node_announcement', signature: UNSIGNED, features, timestamp, node_id, rgb_color, alias: aliasBytes(alias), addresses, tlvs: {} };
}

const ALIAS_BYTES = 32;

/** BOLT 7: 32 bytes, filled up with zeros. */
function aliasBytes(alias: string): Hex {
  const bytes = new Uint8Array(ALIAS_BYTES);
  new TextEncoder().encodeInto(alias, bytes);
  return toHex(bytes);
}

/** What to show of an alias: anyone may have written it, so control characters and broken UTF-8 become spaces. */
export function aliasText(alias: Hex): string {
  const bytes = Uint8Array.from(alias.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  return new TextDecoder().decode(bytes).replace(/[\p{C}\uFFFD]+/gu, ' ').trim();
}
