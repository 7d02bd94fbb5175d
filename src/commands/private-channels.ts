/** Channels that are not announced (BOLT 7, `dont_forward`): each end tells the other what it asks, and an invoice tells the payer the way (BOLT 11, `r`). */
import { CHANNEL_FLAG, MESSAGE_FLAG, type ChannelUpdate } from '../bolt/07-routing-gossip/announcements.ts';
import { channelUpdateDigest, verifyChannelUpdate } from '../bolt/07-routing-gossip/verify.ts';
import type { RoutingHop } from '../bolt/11-payment-encoding/invoice.ts';
import type { Hex32, Msat, NodeId, ShortChannelId } from '../bolt/primitives.ts';
import { capacityMsat, worstView } from '../domain/channel/commitment-spec.ts';
import { receivableMsat } from '../domain/channel/limits.ts';
import { isEstablished, type ChannelState, type EstablishedState } from '../domain/channel/state.ts';
import { unsignedChannelUpdate } from '../domain/gossip/own-announcements.ts';
import type { Signer } from '../domain/ports.ts';
import type { ForwardingPolicy } from '../domain/relay/commands.ts';
import type { StreamId } from '../events/store.ts';
import type { Session } from './channel-context.ts';
import type { ChannelLoop } from './channel-loop.ts';

export interface PrivateChannelsOptions {
  readonly channels: { all(): readonly ChannelLoop[]; ofPeer(peer_id: NodeId): readonly ChannelLoop[]; get(stream: StreamId): ChannelLoop | undefined };
  readonly session: (peer_id: NodeId) => Session | undefined;
  readonly signer: Pick<Signer, 'nodeId' | 'signAnnouncement'>;
  readonly chain_hash: Hex32;
  readonly policy: ForwardingPolicy;
  /** Unix seconds. */
  readonly now: () => number;
  readonly log: (line: string) => void;
}

export type RoutingHint = readonly RoutingHop[];

export interface PrivateChannels {
  /** After each turn of a channel: our terms go to the peer once the channel can be used on this connection. */
  onChannel(stream: StreamId, state: ChannelState): void;
  /** True when the update was meant for us alone: it is taken care of, and no gossip. */
  onUpdate(message: ChannelUpdate, session: Session): boolean;
  /** Ways to us for an invoice. None while a channel that everybody knows can take the amount: what is private stays so. */
  hints(amount_msat: Msat | undefined): readonly RoutingHint[];
}

/** An invoice is read off a screen: the channels with the most room are enough. */
const MAX_HINTS = 3;

export function createPrivateChannels({ channels, session, signer, chain_hash, policy, now, log }: PrivateChannelsOptions): PrivateChannels {
  /** What the peer of a channel asks for a payment to us; told again on each connection. */
  const theirs = new Map<StreamId, ChannelUpdate>();
  /** On which connection a channel's peer has heard our terms, and when we last said any, in Unix seconds. */
  const told = new WeakMap<ChannelLoop, Session>();
  let last = 0;

  function tell(loop: ChannelLoop): void {
    const { state } = loop;
    const open = isEstablished(state) && loop.usable && !isAnnounced(state) ? session(state.terms.peer_id) : undefined;
    if (open === undefined || told.get(loop) === open) return;
    const update = ourUpdate(state as EstablishedState);
    if (update !== undefined && open.send(update)) told.set(loop, open);
  }

  /** BOLT 7: named as the peer names it, with dont_forward. */
  function ourUpdate(state: EstablishedState): ChannelUpdate | undefined {
    const short_channel_id = nameAtPeer(state);
    if (short_channel_id === undefined) return undefined;
    const timestamp = (last = Math.max(now(), last + 1));
    const unsigned = unsignedChannelUpdate({
      chain_hash, short_channel_id, local: signer.nodeId, remote: state.terms.peer_id, policy, disabled: false, timestamp,
      htlc_maximum_msat: least(state.terms.remote.max_htlc_value_in_flight_msat, capacityMsat(state.terms)),
    });
    const message = { ...unsigned, message_flags: unsigned.message_flags | MESSAGE_FLAG.dont_forward };
    return { ...message, signature: signer.signAnnouncement(channelUpdateDigest(message)) };
  }

  const hintsOf = (amount_msat: Msat | undefined): readonly RoutingHint[] =>
    usable(channels.all())
      .filter(({ state }) => !isAnnounced(state) && canTake(state, amount_msat))
      .toSorted((a, b) => Number(receivable(b.state) - receivable(a.state)))
      .flatMap(({ loop, state }) => hintOver(state, theirs.get(loop.stream), amount_msat))
      .slice(0, MAX_HINTS);

  return {
    onChannel(stream, state) {
      if (state.phase === 'closed') theirs.delete(stream);
      const loop = channels.get(stream);
      if (loop === undefined || !isEstablished(state) || isAnnounced(state) || state.phase !== 'normal') return;
      // Whatever this turn owes the peer goes first.
      if (loop.usable && told.get(loop) !== session(state.terms.peer_id)) void loop.idle().then(() => tell(loop));
    },
    onUpdate(message, from) {
      const loop = channels.ofPeer(from.peer_id).find(({ state }) => isEstablished(state) && namesFromPeer(state).includes(message.short_channel_id));
      if (loop === undefined || !isForUs(message, loop.state as EstablishedState)) return (message.message_flags & MESSAGE_FLAG.dont_forward) !== 0;
      const known = theirs.get(loop.stream);
      if (message.chain_hash !== chain_hash || (known !== undefined && message.timestamp <= known.timestamp)) return true;
      const verification = verifyChannelUpdate(message, from.peer_id);
      if (verification === true) theirs.set(loop.stream, message);
      else log(`${loop.stream}: channel_update for ${message.short_channel_id} is not the peer's: wrong ${verification.reason}`);
      return true;
    },
    hints(amount_msat) {
      const known = usable(channels.all()).some(({ state }) => isAnnounced(state) && canTake(state, amount_msat));
      return known ? [] : hintsOf(amount_msat);
    },
  };
}

