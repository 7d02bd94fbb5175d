/** What peers say finds its mailbox: a channel's, the gossip's, or an answer at once. */
import type { Message, MessageOf } from '../bolt/messages.ts';
import { ZERO_32, type Hex32, type NodeId } from '../bolt/primitives.ts';
import { describeRefusal, type Refusal } from '../domain/decider.ts';
import type { Session } from './channel-context.ts';
import type { Channels } from './channels.ts';
import { printable, toData } from './gather.ts';
import { isStorageMessage, type PeerStorage } from './peer-storage.ts';

/** Where announcements and queries go (BOLT 7). */
export interface GossipPort {
  onMessage(message: Message, session: Session): void | Promise<void>;
  onConnected(session: Session): void;
  onDisconnected(session: Session): void;
}

export interface PeerInboxOptions {
  readonly channels: Channels;
  readonly gossip: GossipPort;
  /** Blobs of peers, and ours (BOLT 1). */
  readonly storage?: PeerStorage | undefined;
  /** Why no channel may begin now. */
  readonly refusal?: () => Refusal | undefined;
  readonly log: (line: string) => void;
}

const gossipTypes: ReadonlySet<Message['type']> = new Set<Message['type']>([
  'channel_announcement', 'node_announcement', 'channel_update', 'gossip_timestamp_filter',
  'query_short_channel_ids', 'reply_short_channel_ids_end', 'query_channel_range', 'reply_channel_range',
]);

/** One session per peer: a newer connection takes over from the older. */
export class PeerInbox {
  readonly #options: PeerInboxOptions;
  readonly #sessions = new Map<NodeId, Session>();

  constructor(options: PeerInboxOptions) {
    this.#options = options;
  }

  session(peer_id: NodeId): Session | undefined {
    return this.#sessions.get(peer_id);
  }

  peers(): readonly NodeId[] {
    return [...this.#sessions.keys()];
  }

  connected(session: Session): void {
    const older = this.#sessions.get(session.peer_id);
    if (older !== undefined) {
      this.disconnected(older);
      older.close('replaced', 'a newer connection of this peer took over');
    }
    this.#sessions.set(session.peer_id, session);
    // BOLT 1: what a peer left with us is the first it hears, before channels compare their states.
    this.#options.storage?.onConnected(session);
    for (const loop of this.#options.channels.ofPeer(session.peer_id)) loop.connected(session);
    this.#options.gossip.onConnected(session);
  }

  disconnected(session: Session): void {
    if (this.#sessions.get(session.peer_id) !== session) return;
    this.#sessions.delete(session.peer_id);
    for (const loop of this.#options.channels.ofPeer(session.peer_id)) loop.disconnected(session);
    this.#options.gossip.onDisconnected(session);
    this.#options.storage?.onDisconnected(session);
  }

  /** Resolves when the next message may come. */
  receive(message: Message, session: Session): void | Promise<void> {
    if (gossipTypes.has(message.type)) return this.#options.gossip.onMessage(message, session);
    if (isStorageMessage(message)) return this.#options.storage?.onMessage(message, session);
    switch (message.type) {
      case 'open_channel':
        return this.#open(message, session);
      case 'error':
        return this.#error(message, session);
      case 'warning':
        return this.#options.log(`${session.peer_id} warns: ${printable(message.data)}`);
      case 'accept_channel':
      case 'funding_created':
        return this.#toChannel(message, message.temporary_channel_id, session);
      default:
        return 'channel_id' in message ? this.#toChannel(message, message.channel_id, session) : undefined;
    }
  }

  async #open(message: MessageOf<'open_channel'>, session: Session): Promise<void> {
    const refused = this.#options.refusal?.();
    const outcome = refused === undefined ? await this.#options.channels.accept(message, session) : { refused };
    if ('refused' in outcome) this.#refuse(outcome.refused, message.temporary_channel_id, session);
  }

  /** An opening that we turn down fails for good: BOLT 2 has `error` for that. */
  #refuse(refusal: Refusal, channel_id: Hex32, session: Session): void {
    const sentence = describeRefusal(refusal);
    this.#options.log(`${session.peer_id}: open_channel refused: ${sentence}`);
    session.send({ type: 'error', channel_id, data: toData(sentence), tlvs: {} });
  }

  #toChannel(message: Message, channel_id: Hex32, session: Session): void | Promise<void> {
    const { channels } = this.#options;
    const loop = channels.byChannelId(session.peer_id, channel_id) ?? channels.byTemporaryId(session.peer_id, channel_id);
    if (loop !== undefined) return loop.receive(message, session);
    const answer = message.type === 'channel_reestablish' ? 'error' : 'warning';
    session.send({ type: answer, channel_id, data: toData(`unknown channel: ${message.type} for channel_id ${channel_id}`), tlvs: {} });
  }

  /** BOLT 1: an error for all channels has a channel_id of zeros. */
  async #error(message: MessageOf<'error'>, session: Session): Promise<void> {
    const { channels, log } = this.#options;
    log(`${session.peer_id} sent an error for ${message.channel_id === ZERO_32 ? 'all channels' : message.channel_id}: ${printable(message.data)}`);
    if (message.channel_id !== ZERO_32) {
      return (channels.byChannelId(session.peer_id, message.channel_id) ?? channels.byTemporaryId(session.peer_id, message.channel_id))?.receive(message, session);
    }
    for (const loop of channels.ofPeer(session.peer_id)) await loop.receive(message, session);
  }
}
