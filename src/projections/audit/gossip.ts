/** The gossip stream under audit (BOLT 7): every announcement is signed as it stands on the wire, and says what the event says. */
import type { ChannelAnnouncement, ChannelUpdate, NodeAnnouncement } from '../../bolt/07-routing-gossip/announcements.ts';
import { verifyChannelAnnouncement, verifyChannelUpdate, verifyNodeAnnouncement, type Verification } from '../../bolt/07-routing-gossip/verify.ts';
import { decodeMessage } from '../../bolt/messages.ts';
import { fromHex, type Hex, type NodeId, type ShortChannelId } from '../../bolt/primitives.ts';
import type { GossipEvent } from '../../events/gossip.ts';
import { CheckFailed, mustEqual, type Tally } from './report.ts';

type Announcement = ChannelAnnouncement | ChannelUpdate | NodeAnnouncement;

export interface GossipAudit {
  /** Takes the stream's next event. Throws CheckFailed. */
  take(event: GossipEvent): void;
}

/** Memory: two node ids for each channel. */
export function auditGossip(tally: Tally): GossipAudit {
  const ends = new Map<ShortChannelId, readonly [NodeId, NodeId]>();

  function proven(verification: Verification, what: string, signatures: number): void {
    if (verification !== true) throw new CheckFailed('wrong_gossip_signature', `signatures of ${what}`, 'valid ones', verification.reason);
    tally.signatures_verified += signatures;
  }

  return {
    take(event) {
      switch (event.type) {
        case 'ChannelAnnounced': {
          const message = read(event.raw, 'channel_announcement');
          sameFields(event, message, ['short_channel_id', 'node_id_1', 'node_id_2']);
          proven(verifyChannelAnnouncement(message), `the announcement of ${event.short_channel_id}`, 4);
          return void ends.set(event.short_channel_id, [event.node_id_1, event.node_id_2]);
        }
        case 'ChannelUpdated': {
          const message = read(event.raw, 'channel_update');
          sameFields(event, message, ['short_channel_id', 'channel_flags', 'timestamp', 'cltv_expiry_delta', 'htlc_minimum_msat', 'htlc_maximum_msat', 'fee_base_msat', 'fee_proportional_millionths']);
          const signer = ends.get(event.short_channel_id)?.[event.channel_flags & 1];
          if (signer === undefined) throw new CheckFailed('unknown_channel', 'an update of a channel', 'one that was announced', event.short_channel_id);
          return proven(verifyChannelUpdate(message, signer), `the update of ${event.short_channel_id}`, 1);
        }
        case 'NodeAnnounced': {
          const message = read(event.raw, 'node_announcement');
          sameFields(event, message, ['node_id', 'timestamp']);
          return proven(verifyNodeAnnouncement(message), `the announcement of node ${event.node_id}`, 1);
        }
        case 'AnnouncedChannelClosed':
          return;
      }
    },
  };
}

function read<T extends Announcement['type']>(raw: Hex, type: T): Extract<Announcement, { type: T }> {
  const message = decodeMessage(fromHex(raw));
  mustEqual('gossip_type', 'type of the announcement\'s bytes', type as string, message.type);
  return message as Extract<Announcement, { type: T }>;
}

function sameFields<E extends GossipEvent, M extends Announcement>(event: E, message: M, fields: readonly (keyof E & keyof M & string)[]): void {
  for (const field of fields) {
    mustEqual(`gossip_${field}`, `${field} of the announcement's bytes and of the event`, message[field] as unknown, event[field] as unknown);
  }
}
