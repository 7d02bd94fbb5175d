/** BOLT 7: what the signatures of announcements sign, and whether they hold. */
import { encode } from '../codec.ts';
import { crypto } from '../crypto.ts';
import type { NodeId, Point, Signature } from '../primitives.ts';
import { fromHex } from '../primitives.ts';
import type { ChannelAnnouncement, ChannelUpdate, NodeAnnouncement } from './announcements.ts';
import { announcementMessages } from './announcements.ts';

/** True, or which rule is broken: the name of the signature, key or flag that is wrong. */
export type Verification = true | { readonly reason: string };

/** The digest of a channel_announcement, which both nodes and both funding keys sign. */
export const channelAnnouncementDigest = (announcement: ChannelAnnouncement): Uint8Array =>
  digestAfterSignatures(encode(announcementMessages.channel_announcement, announcement), 4);

export const nodeAnnouncementDigest = (announcement: NodeAnnouncement): Uint8Array =>
  digestAfterSignatures(encode(announcementMessages.node_announcement, announcement), 1);

export const channelUpdateDigest = (update: ChannelUpdate): Uint8Array =>
  digestAfterSignatures(encode(announcementMessages.channel_update, update), 1);

/** Checks the order of the nodes and all four signatures; whether the funding output exists is for the chain to say. */
export function verifyChannelAnnouncement(announcement: ChannelAnnouncement): Verification {
  // BOLT 7: node_id_1 and node_id_2 stand in ascending lexicographic order, so neither side can be announced twice.
  if (announcement.node_id_1 >= announcement.node_id_2) return { reason: 'node_ids_not_ascending' };
  const digest = channelAnnouncementDigest(announcement);
  const signers: readonly (readonly [string, Signature, Point])[] = [
    ['node_signature_1', announcement.node_signature_1, announcement.node_id_1],
    ['node_signature_2', announcement.node_signature_2, announcement.node_id_2],
    ['bitcoin_signature_1', announcement.bitcoin_signature_1, announcement.bitcoin_key_1],
    ['bitcoin_signature_2', announcement.bitcoin_signature_2, announcement.bitcoin_key_2],
  ];
  const wrong = signers.find(([, signature, key]) => !isSignedBy(digest, signature, key));
  return wrong === undefined ? true : { reason: wrong[0] };
}

export function verifyNodeAnnouncement(announcement: NodeAnnouncement): Verification {
  const valid = isSignedBy(nodeAnnouncementDigest(announcement), announcement.signature, announcement.node_id);
  return valid ? true : { reason: 'signature' };
}

/** `node_id` is that of the update's direction: node_id_1 of the announcement if bit 0 of `channel_flags` is 0. */
export function verifyChannelUpdate(update: ChannelUpdate, node_id: NodeId): Verification {
  return isSignedBy(channelUpdateDigest(update), update.signature, node_id) ? true : { reason: 'signature' };
}

/** BOLT 7: the double SHA-256 of everything after the signatures, fields of the future included. */
function digestAfterSignatures(body: Uint8Array, signatures: number): Uint8Array {
  return crypto().sha256(crypto().sha256(body.subarray(signatures * 64)));
}

function isSignedBy(digest: Uint8Array, signature: Signature, key: Point): boolean {
  return crypto().verify(fromHex(signature), digest, fromHex(key));
}
