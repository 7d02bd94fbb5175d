/** What the gossip stream can be told, every fact of the world a field. */
import type { ChannelAnnouncement, ChannelUpdate, NodeAnnouncement } from '../../bolt/07-routing-gossip/announcements.ts';
import type { Verification } from '../../bolt/07-routing-gossip/verify.ts';
import type { BlockHeight, Hex, Hex32, Sat, ShortChannelId } from '../../bolt/primitives.ts';

/** What the chain has where a short_channel_id points. */
export type FundingFact =
  | { readonly kind: 'unspent'; readonly script_pubkey: Hex; readonly value: Sat; readonly confirmations: number }
  /** No such output, or it is spent. */
  | { readonly kind: 'missing' };

interface Received<M> {
  readonly message: M;
  /** The message as it stands on the wire, with its number. */
  readonly raw: Hex;
  /** Whether its signatures hold. */
  readonly verification: Verification;
  /** Unix seconds. */
  readonly now: number;
}

export type GossipCommand =
  | ({ readonly type: 'ReceiveChannelAnnouncement'; readonly chain_hash: Hex32; readonly funding: FundingFact; readonly min_confirmations: number } & Received<ChannelAnnouncement>)
  | ({ readonly type: 'ReceiveChannelUpdate'; readonly chain_hash: Hex32 } & Received<ChannelUpdate>)
  | ({ readonly type: 'ReceiveNodeAnnouncement' } & Received<NodeAnnouncement>)
  | { readonly type: 'CloseAnnouncedChannel'; readonly short_channel_id: ShortChannelId; readonly block_height: BlockHeight };
