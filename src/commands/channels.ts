/** All channels of a node: their loops, and the names by which peers, routes and the chain find them. */
import type { MessageOf } from '../bolt/messages.ts';
import { toHex32, type Hex, type Hex32, type Msat, type NodeId, type Sat, type ShortChannelId } from '../bolt/primitives.ts';
import { worstView } from '../domain/channel/commitment-spec.ts';
import type { LocalKeys } from '../domain/channel/commands.ts';
import { sendableMsat } from '../domain/channel/limits.ts';
import type { StaticChannel } from '../domain/channel/recovery.ts';
import { isEstablished, type ChannelState } from '../domain/channel/state.ts';
import type { Refusal } from '../domain/decider.ts';
import type { Signer } from '../domain/ports.ts';
import type { FirstHop } from '../domain/routing/dijkstra.ts';
import type { EventEnvelope } from '../events/envelope.ts';
import type { StreamId } from '../events/store.ts';
import type { ChannelContext, Session } from './channel-context.ts';
import { ChannelLoop } from './channel-loop.ts';
import { bookName, ChannelNames } from './channel-names.ts';
import type { Outcome } from './dispatch.ts';
import { crowded, DEFAULT_LIMITS, type ChannelLimits } from './opening-limits.ts';

/** Openings of peers that came to nothing, kept in sight for those who look; older ones are in the log alone. */
const ABANDONED_KEPT = 256;

export interface ChannelsOptions {
  /** Cryptographic randomness, bytes. */
  readonly entropy: (length: number) => Uint8Array;
  readonly limits?: Partial<ChannelLimits>;
  /** Whose channels we use before their funding is in a block, and who does not stand in the strangers' queue. */
  readonly trusted?: (peer_id: NodeId) => boolean;
}

export interface OpenRequest {
  readonly peer_id: NodeId;
  readonly funding_satoshis: Sat;
  readonly push_msat: Msat;
  readonly feerate_per_kw: number;
  readonly announce: boolean;
  readonly channel_type: Hex;
  /** The only script that a mutual close will pay us to. */
  readonly upfront_shutdown_script?: Hex;
  /** Random unless told. */
  readonly temporary_channel_id?: Hex32;
}

/** Every stream of a channel is named by its peer and a count: never by an id that a transaction could collide with. */
export const channelStream = (peer_id: NodeId, attempt: number): StreamId => `channel-${peer_id}-${attempt}`;
export const isChannelStream = (stream: StreamId): boolean => stream.startsWith('channel-');

export class Channels {
  readonly #context: ChannelContext;
  readonly #options: Required<ChannelsOptions>;
  readonly #limits: ChannelLimits;
  /** By which forwards, routes and messages find them. */
  readonly names: ChannelNames;
  readonly #loops = new Map<StreamId, ChannelLoop>();
  readonly #byPeer = new Map<NodeId, Set<ChannelLoop>>();
  /** Attempts of each peer so far: a stream's name is never used twice, whatever of it is still in memory. */
  readonly #attempts = new Map<NodeId, number>();
  /** Streams that a wish of ours began. */
  readonly #ours = new Set<StreamId>();
  readonly #abandoned = new Set<ChannelLoop>();
  /** Openings of peers that came to nothing since a block. */
  #lost = { height: -1, count: 0 };
  #nextKeyIndex = 0;

  constructor(context: ChannelContext, { entropy, limits = {}, trusted = () => false }: ChannelsOptions) {
    this.#options = { entropy, limits, trusted };
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.names = new ChannelNames(entropy, (peer_id, channel_id, except) => this.#isInUse(peer_id, channel_id, except));
    this.#context = {
      ...context,
      names: this.names,
      onTurn: (stream, state) => {
        this.#know(stream, state);
        context.onTurn?.(stream, state);
      },
    };
  }

  /** Takes an event of any channel stream from the log, in order, before the node runs. */
  replay(envelope: EventEnvelope): void {
    const { event, stream } = envelope;
    const loop = this.#loops.get(stream) ?? this.#add(stream, peerOf(stream));
    loop.replay(envelope);
    if (event.type === 'OpenChannelSent') this.#ours.add(stream);
    if ('key_index' in event) this.#nextKeyIndex = Math.max(this.#nextKeyIndex, event.key_index + 1);
  }

  /** After the last replayed event: openings that died with the process are given up, names are found. */
  async replayed(): Promise<void> {
    for (const loop of this.all()) {
      const { state } = loop;
      this.names.know(loop.stream, state);
      if (state.phase === 'opening' && state.step !== 'funded') {
        await loop.run({ type: 'AbandonOpening', code: 'node_restarted', reason: 'the node restarted before the channel was funded' });
      } else if (state.phase === 'abandoned') this.#let(loop);
    }
  }

