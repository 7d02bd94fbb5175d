/** A journal in one SQLite file (libsql): WAL, synchronous=FULL, so that what was answered survives a power loss. */
import Database from 'libsql';
import { StoreFull } from '../../events/store.ts';
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

const SELECT = `SELECT position, CAST(stream AS BLOB), revision, CAST(id AS BLOB), CAST(type AS BLOB), CAST(content_type AS BLOB),
  data, metadata, created FROM records ORDER BY position`;

/** Text columns come back as bytes. */
type Text = string | Buffer;
type Columns = [number, Text, number, Text, Text, Text, Uint8Array, Uint8Array, number];

/** Opens or creates the file. Throws what SQLite throws when it is no database. */
export function openSqliteJournal(file: string): Journal {
  const db = new Database(file);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.exec(SCHEMA);
  const insert = db.prepare('INSERT INTO records VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)');
  // Text as bytes: the driver ends the process on text that is no UTF-8, and one flipped byte makes such text.
  const select = db.prepare(SELECT).raw();
  return {
    load: () => (select.all() as Columns[]).map(toRecord),
    write(records) {
      db.exec('BEGIN IMMEDIATE');
      try {
        for (const record of records) insert.run(...toColumns(record));
        db.exec('COMMIT');
      } catch (error) {
        if (db.inTransaction) db.exec('ROLLBACK');
        const { code, message } = error as { code?: string; message: string };
        throw code === 'SQLITE_FULL' ? new StoreFull(message) : error;
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
  return {
    position,
    stream: String(stream),
    revision,
    id: String(id),
    type: String(type),
    contentType: String(contentType),
    data: new Uint8Array(data),
    metadata: new Uint8Array(metadata),
    created,
  };
}
