/** Cursors of sagas and projections in EventStoreDB: all in one event, written now and then. After a crash an older one is found, as the port allows. */
import { randomUUID } from 'node:crypto';
import { canonicalJson } from '../../../events/canonical.ts';
import type { Position } from '../../../events/store.ts';
import type { Connection } from './connection.ts';
import { corruptRecord, textEvent, textOf, type EsdbRecord, type Layout } from './layout.ts';

export interface Cursors {
  load(name: string): Position | undefined;
  save(name: string, position: Position): void;
  /** Writes what waits, if the server answers. */
  close(): Promise<void>;
}

/** Milliseconds between two writes. */
const DELAY = 1_000;
/** The newest counts; one more stays for the curious. */
const KEPT = 2;

/** Throws LogCorrupt when the cursors cannot be read, Unreachable. */
export async function openCursors(connection: Connection, layout: Layout): Promise<Cursors> {
  const [newest] = await connection.readStream(layout.cursors, 'end', 1);
  const cursors = newest === undefined ? new Map<string, Position>() : read(newest);
  if (newest === undefined) await connection.limitHistory(layout.cursors, KEPT);
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();
  let changed = false;

  function write(): Promise<void> {
    timer = undefined;
    changed = false;
    const text = canonicalJson(Object.fromEntries(cursors));
    return (writing = writing.then(() => connection.append(layout.cursors, 'any', [textEvent(randomUUID(), 'CursorsSaved', text)])).then(
      () => {},
      () => void (changed = true),
    ));
  }

  return {
    load: (name) => cursors.get(name),
    save(name, position) {
      cursors.set(name, position);
      changed = true;
      timer ??= setTimeout(() => void write(), DELAY).unref();
    },
    async close() {
      clearTimeout(timer);
      await writing;
      if (changed) await write();
    },
  };
}

function read(record: EsdbRecord): Map<string, Position> {
  const text = textOf(record);
  try {
    return new Map(Object.entries(JSON.parse(text) as Record<string, string>).map(([name, position]) => [name, BigInt(position)]));
  } catch {
    throw corruptRecord(record, 'the cursors cannot be read', 'names and positions', text.slice(0, 200));
  }
}
