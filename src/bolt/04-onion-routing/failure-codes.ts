/** BOLT 4, "Failure Messages": one table that names, numbers, encodes and decodes every failure. */
import { type Codec, CodecError, type Fields, Reader, type RecordOf, Writer } from '../codec.ts';
import { bigsize, hex32, msat64, prefixedBytes, record, u16, u32 } from '../codec.ts';
import { type Hex, fromHex, toHex } from '../primitives.ts';

/** The flags of a failure code: an unparsable onion, a permanent failure, one of the whole node, a violated parameter. */
export const BADONION = 0x8000;
export const PERM = 0x4000;
export const NODE = 0x2000;
export const UPDATE = 0x1000;

const sha256_of_onion = hex32;
/** Empty since 2024: a node that shows which update it was sent gives its privacy away. */
const channel_update = prefixedBytes(u16);

const FAILURES = {
  temporary_node_failure: failure(NODE | 2, {}),
  permanent_node_failure: failure(PERM | NODE | 2, {}),
  required_node_feature_missing: failure(PERM | NODE | 3, {}),
  invalid_onion_version: failure(BADONION | PERM | 4, { sha256_of_onion }),
  invalid_onion_hmac: failure(BADONION | PERM | 5, { sha256_of_onion }),
  invalid_onion_key: failure(BADONION | PERM | 6, { sha256_of_onion }),
  temporary_channel_failure: failure(UPDATE | 7, { channel_update }),
  permanent_channel_failure: failure(PERM | 8, {}),
  required_channel_feature_missing: failure(PERM | 9, {}),
  unknown_next_peer: failure(PERM | 10, {}),
  amount_below_minimum: failure(UPDATE | 11, { htlc_msat: msat64, channel_update }),
  fee_insufficient: failure(UPDATE | 12, { htlc_msat: msat64, channel_update }),
  incorrect_cltv_expiry: failure(UPDATE | 13, { cltv_expiry: u32, channel_update }),
  expiry_too_soon: failure(UPDATE | 14, { channel_update }),
  incorrect_or_unknown_payment_details: failure(PERM | 15, { htlc_msat: msat64, height: u32 }),
  final_incorrect_cltv_expiry: failure(18, { cltv_expiry: u32 }),
  final_incorrect_htlc_amount: failure(19, { incoming_htlc_amt: msat64 }),
  channel_disabled: failure(UPDATE | 20, { disabled_flags: u16, channel_update }),
  expiry_too_far: failure(21, {}),
  invalid_onion_payload: failure(PERM | 22, { type: bigsize, offset: u16 }),
  mpp_timeout: failure(23, {}),
  invalid_onion_blinding: failure(BADONION | PERM | 24, { sha256_of_onion }),
};

type Table = typeof FAILURES;
export type FailureName = keyof Table;
type DataOf<N extends FailureName> = Table[N] extends FailureFormat<infer F> ? RecordOf<F> : never;

/** A failure that we know. `extra` are bytes after its data: a TLV stream, or a future we have not read of. */
export type KnownFailure = {
  [N in FailureName]: { readonly name: N; readonly code: number; readonly data: DataOf<N>; readonly extra?: Hex };
}[FailureName];

/** A code that is not in the table, or data too short for it: `code` still carries its flags. */
export interface UnknownFailure {
  readonly name: 'unknown';
  readonly code: number;
  readonly data: { readonly raw: Hex };
}

export type Failure = KnownFailure | UnknownFailure;

/** What encodeFailure needs: a name and its data (none for a failure without fields), or a code and raw bytes. */
export type FailureToEncode =
  | {
      [N in FailureName]: { readonly name: N; readonly extra?: Hex } & ({} extends DataOf<N>
        ? { readonly data?: {} }
        : { readonly data: DataOf<N> });
    }[FailureName]
  | UnknownFailure;

interface FailureFormat<F extends Fields> {
  readonly code: number;
  readonly fields: F;
  readonly data: Codec<RecordOf<F>>;
}

const nameByCode = new Map(Object.entries(FAILURES).map(([name, { code }]) => [code, name as FailureName]));

/** `failuremsg`: 2 bytes of code, its data, and `extra`. */
export function encodeFailure(failure: FailureToEncode): Hex {
  const writer = new Writer();
  if (failure.name === 'unknown') {
    writer.u16(failure.code);
    writer.hex(failure.data.raw);
  } else {
    const { code, data } = FAILURES[failure.name] as FailureFormat<Fields>;
    writer.u16(code);
    data.encode(failure.data ?? {}, writer);
    writer.hex(failure.extra ?? '');
  }
  return toHex(writer.bytes());
}

/** Reads any bytes a stranger may have sent as `failuremsg`; never throws. Code 0 stands for a message too short for one. */
export function decodeFailure(failuremsg: Hex): Failure {
  if (failuremsg.length < 4) return { name: 'unknown', code: 0, data: { raw: failuremsg } };
  const reader = new Reader(fromHex(failuremsg));
  const code = reader.u16();
  const name = nameByCode.get(code);
  try {
    if (name !== undefined) return known(name, reader);
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
  }
  return { name: 'unknown', code, data: { raw: failuremsg.slice(4) } };
}

export const failureCode = (name: FailureName): number => FAILURES[name].code;

/** The name of a code, or undefined when it is in no table of ours. */
export const failureName = (code: number): FailureName | undefined => nameByCode.get(code);

/** The names of a failure's data fields, in wire order. */
export const failureFields = (name: FailureName): readonly string[] => Object.keys(FAILURES[name].fields);

function known(name: FailureName, reader: Reader): KnownFailure {
  const { code, data } = FAILURES[name] as FailureFormat<Fields>;
  const decoded = { name, code, data: data.decode(reader) } as unknown as KnownFailure;
  // BOLT 4, "Receiving Failure Codes": MUST ignore any extra bytes. They are kept for whoever debugs.
  return reader.remaining === 0 ? decoded : { ...decoded, extra: reader.hex(reader.remaining) };
}

function failure<const F extends Fields>(code: number, fields: F): FailureFormat<F> {
  return { code, fields, data: record(fields) };
}
