/** BOLT 2, "Channel Close": the messages of shutdown, of the legacy and of the simplified closing negotiation. */
import { hex32, prefixedBytes, record, sat64, signature, u16, u32 } from '../codec.ts';
import { message } from '../message-format.ts';
import { tlv } from '../tlv.ts';

/** Closer and closee agree in both messages of option_simple_close, field by field. */
const simpleClose = {
  channel_id: hex32,
  closer_scriptpubkey: prefixedBytes(u16),
  closee_scriptpubkey: prefixedBytes(u16),
  fee_satoshis: sat64,
  locktime: u32,
};

const closingTlvs = {
  closer_output_only: tlv(1, signature),
  closee_output_only: tlv(2, signature),
  closer_and_closee_outputs: tlv(3, signature),
};

export const closingMessages = {
  shutdown: message(38, { channel_id: hex32, scriptpubkey: prefixedBytes(u16) }),
  closing_signed: message(
    39,
    { channel_id: hex32, fee_satoshis: sat64, signature },
    { fee_range: tlv(1, record({ min_fee_satoshis: sat64, max_fee_satoshis: sat64 })) },
  ),
  closing_complete: message(40, simpleClose, closingTlvs),
  closing_sig: message(41, simpleClose, closingTlvs),
};
