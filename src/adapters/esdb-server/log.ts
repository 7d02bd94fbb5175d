/**
 * An embedded event log with EventStoreDB's rules of appending: expected revisions, idempotence by event ids, one global
 * order. The journal makes it durable; all records are also held in memory, which bounds its size.
 */
import type { Journal, StoredRecord } from './journal.ts';

/** An exact revision, or one of EventStoreDB's three words. */
export type Expected = number | 'no_stream' | 'any' | 'stream_exists';

export interface ProposedEvent {
  readonly id: string;
  readonly type: string;
  readonly contentType: string;
  readonly data: Uint8Array;
  readonly metadata: Uint8Array;
}

export type AppendOutcome =
  /** `revision` and `position` are those of the last event; -1 for an append of nothing. */
  | { readonly kind: 'success'; readonly revision: number; readonly position: number }
  | { readonly kind: 'wrong_expected_version'; readonly actual: number }
  | { readonly kind: 'too_large'; readonly limit: number }
  /** The journal has no room; nothing was written. The log itself rejects with StoreFull. */
  | { readonly kind: 'full'; readonly message: string };

export interface EmbeddedLog {
  /** Resolves when the events are durable; appends of the same moment share one commit. Rejects when the journal has no room. */
  append(stream: string, expected: Expected, events: readonly ProposedEvent[]): Promise<AppendOutcome>;
  /** Records in position order. Never changed in place. */
  readonly all: readonly StoredRecord[];
  /** Records of a stream by revision; undefined when it does not exist. */
  stream(name: string): readonly StoredRecord[] | undefined;
  /** The first revision that `$maxCount` of the stream's metadata leaves visible. */
  firstVisible(name: string): number;
  /** Called with records right after they became durable. Answers how to stop. */
  onCommitted(listener: (records: readonly StoredRecord[]) => void): () => void;
  /** Resolves when all appends made so far are durable. */
  idle(): Promise<void>;
  /** Appends that wait are lost, as in a power cut. */
  close(): void;
}

/** Bytes of data in one append; metadata and type do not count. */
export const MAX_APPEND_BYTES = 1 << 20;
/** What a record costs besides its bytes; makes positions look like EventStoreDB's, which have gaps. */
const RECORD_OVERHEAD = 96;
/** Events whose ids an append with `any` or `stream_exists` is compared with: a weak memory, gone after a restart. */
const REMEMBERED_BYTES = 8 << 20;

interface Waiting {
  /** None when the append repeats one that is not durable yet. */
  readonly records: readonly StoredRecord[];
  readonly outcome: AppendOutcome;
  readonly resolve: (outcome: AppendOutcome) => void;
  readonly reject: (error: unknown) => void;
}

