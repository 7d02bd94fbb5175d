/** BOLT 2, "Interactive Transaction Construction" and "Channel Splicing": the messages that build a transaction together. */
import { flag, hex32, list, point, prefixedBytes, s64, sat64, signature, txid, u16, u32, u64 } from '../codec.ts';
import { message } from '../message-format.ts';
import { tlv } from '../tlv.ts';

const rbfTlvs = {
  funding_output_contribution: tlv(0, s64),
  require_confirmed_inputs: tlv(2, flag),
};

export const interactiveTxMessages = {
  tx_add_input: message(
    66,
    { channel_id: hex32, serial_id: u64, prevtx: prefixedBytes(u16), prevtx_vout: u32, sequence: u32 },
    { shared_input_txid: tlv(0, txid) },
  ),
  tx_add_output: message(67, { channel_id: hex32, serial_id: u64, sats: sat64, script: prefixedBytes(u16) }),
  tx_remove_input: message(68, { channel_id: hex32, serial_id: u64 }),
  tx_remove_output: message(69, { channel_id: hex32, serial_id: u64 }),
  tx_complete: message(70, { channel_id: hex32 }),
  tx_signatures: message(
    71,
    { channel_id: hex32, txid, witnesses: list(u16, prefixedBytes(u16)) },
    { shared_input_signature: tlv(0, signature) },
  ),
  tx_init_rbf: message(72, { channel_id: hex32, locktime: u32, feerate: u32 }, rbfTlvs),
  tx_ack_rbf: message(73, { channel_id: hex32 }, rbfTlvs),
  tx_abort: message(74, { channel_id: hex32, data: prefixedBytes(u16) }),
};

export const splicingMessages = {
  splice_locked: message(77, { channel_id: hex32, splice_txid: txid }),
  splice_init: message(
    80,
    {
      channel_id: hex32,
      funding_contribution_satoshis: s64,
      funding_feerate_perkw: u32,
      locktime: u32,
      funding_pubkey: point,
    },
    { require_confirmed_inputs: tlv(2, flag) },
  ),
  splice_ack: message(
    81,
    { channel_id: hex32, funding_contribution_satoshis: s64, funding_pubkey: point },
    { require_confirmed_inputs: tlv(2, flag) },
  ),
};
