/** The names of our channels: short_channel_ids and aliases for forwards (BOLT 2, `channel_ready`), channel_ids towards each peer. */
import { shortChannelId, type Hex32, type NodeId, type ShortChannelId } from '../bolt/primitives.ts';
import { isEstablished, type ChannelState, type EstablishedState } from '../domain/channel/state.ts';
import type { StreamId } from '../events/store.ts';
import type { ChannelNaming } from './channel-context.ts';

/** Aliases stand in blocks that no chain of today will have: no real short_channel_id is ever one. 16 million blocks are 300 years. */
const FIRST_ALIAS_BLOCK = 0xf0_00_00;

/** What a forward may call a channel. Under `option_scid_alias` its place on chain is nobody's business (BOLT 2: "MUST NOT allow incoming HTLCs ... using the real"). */
export function namesForForwards({ terms, funding, ready }: EstablishedState): readonly ShortChannelId[] {
  const place = terms.scid_alias ? undefined : funding.confirmed?.short_channel_id;
  return [...(place === undefined ? [] : [place]), ...ready.local_aliases];
}

/** The name in our own books: the place on chain once there is one. */
export const bookName = ({ funding, ready }: EstablishedState): ShortChannelId | undefined => funding.confirmed?.short_channel_id ?? ready.local_aliases[0];

export class ChannelNames implements ChannelNaming {
  readonly #entropy: (length: number) => Uint8Array;
  readonly #channelIdInUse: (peer_id: NodeId, channel_id: Hex32, except: Hex32) => boolean;
  readonly #byName = new Map<ShortChannelId, StreamId>();
  readonly #known = new Map<StreamId, { readonly from: Pick<EstablishedState, 'funding' | 'ready'>; readonly names: readonly ShortChannelId[] }>();
  /** channel_ids that a funding_created names whose fact is not durable yet, with the temporary id that asked. */
  readonly #claims = new Map<string, Hex32>();

  constructor(entropy: (length: number) => Uint8Array, channelIdInUse: (peer_id: NodeId, channel_id: Hex32, except: Hex32) => boolean) {
    this.#entropy = entropy;
    this.#channelIdInUse = channelIdInUse;
  }

  streamOf(name: ShortChannelId): StreamId | undefined {
    return this.#byName.get(name);
  }

  freshAlias(): ShortChannelId {
    for (;;) {
      const [a, b, c, d, e, f, g, h] = this.#entropy(8) as unknown as readonly [number, number, number, number, number, number, number, number];
      const alias = shortChannelId(FIRST_ALIAS_BLOCK + ((a & 0x0f) << 16) + (b << 8) + c, (d << 16) + (e << 8) + f, (g << 8) + h);
      if (!this.#byName.has(alias)) return alias;
    }
  }

  claim(peer_id: NodeId, channel_id: Hex32, temporary_channel_id: Hex32): boolean {
    const key = `${peer_id}/${channel_id}`;
    const holder = this.#claims.get(key);
    if (holder !== undefined && holder !== temporary_channel_id) return false;
    if (this.#channelIdInUse(peer_id, channel_id, temporary_channel_id)) return false;
    this.#claims.set(key, temporary_channel_id);
    return true;
  }

  /** After each turn: what a channel is called now, and no longer. */
  know(stream: StreamId, state: ChannelState): void {
    this.#settleClaims(state);
    const known = this.#known.get(stream);
    if (!isEstablished(state) || state.phase === 'closed') return known && this.#forget(stream, known.names);
    if (known?.from.funding === state.funding && known.from.ready === state.ready) return;
    const names = namesForForwards(state);
    this.#forget(stream, (known?.names ?? []).filter((name) => !names.includes(name)));
    for (const name of names) this.#byName.set(name, stream);
    this.#known.set(stream, { from: { funding: state.funding, ready: state.ready }, names });
  }

  /** A place on chain that a reorganisation gave to another channel stays with that. */
  #forget(stream: StreamId, names: readonly ShortChannelId[]): void {
    for (const name of names) if (this.#byName.get(name) === stream) this.#byName.delete(name);
    this.#known.delete(stream);
  }

  /** The fact is durable, or the opening is over: the claim has done its work. */
  #settleClaims(state: ChannelState): void {
    if (this.#claims.size === 0 || !(isEstablished(state) || state.phase === 'abandoned')) return;
    const settled = isEstablished(state) ? state.terms.temporary_channel_id : state.channel_id;
    for (const [key, holder] of this.#claims) if (holder === settled) this.#claims.delete(key);
  }
}
