/** All channels of a node: their loops, and the names by which peers, routes and the chain find them. */
import type { MessageOf } from '../bolt/messages.ts';
import { toHex32, type Hex, type Hex32, type Msat, type NodeId, type Sat, type ShortChannelId } from '../bolt/primitives.ts';
import { worstView } from '../domain/channel/commitment-spec.ts';
import type { LocalKeys } from '../domain/channel/commands.ts';
import { sendableMsat } from '../domain/channel/limits.ts';
import { isEstablished, type ChannelState } from '../domain/channel/state.ts';
import type { Refusal } from '../domain/decider.ts';
import type { FirstHop } from '../domain/routing/dijkstra.ts';
import type { EventEnvelope } from '../events/envelope.ts';
import type { StreamId } from '../events/store.ts';
import type { ChannelContext, Session } from './channel-context.ts';
import { ChannelLoop } from './channel-loop.ts';
import type { Outcome } from './dispatch.ts';

/** Openings that have not come to a funded channel, of one peer and in all: what a stranger may make us remember. */
const MAX_PENDING_PER_PEER = 4;
const MAX_PENDING = 64;

export interface OpenRequest {
  readonly peer_id: NodeId;
  readonly funding_satoshis: Sat;
  readonly push_msat: Msat;
  readonly feerate_per_kw: number;
  readonly announce: boolean;
  readonly channel_type: Hex;
  /** Random unless told. */
  readonly temporary_channel_id?: Hex32;
}

/** Every stream of a channel is named by its peer and a count: never by an id that a transaction could collide with. */
export const channelStream = (peer_id: NodeId, attempt: number): StreamId => `channel-${peer_id}-${attempt}`;
export const isChannelStream = (stream: StreamId): boolean => stream.startsWith('channel-');

export class Channels {
  readonly #context: ChannelContext;
  readonly #entropy: (length: number) => Uint8Array;
  readonly #loops = new Map<StreamId, ChannelLoop>();
  readonly #byPeer = new Map<NodeId, Set<ChannelLoop>>();
  readonly #byScid = new Map<ShortChannelId, ChannelLoop>();
  #nextKeyIndex = 0;

