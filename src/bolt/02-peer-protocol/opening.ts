/** BOLT 2, "Channel Establishment v1" and "v2": the messages that open a channel, and how a channel gets its id. */
import { flag, hex32, msat64, point, rest, sat64, shortChannelId, signature, txid, u16, u32, u8 } from '../codec.ts';
import { message } from '../message-format.ts';
import type { Hex32 } from '../primitives.ts';
import { fromHex, reverseHex32, toHex32 } from '../primitives.ts';
import { tlv } from '../tlv.ts';

/** Bit 0 of `channel_flags`: the opener wishes the channel to be announced. */
export const ANNOUNCE_CHANNEL = 1;

/** What both sides lay open of themselves, in the same order in all four messages. */
const basepoints = {
  funding_pubkey: point,
  revocation_basepoint: point,
  payment_basepoint: point,
  delayed_payment_basepoint: point,
  htlc_basepoint: point,
  first_per_commitment_point: point,
};

const openingTlvs = {
  upfront_shutdown_script: tlv(0, rest),
  channel_type: tlv(1, rest),
};

export const openingMessages = {
  open_channel: message(
    32,
    {
      chain_hash: hex32,
      temporary_channel_id: hex32,
      funding_satoshis: sat64,
      push_msat: msat64,
      dust_limit_satoshis: sat64,
      max_htlc_value_in_flight_msat: msat64,
      channel_reserve_satoshis: sat64,
      htlc_minimum_msat: msat64,
      feerate_per_kw: u32,
      to_self_delay: u16,
      max_accepted_htlcs: u16,
      ...basepoints,
      channel_flags: u8,
    },
    openingTlvs,
  ),
  accept_channel: message(
    33,
    {
      temporary_channel_id: hex32,
      dust_limit_satoshis: sat64,
      max_htlc_value_in_flight_msat: msat64,
      channel_reserve_satoshis: sat64,
      htlc_minimum_msat: msat64,
      minimum_depth: u32,
      to_self_delay: u16,
      max_accepted_htlcs: u16,
      ...basepoints,
    },
    openingTlvs,
  ),
  funding_created: message(34, {
    temporary_channel_id: hex32,
    funding_txid: txid,
    funding_output_index: u16,
    signature,
  }),
  funding_signed: message(35, { channel_id: hex32, signature }),
  channel_ready: message(
    36,
    { channel_id: hex32, second_per_commitment_point: point },
    { short_channel_id: tlv(1, shortChannelId) },
  ),
  open_channel2: message(
    64,
    {
      chain_hash: hex32,
      temporary_channel_id: hex32,
      funding_feerate_perkw: u32,
      commitment_feerate_perkw: u32,
      funding_satoshis: sat64,
      dust_limit_satoshis: sat64,
      max_htlc_value_in_flight_msat: msat64,
      htlc_minimum_msat: msat64,
      to_self_delay: u16,
      max_accepted_htlcs: u16,
      locktime: u32,
      ...basepoints,
      second_per_commitment_point: point,
      channel_flags: u8,
    },
    { ...openingTlvs, require_confirmed_inputs: tlv(2, flag) },
  ),
  accept_channel2: message(
    65,
    {
      temporary_channel_id: hex32,
      funding_satoshis: sat64,
      dust_limit_satoshis: sat64,
      max_htlc_value_in_flight_msat: msat64,
      htlc_minimum_msat: msat64,
      minimum_depth: u32,
      to_self_delay: u16,
      max_accepted_htlcs: u16,
      ...basepoints,
      second_per_commitment_point: point,
    },
    { ...openingTlvs, require_confirmed_inputs: tlv(2, flag) },
  ),
};

/**
 * BOLT 2, "Definition of channel_id": the funding txid (internal byte order) with its last two bytes XORed with the index.
 * Different outpoints can collide, so a channel_id names a channel only towards one peer.
 */
export function channelId(funding_txid: Hex32, funding_output_index: number): Hex32 {
  const id = fromHex(reverseHex32(funding_txid)).slice();
  id[30]! ^= funding_output_index >> 8;
  id[31]! ^= funding_output_index & 0xff;
  return toHex32(id);
}
