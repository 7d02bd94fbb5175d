/** BOLT 2, "Channel Establishment v1": the facts of an opening. Stored for ever: add a new type, never change one. */
import type { z } from 'zod';
import { count, fact, hex, hex32, msat, point, sat, short_channel_id, signature, u16, u32, u8 } from '../words.ts';

const basepoints = {
  funding_pubkey: point,
  revocation_basepoint: point,
  payment_basepoint: point,
  delayed_payment_basepoint: point,
  htlc_basepoint: point,
  first_per_commitment_point: point,
};

const limits = {
  dust_limit_satoshis: sat,
  max_htlc_value_in_flight_msat: msat,
  channel_reserve_satoshis: sat,
  htlc_minimum_msat: msat,
  to_self_delay: u16,
  max_accepted_htlcs: u16,
};

const open_channel = {
  chain_hash: hex32,
  temporary_channel_id: hex32,
  funding_satoshis: sat,
  push_msat: msat,
  ...limits,
  feerate_per_kw: u32,
  ...basepoints,
  channel_flags: u8,
  upfront_shutdown_script: hex.optional(),
  channel_type: hex,
};

const accept_channel = {
  temporary_channel_id: hex32,
  ...limits,
  minimum_depth: u32,
  ...basepoints,
  upfront_shutdown_script: hex.optional(),
  channel_type: hex,
};

/** Our keys of a channel derive from the seed and this index; it is no secret. */
const ours = { peer_id: point, key_index: count };
const outpoint = { funding_txid: hex32, funding_output_index: u16 };

export const openingEvents = [
  fact('OpenChannelSent', { ...ours, ...open_channel }),
  fact('OpenChannelReceived', { peer_id: point, ...open_channel }),
  fact('AcceptChannelSent', { ...ours, ...accept_channel }),
  fact('AcceptChannelReceived', accept_channel),
  /** `funding_transaction`: the raw transaction that makes the output, kept because the channel is worth only what it pays. */
  fact('FundingCreatedSent', { ...outpoint, channel_id: hex32, funding_transaction: hex }),
  fact('FundingCreatedReceived', { ...outpoint, channel_id: hex32, signature }),
  fact('FundingSignedSent', { channel_id: hex32 }),
  fact('FundingSignedReceived', { channel_id: hex32, signature }),
  /** The funding output is deep enough. `funding_transaction` as the chain has it. */
  fact('FundingConfirmed', {
    ...outpoint,
    block_height: u32,
    transaction_index: u32,
    short_channel_id,
    funding_transaction: hex,
  }),
  fact('ChannelReadySent', { second_per_commitment_point: point, short_channel_id_alias: short_channel_id.optional() }),
  fact('ChannelReadyReceived', {
    second_per_commitment_point: point,
    short_channel_id_alias: short_channel_id.optional(),
  }),
  /** Ours as accepter: from this block on the funding is waited for, and no longer than BOLT 2's 2016 blocks. */
  fact('FundingAwaited', { block_height: u32 }),
  fact('AnnouncementSignaturesSent', { short_channel_id }),
  fact('AnnouncementSignaturesReceived', { short_channel_id, node_signature: signature, bitcoin_signature: signature }),
] as const;

export type OpeningEvent = z.output<(typeof openingEvents)[number]>;
