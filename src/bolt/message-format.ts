/** BOLT 1, "Lightning Message Format": what one message is made of: a number, fields in wire order, an extension of TLVs. */
import type { Codec, Fields, RecordOf } from './codec.ts';
import { record } from './codec.ts';
import type { TlvFormats, TlvsOf } from './tlv.ts';
import { tlvStream } from './tlv.ts';

/** The codec reads and writes the body: what follows the 2-byte number. */
export interface MessageFormat<F extends Fields = Fields, T extends TlvFormats = TlvFormats>
  extends Codec<RecordOf<F> & { readonly tlvs: TlvsOf<T> }> {
  readonly number: number;
  readonly fields: F;
  readonly tlvs: T;
}

/** One line of a message table. */
export function message<const F extends Fields, const T extends TlvFormats = {}>(
  number: number,
  fields: F,
  tlvs: T = {} as T,
): MessageFormat<F, T> {
  const body = record(fields);
  const extension = tlvStream(tlvs);
  return {
    number,
    fields,
    tlvs,
    encode(value, writer) {
      body.encode(value, writer);
      extension.encode(value.tlvs, writer);
    },
    decode: (reader) => ({ ...body.decode(reader), tlvs: extension.decode(reader) }),
  };
}

/** The values of a table: `{ type: 'ping', num_pong_bytes: number, ignored: Hex, tlvs: {} } | ...`. */
export type MessagesOf<Table> = {
  [K in keyof Table]: Table[K] extends MessageFormat<infer F, infer T>
    ? { readonly type: K } & RecordOf<F> & { readonly tlvs: TlvsOf<T> }
    : never;
}[keyof Table];
