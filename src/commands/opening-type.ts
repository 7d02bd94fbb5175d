/** BOLT 2, "Defined Channel Types": which type we propose for a wish, given what the peer can do. */
import { decodeChannelType, encodeChannelType } from '../bolt/09-features/channel-types.ts';
import type { FeatureName } from '../bolt/09-features/features.ts';
import type { Hex, NodeId, Sat } from '../bolt/primitives.ts';
import { refuse, type Refusal } from '../domain/decider.ts';

/** BOLT 2: more needs `option_support_large_channel` on both sides. */
const LARGE_CHANNEL_SAT = 1n << 24n;

export interface OpeningWish {
  readonly peer_id: NodeId;
  readonly funding_satoshis: Sat;
  readonly announce: boolean;
  readonly zero_conf: boolean;
  /** The basic type, or one with its variations. */
  readonly channel_type: Hex;
  /** What both of us can do; absent where nobody has asked. */
  readonly common?: ReadonlySet<FeatureName>;
}

/** A channel that is not announced hides behind aliases wherever the peer can do that. */
export function typeToOpen({ peer_id, funding_satoshis, announce, zero_conf, channel_type, common }: OpeningWish): { readonly channel_type: Hex } | { readonly refused: Refusal } {
  const basic = decodeChannelType(channel_type);
  if (basic === undefined) return { channel_type }; // The channel's rules refuse it by name.
  const lacks = (feature: FeatureName): boolean => common !== undefined && !common.has(feature);
  if (funding_satoshis >= LARGE_CHANNEL_SAT && lacks('option_support_large_channel')) {
    return refuse('peer_takes_no_large_channel', { peer_id, funding_satoshis, below: LARGE_CHANNEL_SAT });
  }
  const wanted = { ...basic, zero_conf: basic.zero_conf || zero_conf, scid_alias: basic.scid_alias || (!announce && common?.has('option_scid_alias') === true) };
  if (wanted.zero_conf && common?.has('option_zeroconf') !== true) return refuse('peer_cannot_zero_conf', { peer_id, needed: 'option_zeroconf' });
  if (wanted.scid_alias && lacks('option_scid_alias')) return refuse('peer_cannot_scid_alias', { peer_id, needed: 'option_scid_alias' });
  return { channel_type: encodeChannelType(wanted) };
}
