/** From an input to a command: the facts that a rule may not fetch itself (onion layers, heights, points) are gathered here. */
import { channelId } from '../bolt/02-peer-protocol/opening.ts';
import { decodePayload, type HopPayload, type InvalidPayload } from '../bolt/04-onion-routing/payload.ts';
import { encodeFailure, failureCode } from '../bolt/04-onion-routing/failure-codes.ts';
import { onionEphemeralKey, peelOnion } from '../bolt/04-onion-routing/sphinx.ts';
import { perCommitmentPoint } from '../bolt/03-transactions/keys.ts';
import { FIRST_SECRET_INDEX } from '../bolt/03-transactions/per-commitment-secret.ts';
import type { FeatureName } from '../bolt/09-features/features.ts';
import { crypto } from '../bolt/crypto.ts';
import type { Message, MessageOf } from '../bolt/messages.ts';
import { fromHex, toHex, toHex32, ZERO_32, type Hex, type Hex32 } from '../bolt/primitives.ts';
import type { ChannelCommand, ReadyFacts } from '../domain/channel/commands.ts';
import { isEstablished, type ChannelState } from '../domain/channel/state.ts';
import type { Hop } from '../events/channel/updates.ts';
import type { Attachment } from '../events/store.ts';
import { announcementDigest } from './announcement.ts';
import { closeFeatures } from './close-channel.ts';
import type { ChannelContext } from './channel-context.ts';

export interface Gathered {
  readonly command: ChannelCommand;
  readonly attachments?: readonly Attachment[];
}

/** A peer's message as a command. `features`: those of the connection it came on. Undefined for messages that are not for a channel that exists already. */
export function gatherMessage(message: Message, state: ChannelState, context: ChannelContext, features?: ReadonlySet<FeatureName>): Gathered | undefined {
  const { policy } = context;
  switch (message.type) {
    case 'accept_channel':
      return { command: { type: 'ReceiveAcceptChannel', message, policy } };
    case 'funding_created':
      return { command: { type: 'ReceiveFundingCreated', message, height: context.height(), channel_id_in_use: isInUse(message, state, context), ready: readyAtOnce(state, context) } };
    case 'funding_signed':
      return { command: { type: 'ReceiveFundingSigned', message, ready: readyAtOnce(state, context) } };
    case 'channel_ready':
      return { command: { type: 'ReceiveChannelReady', message, height: context.height() } };
    case 'announcement_signatures':
      return isEstablished(state) ? { command: { type: 'ReceiveAnnouncementSignatures', message, announcement_digest: toHex32(announcementDigest(state, message.short_channel_id, context)) } } : undefined;
    case 'update_add_htlc':
      return gatherAdd(message, context);
    case 'update_fulfill_htlc':
      return { command: { type: 'ReceiveUpdateFulfillHtlc', message } };
    case 'update_fail_htlc':
      return gatherFail(message);
    case 'update_fail_malformed_htlc':
      return { command: { type: 'ReceiveUpdateFailMalformedHtlc', message } };
    case 'update_fee':
      return { command: { type: 'ReceiveUpdateFee', message, policy, feerates: context.feerates() } };
    case 'commitment_signed':
      return { command: { type: 'ReceiveCommitmentSigned', message, next_per_commitment_point: pointAfterNext(state, context) } };
    case 'revoke_and_ack':
      return { command: { type: 'ReceiveRevokeAndAck', message } };
    case 'channel_reestablish':
      return { command: { type: 'ReceiveChannelReestablish', message, knows_our_secret: knowsOurSecret(message, state, context) } };
    case 'shutdown':
      return { command: { type: 'ReceiveShutdown', message, common: closeFeatures(features) } };
    case 'closing_signed':
      return { command: { type: 'ReceiveClosingSigned', message, feerate_per_kw: context.feerate(), common: closeFeatures(features) } };
    case 'closing_complete':
      return { command: { type: 'ReceiveClosingComplete', message, common: closeFeatures(features) } };
    case 'closing_sig':
      return { command: { type: 'ReceiveClosingSig', message } };
    case 'error':
      return { command: { type: 'ReceiveError', data: printable(message.data) } };
    default:
      return undefined;
  }
}

/** Safety 02: whoever asks first has the name. */
function isInUse({ funding_txid, funding_output_index, temporary_channel_id }: MessageOf<'funding_created'>, state: ChannelState, { names }: ChannelContext): boolean {
  if (names === undefined || state.phase !== 'opening' || state.step !== 'accepted') return false;
  return !names.claim(state.terms.peer_id, channelId(funding_txid, funding_output_index), temporary_channel_id);
}

/** The facts of channel_ready, where it does not wait for a block. */
function readyAtOnce(state: ChannelState, context: ChannelContext): ReadyFacts | undefined {
  return 'terms' in state && state.terms.zero_conf ? readyFacts(state.terms.key_index, context) : undefined;
}

export function readyFacts(key_index: number, { signer, names }: Pick<ChannelContext, 'names'> & { readonly signer: Pick<ChannelContext['signer'], 'perCommitmentPoint'> }): ReadyFacts {
  return { next_per_commitment_point: signer.perCommitmentPoint(key_index, 1n), short_channel_id_alias: names?.freshAlias() };
}

