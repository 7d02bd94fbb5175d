/** BOLT 7, "Query Messages": asking a peer for gossip. Only the uncompressed encoding (0) exists; zlib (1) must not be used. */
import type { Codec } from '../codec.ts';
import { bigsizeNumber, CodecError, hex32, listRest, prefixed, record, shortChannelId, u16, u32, u8 } from '../codec.ts';
import { message } from '../message-format.ts';
import { tlv } from '../tlv.ts';

/** Bits of `query_option_flags`. */
export const QUERY_OPTION = { timestamps: 1, checksums: 2 } as const;
/** Bits of each `query_flag`. */
export const QUERY_FLAG = {
  channel_announcement: 1,
  channel_update_1: 2,
  channel_update_2: 4,
  node_announcement_1: 8,
  node_announcement_2: 16,
} as const;

const UNCOMPRESSED = 0;

/** A byte for the encoding, then the items. CodecError `unknown_encoding`. */
function encoded<T>(items: Codec<T>): Codec<T> {
  return {
    encode(value, writer) {
      writer.u8(UNCOMPRESSED);
      items.encode(value, writer);
    },
    decode(reader) {
      const encoding = reader.u8();
      if (encoding !== UNCOMPRESSED) {
        throw new CodecError('unknown_encoding', `encoding ${encoding} is not supported, only ${UNCOMPRESSED} is`);
      }
      return items.decode(reader);
    },
  };
}

const encodedShortIds = prefixed(u16, encoded(listRest(shortChannelId)));
const timestamps = record({ timestamp_node_id_1: u32, timestamp_node_id_2: u32 });
const checksums = record({ checksum_node_id_1: u32, checksum_node_id_2: u32 });

export const queryMessages = {
  query_short_channel_ids: message(
    261,
    { chain_hash: hex32, encoded_short_ids: encodedShortIds },
    { query_flags: tlv(1, encoded(listRest(bigsizeNumber))) },
  ),
  reply_short_channel_ids_end: message(262, { chain_hash: hex32, full_information: u8 }),
  query_channel_range: message(
    263,
    { chain_hash: hex32, first_blocknum: u32, number_of_blocks: u32 },
    { query_option: tlv(1, bigsizeNumber) },
  ),
  reply_channel_range: message(
    264,
    { chain_hash: hex32, first_blocknum: u32, number_of_blocks: u32, sync_complete: u8, encoded_short_ids: encodedShortIds },
    { timestamps_tlv: tlv(1, encoded(listRest(timestamps))), checksums_tlv: tlv(3, listRest(checksums)) },
  ),
  gossip_timestamp_filter: message(265, { chain_hash: hex32, first_timestamp: u32, timestamp_range: u32 }),
};
