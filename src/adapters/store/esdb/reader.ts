/** Reading a log in EventStoreDB: pages of a stream or of the whole log, each entry compared with its hash. */
import { toHex, type Hex32 } from '../../../bolt/primitives.ts';
import { LogCorrupt, type StreamId } from '../../../events/store.ts';
import { readEntry } from '../../../events/canonical.ts';
import type { Row } from '../engine.ts';
import type { Connection } from './connection.ts';
import { Unreachable } from './errors.ts';
import { corruptRecord, entryOf, type EsdbRecord, type Layout } from './layout.ts';
import type { LogIndex } from './log-index.ts';

export interface Reader {
  /** Events of the whole log from a position on; empty at the end of what the index knows. */
  page(from: number): Promise<readonly Row[]>;
  /** The same up to a size (exclusive). */
  rows(from: number, end: number): AsyncGenerator<Row>;
  /** Events of one stream. `reached` waits until the index knows a commit position. */
  stream(stream: StreamId, from: bigint, reached: (commit: bigint) => Promise<void>): AsyncGenerator<Row>;
  attachment(hash: Hex32): Promise<Uint8Array | undefined>;
}

const PAGE = 500;
const RETRIES = 4;
const DELAY = 100;

export function createReader(connection: Connection, layout: Layout, index: LogIndex): Reader {
  /** A server that restarts answers again soon. */
  async function again<T>(read: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await read();
      } catch (error) {
        if (!(error instanceof Unreachable) || attempt > RETRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, attempt * DELAY));
      }
    }
  }

  async function page(from: number): Promise<readonly Row[]> {
    if (from >= index.size()) return [];
    const records = await again(() => connection.readAll(index.placeOf(from), PAGE));
    const ours = records.filter(({ stream }) => stream.startsWith(layout.events)).slice(0, index.size() - from);
    if (ours.length === 0) throw lost(index, from, undefined);
    return ours.map((record, at) => {
      if (index.positionOf(record.place) !== from + at) throw lost(index, from + at, record);
      return [from + at, entryOf(record), record.hash!];
    });
  }

  return {
    page,
    async *rows(from, end) {
      let next = from < end ? page(from) : Promise.resolve([]);
      for (let position = from; position < end; ) {
        const rows = await next;
        position += rows.length;
        // The server reads the next page while this one is used.
        if (position < end) (next = page(position)).catch(() => {});
        for (const row of rows) if (row[0] < end) yield row;
      }
    },
    async *stream(stream, from, reached) {
      for (let next = from; ; ) {
        const records = await again(() => connection.readStream(layout.eventStream(stream), next, PAGE));
        if (records.length === 0) return;
        await reached(records.at(-1)!.place.commit);
        for (const record of records) yield rowOf(stream, next++, record, index);
        if (records.length < PAGE) return;
      }
    },
    async attachment(hash) {
      const [record] = await again(() => connection.readStream(layout.attachmentStream(hash), 0n, 1));
      return record?.data;
    },
  };
}

/** Throws LogCorrupt when the event is not the one that belongs there. */
function rowOf(stream: StreamId, revision: bigint, record: EsdbRecord, index: LogIndex): Row {
  const text = entryOf(record);
  const entry = readEntry(text);
  if (entry.stream !== stream || entry.revision !== revision)
    throw corruptRecord(record, 'an event is out of its place', `${stream} at ${revision}`, `${entry.stream} at ${entry.revision}`);
  const position = index.positionOf(record.place);
  if (position === undefined) throw corruptRecord(record, 'an event is not in the log', 'a position', toHex(record.data.slice(0, 8)));
  return [position, text, record.hash!];
}

function lost(index: LogIndex, position: number, record: EsdbRecord | undefined): LogCorrupt {
  const expected = `an event at ${index.placeOf(position).commit}`;
  const got = record === undefined ? 'nothing' : `revision ${record.revision} of ${record.stream} at ${record.place.commit}`;
  return new LogCorrupt(`the log changed at position ${position}: expected ${expected}, got ${got}`, { position: BigInt(position), expected, got });
}
