/** BOLT 1: the messages of setup and control: init, error, warning, ping, pong and peer storage. */
import { hex32, listRest, prefixedBytes, u16 } from '../codec.ts';
import { message } from '../message-format.ts';
import { tlv } from '../tlv.ts';
import { address } from '../07-routing-gossip/addresses.ts';

/** The most that a peer_storage's blob may have: bytes. */
export const MAX_PEER_BLOB = 65_531;

export const messagingMessages = {
  warning: message(1, { channel_id: hex32, data: prefixedBytes(u16) }),
  peer_storage: message(7, { blob: prefixedBytes(u16) }),
  peer_storage_retrieval: message(9, { blob: prefixedBytes(u16) }),
  init: message(
    16,
    { globalfeatures: prefixedBytes(u16), features: prefixedBytes(u16) },
    { networks: tlv(1, listRest(hex32)), remote_addr: tlv(3, address) },
  ),
  error: message(17, { channel_id: hex32, data: prefixedBytes(u16) }),
  ping: message(18, { num_pong_bytes: u16, ignored: prefixedBytes(u16) }),
  pong: message(19, { ignored: prefixedBytes(u16) }),
};