interface Usable {
  readonly loop: ChannelLoop;
  readonly state: EstablishedState;
}

const usable = (loops: readonly ChannelLoop[]): readonly Usable[] =>
  loops.flatMap((loop) => (loop.usable && isEstablished(loop.state) ? [{ loop, state: loop.state }] : []));

const isAnnounced = ({ terms, announcement }: EstablishedState): boolean => terms.announce && announcement.sent && announcement.received !== undefined;

/** By these the peer may speak of the channel: names that we gave it, and the place on chain. */
const namesFromPeer = ({ funding, ready }: EstablishedState): readonly ShortChannelId[] =>
  [...ready.local_aliases, ...(funding.confirmed === undefined ? [] : [funding.confirmed.short_channel_id])];

/** By this a forward finds us at the peer. BOLT 2: under option_scid_alias never by the place on chain. */
const nameAtPeer = ({ terms, funding, ready }: EstablishedState): ShortChannelId | undefined =>
  ready.remote_aliases.at(-1) ?? (terms.scid_alias ? undefined : funding.confirmed?.short_channel_id);

const isForUs = ({ message_flags, short_channel_id }: ChannelUpdate, state: EstablishedState): boolean =>
  (message_flags & MESSAGE_FLAG.dont_forward) !== 0 || !state.terms.announce || state.ready.local_aliases.includes(short_channel_id);

const receivable = ({ terms, commitments }: EstablishedState): Msat => receivableMsat(terms, worstView(commitments));

/** Where the payer chooses the amount, anything will do. */
const canTake = (state: EstablishedState, amount_msat: Msat | undefined): boolean => receivable(state) >= (amount_msat ?? 1n);

const least = (a: Msat, b: Msat): Msat => (a < b ? a : b);

function hintOver(state: EstablishedState, update: ChannelUpdate | undefined, amount_msat: Msat | undefined): readonly RoutingHint[] {
  const short_channel_id = nameAtPeer(state);
  if (update === undefined || short_channel_id === undefined || !forwards(update, amount_msat)) return [];
  const { fee_base_msat, fee_proportional_millionths, cltv_expiry_delta } = update;
  return [[{ node_id: state.terms.peer_id, short_channel_id, fee_base_msat, fee_proportional_millionths, cltv_expiry_delta }]];
}

const forwards = ({ channel_flags, htlc_minimum_msat, htlc_maximum_msat }: ChannelUpdate, amount_msat: Msat | undefined): boolean =>
  (channel_flags & CHANNEL_FLAG.disable) === 0 && (amount_msat === undefined || (amount_msat >= htlc_minimum_msat && amount_msat <= htlc_maximum_msat));
