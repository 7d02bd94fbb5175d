/** A log opened for reading alone, without key, lock or change: for the audit, also of a running or killed node's data folder. */
import {
  copyFileSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readSync,
  closeSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Hex, Hex32 } from '../../bolt/primitives.ts';
import { LogCorrupt, StoreError } from '../../events/store.ts';
import type { StoredEntry } from '../../events/verify.ts';
import { checkpointFileOf, readCheckpointFile } from './checkpoint-file.ts';
import { openSqliteStorage } from './sqlite-storage.ts';
import { eventsIn } from './engine.ts';
import { framesOf, readTailBytes, tailFileOf } from './tail-file.ts';

/** The raw log: whoever reads it feeds a log verifier (events/verify.ts), which trusts none of this. */
export interface ReadOnlyLog {
  readonly file: string;
  /** Number of events. */
  readonly size: number;
  /** Number of events that are durable in the tail beside it: no checkpoint covers them before the node has taken them in. */
  readonly waiting: number;
  /** Signed notes of the log and the one kept beside it, for the verifier. */
  readonly checkpoints: readonly string[];
  /** In position order. Throws LogCorrupt where the database itself is damaged. */
  entries(): Iterable<StoredEntry>;
  attachment(hash: Hex32): Hex | undefined;
  close(): void;
}

const PAGE = 1000;

/** Opens a copy of the database. Throws StoreError `not_a_log` for what is no log, LogCorrupt for what cannot be read. */
export function openReadOnlyLog(file: string): ReadOnlyLog {
  if (!existsSync(file))
    throw new StoreError('not_a_log', `there is no log at ${file}`, { expected: 'a file', got: 'nothing' });
  // The checkpoint first: a running node may go on, and a log may be newer than its checkpoint, never older.
  const apart = readCheckpointFile(checkpointFileOf(file));
  const tail = readTailBytes(tailFileOf(file));
  const copy = copyDatabase(file);
  try {
    const storage = openSqliteStorage({ file: copy.file, readOnly: true });
    const close = (): void => {
      storage.close();
      copy.remove();
    };
    const checkpoints = storage.checkpoints().map((row) => row.note);
    const size = storage.size();
    return {
      file,
      size,
      waiting: eventsWaiting(tailFileOf(file), tail, size),
      checkpoints: apart === undefined || checkpoints.includes(apart) ? checkpoints : [...checkpoints, apart],
      *entries() {
        for (let from = 0; ;) {
          const rows = storage.fullRows(from, PAGE);
          for (const { position, revision, ...row } of rows)
            yield { ...row, position: BigInt(position), revision: BigInt(revision) };
          if (rows.length < PAGE) return;
          from = rows.at(-1)!.position + 1;
        }
      },
      attachment: (hash) => storage.attachment(hash),
      close,
    };
  } catch (error) {
    copy.remove();
    throw error;
  }
}

/** For people: a node may write while we read, and judges its tail itself when it opens the log. */
function eventsWaiting(file: string, tail: Buffer, size: number): number {
  try {
    return framesOf(file, tail, size).reduce((sum, frame) => sum + eventsIn(frame.requests), 0);
  } catch {
    return 0;
  }
}

interface Copy {
  readonly file: string;
  readonly remove: () => void;
}

/**
 * Copies the database and its write-ahead log to a place of our own: SQLite would write beside the original even to read it.
 * The main file changes only when the write-ahead log is folded into it; if that happens meanwhile, we start over.
 */
function copyDatabase(source: string): Copy {
  const folder = mkdtempSync(join(tmpdir(), 'fulgurite-read-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  const file = join(folder, 'log.db');
  for (let attempt = 0; attempt < 10; attempt += 1) {
    const before = generation(source);
    copyFileSync(source, file, constants.COPYFILE_FICLONE);
    rmSync(`${file}-wal`, { force: true });
    if (existsSync(`${source}-wal`)) copyFileSync(`${source}-wal`, `${file}-wal`, constants.COPYFILE_FICLONE);
    if (generation(source) === before) return { file, remove };
  }
  remove();
  throw new LogCorrupt(`${source} changes faster than it can be copied`, {
    expected: 'a quiet moment',
    got: '10 attempts',
  });
}

/** Changes with each fold: the main file's time and size, and the head of the write-ahead log (its salts). */
function generation(source: string): string {
  const { mtimeMs, size } = statSync(source);
  return `${mtimeMs} ${size} ${walHead(`${source}-wal`)}`;
}

function walHead(file: string): string {
  if (!existsSync(file)) return '';
  const fd = openSync(file, 'r');
  try {
    const head = Buffer.alloc(32);
    readSync(fd, head, 0, 32, 0);
    return head.toString('hex');
  } finally {
    closeSync(fd);
  }
}
