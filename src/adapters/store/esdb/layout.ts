/** How our log lies in an EventStoreDB that others may use too: names of streams, and the form of each event. */
import { binaryEvent, type EventData } from '@eventstore/db-client';
import { crypto } from '../../../bolt/crypto.ts';
import { toHex, type Hex32, type NodeId } from '../../../bolt/primitives.ts';
import { eventId, type SealedEntry } from '../../../events/envelope.ts';
import { LogCorrupt, type StreamId } from '../../../events/store.ts';

/** A place in $all. EventStoreDB names it by two numbers, which differ only in logs of its first years. */
export interface Place {
  readonly commit: bigint;
  readonly prepare: bigint;
}

/** A recorded event as the rest of the adapter sees it. */
export interface EsdbRecord {
  readonly stream: string;
  readonly revision: bigint;
  readonly id: string;
  readonly type: string;
  readonly data: Uint8Array;
  /** The entry's hash as it was written beside it; undefined in what is no event of ours. */
  readonly hash: string | undefined;
  readonly place: Place;
}

/**
 * | stream | what |
 * |---|---|
 * | `<prefix>.events.<stream>` | the log: one event each, its data the canonical entry (the bytes that are hashed), its metadata the hash |
 * | `<prefix>.attachments.<hash>` | one event: the bytes |
 * | `<prefix>.checkpoints` | signed notes; the last one of a proper close says so |
 * | `<prefix>.cursors` | all cursors in one event; only the newest counts |
 */
export interface Layout {
  readonly prefix: string;
  /** What every event stream's name begins with. */
  readonly events: string;
  readonly checkpoints: string;
  readonly cursors: string;
  eventStream(stream: StreamId): string;
  attachmentStream(hash: string): string;
  /** The StreamId in a name of ours. */
  streamId(name: string): StreamId;
}

/** A prefix has no `$` in front: such streams belong to the server. */
export const defaultPrefix = (nodeId: NodeId): string => `fulgurite.${nodeId.slice(0, 18)}`;

export function createLayout(prefix: string): Layout {
  const events = `${prefix}.events.`;
  return {
    prefix,
    events,
    checkpoints: `${prefix}.checkpoints`,
    cursors: `${prefix}.cursors`,
    eventStream: (stream) => events + stream,
    attachmentStream: (hash) => `${prefix}.attachments.${hash}`,
    streamId: (name) => name.slice(events.length),
  };
}

const utf8 = new TextEncoder();

/** An event of the log. Binary: EventStoreDB's client would parse JSON and write it anew, and the hash is over the bytes. */
export function logEvent({ id, type, entry, hash }: SealedEntry): EventData {
  return binaryEvent({ id, type, data: utf8.encode(entry), metadata: { hash } });
}

/** The id derives from the hash, so that the same bytes are stored once. */
export function attachmentEvent(hash: string, bytes: Uint8Array): EventData {
  return binaryEvent({ id: eventId(hash as Hex32, 0), type: 'Attachment', data: bytes });
}

/** `id`: any fresh UUID. */
export function textEvent(id: string, type: string, text: string): EventData {
  return binaryEvent({ id, type, data: utf8.encode(text) });
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The entry's text. Throws LogCorrupt when the bytes do not fit the hash written beside them. */
export function entryOf(record: EsdbRecord): string {
  const expected = record.hash ?? 'a hash';
  const got = toHex(crypto().sha256(record.data));
  if (got !== expected) throw corruptRecord(record, 'an entry does not fit its hash', expected, got);
  return textOf(record);
}

/** Throws LogCorrupt when the bytes are no UTF-8. */
export function textOf(record: EsdbRecord): string {
  try {
    return decoder.decode(record.data);
  } catch {
    throw corruptRecord(record, 'an event holds no text', 'UTF-8', toHex(record.data.slice(0, 40)));
  }
}

export function corruptRecord(
  { stream, revision }: EsdbRecord,
  what: string,
  expected: string,
  got: string,
): LogCorrupt {
  return new LogCorrupt(`${what} at revision ${revision} of ${stream}: expected ${expected}, got ${got}`, {
    stream,
    revision,
    expected,
    got,
  });
}
