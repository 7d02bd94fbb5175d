/** BOLT 7, "The announcement_signatures Message": the digest that both ends of a channel sign, each having built the same announcement. */
import { channelAnnouncementDigest } from '../bolt/07-routing-gossip/verify.ts';
import type { ShortChannelId } from '../bolt/primitives.ts';
import type { EstablishedState } from '../domain/channel/state.ts';
import { unsignedChannelAnnouncement } from '../domain/gossip/own-announcements.ts';
import type { ChannelContext } from './channel-context.ts';

export function announcementDigest({ terms }: EstablishedState, short_channel_id: ShortChannelId, { signer, chain }: Pick<ChannelContext, 'signer' | 'chain'>): Uint8Array {
  const announcement = unsignedChannelAnnouncement({
    chain_hash: chain.chain_hash,
    short_channel_id,
    local: { node_id: signer.nodeId, bitcoin_key: terms.local.keys.funding_pubkey },
    remote: { node_id: terms.peer_id, bitcoin_key: terms.remote.keys.funding_pubkey },
  });
  return channelAnnouncementDigest(announcement);
}
