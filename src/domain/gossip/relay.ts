/** BOLT 7, "Rebroadcasting" and "The gossip_timestamp_filter Message": what a peer is told, and in which order. */
import type { Hex, NodeId } from '../../bolt/primitives.ts';
import type { GossipEvent } from '../../events/gossip.ts';
import type { GossipState, KnownChannel, KnownUpdate } from './state.ts';

/** What a peer asked for; without one it hears only what is our own. */
export interface GossipFilter {
  readonly first_timestamp: number;
  readonly timestamp_range: number;
}

const admits = ({ first_timestamp, timestamp_range }: GossipFilter, timestamp: number): boolean =>
  timestamp >= first_timestamp && timestamp - first_timestamp < timestamp_range;

/** All that the filter admits, raw: each channel before its updates, nodes last. Lazy, so that a slow peer costs no memory. */
export function* backlog(state: GossipState, filter: GossipFilter): Generator<Hex> {
  for (const channel of state.channels.values()) {
    const updates = channel.updates.filter((update): update is KnownUpdate => update !== undefined && admits(filter, update.timestamp));
    // "If a channel_announcement has no corresponding channel_updates: MUST NOT send the channel_announcement."
    if (updates.length === 0) continue;
    yield channel.raw;
    for (const update of updates) yield update.raw;
  }
  for (const node of state.nodes.values()) if (admits(filter, node.timestamp)) yield node.raw;
}

/** What is our own, raw: sent unasked to every peer. */
export function* ownGossip(state: GossipState, self: NodeId): Generator<Hex> {
  for (const channel of state.channels.values()) {
    const own = ownUpdate(channel, self);
    if (own === undefined) continue;
    yield channel.raw;
    yield own.raw;
  }
  const node = state.nodes.get(self);
  if (node !== undefined) yield node.raw;
}

function ownUpdate(channel: KnownChannel, self: NodeId): KnownUpdate | undefined {
  if (channel.node_id_1 === self) return channel.updates[0];
  return channel.node_id_2 === self ? channel.updates[1] : undefined;
}

/** What an accepted fact gives the peers to hear, raw; `state` is the one after it. A channel is told of with its first update. */
export function news(event: GossipEvent, state: GossipState): readonly Hex[] {
  switch (event.type) {
    case 'ChannelUpdated': {
      const channel = state.channels.get(event.short_channel_id);
      const first = channel !== undefined && channel.updates.filter((update) => update !== undefined).length === 1;
      return first ? [channel.raw, event.raw] : [event.raw];
    }
    case 'NodeAnnounced':
      return [event.raw];
    case 'ChannelAnnounced':
    case 'AnnouncedChannelClosed':
      return [];
  }
}

/** Whether a peer wants a fact: our own always, another's if its filter admits it. */
export function wants(filter: GossipFilter | undefined, event: GossipEvent, isOwn: boolean): boolean {
  if (isOwn) return true;
  return filter !== undefined && 'timestamp' in event && admits(filter, event.timestamp);
}
