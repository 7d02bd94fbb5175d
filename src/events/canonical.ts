/** One byte form per event, fixed for ever: canonical JSON (RFC 8785 without floats), and the log entry that is hashed. */
import { crypto } from '../bolt/crypto.ts';
import { isHex, type Hex32 } from '../bolt/primitives.ts';
import { StoreError, type StreamId } from './store.ts';

/** C2SP tlog-tiles: an entry's length must fit in 16 bits. */
export const MAX_ENTRY_BYTES = 65_535;
/** Deeper data than this is no event of ours; it bounds the recursion over entries that strangers wrote. */
const MAX_DEPTH = 32;

/** What the hash covers: an envelope without its hash and its position; `data` is the event without its type. */
export interface LogEntry {
  readonly causation_id: Hex32;
  readonly correlation_id: Hex32;
  readonly data: unknown;
  readonly id: string;
  readonly previous_hash: Hex32;
  readonly recorded_at: string;
  readonly revision: bigint;
  readonly stream: StreamId;
  readonly type: string;
}

/** A value that has no canonical form, or a text that is not one. */
export class NotCanonical extends StoreError {
  constructor(message: string, detail: Readonly<Record<string, unknown>> = {}) {
    super('not_canonical', message, detail);
  }
}

/**
 * The canonical JSON text of a value: keys sorted by UTF-16 code unit, no whitespace, a bigint as a decimal string,
 * a key whose value is undefined dropped, strings as they are (no normalisation).
 * Throws NotCanonical on what JSON cannot carry exactly: floats, NaN, unsafe integers, functions, class instances.
 */
export function canonicalJson(value: unknown): string {
  return write(value, 0);
}

/** The canonical JSON text of an event's data: every field but `type`, which the entry carries itself. */
export function canonicalData(event: { readonly type: string }): string {
  return writeObject(event as unknown as Record<string, unknown>, 0, 'type');
}

/** The bytes (as text) that are hashed for an event. */
export function canonicalEntry(entry: LogEntry): string {
  return entryText(entry, canonicalJson(entry.data));
}

/** The same from data that is canonical text already: the store's fast path. */
export function entryText(entry: Omit<LogEntry, 'data'>, data: string): string {
  return (
    `{"causation_id":"${entry.causation_id}","correlation_id":"${entry.correlation_id}","data":${data},"id":"${entry.id}"` +
    `,"previous_hash":"${entry.previous_hash}","recorded_at":"${entry.recorded_at}","revision":"${entry.revision}"` +
    `,"stream":${quote(entry.stream)},"type":${quote(entry.type)}}`
  );
}

/** Reads an entry. Throws NotCanonical unless writing it again gives the very same text. */
export function parseEntry(text: string): LogEntry {
  const entry = readEntry(text);
  const again = canonicalEntry(entry);
  if (again !== text) throw new NotCanonical('an entry is not in canonical form', { expected: again, got: text });
  return entry;
}

/** Reads an entry that was proven canonical before; checks the form of its fields alone. */
export function readEntry(text: string): LogEntry {
  const parsed = parseJson(text);
  if (!isRecord(parsed) || Object.keys(parsed).length !== FIELDS.length) throw malformed('fields', FIELDS, parsed);
  for (const [name, fits] of FIELDS) {
    if (!fits(parsed[name])) throw malformed(name, 'a well-formed value', parsed[name]);
  }
  return { ...(parsed as unknown as LogEntry), revision: BigInt(parsed['revision'] as string) };
}

const scratch = new Uint8Array(1 + MAX_ENTRY_BYTES + 3);
const utf8 = new TextEncoder();

/** The hash of an entry (SHA-256 of its bytes) and its Merkle leaf (RFC 6962: SHA-256 of 0x00 and its bytes). Throws NotCanonical above 65,535 bytes. */
export function digestEntry(text: string): { readonly hash: Hex32; readonly leaf: Uint8Array } {
  const { read, written } = utf8.encodeInto(text, scratch.subarray(1));
  if (read < text.length || written > MAX_ENTRY_BYTES) {
    throw new NotCanonical(`an entry has at most ${MAX_ENTRY_BYTES} bytes, got more (${text.length} characters)`, {
      maximum: MAX_ENTRY_BYTES,
    });
  }
  const { sha256, sha256Hex } = crypto();
  return { hash: sha256Hex(scratch.subarray(1, 1 + written)) as Hex32, leaf: sha256(scratch.subarray(0, 1 + written)) };
}

function write(value: unknown, depth: number): string {
  switch (typeof value) {
    case 'string':
      return quote(value);
    case 'bigint':
      return `"${value}"`;
    case 'number':
      return integer(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) return 'null';
      if (depth >= MAX_DEPTH)
        throw new NotCanonical(`data is nested deeper than ${MAX_DEPTH} levels`, { maximum: MAX_DEPTH });
      return Array.isArray(value)
        ? `[${value.map((item) => write(item, depth + 1)).join(',')}]`
        : writeObject(value as Record<string, unknown>, depth);
    default:
      throw new NotCanonical(`a ${typeof value} has no canonical form`, { got: typeof value });
  }
}

function writeObject(value: Record<string, unknown>, depth: number, without?: string): string {
  const prototype = Object.getPrototypeOf(value) as unknown;
  if (prototype !== Object.prototype && prototype !== null)
    throw new NotCanonical('only plain objects have a canonical form', { got: String(value) });
  let text = '';
  for (const key of Object.keys(value).sort()) {
    const item = value[key];
    if (item === undefined || key === without) continue;
    text += `${text === '' ? '' : ','}${quote(key)}:${write(item, depth + 1)}`;
  }
  return `{${text}}`;
}

const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

/** Nearly all our strings are hex: those need no escaping, and the test is cheaper than JSON.stringify. */
const quote = (text: string): string => (PLAIN.test(text) ? `"${text}"` : JSON.stringify(text));

function integer(value: number): string {
  if (!Number.isSafeInteger(value) || Object.is(value, -0))
    throw new NotCanonical(`expected an integer of at most 53 bits, got ${Object.is(value, -0) ? '-0' : value}`, {
      got: value,
    });
  return String(value);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new NotCanonical(`an entry is not JSON: ${(error as Error).message}`, { got: text.slice(0, 200) });
  }
}

const malformed = (name: string, expected: unknown, got: unknown) =>
  new NotCanonical(`an entry's ${name} is malformed: got ${JSON.stringify(got)?.slice(0, 200)}`, {
    expected: String(expected),
    got,
  });

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const matches = (pattern: RegExp) => (value: unknown) => typeof value === 'string' && pattern.test(value);
const isHex32 = (value: unknown) => typeof value === 'string' && isHex(value, 32);

export const isUuid = matches(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
export const isTimestamp = matches(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
export const isStreamId = (value: unknown) => typeof value === 'string' && value.length > 0 && value.length <= 256;
const isTypeName = matches(/^[A-Za-z][A-Za-z0-9]{0,127}$/);

const FIELDS: readonly (readonly [name: keyof LogEntry, fits: (value: unknown) => boolean])[] = [
  ['causation_id', isHex32],
  ['correlation_id', isHex32],
  ['data', isRecord],
  ['id', isUuid],
  ['previous_hash', isHex32],
  ['recorded_at', isTimestamp],
  ['revision', matches(/^(0|[1-9]\d{0,15})$/)],
  ['stream', isStreamId],
  ['type', isTypeName],
];
