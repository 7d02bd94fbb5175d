/** The routing graph as a projection: every gossip fact of the log, folded (BOLT 7). */
import type { NodeId, ShortChannelId } from '../bolt/primitives.ts';
import { applyGossip, createGraph, type EdgePolicy, type RoutingGraph } from '../domain/routing/graph.ts';
import type { EventEnvelope } from '../events/envelope.ts';
import type { Projection } from './projection.ts';

/** An announced channel; `policies`: from node_id_1 to node_id_2, and back. */
export interface GraphRow {
  readonly short_channel_id: ShortChannelId;
  readonly node_id_1: NodeId;
  readonly node_id_2: NodeId;
  readonly policies: readonly [EdgePolicy | undefined, EdgePolicy | undefined];
}

export const routingGraph: Projection<RoutingGraph, readonly GraphRow[]> = { name: 'routing-graph', initial: createGraph, apply, rows };

function apply(graph: RoutingGraph, { event }: EventEnvelope): RoutingGraph {
  switch (event.type) {
    case 'ChannelAnnounced':
    case 'ChannelUpdated':
    case 'NodeAnnounced':
    case 'AnnouncedChannelClosed':
      return applyGossip(graph, event);
    default:
      return graph;
  }
}

function rows(graph: RoutingGraph): readonly GraphRow[] {
  return [...graph.channels.values()].map(({ short_channel_id, node_1, node_2, policies }) => ({
    short_channel_id,
    node_id_1: graph.nodes[node_1]!,
    node_id_2: graph.nodes[node_2]!,
    policies,
  }));
}
