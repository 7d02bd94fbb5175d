/** The registry of BOLT messages: from a number to its codec and back, for everything that is said between peers. */
import { CodecError, Reader, Writer } from './codec.ts';
import type { MessageFormat, MessagesOf } from './message-format.ts';
import { messagingMessages } from './01-messaging/messaging.ts';
import { openingMessages } from './02-peer-protocol/opening.ts';
import { updateMessages } from './02-peer-protocol/updates.ts';
import { closingMessages } from './02-peer-protocol/closing.ts';
import { reestablishMessages } from './02-peer-protocol/reestablish.ts';
import { interactiveTxMessages, splicingMessages } from './02-peer-protocol/interactive-tx.ts';
import { onionMessages } from './04-onion-routing/onion-message.ts';
import { announcementMessages } from './07-routing-gossip/announcements.ts';
import { queryMessages } from './07-routing-gossip/queries.ts';

/** All messages we know, by name. */
export const MESSAGE_FORMATS = {
  ...messagingMessages,
  ...openingMessages,
  ...updateMessages,
  ...closingMessages,
  ...reestablishMessages,
  ...interactiveTxMessages,
  ...splicingMessages,
  ...onionMessages,
  ...announcementMessages,
  ...queryMessages,
};

/** A message as a value: BOLT field names, amounts as Msat or Sat, extension records under `tlvs` (`{}` when there are none). */
export type Message = MessagesOf<typeof MESSAGE_FORMATS>;
export type MessageName = Message['type'];
/** `MessageOf<'update_add_htlc'>`: one message by its name. */
export type MessageOf<N extends MessageName> = Extract<Message, { type: N }>;
/** A number not in the registry. It's ok to be odd: odd ones are ignored, an even one closes the connection. */
export interface UnknownMessage {
  readonly type: 'unknown';
  readonly number: number;
}

/** BOLT 8: a message and its number fit into 65535 bytes. */
export const MAX_MESSAGE_BYTES = 65535;

// A union of fifty codecs has no common `encode`: the name chooses the right one, and here alone the types are let go.
const FORMATS = MESSAGE_FORMATS as unknown as Readonly<Record<string, MessageFormat>>;

const byNumber: ReadonlyMap<number, readonly [string, MessageFormat]> = new Map(
  Object.entries(FORMATS).map(([name, format]) => [format.number, [name, format]]),
);

/** The number that stands for a message on the wire. */
export const messageNumber = (name: MessageName): number => MESSAGE_FORMATS[name].number;

/** Number and body, before encryption. Throws a RangeError when a field does not fit: that is a bug of ours. */
export function encodeMessage(message: Message): Uint8Array {
  const format = FORMATS[message.type]!;
  const writer = new Writer();
  writer.u16(format.number);
  format.encode(message, writer);
  if (writer.length > MAX_MESSAGE_BYTES) {
    throw new RangeError(`${message.type} of ${writer.length} bytes exceeds the ${MAX_MESSAGE_BYTES} a message may have`);
  }
  return writer.bytes();
}

/** Throws a CodecError, which names the message, when a known message is malformed. */
export function decodeMessage(bytes: Uint8Array): Message | UnknownMessage {
  const reader = new Reader(bytes);
  const number = reader.u16();
  const known = byNumber.get(number);
  if (known === undefined) return { type: 'unknown', number };
  const [type, format] = known;
  try {
    return { type, ...format.decode(reader) } as Message;
  } catch (error) {
    if (error instanceof CodecError) throw new CodecError(error.code, `${type}: ${error.message}`);
    throw error;
  }
}
