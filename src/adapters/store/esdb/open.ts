/** Opening a log in EventStoreDB: every event of $all that is ours is read and verified, and held against every checkpoint. */
import { LogCorrupt } from '../../../events/store.ts';
import type { OnProgress } from '../open.ts';
import type { CheckpointKey } from '../writer.ts';
import { readCheckpoints } from './checkpoints.ts';
import type { Connection } from './connection.ts';
import { Unreachable } from './errors.ts';
import type { EsdbRecord, Layout, Place } from './layout.ts';
import { createLogIndex, type LogIndex } from './log-index.ts';

export interface OpenLogOptions {
  readonly connection: Connection;
  readonly layout: Layout;
  readonly key: CheckpointKey;
  /** Where the newest checkpoint is kept apart. */
  readonly file: string | undefined;
  readonly onProgress: OnProgress | undefined;
}

export interface OpenedIndex {
  readonly index: LogIndex;
  /** Nobody opened this log before. */
  readonly isNew: boolean;
}

const PAGE = 1_000;
const DELAY = 250;

/** Throws LogCorrupt with the place, UnknownEventType, or Unreachable when the server does not answer for as long as we are patient. */
export async function openLog({ connection, layout, key, file, onProgress }: OpenLogOptions): Promise<OpenedIndex> {
  const { notes, closedAt } = await answered(connection, () => readCheckpoints(connection, layout, file));
  const index = createLogIndex({ layout, key, checkpoints: notes });
  for await (const record of allRecords(connection)) {
    if (record.stream.startsWith(layout.events)) index.add(record);
    if (index.size() > 0 && index.size() % PAGE === 0) onProgress?.({ verified: index.size(), total: index.size() });
  }
  // Compares the newest note with the size.
  index.sign();
  if (closedAt !== undefined && closedAt < index.size()) throw addedTo(closedAt, index.size());
  return { index, isNew: notes.length === 0 };
}

async function* allRecords(connection: Connection): AsyncGenerator<EsdbRecord> {
  for (let place: Place | undefined; ; ) {
    const from = place;
    const records = await answered(connection, () => connection.readAll(from, PAGE));
    // The start is inclusive: a page begins with the last event of the one before.
    yield* from === undefined ? records : records.slice(1);
    if (records.length < PAGE) return;
    place = records.at(-1)!.place;
  }
}

/** A server that is just starting says so; we wait as long as for an append. */
async function answered<T>(connection: Connection, ask: () => Promise<T>): Promise<T> {
  const until = performance.now() + connection.patience.total;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof Unreachable) || performance.now() + DELAY > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, DELAY));
    }
  }
}

function addedTo(closedAt: number, size: number): LogCorrupt {
  const [expected, got] = [`${closedAt} events`, `${size} events`];
  const message = `the log has events after its newest checkpoint, though it was closed properly: expected ${expected}, got ${got}`;
  return new LogCorrupt(message, { position: BigInt(closedAt), expected, got });
}
