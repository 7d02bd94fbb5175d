/** The network as a graph, kept small: nodes by number, channels with the policy of each direction (BOLT 7). */
import type { Msat, NodeId, Sat, ShortChannelId } from '../../bolt/primitives.ts';
import type { GossipEvent } from '../../events/gossip.ts';

/**
 * What a node asks of HTLCs it forwards over a channel. Amounts are plain msat numbers here, capped at 2^53 - 1 (90,000 BTC):
 * a search does arithmetic on every edge of the network, and bigint would be the whole cost of it.
 */
export interface EdgePolicy {
  readonly fee_base_msat: number;
  readonly fee_proportional_millionths: number;
  readonly cltv_expiry_delta: number;
  readonly htlc_minimum_msat: number;
  readonly htlc_maximum_msat: number;
  readonly disabled: boolean;
  readonly timestamp: number;
}

export interface GraphChannel {
  readonly short_channel_id: ShortChannelId;
  /** Node numbers; node_id_1 is the lesser id, as in BOLT 7. */
  readonly node_1: number;
  readonly node_2: number;
  /** msat; Infinity when not known. */
  readonly capacity_msat: number;
  /** [from node_1 to node_2, from node_2 to node_1]. */
  policies: readonly [EdgePolicy | undefined, EdgePolicy | undefined];
}

/** Mutable, owned by whoever folds it: a copy for every gossip message would copy the network. Read it, do not keep it. */
export interface RoutingGraph {
  readonly nodes: NodeId[];
  readonly numbers: Map<NodeId, number>;
  readonly channels: Map<ShortChannelId, GraphChannel>;
  /** By node number. */
  readonly channelsOf: GraphChannel[][];
}

export const createGraph = (): RoutingGraph => ({ nodes: [], numbers: new Map(), channels: new Map(), channelsOf: [] });

/** Folds one fact into the graph, in place. */
export function applyGossip(graph: RoutingGraph, event: GossipEvent): RoutingGraph {
  switch (event.type) {
    case 'ChannelAnnounced':
      addChannel(graph, event);
      break;
    case 'ChannelUpdated':
      setPolicy(graph, event.short_channel_id, event.channel_flags & 1, policyOf(event));
      break;
    case 'AnnouncedChannelClosed':
      removeChannel(graph, event.short_channel_id);
      break;
    case 'NodeAnnounced':
      break;
  }
  return graph;
}

export interface NewChannel {
  readonly short_channel_id: ShortChannelId;
  readonly node_id_1: NodeId;
  readonly node_id_2: NodeId;
  readonly capacity?: Sat;
}

/** A channel that is known already stays as it is. */
export function addChannel(graph: RoutingGraph, { short_channel_id, node_id_1, node_id_2, capacity }: NewChannel): void {
  if (graph.channels.has(short_channel_id)) return;
  const channel: GraphChannel = {
    short_channel_id,
    node_1: numberOf(graph, node_id_1),
    node_2: numberOf(graph, node_id_2),
    capacity_msat: capacity === undefined ? Infinity : Number(capacity) * 1000,
    policies: [undefined, undefined],
  };
  graph.channels.set(short_channel_id, channel);
  graph.channelsOf[channel.node_1]!.push(channel);
  graph.channelsOf[channel.node_2]!.push(channel);
}

/** `direction` 0 = from node_1 to node_2. An unknown channel is left unknown. */
export function setPolicy(graph: RoutingGraph, short_channel_id: ShortChannelId, direction: number, policy: EdgePolicy): void {
  const channel = graph.channels.get(short_channel_id);
  if (channel === undefined) return;
  channel.policies = direction === 0 ? [policy, channel.policies[1]] : [channel.policies[0], policy];
}

export function removeChannel(graph: RoutingGraph, short_channel_id: ShortChannelId): void {
  const channel = graph.channels.get(short_channel_id);
  if (channel === undefined) return;
  graph.channels.delete(short_channel_id);
  for (const node of [channel.node_1, channel.node_2]) {
    graph.channelsOf[node] = graph.channelsOf[node]!.filter((other) => other !== channel);
  }
}

function numberOf(graph: RoutingGraph, node: NodeId): number {
  const known = graph.numbers.get(node);
  if (known !== undefined) return known;
  const number = graph.nodes.length;
  graph.nodes.push(node);
  graph.numbers.set(node, number);
  graph.channelsOf.push([]);
  return number;
}

/** Msat as a plain number; what is past 2^53 is as good as no limit. */
export const toNumber = (amount: Msat | bigint): number => (amount > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(amount));

function policyOf(update: Extract<GossipEvent, { type: 'ChannelUpdated' }>): EdgePolicy {
  return {
    fee_base_msat: update.fee_base_msat,
    fee_proportional_millionths: update.fee_proportional_millionths,
    cltv_expiry_delta: update.cltv_expiry_delta,
    htlc_minimum_msat: toNumber(update.htlc_minimum_msat),
    htlc_maximum_msat: toNumber(update.htlc_maximum_msat),
    disabled: (update.channel_flags & 2) !== 0,
    timestamp: update.timestamp,
  };
}
