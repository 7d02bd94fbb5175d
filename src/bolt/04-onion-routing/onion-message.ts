/** BOLT 4, "Onion Messages": the wire message that carries an onion outside of any payment. */
import { point, prefixedBytes, u16 } from '../codec.ts';
import { message } from '../message-format.ts';

export const onionMessages = {
  onion_message: message(513, { path_key: point, onion_message_packet: prefixedBytes(u16) }),
};
