/** BOLT 4, "`payload` format": what an onion tells one hop, with the rules for what must and must not be there. */
import { type Codec, CodecError, Reader, bigsize, bigsizeNumber, decode, encode } from '../codec.ts';
import { hex32, point, record, rest, shortChannelId, tu32, tu64 } from '../codec.ts';
import { type Hex, type Hex32, type Msat, type Point, type ShortChannelId, fromHex, toHex } from '../primitives.ts';
import { type TlvsOf, type UnknownTlv, tlv, tlvStream } from '../tlv.ts';

export interface ForwardPayload {
  readonly kind: 'forward';
  readonly short_channel_id: ShortChannelId;
  readonly amt_to_forward: Msat;
  readonly outgoing_cltv_value: number;
}

export interface FinalPayload {
  readonly kind: 'final';
  readonly amt_to_forward: Msat;
  readonly outgoing_cltv_value: number;
  /** Without one the HTLC is failed with `incorrect_or_unknown_payment_details`: the payload as such is sound. */
  readonly payment_secret?: Hex32;
  /** Equal to amt_to_forward where the sender said nothing. */
  readonly total_msat: Msat;
  readonly payment_metadata?: Hex;
  /** Odd records of the sender's own. */
  readonly unknown?: readonly UnknownTlv[];
}

/** A relay inside a blinded route: amount, expiry and next node are in `encrypted_recipient_data`. */
export interface BlindedForwardPayload {
  readonly kind: 'blinded_forward';
  readonly encrypted_recipient_data: Hex;
  /** For the introduction point; the others receive their path_key in update_add_htlc. */
  readonly current_path_key?: Point;
}

export interface BlindedFinalPayload {
  readonly kind: 'blinded_final';
  readonly encrypted_recipient_data: Hex;
  readonly current_path_key?: Point;
  readonly amt_to_forward: Msat;
  readonly outgoing_cltv_value: number;
  readonly total_amount_msat: Msat;
}

export type HopPayload = ForwardPayload | FinalPayload | BlindedForwardPayload | BlindedFinalPayload;

/** The data of an `invalid_onion_payload` failure, and a sentence for our own log. Type 0 where no record is to blame. */
export interface InvalidPayload {
  readonly kind: 'invalid_onion_payload';
  readonly type: bigint;
  /** Bytes from the start of the decrypted stream, which begins with the payload's length. */
  readonly offset: number;
  readonly reason: string;
}

const tu64Msat = tu64 as Codec<Msat>;

const FIELDS = {
  amt_to_forward: tlv(2, tu64Msat),
  outgoing_cltv_value: tlv(4, tu32),
  short_channel_id: tlv(6, shortChannelId),
  payment_data: tlv(8, record({ payment_secret: hex32, total_msat: tu64Msat })),
  encrypted_recipient_data: tlv(10, rest),
  current_path_key: tlv(12, point),
  payment_metadata: tlv(16, rest),
  total_amount_msat: tlv(18, tu64Msat),
};
type FieldName = keyof typeof FIELDS;
type Fields = TlvsOf<typeof FIELDS>;

const payloadStream = tlvStream(FIELDS);

/** A TLV stream without its length prefix: the onion adds that. */
export function encodePayload(payload: HopPayload): Hex {
  return toHex(encode(payloadStream, fieldsOf(payload)));
}

export interface PayloadPlace {
  /** Whether the onion ended here. */
  readonly final: boolean;
  /** Whether update_add_htlc brought a path_key. */
  readonly path_key?: boolean;
}

/** Reads a peeled payload by the rules of its place in the route. Never throws on what a sender wrote. */
export function decodePayload(payload: Hex, { final, path_key = false }: PayloadPlace): HopPayload | InvalidPayload {
  const bytes = fromHex(payload);
  try {
    const fields = decode(payloadStream, bytes);
    if (fields.encrypted_recipient_data !== undefined) return readBlinded(fields, bytes, final, path_key);
    return readPlain(fields, bytes, final, path_key);
  } catch (error) {
    if (error instanceof CodecError) return malformed(bytes, error.message);
    throw error;
  }
}

function fieldsOf(payload: HopPayload): Fields {
  if (payload.kind !== 'final') return payload;
  const { payment_secret, total_msat, ...fields } = payload;
  return payment_secret === undefined ? fields : { ...fields, payment_data: { payment_secret, total_msat } };
}

