/**
 * Signed checkpoints of a log in EventStoreDB: written beside the log a little after its events, and kept apart in a file
 * of ours, which alone can tell that the database lost its tail. A proper close signs the whole log and says so.
 */
import { randomUUID } from 'node:crypto';
import { LogCorrupt } from '../../../events/store.ts';
import { parseCheckpoint } from '../../../events/checkpoint.ts';
import { openCheckpointFile, readCheckpointFile } from '../checkpoint-file.ts';
import type { Connection } from './connection.ts';
import { textEvent, textOf, type EsdbRecord, type Layout } from './layout.ts';
import type { LogIndex } from './log-index.ts';

/** What was found when the log was opened. */
export interface KnownCheckpoints {
  /** Of the database and of the file. */
  readonly notes: readonly string[];
  /** Events that were there when the log was last closed; undefined when it was not closed, or is new. */
  readonly closedAt: number | undefined;
}

export interface Checkpoints {
  /** The log grew. */
  changed(): void;
  /** The notes kept in the database, the oldest first, and one over all events known now. */
  list(): Promise<readonly string[]>;
  /** Writes the last note. `proper`: nothing may follow it without a new opening. */
  close(proper: boolean): Promise<void>;
}

const SIGNED = 'CheckpointSigned';
const CLOSED = 'LogClosed';
/** Notes kept in the database; older ones prove nothing more. */
const KEPT = 1_000;
/** Milliseconds after an event until the file, and the database, hold a note over it. */
const FILE_DELAY = 20;
const DATABASE_DELAY = 1_000;

/** Throws LogCorrupt when the file holds no note, Unreachable. */
export async function readCheckpoints(connection: Connection, layout: Layout, file: string | undefined): Promise<KnownCheckpoints> {
  const records = await connection.readStream(layout.checkpoints, 'end', KEPT);
  const apart = file === undefined ? undefined : readCheckpointFile(file);
  const notes = records.map(textOf).reverse();
  return { notes: apart === undefined ? notes : [...notes, apart], closedAt: closedAt(records[0]) };
}

function closedAt(newest: EsdbRecord | undefined): number | undefined {
  if (newest?.type !== CLOSED) return undefined;
  try {
    return parseCheckpoint(textOf(newest)).size;
  } catch {
    throw new LogCorrupt('the last checkpoint cannot be read', { stream: newest.stream, expected: 'a signed checkpoint', got: textOf(newest).slice(0, 200) });
  }
}

/** Says that the log is open: its first events may be newer than any note. Throws Unreachable. */
export async function openCheckpoints(
  connection: Connection,
  layout: Layout,
  index: LogIndex,
  path: string | undefined,
  isNew: boolean,
): Promise<Checkpoints> {
  const file = path === undefined ? undefined : openCheckpointFile(path);
  let timers: { file?: NodeJS.Timeout | undefined; database?: NodeJS.Timeout | undefined } = {};
  let writing: Promise<void> = Promise.resolve();

  const write = (type: string): Promise<void> =>
    (writing = writing.then(async () => void (await connection.append(layout.checkpoints, 'any', [textEvent(randomUUID(), type, index.sign())]))));

  const later = (milliseconds: number, work: () => void): NodeJS.Timeout => setTimeout(work, milliseconds).unref();

  if (isNew) await connection.limitHistory(layout.checkpoints, KEPT);
  await write(SIGNED);

  return {
    changed() {
      timers.file ??= later(FILE_DELAY, () => {
        timers.file = undefined;
        file?.write(index.sign());
      });
      timers.database ??= later(DATABASE_DELAY, () => {
        timers.database = undefined;
        // A note that is lost is made good by the next one.
        write(SIGNED).catch(() => (writing = Promise.resolve()));
      });
    },
    async list() {
      const records = await connection.readStream(layout.checkpoints, 'end', KEPT);
      const fresh = index.sign();
      return [...records.map(textOf).reverse().filter((note) => note !== fresh), fresh];
    },
    async close(proper) {
      clearTimeout(timers.file);
      clearTimeout(timers.database);
      timers = {};
      if (proper) {
        file?.write(index.sign());
        await write(CLOSED).catch(() => {});
      }
      file?.close();
    },
  };
}
