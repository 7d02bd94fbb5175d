/** BOLT 1, "The peer_storage and peer_storage_retrieval Messages": what peers give us to keep, bounded, and what we give them. */
import { MAX_PEER_BLOB } from '../bolt/01-messaging/messaging.ts';
import type { Message, MessageOf } from '../bolt/messages.ts';
import { ZERO_32, type BlockHeight, type Hex, type NodeId } from '../bolt/primitives.ts';
import { isEstablished, type ChannelState } from '../domain/channel/state.ts';
import type { SafeKeeping } from '../domain/ports.ts';
import type { Session } from './channel-context.ts';
import type { Channels } from './channels.ts';
import { toData } from './gather.ts';

/** BOLT 1: "no more than one update per minute", both ways. */
const BETWEEN_MS = 60_000;
/** Peers whose blobs are kept: some 64 MB of disk. */
const MAX_PEERS = 1000;
/** BOLT 1: blocks that a blob stays after the last channel with its peer has closed. */
const KEPT_BLOCKS = 2016;
/** A peer that has something of ours says so at once; after so long ours is sent without that. */
const PATIENCE_MS = 2_000;

export interface PeerStorageOptions {
  readonly blobs: SafeKeeping['blobs'];
  readonly channels: Channels;
  readonly height: () => BlockHeight;
  /** Our static backup, sealed and padded to MAX_PEER_BLOB; undefined while there is nothing to keep. */
  readonly ours: () => Hex | undefined;
  /** The peer gave back what it kept for us. Resolves when whatever was in it is durable here. */
  readonly onRetrieved: (blob: Hex, peer_id: NodeId) => Promise<'ours' | 'not_ours'>;
  readonly log: (line: string) => void;
}

export interface PeerStorage {
  onConnected(session: Session): void;
  onDisconnected(session: Session): void;
  onMessage(message: MessageOf<'peer_storage'> | MessageOf<'peer_storage_retrieval'>, session: Session): void | Promise<void>;
  /** Our backup has changed: connected peers get it, each at most once a minute. */
  changed(): void;
  /** Lets go of blobs whose time is over. */
  onBlock(): void;
  /** Writes what waits. */
  stop(): Promise<void>;
}

export const isStorageMessage = (message: Message): message is MessageOf<'peer_storage'> | MessageOf<'peer_storage_retrieval'> =>
  message.type === 'peer_storage' || message.type === 'peer_storage_retrieval';

/** Something is done at most once in BETWEEN_MS for each key; what comes meanwhile is done at the end, once. */
function createPace<K>(work: (key: K) => void): { ask(key: K): void; drop(key: K): void; stop(): readonly K[] } {
  const pausing = new Map<K, { again: boolean; timer: NodeJS.Timeout }>();
  function ask(key: K): void {
    const pause = pausing.get(key);
    if (pause !== undefined) return void (pause.again = true);
    const next = { again: false, timer: setTimeout(() => over(key), BETWEEN_MS).unref() };
    pausing.set(key, next);
    work(key);
  }
  function over(key: K): void {
    const { again = false } = pausing.get(key) ?? {};
    pausing.delete(key);
    if (again) ask(key);
  }
  function drop(key: K): void {
    clearTimeout(pausing.get(key)?.timer);
    pausing.delete(key);
  }
  return {
    ask,
    drop,
    stop() {
      const waiting = [...pausing].filter(([, { again }]) => again).map(([key]) => key);
      for (const key of pausing.keys()) drop(key);
      return waiting;
    },
  };
}