/** BOLT 2: revoke_and_ack carries the point after the one being signed now. */
function pointAfterNext(state: ChannelState, { signer }: ChannelContext) {
  const established = isEstablished(state) ? state : undefined;
  return signer.perCommitmentPoint(established?.terms.key_index ?? 0, (established?.commitments.local.number ?? 0n) + 2n);
}

/** The peer proves that it is ahead of us by a secret that only we could have revealed: its point is then ours. */
function knowsOurSecret(message: MessageOf<'channel_reestablish'>, state: ChannelState, { signer }: ChannelContext): boolean {
  // A u64 on the wire, but no commitment has a number beyond 48 bits.
  if (!isEstablished(state) || message.next_revocation_number === 0n || message.next_revocation_number > FIRST_SECRET_INDEX + 1n) return false;
  const secret = message.your_last_per_commitment_secret;
  if (!crypto().isPrivateKey(fromHex(secret))) return false;
  return perCommitmentPoint(secret) === signer.perCommitmentPoint(state.terms.key_index, message.next_revocation_number - 1n);
}

function gatherFail(message: MessageOf<'update_fail_htlc'>): Gathered {
  const attachment = attach(message.reason);
  return { command: { type: 'ReceiveUpdateFailHtlc', message, reason_hash: attachment.hash }, attachments: [attachment] };
}

/** Reads our layer of the onion once, on arrival (BOLT 4, "Onion Decryption"); the next packet is kept for the forward. */
function gatherAdd(message: MessageOf<'update_add_htlc'>, { signer, policy }: ChannelContext): Gathered {
  const packet = message.onion_routing_packet;
  const onion_ephemeral_key = onionEphemeralKey(packet);
  const sharedSecret = onion_ephemeral_key === undefined ? undefined : signer.nodeEcdh(onion_ephemeral_key);
  const peeled = peelOnion({ packet, associated_data: fromHex(message.payment_hash), sharedSecret });
  const next = peeled.ok && peeled.next_packet !== undefined ? attach(peeled.next_packet) : undefined;
  const command: ChannelCommand = {
    type: 'ReceiveUpdateAddHtlc',
    message,
    onion_hash: sha256(packet),
    onion_ephemeral_key,
    hop: peeled.ok ? readHop(decodePayload(peeled.payload, { final: next === undefined }), packet, next?.hash) : badOnion(peeled),
    policy,
  };
  return { command, attachments: next === undefined ? [] : [next] };
}

/** BOLT 4: what we cannot even authenticate goes back as update_fail_malformed_htlc; a bad payload is an ordinary failure. */
function badOnion({ failure, sha256_of_onion }: { failure: 'invalid_onion_version' | 'invalid_onion_hmac' | 'invalid_onion_key' | 'invalid_onion_payload'; sha256_of_onion: Hex32 }): Hop {
  const failure_code = failureCode(failure);
  return failure === 'invalid_onion_payload'
    ? { kind: 'invalid', failure_code, failure_data: '000000' }
    : { kind: 'malformed', failure_code, sha256_of_onion };
}

function readHop(payload: HopPayload | InvalidPayload, packet: Hex, next_onion_hash: Hex32 | undefined): Hop {
  switch (payload.kind) {
    case 'forward': {
      const { short_channel_id, amt_to_forward, outgoing_cltv_value } = payload;
      return { kind: 'forward', short_channel_id, amt_to_forward, outgoing_cltv_value, next_onion_hash: next_onion_hash! };
    }
    case 'final': {
      const { amt_to_forward, outgoing_cltv_value, payment_secret, total_msat } = payload;
      // Without a payment_secret no invoice of ours is meant: no hash is all zeros.
      return { kind: 'final', amt_to_forward, outgoing_cltv_value, payment_secret_hash: payment_secret === undefined ? ZERO_32 : sha256(payment_secret), total_msat };
    }
    case 'invalid_onion_payload': {
      const failure = encodeFailure({ name: 'invalid_onion_payload', data: { type: payload.type, offset: payload.offset } });
      return { kind: 'invalid', failure_code: failureCode('invalid_onion_payload'), failure_data: failure.slice(4) };
    }
    default:
      // Blinded hops come later: their failure says no more than that (BOLT 4, "Failure Messages").
      return { kind: 'malformed', failure_code: failureCode('invalid_onion_blinding'), sha256_of_onion: sha256(packet) };
  }
}

const sha256 = (bytes: Hex): Hex32 => toHex32(crypto().sha256(fromHex(bytes)));
const attach = (bytes: Hex): Attachment => ({ hash: sha256(bytes), bytes });

/** A peer's words, made safe to show: BOLT 1 asks for printable ASCII. */
export function printable(data: Hex): string {
  const text = new TextDecoder('utf-8').decode(fromHex(data));
  return text.replaceAll(/[^\x20-\x7e]/g, '.').slice(0, 500);
}

export const toData = (text: string): Hex => toHex(new TextEncoder().encode(text.slice(0, 2000)));
