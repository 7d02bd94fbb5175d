/** BOLT 2, "Normal Operation" and "Channel Quiescence": the messages that change the commitment transactions. */
import { bytes, hex32, list, msat64, point, prefixedBytes, record, signature, tuple, txid, u16, u32, u64, u8 } from '../codec.ts';
import { message } from '../message-format.ts';
import { tlv } from '../tlv.ts';

/** The size of `onion_routing_packet`, in bytes. */
export const ONION_PACKET_BYTES = 1366;

/** BOLT 4, "Returning Errors": hold times in units of 100 ms and truncated HMACs, for at most 20 hops. */
const attributionData = record({
  htlc_hold_times: tuple(20, u32),
  truncated_hmacs: tuple(210, bytes(4)),
});

export const updateMessages = {
  stfu: message(2, { channel_id: hex32, initiator: u8 }),
  start_batch: message(127, { channel_id: hex32, batch_size: u16 }, { message_type: tlv(1, u16) }),
  update_add_htlc: message(
    128,
    {
      channel_id: hex32,
      id: u64,
      amount_msat: msat64,
      payment_hash: hex32,
      cltv_expiry: u32,
      onion_routing_packet: bytes(ONION_PACKET_BYTES),
    },
    { path_key: tlv(0, point) },
  ),
  update_fulfill_htlc: message(
    130,
    { channel_id: hex32, id: u64, payment_preimage: hex32 },
    { attribution_data: tlv(1, attributionData) },
  ),
  update_fail_htlc: message(
    131,
    { channel_id: hex32, id: u64, reason: prefixedBytes(u16) },
    { attribution_data: tlv(1, attributionData) },
  ),
  commitment_signed: message(
    132,
    { channel_id: hex32, signature, htlc_signatures: list(u16, signature) },
    { funding_txid: tlv(1, txid) },
  ),
  revoke_and_ack: message(133, { channel_id: hex32, per_commitment_secret: hex32, next_per_commitment_point: point }),
  update_fee: message(134, { channel_id: hex32, feerate_per_kw: u32 }),
  update_fail_malformed_htlc: message(135, { channel_id: hex32, id: u64, sha256_of_onion: hex32, failure_code: u16 }),
};
