/** BOLT 7: real announcements of the main network, addresses, and the vectors of extended queries. */
import { describe, expect, it } from 'vitest';
import { CodecError, decode, encode } from '../../../src/bolt/codec.ts';
import type { Message, MessageOf } from '../../../src/bolt/messages.ts';
import { decodeMessage, encodeMessage } from '../../../src/bolt/messages.ts';
import type { Address } from '../../../src/bolt/07-routing-gossip/addresses.ts';
import { address } from '../../../src/bolt/07-routing-gossip/addresses.ts';
import {
  channelUpdateDigest,
  verifyChannelAnnouncement,
  verifyChannelUpdate,
  verifyNodeAnnouncement,
} from '../../../src/bolt/07-routing-gossip/verify.ts';
import { crypto } from '../../../src/bolt/crypto.ts';
import { fromHex, point, toHex, toPoint, toSignature } from '../../../src/bolt/primitives.ts';
import gossip from '../../vectors/bolt07-gossip.json' with { type: 'json' };
import queries from '../../vectors/bolt07-gossip-queries.json' with { type: 'json' };

type Announcement = MessageOf<'channel_announcement' | 'node_announcement' | 'channel_update'>;

/** The one real update without htlc_maximum_msat: today it is too short. */
const isWhole = ({ name, fields }: (typeof gossip.vectors)[number]) =>
  name !== 'channel_update' || 'htlc_maximum_msat' in fields;
const read = (bytes: string) => decodeMessage(fromHex(bytes)) as Announcement;

function verify(announcement: Announcement, node_id: string | undefined): unknown {
  switch (announcement.type) {
    case 'channel_announcement':
      return verifyChannelAnnouncement(announcement);
    case 'node_announcement':
      return verifyNodeAnnouncement(announcement);
    case 'channel_update':
      return verifyChannelUpdate(announcement, point(node_id!));
  }
}

describe('real announcements', () => {
  it.each(gossip.vectors.filter(isWhole))('$name of $network: valid $valid', ({ bytes, valid, node_id, fields }) => {
    const announcement = read(bytes);
    expect(toHex(encodeMessage(announcement))).toBe(bytes);
    expect(verify(announcement, node_id) === true).toBe(valid);
    for (const [name, value] of Object.entries(fields)) {
      if (name === 'alias' || !(name in announcement)) continue;
      expect(String(announcement[name as keyof Announcement])).toBe(String(value));
    }
  });

  it('an update without htlc_maximum_msat is too short', () => {
    const old = gossip.vectors.find((vector) => !isWhole(vector))!;
    expect(() => read(old.bytes)).toThrow(CodecError);
  });

  it('one changed byte after the signatures breaks them', () => {
    const { bytes, node_id } = gossip.vectors.find((vector) => vector.name === 'channel_update' && isWhole(vector))!;
    const update = read(bytes) as MessageOf<'channel_update'>;
    const forged = { ...update, fee_base_msat: update.fee_base_msat + 1 };
    expect(verifyChannelUpdate(forged, point(node_id!))).toEqual({ reason: 'signature' });
  });

  it('the two nodes of a channel_announcement stand in order', () => {
    const announcement = read(gossip.vectors.find(({ name, valid }) => name === 'channel_announcement' && valid)!.bytes);
    const { node_id_1, node_id_2 } = announcement as MessageOf<'channel_announcement'>;
    const swapped = { ...(announcement as MessageOf<'channel_announcement'>), node_id_1: node_id_2, node_id_2: node_id_1 };
    expect(verifyChannelAnnouncement(swapped)).toEqual({ reason: 'node_ids_not_ascending' });
  });

  it('signatures cover the records of the future', () => {
    const privateKey = fromHex('11'.repeat(32));
    const base = read(gossip.vectors.find((vector) => vector.name === 'channel_update' && isWhole(vector))!.bytes);
    const update = { ...(base as MessageOf<'channel_update'>), tlvs: { unknown: [{ type: 55555n, value: '00' }] } };
    const signed = { ...update, signature: toSignature(crypto().sign(channelUpdateDigest(update), privateKey)) };
    const node_id = toPoint(crypto().publicKey(privateKey));
    expect(verifyChannelUpdate(read(toHex(encodeMessage(signed))) as typeof signed, node_id)).toBe(true);
    expect(verifyChannelUpdate({ ...signed, tlvs: {} }, node_id)).toEqual({ reason: 'signature' });
  });
});

describe('addresses', () => {
  const examples: readonly (readonly [string, Address])[] = [
    ['01cb0071072607', { type: 'ipv4', host: '203.0.113.7', port: 9735 }],
    ['0220010db80000000000000000000000012607', { type: 'ipv6', host: '2001:db8:0:0:0:0:0:1', port: 9735 }],
    [`04${'00'.repeat(35)}2607`, { type: 'tor_v3', host: `${'a'.repeat(56)}.onion`, port: 9735 }],
    [`03${'00'.repeat(10)}2607`, { type: 'tor_v2', host: `${'a'.repeat(16)}.onion`, port: 9735 }],
    ['050b6c6e2e6578616d706c652607'.replace('0b', '0a'), { type: 'dns', host: 'ln.example', port: 9735 }],
    ['6301020304', { type: 'unknown', descriptors: '6301020304' }],
  ];

  it.each(examples)('%s', (bytes, value) => {
    expect(decode(address, fromHex(bytes))).toEqual(value);
    expect(toHex(encode(address, value))).toBe(bytes);
  });

  it('accepts the short form of IPv6 that people write', () => {
    expect(toHex(encode(address, { type: 'ipv6', host: '::1', port: 1 }))).toBe(`02${'00'.repeat(15)}010001`);
    expect(toHex(encode(address, { type: 'ipv6', host: 'fe80::', port: 1 }))).toBe(`02fe80${'00'.repeat(14)}0001`);
  });

  it('refuses a hostname that is not ASCII', () => {
    expect(() => decode(address, fromHex('0501ff2607'))).toThrow(CodecError);
  });
});

describe('BOLT 7, extended queries', () => {
  const isCompressed = (message: object) => JSON.stringify(message).includes('COMPRESSED_ZLIB');

  it.each(queries.vectors.filter(({ message }) => !isCompressed(message)))('$name', ({ bytes, message }) => {
    const query = decodeMessage(fromHex(bytes)) as Message;
    expect(toHex(encodeMessage(query))).toBe(bytes);
    if ('encoded_short_ids' in query) expect(query.encoded_short_ids).toEqual(message.shortChannelIds!.array);
    if ('first_blocknum' in query) expect(query.first_blocknum).toBe(message.firstBlockNum);
  });

  it('reads timestamps and checksums', () => {
    const { bytes } = queries.vectors.find(({ name }) => name === 'ReplyChannelRange 5')!;
    const reply = decodeMessage(fromHex(bytes)) as MessageOf<'reply_channel_range'>;
    expect(reply.tlvs.timestamps_tlv![0]).toEqual({ timestamp_node_id_1: 164545, timestamp_node_id_2: 948165 });
    expect(reply.tlvs.checksums_tlv![2]).toEqual({ checksum_node_id_1: 5555, checksum_node_id_2: 6666 });
  });

  it.each(queries.vectors.filter(({ message }) => isCompressed(message)))('$name: zlib must not be used', ({ bytes }) => {
    expect(() => decodeMessage(fromHex(bytes))).toThrow(/encoding 1 is not supported/);
  });
});
