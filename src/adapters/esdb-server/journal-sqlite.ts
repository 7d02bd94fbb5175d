/** A journal in one SQLite file (libsql): WAL, synchronous=FULL, so that what was answered survives a power loss. */
import Database from 'libsql';
import type { Journal, StoredRecord } from './journal.ts';

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS records(
    position INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    revision INTEGER NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    content_type TEXT NOT NULL,
    data BLOB NOT NULL,
    metadata BLOB NOT NULL,
    created INTEGER NOT NULL,
    UNIQUE(stream, revision)
  ) STRICT;
`;

type Columns = [number, string, number, string, string, string, Uint8Array, Uint8Array, number];

/** Opens or creates the file. Throws what SQLite throws when it is no database. */
export function openSqliteJournal(file: string): Journal {
  const db = new Database(file);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.exec(SCHEMA);
  const insert = db.prepare('INSERT INTO records VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const select = db.prepare('SELECT * FROM records ORDER BY position').raw();
  return {
    load: () => (select.all() as Columns[]).map(toRecord),
    write(records) {
      db.exec('BEGIN IMMEDIATE');
      try {
        for (const record of records) insert.run(...toColumns(record));
        db.exec('COMMIT');
      } catch (error) {
        if (db.inTransaction) db.exec('ROLLBACK');
        throw error;
      }
    },
    close: () => void db.close(),
  };
}

const toColumns = ({ position, stream, revision, id, type, contentType, data, metadata, created }: StoredRecord): Columns => [
  position,
  stream,
  revision,
  id,
  type,
  contentType,
  Buffer.from(data),
  Buffer.from(metadata),
  created,
];

function toRecord([position, stream, revision, id, type, contentType, data, metadata, created]: Columns): StoredRecord {
  return { position, stream, revision, id, type, contentType, data: new Uint8Array(data), metadata: new Uint8Array(metadata), created };
}
