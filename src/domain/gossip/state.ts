/** What we know of the network: the newest announcement of each thing, as it stands on the wire. */
import type { Hex, NodeId, Sat, ShortChannelId } from '../../bolt/primitives.ts';
import type { GossipEvent } from '../../events/gossip.ts';

export interface KnownUpdate {
  readonly timestamp: number;
  readonly raw: Hex;
  /** Its policy and flags as one text: a repeated one only says that the channel still lives. */
  readonly policy: string;
}

export interface KnownChannel {
  readonly short_channel_id: ShortChannelId;
  readonly node_id_1: NodeId;
  readonly node_id_2: NodeId;
  readonly capacity?: Sat;
  readonly raw: Hex;
  /** [from node_id_1, from node_id_2]. */
  updates: readonly [KnownUpdate | undefined, KnownUpdate | undefined];
}

export interface KnownNode {
  readonly timestamp: number;
  readonly raw: Hex;
}

/** Mutable, owned by its one writer: the whole network stands in it, and a copy for every fact would copy the network. */
export interface GossipState {
  readonly channels: Map<ShortChannelId, KnownChannel>;
  readonly nodes: Map<NodeId, KnownNode>;
  /** Announced channels of each node. */
  readonly degrees: Map<NodeId, number>;
}

export const createGossipState = (): GossipState => ({ channels: new Map(), nodes: new Map(), degrees: new Map() });

type ChannelUpdated = Extract<GossipEvent, { type: 'ChannelUpdated' }>;
export type UpdatePolicy = Omit<ChannelUpdated, 'type' | 'short_channel_id' | 'timestamp' | 'raw'>;

export const policyText = (policy: UpdatePolicy): string =>
  [
    policy.channel_flags,
    policy.cltv_expiry_delta,
    policy.htlc_minimum_msat,
    policy.htlc_maximum_msat,
    policy.fee_base_msat,
    policy.fee_proportional_millionths,
  ].join('/');

/** Folds one fact into the state, in place. */
export function evolveGossip(state: GossipState, event: GossipEvent): GossipState {
  switch (event.type) {
    case 'ChannelAnnounced': {
      const { type: _, ...channel } = event;
      state.channels.set(event.short_channel_id, { ...channel, updates: [undefined, undefined] });
      for (const node of [event.node_id_1, event.node_id_2]) state.degrees.set(node, degreeOf(state, node) + 1);
      break;
    }
    case 'ChannelUpdated': {
      const channel = state.channels.get(event.short_channel_id);
      const update: KnownUpdate = { timestamp: event.timestamp, raw: event.raw, policy: policyText(event) };
      if (channel !== undefined) channel.updates = (event.channel_flags & 1) === 0 ? [update, channel.updates[1]] : [channel.updates[0], update];
      break;
    }
    case 'NodeAnnounced':
      state.nodes.set(event.node_id, { timestamp: event.timestamp, raw: event.raw });
      break;
    case 'AnnouncedChannelClosed':
      forget(state, event.short_channel_id);
      break;
  }
  return state;
}

export const degreeOf = (state: GossipState, node: NodeId): number => state.degrees.get(node) ?? 0;

/** BOLT 7: a node without channels is forgotten with its last one. */
function forget(state: GossipState, short_channel_id: ShortChannelId): void {
  const channel = state.channels.get(short_channel_id);
  if (channel === undefined) return;
  state.channels.delete(short_channel_id);
  for (const node of [channel.node_id_1, channel.node_id_2]) {
    const left = degreeOf(state, node) - 1;
    state.degrees.set(node, left);
    if (left > 0) continue;
    state.degrees.delete(node);
    state.nodes.delete(node);
  }
}