export function createEmbeddedLog(journal: Journal, now: () => number = Date.now): EmbeddedLog {
  const all: StoredRecord[] = [];
  const streams = new Map<string, StoredRecord[]>();
  /** Records not yet durable, per stream: later appends build on them. */
  const tentative = new Map<string, StoredRecord[]>();
  const recent = createRecentIds();
  const listeners = new Set<(records: readonly StoredRecord[]) => void>();
  let waiting: Waiting[] = [];
  let nextPosition = 0;
  let closed = false;

  for (const record of journal.load()) admit(record);

  function admit(record: StoredRecord): void {
    all.push(record);
    const records = streams.get(record.stream) ?? [];
    streams.set(record.stream, records);
    records.push(record);
    nextPosition = Math.max(nextPosition, record.position + sizeOf(record));
  }

  const at = (stream: string, revision: number): StoredRecord | undefined => {
    const durable = streams.get(stream) ?? [];
    return durable[revision] ?? tentative.get(stream)?.[revision - durable.length];
  };
  const lastRevision = (stream: string): number =>
    (streams.get(stream)?.length ?? 0) + (tentative.get(stream)?.length ?? 0) - 1;

  /** The very same events were written before: where their last one stands. */
  function repeated(stream: string, expected: Expected, events: readonly ProposedEvent[]): StoredRecord | undefined {
    if (expected === 'any' || expected === 'stream_exists') return recent.lastOf(stream, events);
    const first = expected === 'no_stream' ? 0 : expected + 1;
    const same = events.every((event, index) => at(stream, first + index)?.id === event.id);
    return same ? at(stream, first + events.length - 1) : undefined;
  }

  function place(stream: string, events: readonly ProposedEvent[]): readonly StoredRecord[] {
    const records = events.map((event, index): StoredRecord => {
      const record = { ...event, stream, revision: lastRevision(stream) + 1 + index, position: nextPosition, created: now() };
      nextPosition += sizeOf(record);
      return record;
    });
    tentative.set(stream, [...(tentative.get(stream) ?? []), ...records]);
    return records;
  }

  const commitLater = (records: readonly StoredRecord[], outcome: AppendOutcome): Promise<AppendOutcome> =>
    new Promise((resolve, reject) => {
      if (waiting.push({ records, outcome, resolve, reject }) === 1) setImmediate(commit);
    });

  function commit(): void {
    const group = waiting;
    waiting = [];
    tentative.clear();
    if (closed) return;
    const records = group.flatMap((one) => one.records);
    try {
      journal.write(records);
    } catch (error) {
      return group.forEach((one) => one.reject(error));
    }
    for (const record of records) {
      admit(record);
      recent.add(record);
    }
    for (const one of group) one.resolve(one.outcome);
    if (records.length > 0) for (const listener of listeners) listener(records);
  }

  return {
    all,
    stream: (name) => streams.get(name),
    firstVisible(name) {
      const count = maxCountOf(streams.get(`$$${name}`)?.at(-1));
      return count === undefined ? 0 : Math.max(0, (streams.get(name)?.length ?? 0) - count);
    },
    append(stream, expected, events) {
      const bytes = events.reduce((sum, { data }) => sum + data.length, 0);
      if (bytes > MAX_APPEND_BYTES) return Promise.resolve({ kind: 'too_large', limit: MAX_APPEND_BYTES });
      const actual = lastRevision(stream);
      if (events.length === 0) return Promise.resolve({ kind: 'success', revision: actual, position: -1 });
      if (!fits(expected, actual) || typeof expected === 'string') {
        const before = repeated(stream, expected, events);
        if (before !== undefined) return commitLater([], success(before));
        if (!fits(expected, actual)) return Promise.resolve({ kind: 'wrong_expected_version', actual });
      }
      const records = place(stream, events);
      return commitLater(records, success(records.at(-1)!));
    },
    idle: () => new Promise((resolve) => void (waiting.length === 0 ? resolve() : setImmediate(resolve))),
    onCommitted(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    close() {
      closed = true;
      listeners.clear();
      journal.close();
    },
  };
}

const sizeOf = ({ data, metadata, type, stream }: StoredRecord): number =>
  RECORD_OVERHEAD + data.length + metadata.length + type.length + stream.length;

const success = ({ revision, position }: StoredRecord): AppendOutcome => ({ kind: 'success', revision, position });

function fits(expected: Expected, actual: number): boolean {
  switch (expected) {
    case 'any':
      return true;
    case 'stream_exists':
      return actual >= 0;
    case 'no_stream':
      return actual === -1;
    default:
      return actual === expected;
  }
}

interface RecentIds {
  add(record: StoredRecord): void;
  /** The last of these events when all of them are remembered in this stream. */
  lastOf(stream: string, events: readonly ProposedEvent[]): StoredRecord | undefined;
}

function createRecentIds(): RecentIds {
  const records = new Map<string, StoredRecord>();
  let bytes = 0;
  return {
    add(record) {
      records.set(record.id, record);
      bytes += sizeOf(record);
      for (const [id, oldest] of records) {
        if (bytes <= REMEMBERED_BYTES) break;
        records.delete(id);
        bytes -= sizeOf(oldest);
      }
    },
    lastOf(stream, events) {
      const known = events.map(({ id }) => records.get(id));
      return known.every((record) => record?.stream === stream) ? known.at(-1) : undefined;
    },
  };
}

function maxCountOf(metadata: StoredRecord | undefined): number | undefined {
  if (metadata === undefined) return undefined;
  try {
    const count = (JSON.parse(Buffer.from(metadata.data).toString()) as Record<string, unknown>)['$maxCount'];
    return typeof count === 'number' ? count : undefined;
  } catch {
    return undefined;
  }
}
