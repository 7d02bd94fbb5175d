/** BOLT 2, "Message Retransmission": channel_reestablish, with which both sides say where they stand. */
import { hex32, point, record, txid, u64, u8 } from '../codec.ts';
import { message } from '../message-format.ts';
import { tlv } from '../tlv.ts';

export const reestablishMessages = {
  channel_reestablish: message(
    136,
    {
      channel_id: hex32,
      next_commitment_number: u64,
      next_revocation_number: u64,
      your_last_per_commitment_secret: hex32,
      my_current_per_commitment_point: point,
    },
    {
      next_funding: tlv(1, record({ next_funding_txid: txid, retransmit_flags: u8 })),
      my_current_funding_locked: tlv(5, record({ my_current_funding_locked_txid: txid, retransmit_flags: u8 })),
    },
  ),
};