  all(): readonly ChannelLoop[] {
    return [...this.#loops.values()];
  }

  get(stream: StreamId): ChannelLoop | undefined {
    return this.#loops.get(stream);
  }

  ofPeer(peer_id: NodeId): readonly ChannelLoop[] {
    return [...(this.#byPeer.get(peer_id) ?? [])];
  }

  /** A channel_id names a channel only towards one peer: outpoints of strangers may collide (safety 02). */
  byChannelId(peer_id: NodeId, channel_id: Hex32): ChannelLoop | undefined {
    return this.ofPeer(peer_id).find(({ state }) => isEstablished(state) && state.funding.channel_id === channel_id) ?? this.byTemporaryId(peer_id, channel_id);
  }

  /** accept_channel and funding_created still speak of the temporary id. */
  byTemporaryId(peer_id: NodeId, temporary_channel_id: Hex32): ChannelLoop | undefined {
    return this.ofPeer(peer_id).find(({ state }) => state.phase === 'opening' && temporaryId(state) === temporary_channel_id);
  }

  /** The channel that was once proposed under a temporary id, whatever has become of it. */
  openedAs(peer_id: NodeId, temporary_channel_id: Hex32): ChannelLoop | undefined {
    return this.ofPeer(peer_id).find(({ state }) => firstName(state) === temporary_channel_id);
  }

  /** The channel that a forward may mean by a short_channel_id or an alias. */
  byShortChannelId(short_channel_id: ShortChannelId): ChannelLoop | undefined {
    const stream = this.names.streamOf(short_channel_id);
    return stream === undefined ? undefined : this.#loops.get(stream);
  }

  /** Our channels as the first hops of routes, with what they can carry now. */
  firstHops(): readonly FirstHop[] {
    return this.all().flatMap((loop): FirstHop[] => {
      const { state } = loop;
      if (!loop.usable || state.phase !== 'normal') return [];
      const short_channel_id = bookName(state)!;
      return [{ channel: loop.stream, short_channel_id, peer: state.terms.peer_id, available_msat: sendableMsat(state.terms, worstView(state.commitments)) }];
    });
  }

  /** Proposes a channel to a connected peer. The outcome is that of open_channel being owed; the rest follows by messages. */
  async open(request: OpenRequest, session: Session): Promise<{ readonly stream: StreamId } | { readonly refused: Refusal }> {
    const loop = this.#create(request.peer_id);
    this.#ours.add(loop.stream);
    loop.connected(session, true);
    const outcome = await loop.run({
      type: 'OpenChannel',
      ...request,
      local: this.#allocateKeys(),
      chain_hash: this.#context.chain.chain_hash,
      temporary_channel_id: request.temporary_channel_id ?? toHex32(this.#options.entropy(32)),
      policy: this.#context.policy,
    });
    if (!('refused' in outcome)) return { stream: loop.stream };
    this.#undo(loop, request.peer_id);
    return outcome;
  }

  /** BOLT 2: a peer proposes a channel. */
  async accept(message: MessageOf<'open_channel'>, session: Session): Promise<Outcome> {
    const { peer_id } = session;
    const refused = this.#crowded(peer_id) ?? this.#known(peer_id, message.temporary_channel_id);
    if (refused !== undefined) return { refused };
    const loop = this.#create(peer_id);
    loop.connected(session, true);
    const { chain, policy } = this.#context;
    const outcome = await loop.run({ type: 'ReceiveOpenChannel', peer_id, message, local: this.#allocateKeys(), chain_hash: chain.chain_hash, policy, trusted: this.#options.trusted(peer_id) });
    if ('refused' in outcome) this.#undo(loop, peer_id);
    return outcome;
  }

  #crowded(peer_id: NodeId): Refusal | undefined {
    const states = (loops: Iterable<ChannelLoop>): readonly ChannelState[] => [...loops].map(({ state }) => state);
    return crowded({
      limits: this.#limits,
      peer_id,
      ofPeer: states(this.ofPeer(peer_id)),
      all: states(this.#loops.values()),
      abandoned: this.#lost.height === this.#context.height() ? this.#lost.count : 0,
      trusted: this.#options.trusted(peer_id),
    });
  }

  /** BOLT 2: temporary_channel_id "is unique from any other channel ID with the same peer". */
  #known(peer_id: NodeId, temporary_channel_id: Hex32): Refusal | undefined {
    if (this.byChannelId(peer_id, temporary_channel_id) === undefined) return undefined;
    return { code: 'temporary_channel_id_in_use', answer: 'warning', detail: { temporary_channel_id } };
  }

  /** Safety 02: by a channel of this peer's other than the one that was proposed as `except`. A closed one is no longer spoken of. */
  #isInUse(peer_id: NodeId, channel_id: Hex32, except: Hex32): boolean {
    return this.ofPeer(peer_id).some(({ state }) => {
      if (isEstablished(state)) return state.funding.channel_id === channel_id && state.terms.temporary_channel_id !== except;
      return state.phase === 'opening' && temporaryId(state) === channel_id && channel_id !== except;
    });
  }

  #create(peer_id: NodeId): ChannelLoop {
    const attempt = this.#attempts.get(peer_id) ?? 0;
    return this.#add(channelStream(peer_id, attempt), peer_id);
  }

  #add(stream: StreamId, peer_id: NodeId): ChannelLoop {
    const loop = new ChannelLoop(stream, this.#context);
    this.#loops.set(stream, loop);
    this.#attempts.set(peer_id, Math.max(this.#attempts.get(peer_id) ?? 0, attemptOf(stream) + 1));
    const loops = this.#byPeer.get(peer_id) ?? new Set();
    this.#byPeer.set(peer_id, loops.add(loop));
    return loop;
  }

  /** Nothing of it was written: who is refused leaves no trace. */
  #undo(loop: ChannelLoop, peer_id: NodeId): void {
    this.#forget(loop, peer_id);
    this.#ours.delete(loop.stream);
    const attempt = attemptOf(loop.stream);
    if (this.#attempts.get(peer_id) !== attempt + 1) return;
    if (attempt === 0) this.#attempts.delete(peer_id);
    else this.#attempts.set(peer_id, attempt);
  }

  #forget(loop: ChannelLoop, peer_id: NodeId): void {
    this.#loops.delete(loop.stream);
    const loops = this.#byPeer.get(peer_id);
    loops?.delete(loop);
    if (loops?.size === 0) this.#byPeer.delete(peer_id);
  }

  /** The first index of keys that the log knows no use of. */
  get nextKeyIndex(): number {
    return this.#nextKeyIndex;
  }

  /** Keys below an index may have been used by a life of this node that the log does not know. */
  skipKeys(below: number): void {
    this.#nextKeyIndex = Math.max(this.#nextKeyIndex, below);
  }

  /** A channel that a static backup knows and this log does not. Resolves when it is durable; no stream of the log is touched. */
  async restore(channel: StaticChannel, reason: string): Promise<ChannelLoop> {
    const loop = this.#create(channel.peer_id);
    this.skipKeys(channel.key_index + 1);
    const { chain, signer } = this.#context;
    const outcome = await loop.run({ type: 'RestoreChannel', channel, local: keysOf(signer, channel.key_index), chain_hash: chain.chain_hash, reason });
    if ('refused' in outcome) throw new Error(`${loop.stream} could not be restored: ${outcome.refused.code}`);
    return loop;
  }

  /** An index is never used twice: it is in the log before any of its keys leaves. */
  #allocateKeys(): LocalKeys {
    return keysOf(this.#context.signer, this.#nextKeyIndex++);
  }

  #know(stream: StreamId, state: ChannelState): void {
    this.names.know(stream, state);
    const loop = this.#loops.get(stream);
    if (state.phase === 'abandoned' && loop !== undefined) this.#let(loop);
  }

  /** An opening of a peer's that came to nothing is soon forgotten; our own wishes stay for those who ask what became of them. */
  #let(loop: ChannelLoop): void {
    if (this.#abandoned.has(loop) || this.#ours.has(loop.stream)) return;
    const height = this.#context.height();
    this.#lost = { height, count: this.#lost.height === height ? this.#lost.count + 1 : 1 };
    this.#abandoned.add(loop);
    if (this.#abandoned.size <= ABANDONED_KEPT) return;
    const [oldest] = this.#abandoned;
    this.#abandoned.delete(oldest!);
    this.#forget(oldest!, peerOf(oldest!.stream));
  }
}

const keysOf = (signer: Pick<Signer, 'channelKeys' | 'perCommitmentPoint'>, key_index: number): LocalKeys => ({
  key_index, keys: signer.channelKeys(key_index), first_per_commitment_point: signer.perCommitmentPoint(key_index, 0n),
});

const temporaryId = (state: Extract<ChannelState, { phase: 'opening' }>): Hex32 =>
  state.step === 'proposed' ? state.proposal.temporary_channel_id : state.terms.temporary_channel_id;

/** An opening that was abandoned keeps the name that both sides last knew it by. */
function firstName(state: ChannelState): Hex32 | undefined {
  if (isEstablished(state)) return state.terms.temporary_channel_id;
  if (state.phase === 'opening') return temporaryId(state);
  return state.phase === 'abandoned' ? state.channel_id : undefined;
}

const attemptOf = (stream: StreamId): number => Number(stream.slice(stream.lastIndexOf('-') + 1));
const peerOf = (stream: StreamId): NodeId => stream.split('-')[1] as NodeId;
