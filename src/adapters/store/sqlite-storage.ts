/** A log's rows in SQLite (libsql): WAL, synchronous=FULL, so that a commit that returned survives a power loss. */
import Database from 'libsql';
import { fromHex, toHex, type Hex, type Hex32 } from '../../bolt/primitives.ts';
import { LogCorrupt, StoreError, StoreFull } from '../../events/store.ts';
import type { Row } from './engine.ts';
import type { CheckpointRow, FullRow, LogStorage } from './storage.ts';

export interface SqliteStorageOptions {
  readonly file: string;
  /** The database may not grow beyond this. */
  readonly maxBytes?: number | undefined;
  /** Reads alone; nothing is created, no pragma writes. */
  readonly readOnly?: boolean;
}

/** 'Fulg': what `file` shows of our databases. */
const APPLICATION_ID = 0x46756c67;
const VERSION = 1;
const PAGE_BYTES = 4096;
/** Pages in the write-ahead log before they are folded into the main file. */
const WAL_PAGES = 4000;

/** `log` is for people: the same events with their type, time and id as columns. */
const SCHEMA = `
  CREATE TABLE events(
    position INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    revision INTEGER NOT NULL,
    entry TEXT NOT NULL,
    hash TEXT NOT NULL,
    UNIQUE(stream, revision)
  ) STRICT;
  CREATE TABLE attachments(hash TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  CREATE TABLE cursors(name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT;
  CREATE TABLE checkpoints(size INTEGER PRIMARY KEY, note TEXT NOT NULL, edge TEXT NOT NULL) STRICT;
  CREATE VIEW log AS SELECT position, stream, revision, json_extract(entry, '$.type') AS type,
    json_extract(entry, '$.recorded_at') AS recorded_at, json_extract(entry, '$.id') AS id, json_extract(entry, '$.data') AS data FROM events;
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${VERSION};
`;

/**
 * Text is read as bytes: the driver ends the whole process on text that is no UTF-8, and one flipped byte makes such text.
 * What the bytes cannot say becomes U+FFFD, and the log verifier names the place.
 */
const STATEMENTS = {
  size: 'SELECT position FROM events ORDER BY position DESC LIMIT 1',
  endOf: 'SELECT revision, CAST(hash AS BLOB) FROM events WHERE stream = ? ORDER BY revision DESC LIMIT 1',
  readStream:
    'SELECT position, CAST(entry AS BLOB), CAST(hash AS BLOB) FROM events WHERE stream = ? AND revision >= ? ORDER BY revision LIMIT ?',
  readAll:
    'SELECT position, CAST(entry AS BLOB), CAST(hash AS BLOB) FROM events WHERE position >= ? ORDER BY position LIMIT ?',
  fullRows:
    'SELECT position, CAST(stream AS BLOB), revision, CAST(entry AS BLOB), CAST(hash AS BLOB) FROM events WHERE position >= ? ORDER BY position LIMIT ?',
  attachment: 'SELECT bytes FROM attachments WHERE hash = ?',
  cursor: 'SELECT position FROM cursors WHERE name = ?',
  checkpoints: 'SELECT size, CAST(note AS BLOB), CAST(edge AS BLOB) FROM checkpoints ORDER BY size',
  insert: 'INSERT INTO events(position, stream, revision, entry, hash) VALUES(?, ?, ?, ?, ?)',
  attach: 'INSERT OR IGNORE INTO attachments(hash, bytes) VALUES(?, ?)',
  saveCursor: 'INSERT OR REPLACE INTO cursors(name, position) VALUES(?, ?)',
  saveCheckpoint: 'INSERT OR REPLACE INTO checkpoints(size, note, edge) VALUES(?, ?, ?)',
  dropCheckpoint: 'DELETE FROM checkpoints WHERE size = ?',
  begin: 'BEGIN IMMEDIATE',
  commit: 'COMMIT',
  rollback: 'ROLLBACK',
} as const;

type Statements = { readonly [name in keyof typeof STATEMENTS]: Database.Statement<unknown[]> };

