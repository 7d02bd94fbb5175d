/** BOLT 7, "Query Messages": what we answer to those who ask which channels we know. */
import type { Message } from '../../bolt/messages.ts';
import { type Hex, type ShortChannelId } from '../../bolt/primitives.ts';
import type { GossipState, KnownUpdate } from './state.ts';

type MessageOf<T extends Message['type']> = Extract<Message, { type: T }>;

/** 8 bytes of id and 8 of timestamps each: well within a message. */
const IDS_PER_REPLY = 3_500;
const WANT_TIMESTAMPS = 1;

const blockOf = (scid: ShortChannelId): number => Number(scid.slice(0, scid.indexOf('x')));

/** All channels of the asked blocks, in as many replies as it takes; the last one says `sync_complete`. */
export function answerChannelRange(query: MessageOf<'query_channel_range'>, state: GossipState): readonly MessageOf<'reply_channel_range'>[] {
  const { chain_hash, first_blocknum, number_of_blocks } = query;
  const withTimestamps = ((query.tlvs.query_option ?? 0) & WANT_TIMESTAMPS) !== 0;
  const ids = [...state.channels.keys()].filter((scid) => blockOf(scid) >= first_blocknum && blockOf(scid) - first_blocknum < number_of_blocks).sort(byBlock);
  const parts = slices(ids);
  return parts.map((part, index) => {
    const last = index === parts.length - 1;
    // Replies must not overlap and must cover the range: each ends where the next begins.
    const from = index === 0 ? first_blocknum : blockOf(part[0]!);
    const end = last ? first_blocknum + number_of_blocks : blockOf(parts[index + 1]![0]!);
    return {
      type: 'reply_channel_range',
      chain_hash,
      first_blocknum: from,
      number_of_blocks: end - from,
      sync_complete: last ? 1 : 0,
      encoded_short_ids: part,
      tlvs: withTimestamps ? { timestamps_tlv: part.map((scid) => timestampsOf(state, scid)) } : {},
    };
  });
}

const byBlock = (a: ShortChannelId, b: ShortChannelId): number => blockOf(a) - blockOf(b);

function slices(ids: readonly ShortChannelId[]): readonly (readonly ShortChannelId[])[] {
  const parts: (readonly ShortChannelId[])[] = [];
  for (let start = 0; start < ids.length || start === 0; start += IDS_PER_REPLY) parts.push(ids.slice(start, start + IDS_PER_REPLY));
  return parts;
}

function timestampsOf(state: GossipState, scid: ShortChannelId): { timestamp_node_id_1: number; timestamp_node_id_2: number } {
  const [one, two] = state.channels.get(scid)!.updates;
  return { timestamp_node_id_1: one?.timestamp ?? 0, timestamp_node_id_2: two?.timestamp ?? 0 };
}

/** The announcements of the asked channels, raw: channel, updates, then the nodes at both ends, each once. */
export function* answerShortChannelIds(query: MessageOf<'query_short_channel_ids'>, state: GossipState): Generator<Hex> {
  const told = new Set<string>();
  for (const scid of query.encoded_short_ids) {
    const channel = state.channels.get(scid);
    const updates = channel?.updates.filter((update): update is KnownUpdate => update !== undefined) ?? [];
    if (channel === undefined || updates.length === 0) continue;
    yield channel.raw;
    for (const update of updates) yield update.raw;
    for (const node of [channel.node_id_1, channel.node_id_2]) {
      const known = state.nodes.get(node);
      if (known === undefined || told.has(node)) continue;
      told.add(node);
      yield known.raw;
    }
  }
}
