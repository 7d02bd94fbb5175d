/** What a stranger may make us remember: openings that cost their opener nothing are few, of one peer and in all (safety 16). */
import type { NodeId } from '../bolt/primitives.ts';
import { isEstablished, type ChannelState } from '../domain/channel/state.ts';
import { refuse, type Refusal } from '../domain/decider.ts';

export interface ChannelLimits {
  /** Openings by peers whose funding is not confirmed: of one peer, and in all. */
  readonly max_pending_per_peer: number;
  readonly max_pending: number;
  /** Channels that are not closed: with one peer, and in all. */
  readonly max_channels_per_peer: number;
  readonly max_channels: number;
  /** Openings by peers that came to nothing, from one block to the next: each has cost us a few facts in the log. */
  readonly max_abandoned_per_block: number;
}

export const DEFAULT_LIMITS: ChannelLimits = { max_pending_per_peer: 4, max_pending: 64, max_channels_per_peer: 64, max_channels: 10_000, max_abandoned_per_block: 256 };

/** Opened by the peer, and no money of anybody's is in it as far as we can see. */
export function isPending(state: ChannelState): boolean {
  if (state.phase === 'none') return true;
  if (isEstablished(state)) return state.terms.role === 'accepter' && state.funding.confirmed === undefined && state.phase !== 'closed';
  if (state.phase !== 'opening') return false;
  return (state.step === 'proposed' ? state.proposal : state.terms).role === 'accepter';
}

const isThere = ({ phase }: ChannelState): boolean => phase !== 'closed' && phase !== 'abandoned';

export interface Crowd {
  readonly limits: ChannelLimits;
  readonly peer_id: NodeId;
  readonly ofPeer: readonly ChannelState[];
  readonly all: readonly ChannelState[];
  /** Since the newest block. */
  readonly abandoned: number;
  readonly trusted: boolean;
}

/** Why a peer's open_channel is turned down unread. Who is trusted, or has a confirmed channel with us, does not stand in the strangers' queue. */
export function crowded({ limits, ofPeer, all, abandoned, trusted }: Crowd): Refusal | undefined {
  const over = (code: string, channels: number, limit: number): Refusal | undefined => (channels >= limit ? refuse(code, { channels, limit }, 'warning').refused : undefined);
  const own =
    over('too_many_pending_channels_of_peer', ofPeer.filter(isPending).length, limits.max_pending_per_peer) ??
    over('too_many_channels_of_peer', ofPeer.filter(isThere).length, limits.max_channels_per_peer) ??
    over('too_many_channels', all.filter(isThere).length, limits.max_channels);
  const isKnown = ofPeer.some((state) => isThere(state) && isEstablished(state) && state.funding.confirmed !== undefined);
  if (own !== undefined || trusted) return own;
  const lost = over('too_many_abandoned_openings', abandoned, limits.max_abandoned_per_block);
  return lost ?? (isKnown ? undefined : over('too_many_pending_channels', all.filter(isPending).length, limits.max_pending));
}