/** Opens or creates the database. Throws LogCorrupt on a file that is none, StoreFull without room for the schema. */
export function openSqliteStorage(options: SqliteStorageOptions): LogStorage {
  let { db, sql } = guarded(() => connect(options));

  const all = <T>(name: keyof Statements, ...values: readonly unknown[]): readonly T[] =>
    guarded(() => sql[name].all(...values) as T[]);
  const first = <T>(name: keyof Statements, ...values: readonly unknown[]): T | undefined => all<T>(name, ...values)[0];
  const run = (name: keyof Statements, ...values: readonly unknown[]): void =>
    guarded(() => void sql[name].run(...values));

  const rows = (found: readonly (readonly [number, Buffer, Buffer])[]): readonly Row[] =>
    found.map(([position, entry, hash]) => [position, String(entry), String(hash)]);

  return {
    size: () => (first<[number]>('size')?.[0] ?? -1) + 1,
    endOf(stream) {
      const [revision, hash] = first<[number, Buffer]>('endOf', stream) ?? [];
      return revision === undefined ? undefined : { revision, hash: String(hash) as Hex32 };
    },
    readStream: (stream, from, limit) => rows(all('readStream', stream, from, limit)),
    readAll: (from, limit) => rows(all('readAll', from, limit)),
    fullRows: (from, limit) => all<FullColumns>('fullRows', from, limit).map(toFullRow),
    attachment(hash): Hex | undefined {
      const bytes = first<[Uint8Array]>('attachment', hash)?.[0];
      return bytes === undefined ? undefined : toHex(bytes);
    },
    cursor: (name) => first<[number]>('cursor', name)?.[0],
    checkpoints: () =>
      all<[number, Buffer, Buffer]>('checkpoints').map(([size, note, edge]): CheckpointRow => ({
        size,
        note: String(note),
        edge: String(edge),
      })),

    begin: () => run('begin'),
    insert: ({ position, stream, revision, entry, hash }) => run('insert', position, stream, revision, entry, hash),
    attach: (hash, bytes) => run('attach', hash, fromHex(bytes)),
    saveCursor: (name, position) => run('saveCursor', name, position),
    saveCheckpoint: ({ size, note, edge }) => run('saveCheckpoint', size, note, edge),
    dropCheckpoint: (size) => run('dropCheckpoint', size),
    commit: () => run('commit'),
    rollback() {
      try {
        sql.rollback.run();
      } catch {
        // SQLite had rolled back by itself.
      }
    },
    check() {
      const [finding] = guarded(() => db.prepare('PRAGMA integrity_check(1)').raw().get() as [string]);
      if (finding !== 'ok') throw damaged(finding);
    },
    reopen() {
      db.close();
      ({ db, sql } = guarded(() => connect(options)));
    },
    close() {
      fold(db);
      db.close();
    },
  };
}

type FullColumns = readonly [position: number, stream: Buffer, revision: number, entry: Buffer, hash: Buffer];

function toFullRow([position, stream, revision, entry, hash]: FullColumns): FullRow {
  if (!Number.isSafeInteger(revision)) throw damaged(`position ${position} has revision ${revision}`);
  return { position, stream: String(stream), revision, entry: String(entry), hash: String(hash) };
}

function connect(options: SqliteStorageOptions): { db: Database.Database; sql: Statements } {
  const db = new Database(options.file);
  try {
    configure(db, options);
    ensureSchema(db, options.file, options.readOnly === true);
    const prepared = Object.entries(STATEMENTS).map(([name, text]) => [name, prepare(db, text)]);
    return { db, sql: Object.fromEntries(prepared) as Statements };
  } catch (error) {
    db.close();
    throw error;
  }
}

function configure(db: Database.Database, { maxBytes, readOnly }: SqliteStorageOptions): void {
  db.pragma('cell_size_check = ON');
  if (readOnly === true) return void db.pragma('query_only = ON');
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.pragma(`wal_autocheckpoint = ${WAL_PAGES}`);
  db.pragma('cache_size = -16000');
  if (maxBytes !== undefined) db.pragma(`max_page_count = ${Math.max(1, Math.floor(maxBytes / PAGE_BYTES))}`);
}

function prepare(db: Database.Database, text: string): Database.Statement<unknown[]> {
  const statement = db.prepare(text);
  return text.startsWith('SELECT') ? statement.raw() : statement;
}

function ensureSchema(db: Database.Database, file: string, readOnly: boolean): void {
  const pragma = (name: string): number => (db.prepare(`PRAGMA ${name}`).raw().get() as [number])[0];
  const tables = (db.prepare('SELECT count(*) FROM sqlite_schema').raw().get() as [number])[0];
  if (tables === 0 && !readOnly) return void db.exec(`BEGIN;${SCHEMA}COMMIT;`);
  const [application, version] = [pragma('application_id'), pragma('user_version')];
  if (application !== APPLICATION_ID)
    throw new StoreError(
      'not_a_log',
      `${file} is no log of Fulgurite: expected application_id ${APPLICATION_ID}, got ${application}`,
      { expected: APPLICATION_ID, got: application },
    );
  if (version !== VERSION)
    throw new StoreError('unknown_version', `${file} has layout ${version}, this version reads ${VERSION}`, {
      expected: VERSION,
      got: version,
    });
}

/** Leaves one file: the write-ahead log goes into the main one. If it cannot, the next opening does it. */
function fold(db: Database.Database): void {
  try {
    db.pragma('wal_checkpoint(TRUNCATE)');
  } catch {
    // A full disk, or a connection that only reads.
  }
}

/** Our statements are fixed: an SQL error means that the schema is no longer what we wrote. */
const DAMAGED = new Set(['SQLITE_CORRUPT', 'SQLITE_NOTADB', 'SQLITE_ERROR']);

/** SQLite's errors in the port's words. */
function guarded<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    const { code = '', message } = error as { code?: string; message: string };
    if (code === 'SQLITE_FULL') throw new StoreFull(message);
    if (DAMAGED.has(code) || code.startsWith('SQLITE_CORRUPT')) throw damaged(message);
    throw error;
  }
}

const damaged = (finding: string): LogCorrupt =>
  new LogCorrupt(`the database file is damaged: ${finding}`, { expected: 'a whole database', got: finding });
