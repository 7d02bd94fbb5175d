/** BOLT 7: the messages that announce channels, nodes and fees. */
import { bytes, hex32, listRest, msat64, point, prefixed, prefixedBytes, shortChannelId, signature, u16, u32, u8 } from '../codec.ts';
import { message } from '../message-format.ts';
import type { MessagesOf } from '../message-format.ts';
import { address } from './addresses.ts';

/** Bits of `channel_flags` in a channel_update. */
export const CHANNEL_FLAG = { direction: 1, disable: 2 } as const;
/** Bits of `message_flags` in a channel_update. */
export const MESSAGE_FLAG = { must_be_one: 1, dont_forward: 2 } as const;

export const announcementMessages = {
  channel_announcement: message(256, {
    node_signature_1: signature,
    node_signature_2: signature,
    bitcoin_signature_1: signature,
    bitcoin_signature_2: signature,
    features: prefixedBytes(u16),
    chain_hash: hex32,
    short_channel_id: shortChannelId,
    node_id_1: point,
    node_id_2: point,
    bitcoin_key_1: point,
    bitcoin_key_2: point,
  }),
  node_announcement: message(257, {
    signature,
    features: prefixedBytes(u16),
    timestamp: u32,
    node_id: point,
    rgb_color: bytes(3),
    alias: bytes(32),
    addresses: prefixed(u16, listRest(address)),
  }),
  channel_update: message(258, {
    signature,
    chain_hash: hex32,
    short_channel_id: shortChannelId,
    timestamp: u32,
    message_flags: u8,
    channel_flags: u8,
    cltv_expiry_delta: u16,
    htlc_minimum_msat: msat64,
    fee_base_msat: u32,
    fee_proportional_millionths: u32,
    htlc_maximum_msat: msat64,
  }),
  announcement_signatures: message(259, {
    channel_id: hex32,
    short_channel_id: shortChannelId,
    node_signature: signature,
    bitcoin_signature: signature,
  }),
};

type Announcement = MessagesOf<typeof announcementMessages>;
export type ChannelAnnouncement = Extract<Announcement, { type: 'channel_announcement' }>;
export type NodeAnnouncement = Extract<Announcement, { type: 'node_announcement' }>;
export type ChannelUpdate = Extract<Announcement, { type: 'channel_update' }>;
export type AnnouncementSignatures = Extract<Announcement, { type: 'announcement_signatures' }>;