function readPlain(fields: Fields, bytes: Uint8Array, final: boolean, pathKey: boolean): HopPayload | InvalidPayload {
  const { amt_to_forward, outgoing_cltv_value, short_channel_id, payment_data, payment_metadata, unknown } = fields;
  if (fields.current_path_key !== undefined) return unexpected('current_path_key', bytes, 'without encrypted_recipient_data');
  if (pathKey) return missing('encrypted_recipient_data');
  if (amt_to_forward === undefined) return missing('amt_to_forward');
  if (outgoing_cltv_value === undefined) return missing('outgoing_cltv_value');
  if (final) {
    const { payment_secret, total_msat = amt_to_forward } = payment_data ?? {};
    return defined({ kind: 'final', amt_to_forward, outgoing_cltv_value, payment_secret, total_msat, payment_metadata, unknown });
  }
  if (short_channel_id === undefined) return missing('short_channel_id');
  return { kind: 'forward', short_channel_id, amt_to_forward, outgoing_cltv_value };
}

const BLINDED_FORWARD: readonly FieldName[] = ['encrypted_recipient_data', 'current_path_key'];
const BLINDED_FINAL: readonly FieldName[] = [...BLINDED_FORWARD, 'amt_to_forward', 'outgoing_cltv_value', 'total_amount_msat'];

function readBlinded(fields: Fields, bytes: Uint8Array, final: boolean, pathKey: boolean): HopPayload | InvalidPayload {
  const { amt_to_forward, outgoing_cltv_value, total_amount_msat, current_path_key } = fields;
  const encrypted_recipient_data = fields.encrypted_recipient_data!;
  const stranger = firstOther(fields, final ? BLINDED_FINAL : BLINDED_FORWARD);
  if (stranger !== undefined) return at(stranger, bytes, `type ${stranger} has no place inside a blinded route`);
  if (pathKey && current_path_key !== undefined) return unexpected('current_path_key', bytes, 'beside a path_key');
  if (!pathKey && current_path_key === undefined) return missing('current_path_key');
  if (!final) return defined({ kind: 'blinded_forward', encrypted_recipient_data, current_path_key });
  if (amt_to_forward === undefined) return missing('amt_to_forward');
  if (outgoing_cltv_value === undefined) return missing('outgoing_cltv_value');
  if (total_amount_msat === undefined) return missing('total_amount_msat');
  return defined({ kind: 'blinded_final', encrypted_recipient_data, current_path_key, amt_to_forward, outgoing_cltv_value, total_amount_msat });
}

/** The type of a field that is there and not among the allowed. */
function firstOther(fields: Fields, allowed: readonly FieldName[]): bigint | undefined {
  const names = Object.keys(FIELDS) as FieldName[];
  const other = names.find((name) => fields[name] !== undefined && !allowed.includes(name));
  return other === undefined ? fields.unknown?.[0]?.type : FIELDS[other].type;
}

const missing = (name: FieldName): InvalidPayload =>
  ({ kind: 'invalid_onion_payload', type: FIELDS[name].type, offset: 0, reason: `${name} is missing` });

const unexpected = (name: FieldName, bytes: Uint8Array, where: string): InvalidPayload =>
  at(FIELDS[name].type, bytes, `${name} ${where}`);

function at(type: bigint, bytes: Uint8Array, reason: string): InvalidPayload {
  const offset = records(bytes).find((entry) => entry.type === type)?.offset ?? 0;
  return { kind: 'invalid_onion_payload', type, offset, reason };
}

/** Finds the record that is to blame: out of order, or malformed also when it stands alone. */
function malformed(bytes: Uint8Array, reason: string): InvalidPayload {
  const entries = records(bytes);
  const culprit = entries.find(({ type, content }, index) => {
    const previous = entries[index - 1];
    return (previous !== undefined && previous.type >= type) || !decodes(content);
  });
  return { kind: 'invalid_onion_payload', type: culprit?.type ?? 0n, offset: culprit?.offset ?? 0, reason };
}

interface RawEntry {
  readonly type: bigint;
  readonly offset: number;
  /** Type, length and value. */
  readonly content: Uint8Array;
}

/** The records of a stream as far as they can be told apart. */
function records(bytes: Uint8Array): readonly RawEntry[] {
  const reader = new Reader(bytes);
  const prefixLength = bytes.length < 0xfd ? 1 : 3;
  const entries: RawEntry[] = [];
  try {
    while (reader.remaining > 0) {
      const start = bytes.length - reader.remaining;
      const type = bigsize.decode(reader);
      reader.take(bigsizeNumber.decode(reader));
      entries.push({ type, offset: start + prefixLength, content: bytes.subarray(start, bytes.length - reader.remaining) });
    }
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
  }
  return entries;
}

function decodes(content: Uint8Array): boolean {
  try {
    decode(payloadStream, content);
    return true;
  } catch {
    return false;
  }
}

/** Leaves out what is undefined, so that equal payloads are equal objects. */
function defined<T extends HopPayload>(payload: T): T {
  return Object.fromEntries(Object.entries(payload).filter(([, value]) => value !== undefined)) as unknown as T;
}
