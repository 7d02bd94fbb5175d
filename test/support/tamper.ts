/** A forger with the database in hand: changes what a log says, and covers the traces as far as one can without the keys. */
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'libsql';
import type { Hex32 } from '../../src/bolt/primitives.ts';
import { canonicalEntry, digestEntry, readEntry, type LogEntry } from '../../src/events/canonical.ts';
import { ZERO_HASH } from '../../src/events/envelope.ts';

export interface StoredRow {
  readonly position: number;
  readonly stream: string;
  readonly revision: number;
  readonly entry: string;
  readonly hash: string;
}

/** Copies a node's folder, so that each forgery starts from the honest log. */
export function copyNode(dataDir: string, name: string, to: string): string {
  const folder = join(to, name);
  rmSync(folder, { recursive: true, force: true });
  cpSync(join(dataDir, name), folder, { recursive: true });
  return join(folder, 'log.sqlite');
}

/** Every event of a log, in position order. */
export const rowsOf = (file: string): readonly StoredRow[] =>
  withDatabase(file, (db) => db.prepare('SELECT position, stream, revision, entry, hash FROM events ORDER BY position').all() as StoredRow[]);

/** Changes one character of a stored event, and nothing else. */
export function changeByte(file: string, position: number, at: (entry: string) => number): void {
  const { entry } = rowsOf(file)[position]!;
  const place = at(entry);
  const changed = entry[place] === '0' ? '1' : '0';
  setEntry(file, position, entry.slice(0, place) + changed + entry.slice(place + 1));
}

/** Takes the newest event away. */
export function cutLast(file: string): void {
  withDatabase(file, (db) => db.exec('DELETE FROM events WHERE position = (SELECT max(position) FROM events)'));
}

/** Two events change places in the whole log; each keeps its stream, revision and hash. */
export function swap(file: string, first: number, second: number): void {
  withDatabase(file, (db) => db.exec(`
    UPDATE events SET position = -1 WHERE position = ${first};
    UPDATE events SET position = ${first} WHERE position = ${second};
    UPDATE events SET position = ${second} WHERE position = -1;`));
}

/** Changes the first event of a stream that matches, then hashes the whole stream anew. Answers the event as it was. */
export function rewriteStream(file: string, stream: string, match: (entry: LogEntry) => boolean, change: (data: Record<string, unknown>) => Record<string, unknown>): LogEntry {
  let victim: LogEntry | undefined;
  let previous_hash: Hex32 = ZERO_HASH;
  for (const { position, entry: text } of rowsOf(file).filter((row) => row.stream === stream)) {
    const entry = readEntry(text);
    const hit = victim === undefined && match(entry);
    if (hit) victim = entry;
    const forged = canonicalEntry({ ...entry, previous_hash, data: hit ? change(entry.data as Record<string, unknown>) : entry.data });
    previous_hash = digestEntry(forged).hash;
    setEntry(file, position, forged, previous_hash);
  }
  if (victim === undefined) throw new Error(`nothing to rewrite in ${stream}`);
  return victim;
}

/** Removes every signed checkpoint, in the database and beside it: the last witness of what the log once was. */
export function dropCheckpoints(file: string): void {
  withDatabase(file, (db) => db.exec('DELETE FROM checkpoints'));
  rmSync(join(file, '..', 'checkpoint'), { force: true });
}

function setEntry(file: string, position: number, entry: string, hash?: string): void {
  withDatabase(file, (db) => {
    db.prepare('UPDATE events SET entry = ? WHERE position = ?').run(entry, position);
    if (hash !== undefined) db.prepare('UPDATE events SET hash = ? WHERE position = ?').run(hash, position);
  });
}

function withDatabase<T>(file: string, action: (db: Database.Database) => T): T {
  const db = new Database(file);
  try {
    return action(db);
  } finally {
    db.close();
  }
}
