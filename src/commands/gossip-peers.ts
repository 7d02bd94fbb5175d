/** BOLT 7, "Rebroadcasting": each connected peer, what it asked for, and what it is told. */
import { decodeMessage, type Message, type MessageOf } from '../bolt/messages.ts';
import { fromHex, type Hex, type Hex32, type NodeId } from '../bolt/primitives.ts';
import type { Refusal } from '../domain/decider.ts';
import { answerChannelRange, answerShortChannelIds } from '../domain/gossip/queries.ts';
import { backlog, news, ownGossip, wants, type GossipFilter } from '../domain/gossip/relay.ts';
import type { GossipState } from '../domain/gossip/state.ts';
import type { GossipEvent } from '../events/gossip.ts';

export interface GossipPeer {
  readonly node_id: NodeId;
  /** False when the peer takes no more, or is gone: what was to follow is dropped, it can ask again. */
  readonly send: (message: Message) => boolean;
  /** For a broken signature; the connection may be closed. */
  readonly warn?: (refusal: Refusal) => void;
}

export interface GossipPeers {
  /** Tells the peer what is our own, and asks it for everything. */
  connected(peer: GossipPeer): void;
  disconnected(node_id: NodeId): void;
  /** True when the message was a question about gossip, and is answered. */
  answer(from: NodeId, message: Message): boolean;
  /** Passes an accepted fact on. `from`: who told us, absent for what is our own. */
  tell(event: GossipEvent, from: NodeId | undefined): void;
  warn(node_id: NodeId, refusal: Refusal): void;
  stop(): void;
}

export interface GossipPeersOptions {
  readonly self: NodeId;
  readonly chain_hash: Hex32;
  readonly state: () => GossipState;
}

/** Messages sent to one peer before others have their turn. */
const BATCH = 32;

interface Connected extends GossipPeer {
  filter?: GossipFilter;
}

export function createGossipPeers({ self, chain_hash, state }: GossipPeersOptions): GossipPeers {
  const peers = new Map<NodeId, Connected>();

  /** A few at a time, for as long as the peer takes them: neither side ever holds all of it. */
  function stream(peer: Connected, raws: Iterator<Hex>, done?: () => void): void {
    for (let sent = 0; sent < BATCH; sent++) {
      if (peers.get(peer.node_id) !== peer) return;
      const next = raws.next();
      if (next.done === true) return done?.();
      if (!peer.send(messageOf(next.value))) return;
    }
    setTimeout(() => stream(peer, raws, done), 0);
  }

  function setFilter(peer: Connected, filter: MessageOf<'gossip_timestamp_filter'>): void {
    if (filter.chain_hash !== chain_hash) return;
    peer.filter = filter;
    stream(peer, backlog(state(), filter));
  }

  function answerIds(peer: Connected, query: MessageOf<'query_short_channel_ids'>): void {
    const end: Message = { type: 'reply_short_channel_ids_end', chain_hash: query.chain_hash, full_information: 1, tlvs: {} };
    stream(peer, answerShortChannelIds(query, state()), () => peer.send(end));
  }

  return {
    connected(peer) {
      const connected: Connected = { ...peer };
      peers.set(peer.node_id, connected);
      peer.send({ type: 'gossip_timestamp_filter', chain_hash, first_timestamp: 0, timestamp_range: 0xffffffff, tlvs: {} });
      stream(connected, ownGossip(state(), self));
    },
    disconnected: (node_id) => void peers.delete(node_id),
    answer(from, message) {
      const peer = peers.get(from);
      switch (message.type) {
        case 'gossip_timestamp_filter':
          if (peer !== undefined) setFilter(peer, message);
          return true;
        case 'query_channel_range':
          if (peer !== undefined) for (const reply of answerChannelRange(message, state())) peer.send(reply);
          return true;
        case 'query_short_channel_ids':
          if (peer !== undefined) answerIds(peer, message);
          return true;
        case 'reply_channel_range':
        case 'reply_short_channel_ids_end':
          // We ask by gossip_timestamp_filter only: an answer to nothing is nothing.
          return true;
        default:
          return false;
      }
    },
    tell(event, from) {
      const messages = news(event, state()).map(messageOf);
      for (const peer of peers.values()) {
        if (peer.node_id === from || !wants(peer.filter, event, from === undefined)) continue;
        for (const message of messages) peer.send(message);
      }
    },
    warn: (node_id, refusal) => peers.get(node_id)?.warn?.(refusal),
    stop: () => peers.clear(),
  };
}

const messageOf = (raw: Hex): Message => decodeMessage(fromHex(raw)) as Message;
