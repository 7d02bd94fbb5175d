/** BOLT 4, "Onion Messages": an onion outside of any payment, along a blinded path: made, and taken apart at each hop. */
import { type Codec, CodecError, decode, encode, rest } from '../codec.ts';
import { type Hex, type Point, type ShortChannelId, fromHex, toHex } from '../primitives.ts';
import { type TlvsOf, tlv, tlvStream } from '../tlv.ts';
import { type BlindedPath, type EncryptedData, blindedPath, hasUnknownFeatures, tweakedOnionKey, unblind } from './blinded-path.ts';
import { type OnionHop, ONION_OVERHEAD, OnionError, PAYMENT_PAYLOADS_SIZE, buildOnion, onionEphemeralKey, payloadSize, peelOnion } from './sphinx.ts';

const ONION_MESSAGE = {
  reply_path: tlv(2, blindedPath),
  encrypted_recipient_data: tlv(4, rest),
  invoice_request: tlv(64, rest),
  invoice: tlv(66, rest),
  invoice_error: tlv(68, rest),
};
type OnionMessageTlvs = TlvsOf<typeof ONION_MESSAGE>;
const onionMessageTlvs: Codec<OnionMessageTlvs> = tlvStream(ONION_MESSAGE);

/** What the final node is told: at most one of the BOLT 12 fields, and a way to answer. */
export type OnionMessageContents = Omit<OnionMessageTlvs, 'encrypted_recipient_data'>;

/** The fields of the `onion_message` message. */
export interface OnionMessage {
  readonly path_key: Point;
  readonly onion_message_packet: Hex;
}

/** The two sizes that everyone uses, so that messages look alike: that of a payment's onion, and a large one. */
const PAYLOADS_SIZES = [PAYMENT_PAYLOADS_SIZE, 32834 - ONION_OVERHEAD] as const;
const NO_DATA = new Uint8Array(0);

/** The message for `path.first_node_id`. Throws OnionError `payloads_too_long` when the contents do not fit. */
export function buildOnionMessage(session_key: Uint8Array, path: BlindedPath, contents: OnionMessageContents): OnionMessage {
  const hops = path.path.map(({ blinded_node_id, encrypted_recipient_data }, index): OnionHop => {
    const tlvs = index === path.path.length - 1 ? { ...contents, encrypted_recipient_data } : { encrypted_recipient_data };
    return { node_id: blinded_node_id, payload: toHex(encode(onionMessageTlvs, tlvs)) };
  });
  const needed = hops.reduce((sum, hop) => sum + payloadSize(hop.payload), 0);
  const size = PAYLOADS_SIZES.find((candidate) => needed <= candidate);
  if (size === undefined) throw new OnionError('payloads_too_long', `the payloads need ${needed} bytes, there are ${PAYLOADS_SIZES[1]}`);
  const { packet } = buildOnion({ session_key, hops, associated_data: NO_DATA, size });
  return { path_key: path.first_path_key, onion_message_packet: packet };
}

/**
 * The point for the second ECDH that opens a message, or undefined when the onion holds no valid key.
 * @param blindingSecret SHA256(ECDH(our key, message.path_key)), from the signer
 */
export function onionMessageKey(message: OnionMessage, blindingSecret: Uint8Array): Point | undefined {
  const key = onionEphemeralKey(message.onion_message_packet);
  return key === undefined ? undefined : tweakedOnionKey(key, blindingSecret);
}

export type ReceivedOnionMessage =
  /** To the peer named by `next_node_id`, or else to the one at the other end of `short_channel_id`. */
  | { readonly kind: 'forward'; readonly next_node_id?: Point; readonly short_channel_id?: ShortChannelId; readonly message: OnionMessage }
  | { readonly kind: 'final'; readonly contents: OnionMessageContents; readonly path_id?: Hex }
  /** Onion messages are unreliable: nobody is told. */
  | { readonly kind: 'ignore'; readonly reason: string };

const ignore = (reason: string): ReceivedOnionMessage => ({ kind: 'ignore', reason });

/**
 * Opens a message of a peer. Never throws on what others wrote.
 * @param sharedSecret SHA256(ECDH(our key, onionMessageKey(...))), from the signer; undefined when there was no key
 */
export function readOnionMessage(
  message: OnionMessage, blindingSecret: Uint8Array, sharedSecret: Uint8Array | undefined,
): ReceivedOnionMessage {
  const peeled = peelOnion({ packet: message.onion_message_packet, associated_data: NO_DATA, sharedSecret });
  if (!peeled.ok) return ignore(peeled.failure);
  const tlvs = decodeTlvs(peeled.payload);
  if (typeof tlvs === 'string') return ignore(tlvs);
  const { encrypted_recipient_data, ...contents } = tlvs;
  if (encrypted_recipient_data === undefined) return ignore('encrypted_recipient_data is missing');
  const unblinded = unblind(message.path_key, blindingSecret, encrypted_recipient_data);
  if (!unblinded.ok) return ignore(unblinded.reason);
  const { data, next_path_key } = unblinded;
  if (hasUnknownFeatures(data)) return ignore(`allowed_features holds unknown bits: ${data.allowed_features}`);
  if (peeled.next_packet === undefined) return receive(contents, data);
  return forward(contents, data, { path_key: next_path_key, onion_message_packet: peeled.next_packet });
}

function receive(contents: OnionMessageContents, { path_id }: EncryptedData): ReceivedOnionMessage {
  const payloads = [contents.invoice_request, contents.invoice, contents.invoice_error].filter((field) => field !== undefined);
  if (payloads.length > 1) return ignore(`${payloads.length} payload fields in one message`);
  return path_id === undefined ? { kind: 'final', contents } : { kind: 'final', contents, path_id };
}

function forward(contents: OnionMessageContents, data: EncryptedData, message: OnionMessage): ReceivedOnionMessage {
  const { next_node_id, short_channel_id, path_id } = data;
  if (Object.keys(contents).length > 0) return ignore(`a relay was told more than its data: ${Object.keys(contents).join(', ')}`);
  if (path_id !== undefined) return ignore('path_id is for the final node');
  if (next_node_id !== undefined) return { kind: 'forward', next_node_id, message };
  if (short_channel_id !== undefined) return { kind: 'forward', short_channel_id, message };
  return ignore('neither next_node_id nor short_channel_id');
}

/** The fields, or why there are none. */
function decodeTlvs(payload: Hex): OnionMessageTlvs | string {
  try {
    return decode(onionMessageTlvs, fromHex(payload));
  } catch (error) {
    if (error instanceof CodecError) return `onionmsg_tlv: ${error.message}`;
    throw error;
  }
}