  constructor(context: ChannelContext, entropy: (length: number) => Uint8Array) {
    this.#entropy = entropy;
    this.#context = {
      ...context,
      onTurn: (stream, state) => {
        this.#index(this.#loops.get(stream)!, state);
        context.onTurn?.(stream, state);
      },
    };
  }

  /** Takes an event of any channel stream from the log, in order, before the node runs. */
  replay(envelope: EventEnvelope): void {
    const { event, stream } = envelope;
    const loop = this.#loops.get(stream) ?? this.#add(stream, peerOf(stream));
    loop.replay(envelope);
    if ('key_index' in event) this.#nextKeyIndex = Math.max(this.#nextKeyIndex, event.key_index + 1);
  }

  /** After the last replayed event: openings that died with the process are given up, names are found. */
  async replayed(): Promise<void> {
    for (const loop of this.all()) {
      this.#index(loop, loop.state);
      const { state } = loop;
      if (state.phase === 'opening' && state.step !== 'funded') {
        await loop.run({ type: 'AbandonOpening', code: 'node_restarted', reason: 'the node restarted before the channel was funded' });
      }
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
    return this.ofPeer(peer_id).find(({ state }) => {
      if (isEstablished(state)) return state.funding.channel_id === channel_id;
      return state.phase === 'opening' && temporaryId(state) === channel_id;
    });
  }

  /** accept_channel and funding_created still speak of the temporary id. */
  byTemporaryId(peer_id: NodeId, temporary_channel_id: Hex32): ChannelLoop | undefined {
    return this.ofPeer(peer_id).find(({ state }) => state.phase === 'opening' && temporaryId(state) === temporary_channel_id);
  }

  /** The channel that was once proposed under a temporary id, whatever has become of it. */
  openedAs(peer_id: NodeId, temporary_channel_id: Hex32): ChannelLoop | undefined {
    return this.ofPeer(peer_id).find(({ state }) => firstName(state) === temporary_channel_id);
  }

  byShortChannelId(short_channel_id: ShortChannelId): ChannelLoop | undefined {
    return this.#byScid.get(short_channel_id);
  }

  /** Our channels as the first hops of routes, with what they can carry now. */
  firstHops(): readonly FirstHop[] {
    return this.all().flatMap((loop): FirstHop[] => {
      const { state } = loop;
      if (!loop.usable || state.phase !== 'normal') return [];
      const short_channel_id = state.funding.confirmed!.short_channel_id;
      return [{ channel: loop.stream, short_channel_id, peer: state.terms.peer_id, available_msat: sendableMsat(state.terms, worstView(state.commitments)) }];
    });
  }

  /** Proposes a channel to a connected peer. The outcome is that of open_channel being owed; the rest follows by messages. */
  async open(request: OpenRequest, session: Session): Promise<{ readonly stream: StreamId } | { readonly refused: Refusal }> {
    const loop = this.#create(request.peer_id);
    loop.connected(session, true);
    const outcome = await loop.run({
      type: 'OpenChannel',
      ...request,
      local: this.#allocateKeys(),
      chain_hash: this.#context.chain.chain_hash,
      temporary_channel_id: request.temporary_channel_id ?? toHex32(this.#entropy(32)),
      policy: this.#context.policy,
    });
    if ('refused' in outcome) this.#forget(loop, request.peer_id);
    return 'refused' in outcome ? outcome : { stream: loop.stream };
  }

  /** BOLT 2: a peer proposes a channel. */
  async accept(message: MessageOf<'open_channel'>, session: Session): Promise<Outcome> {
    const { peer_id } = session;
    const crowded = this.#crowded(peer_id) ?? this.#known(peer_id, message.temporary_channel_id);
    if (crowded !== undefined) return { refused: crowded };
    const loop = this.#create(peer_id);
    loop.connected(session, true);
    const { chain, policy } = this.#context;
    const outcome = await loop.run({ type: 'ReceiveOpenChannel', peer_id, message, local: this.#allocateKeys(), chain_hash: chain.chain_hash, policy });
    if ('refused' in outcome) this.#forget(loop, peer_id);
    return outcome;
  }

  #crowded(peer_id: NodeId): Refusal | undefined {
    const pending = (loops: readonly ChannelLoop[]) => loops.filter(({ state }) => state.phase === 'none' || (state.phase === 'opening' && state.step !== 'funded') || (state.phase === 'opening' && state.funding.confirmed === undefined)).length;
    const [ofPeer, inAll] = [pending(this.ofPeer(peer_id)), pending(this.all())];
    if (ofPeer >= MAX_PENDING_PER_PEER) return { code: 'too_many_pending_channels', answer: 'warning', detail: { pending: ofPeer, limit: MAX_PENDING_PER_PEER } };
    if (inAll >= MAX_PENDING) return { code: 'too_many_pending_channels', answer: 'warning', detail: { pending: inAll, limit: MAX_PENDING } };
    return undefined;
  }

  #known(peer_id: NodeId, temporary_channel_id: Hex32): Refusal | undefined {
    if (this.byTemporaryId(peer_id, temporary_channel_id) === undefined) return undefined;
    return { code: 'temporary_channel_id_in_use', answer: 'warning', detail: { temporary_channel_id } };
  }

  #create(peer_id: NodeId): ChannelLoop {
    let attempt = this.#byPeer.get(peer_id)?.size ?? 0;
    while (this.#loops.has(channelStream(peer_id, attempt))) attempt++;
    return this.#add(channelStream(peer_id, attempt), peer_id);
  }

  #add(stream: StreamId, peer_id: NodeId): ChannelLoop {
    const loop = new ChannelLoop(stream, this.#context);
    this.#loops.set(stream, loop);
    const loops = this.#byPeer.get(peer_id) ?? new Set();
    this.#byPeer.set(peer_id, loops.add(loop));
    return loop;
  }

  /** Nothing of it was written. */
  #forget(loop: ChannelLoop, peer_id: NodeId): void {
    this.#loops.delete(loop.stream);
    this.#byPeer.get(peer_id)?.delete(loop);
  }

  /** An index is never used twice: it is in the log before any of its keys leaves. */
  #allocateKeys(): LocalKeys {
    const key_index = this.#nextKeyIndex++;
    const { signer } = this.#context;
    return { key_index, keys: signer.channelKeys(key_index), first_per_commitment_point: signer.perCommitmentPoint(key_index, 0n) };
  }

  #index(loop: ChannelLoop, state: ChannelState): void {
    if (!isEstablished(state)) return;
    const { funding, ready } = state;
    for (const scid of [funding.confirmed?.short_channel_id, ready.local_alias]) {
      if (scid === undefined) continue;
      if (state.phase === 'closed') this.#byScid.delete(scid);
      else this.#byScid.set(scid, loop);
    }
  }
}

const temporaryId = (state: Extract<ChannelState, { phase: 'opening' }>): Hex32 =>
  state.step === 'proposed' ? state.proposal.temporary_channel_id : state.terms.temporary_channel_id;

/** An opening that was abandoned keeps the name that both sides last knew it by. */
function firstName(state: ChannelState): Hex32 | undefined {
  if (isEstablished(state)) return state.terms.temporary_channel_id;
  if (state.phase === 'opening') return temporaryId(state);
  return state.phase === 'abandoned' ? state.channel_id : undefined;
}

const peerOf = (stream: StreamId): NodeId => stream.split('-')[1] as NodeId;
