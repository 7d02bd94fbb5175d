/** The gossip stream: announcements we accepted (BOLT 7), as they stand on the wire. Stored for ever: add a new type, never change one. */
import { z } from 'zod';
import { fact, hex, point, short_channel_id, u16, u32, u8, msat, sat } from './words.ts';

export const gossipEvents = [
  /** `capacity`: what the chain says the funding output holds. */
  fact('ChannelAnnounced', {
    short_channel_id,
    node_id_1: point,
    node_id_2: point,
    capacity: sat.optional(),
    raw: hex,
  }),
  fact('ChannelUpdated', {
    short_channel_id,
    /** Bit 0: direction (0 = from node_id_1). Bit 1: disabled. */
    channel_flags: u8,
    timestamp: u32,
    cltv_expiry_delta: u16,
    htlc_minimum_msat: msat,
    htlc_maximum_msat: msat,
    fee_base_msat: u32,
    fee_proportional_millionths: u32,
    raw: hex,
  }),
  fact('NodeAnnounced', { node_id: point, timestamp: u32, alias: z.string().max(128), raw: hex }),
  /** The funding output of an announced channel is spent. */
  fact('AnnouncedChannelClosed', { short_channel_id, block_height: u32 }),
] as const;

export type GossipEvent = z.output<(typeof gossipEvents)[number]>;
