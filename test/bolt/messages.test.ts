/** The tables of messages against the layouts of the specification, and BOLT 1, Appendix C. */
import { describe, expect, it } from 'vitest';
import { CodecError } from '../../src/bolt/codec.ts';
import type { Message, MessageOf } from '../../src/bolt/messages.ts';
import { decodeMessage, encodeMessage, MESSAGE_FORMATS, messageNumber } from '../../src/bolt/messages.ts';
import { channelId } from '../../src/bolt/02-peer-protocol/opening.ts';
import { fromHex, hex32, msat, sat, signature, toHex, ZERO_32 } from '../../src/bolt/primitives.ts';
import extension from '../vectors/bolt01-message-extension.json' with { type: 'json' };
import layouts from '../vectors/wire-layouts.json' with { type: 'json' };

/** BOLT names we write otherwise: a list is named in the plural. */
const RENAMED: Readonly<Record<string, string>> = { htlc_signature: 'htlc_signatures' };

describe('the tables against the layouts of the specification', () => {
  it('knows every message, and none besides', () => {
    const ours = Object.values(MESSAGE_FORMATS).map(({ number }) => number);
    expect(ours.toSorted()).toEqual(layouts.vectors.map(({ number }) => number).toSorted());
  });

  it.each(layouts.vectors)('$name ($number)', ({ name, number, fields, tlvs }) => {
    const format = MESSAGE_FORMATS[name as keyof typeof MESSAGE_FORMATS];
    expect(format.number).toBe(number);
    expect(Object.keys(format.fields)).toEqual(fields.map((field) => RENAMED[field] ?? field));
    // A record of a single field may be named after the field.
    const ours = Object.entries(format.tlvs).map(([record, { type }]) => [Number(type), record] as const);
    const theirs = tlvs.map((tlv) => [tlv.type, [tlv.name, ...tlv.fields]] as const);
    expect(ours.map(([type]) => type)).toEqual(theirs.map(([type]) => type));
    ours.forEach(([, record], index) => expect(theirs[index]![1]).toContain(record));
  });
});

describe('BOLT 1, Appendix C: message extension', () => {
  it.each(extension.vectors)('$name', ({ bytes, valid }) => {
    if (!valid) return expect(() => decodeMessage(fromHex(bytes))).toThrow(CodecError);
    expect(toHex(encodeMessage(decodeMessage(fromHex(bytes)) as Message))).toBe(bytes);
  });
});

describe('messages', () => {
  const id = hex32('ab'.repeat(32));

  it('are written field by field, as the specification lists them', () => {
    const shutdown: Message = { type: 'shutdown', channel_id: id, scriptpubkey: '0014aabb', tlvs: {} };
    expect(toHex(encodeMessage(shutdown))).toBe(`0026${id}00040014aabb`);
  });

  it('carry their extension after the fields', () => {
    const closing: MessageOf<'closing_signed'> = {
      type: 'closing_signed',
      channel_id: id,
      fee_satoshis: sat(500),
      signature: signature('11'.repeat(64)),
      tlvs: { fee_range: { min_fee_satoshis: sat(1), max_fee_satoshis: sat(2) } },
    };
    const bytes = encodeMessage(closing);
    expect(toHex(bytes)).toBe(`0027${id}00000000000001f4${'11'.repeat(64)}011000000000000000010000000000000002`);
    expect(decodeMessage(bytes)).toEqual(closing);
  });

  it('show txids in display order and send them reversed', () => {
    const txid = hex32(`${'00'.repeat(31)}01`);
    const created: Message = {
      type: 'funding_created',
      temporary_channel_id: id,
      funding_txid: txid,
      funding_output_index: 0,
      signature: signature('22'.repeat(64)),
      tlvs: {},
    };
    expect(toHex(encodeMessage(created)).slice(68, 132)).toBe(`01${'00'.repeat(31)}`);
    expect(decodeMessage(encodeMessage(created))).toEqual(created);
  });

  it('of an unknown number are named by it, whether odd or even', () => {
    expect(decodeMessage(fromHex('ffff0102'))).toEqual({ type: 'unknown', number: 65535 });
    expect(decodeMessage(fromHex('fffe'))).toEqual({ type: 'unknown', number: 65534 });
  });

  it('that are too short say which message, and how many bytes are missing', () => {
    expect(() => decodeMessage(fromHex('0086' + '00'.repeat(32) + '0000'))).toThrow(
      'update_fee: needs 4 bytes at offset 34, 2 left',
    );
    expect(() => decodeMessage(fromHex('00'))).toThrow(CodecError);
  });

  it('never grow beyond 65535 bytes', () => {
    const blob = 'aa'.repeat(65532);
    expect(() => encodeMessage({ type: 'peer_storage', blob, tlvs: {} })).toThrow(RangeError);
    expect(encodeMessage({ type: 'peer_storage', blob: blob.slice(2), tlvs: {} })).toHaveLength(65535);
  });

  it('keep full 64-bit amounts', () => {
    const all = msat(0xffff_ffff_ffff_ffffn);
    const add: Message = {
      type: 'update_add_htlc',
      channel_id: id,
      id: 0n,
      amount_msat: all,
      payment_hash: ZERO_32,
      cltv_expiry: 0xffff_ffff,
      onion_routing_packet: '00'.repeat(1366),
      tlvs: {},
    };
    expect(decodeMessage(encodeMessage(add))).toEqual(add);
  });

  it('are numbered by the registry', () => {
    expect(messageNumber('commitment_signed')).toBe(132);
  });
});

describe('channel_id', () => {
  it('is the funding txid with the output index in its last two bytes', () => {
    const txid = hex32(`0000${'11'.repeat(29)}ff`);
    expect(channelId(txid, 0x0102)).toBe(`ff${'11'.repeat(29)}0102`);
  });
});
