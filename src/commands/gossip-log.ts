/** The gossip stream in memory: its state and the routing graph, folded from the log and written by one hand. */
import { crypto } from '../bolt/crypto.ts';
import { toHex32 } from '../bolt/primitives.ts';
import { createGossipState, evolveGossip, type GossipState } from '../domain/gossip/state.ts';
import { applyGossip, createGraph, type RoutingGraph } from '../domain/routing/graph.ts';
import type { GossipEvent } from '../events/gossip.ts';
import { OutcomeUnknown, RevisionConflict, type Cause, type EventStore } from '../events/store.ts';

export const GOSSIP_STREAM = 'gossip';

export interface GossipLog {
  /** Read them, do not keep them: they move on, and a reload replaces them. */
  state(): GossipState;
  graph(): RoutingGraph;
  /** Durable and folded when it resolves. One call at a time. */
  write(events: readonly GossipEvent[]): Promise<void>;
}

export async function openGossipLog(store: EventStore): Promise<GossipLog> {
  let state = createGossipState();
  let graph = createGraph();
  let revision: bigint | 'none' = 'none';

  async function load(): Promise<void> {
    [state, graph, revision] = [createGossipState(), createGraph(), 'none'];
    for await (const envelope of store.read(GOSSIP_STREAM)) {
      fold(envelope.event as GossipEvent);
      revision = envelope.revision;
    }
  }

  function fold(event: GossipEvent): void {
    evolveGossip(state, event);
    applyGossip(graph, event);
  }

  await load();
  return {
    state: () => state,
    graph: () => graph,
    async write(events) {
      if (events.length === 0) return;
      try {
        revision = await store.append(GOSSIP_STREAM, revision, events, events.map((event) => causeOf(event, revision)));
      } catch (error) {
        if (error instanceof RevisionConflict || error instanceof OutcomeUnknown) await load();
        throw error;
      }
      events.forEach(fold);
    },
  };
}

/** An announcement may come a second time after its channel was closed and reorganised: its place tells the two apart. */
function causeOf(event: GossipEvent, revision: bigint | 'none'): Cause {
  const what = event.type === 'AnnouncedChannelClosed' ? event.short_channel_id : event.raw;
  const command_id = toHex32(crypto().sha256(new TextEncoder().encode(`${event.type}/${what}/${revision}`)));
  return { command_id, correlation_id: command_id };
}