export function createPeerStorage({ blobs, channels, height, ours, onRetrieved, log }: PeerStorageOptions): PeerStorage {
  /** The newest blob of each peer that is not on the disk yet. */
  const waiting = new Map<NodeId, Hex>();
  const sessions = new Map<Session, { heard: boolean; gaveBack: boolean; timer: NodeJS.Timeout }>();
  const kept = new Set(blobs.peers());
  let writing: Promise<void> = Promise.resolve();

  const writes = createPace<NodeId>((peer_id) => {
    writing = writing.then(() => write(peer_id)).catch((error: Error) => log(`${peer_id}: its blob could not be kept: ${error.message}`));
  });
  const sends = createPace<Session>((session) => send(session));

  async function write(peer_id: NodeId): Promise<void> {
    const blob = waiting.get(peer_id);
    if (blob === undefined) return;
    await blobs.write(peer_id, blob);
    if (waiting.get(peer_id) === blob) waiting.delete(peer_id);
  }

  /** "if it has an open channel with the sender: MUST store the message"; for others we keep nothing. */
  function store({ blob }: MessageOf<'peer_storage'>, session: Session): void {
    const { peer_id } = session;
    const refused = refusal(peer_id, blob.length / 2);
    if (refused !== undefined) return void session.send({ type: 'warning', channel_id: ZERO_32, data: toData(`peer_storage was not kept: ${refused}`), tlvs: {} });
    kept.add(peer_id);
    waiting.set(peer_id, blob);
    writes.ask(peer_id);
  }

  function refusal(peer_id: NodeId, bytes: number): string | undefined {
    if (!hasOpenChannel(peer_id)) return 'expected an open channel with the sender, got none';
    if (bytes > MAX_PEER_BLOB) return `expected at most ${MAX_PEER_BLOB} bytes, got ${bytes}`;
    return !kept.has(peer_id) && kept.size >= MAX_PEERS ? `expected at most ${MAX_PEERS} peers with blobs, got one more` : undefined;
  }

  const hasOpenChannel = (peer_id: NodeId): boolean => channels.ofPeer(peer_id).some(({ state }) => isEstablished(state) && state.phase !== 'closed');

  function send(session: Session): void {
    const blob = session.features?.has('option_provide_storage') === true && hasOpenChannel(session.peer_id) ? ours() : undefined;
    if (blob !== undefined) session.send({ type: 'peer_storage', blob, tlvs: {} });
  }

  async function retrieved({ blob }: MessageOf<'peer_storage_retrieval'>, session: Session): Promise<void> {
    const { peer_id } = session;
    const state = sessions.get(session);
    // Opening one costs us more than making one up costs the peer.
    if (state === undefined || state.gaveBack) return;
    state.gaveBack = true;
    const whose = await onRetrieved(blob, peer_id);
    if (whose === 'not_ours') {
      log(`${peer_id} gave back ${blob.length / 2} bytes that are no backup of ours`);
      session.send({ type: 'warning', channel_id: ZERO_32, data: toData('peer_storage_retrieval: expected the last blob that we sent, got something else'), tlvs: {} });
    }
    heard(session);
  }

  /** What the peer had of ours is safe here: it may be replaced. */
  function heard(session: Session): void {
    const state = sessions.get(session);
    if (state === undefined || state.heard) return;
    clearTimeout(state.timer);
    state.heard = true;
    sends.ask(session);
  }

  return {
    onConnected(session) {
      const blob = waiting.get(session.peer_id) ?? (kept.has(session.peer_id) ? blobs.read(session.peer_id) : undefined);
      if (blob !== undefined) session.send({ type: 'peer_storage_retrieval', blob, tlvs: {} });
      sessions.set(session, { heard: false, gaveBack: false, timer: setTimeout(() => heard(session), PATIENCE_MS).unref() });
    },
    onDisconnected(session) {
      clearTimeout(sessions.get(session)?.timer);
      sessions.delete(session);
      sends.drop(session);
    },
    onMessage: (message, session) => (message.type === 'peer_storage' ? store(message, session) : retrieved(message, session)),
    changed() {
      for (const [session, { heard: ready }] of sessions) if (ready) sends.ask(session);
    },
    onBlock() {
      for (const peer_id of kept) {
        if (!isOver(channels.ofPeer(peer_id).map(({ state }) => state), height())) continue;
        kept.delete(peer_id);
        waiting.delete(peer_id);
        writing = writing.then(() => blobs.remove(peer_id)).catch((error: Error) => log(`${peer_id}: its blob could not be removed: ${error.message}`));
      }
    },
    async stop() {
      for (const { timer } of sessions.values()) clearTimeout(timer);
      sends.stop();
      for (const peer_id of writes.stop()) writing = writing.then(() => write(peer_id)).catch(() => undefined);
      await writing;
    },
  };
}

/** Every channel with the peer has closed, the last one long ago. A peer that never had one has nothing here. */
function isOver(states: readonly ChannelState[], height: BlockHeight): boolean {
  const established = states.filter(isEstablished);
  return established.every((state) => state.phase === 'closed' && height >= (state.spend?.block_height ?? 0) + KEPT_BLOCKS);
}
