/** The logs at a path: a data folder, one node's folder, a database, or an exported bundle. Read only, without keys. */
import { closeSync, createReadStream, existsSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { openReadOnlyLog, type ReadOnlyLog } from '../adapters/store/read-only.ts';
import { readBundle } from '../events/bundle.ts';
import { readEntry } from '../events/canonical.ts';
import type { EventEnvelope } from '../events/envelope.ts';
import { decodeEvent } from '../events/registry.ts';
import { LogCorrupt, StoreError } from '../events/store.ts';
import type { LogLine } from '../projections/audit.ts';
import { CommandFailed, grouped, WrongUsage } from './output.ts';

/** A log as it is stored; nothing of it is believed yet. */
export interface LogSource {
  /** The folder's or file's name, for people. */
  readonly name: string;
  readonly file: string;
  readonly size: number | undefined;
  /** Events that are durable beside the log, and not signed yet. */
  readonly waiting: number;
  /** Signed notes kept beside the entries. */
  readonly checkpoints: readonly string[];
  lines(): AsyncIterable<LogLine> | Iterable<LogLine>;
  close(): void;
}

const DATABASE = 'log.sqlite';

/** Throws WrongUsage when nothing at the path is a log, CommandFailed when one cannot be opened. */
export function openSources(path: string): readonly LogSource[] {
  const files = logFiles(path);
  if (files.length === 0) throw new WrongUsage('no_log', `${path}: expected a data folder, a node's folder, a database or a bundle, got ${existsSync(path) ? 'none of them' : 'nothing'}`);
  const opened: LogSource[] = [];
  try {
    for (const file of files) opened.push(openSource(file));
    return opened;
  } catch (error) {
    for (const source of opened) source.close();
    throw error;
  }
}

/** Those of some logs that a person means: by name or node_id, or all. Throws WrongUsage. */
export function chooseNode(sources: readonly LogSource[], node: string | undefined): readonly LogSource[] {
  const chosen = sources.filter(({ name }) => node === undefined || name === node);
  if (chosen.length === 0) throw new WrongUsage('unknown_node', `--node: expected one of ${sources.map(({ name }) => name).join(', ')}, got ${node}`);
  return chosen;
}

function logFiles(path: string): readonly string[] {
  if (!existsSync(path)) return [];
  if (statSync(path).isFile()) return [path];
  if (existsSync(join(path, DATABASE))) return [join(path, DATABASE)];
  const folders = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return folders.map(({ name }) => join(path, name, DATABASE)).filter((file) => existsSync(file)).toSorted();
}

function openSource(file: string): LogSource {
  return isDatabase(file) ? databaseSource(file) : bundleSource(file);
}

/** The first bytes of every SQLite file. An empty file is no bundle either: its damage is told by the database. */
function isDatabase(file: string): boolean {
  const head = Buffer.alloc(16);
  const fd = openSync(file, 'r');
  try {
    return basename(file) === DATABASE || (readSync(fd, head, 0, 16, 0) === 16 && head.toString('latin1').startsWith('SQLite format 3'));
  } finally {
    closeSync(fd);
  }
}

function databaseSource(file: string): LogSource {
  const name = basename(file) === DATABASE ? basename(dirname(file)) : basename(file);
  const log = openLog(file);
  return {
    name,
    file,
    size: log.size,
    waiting: log.waiting,
    checkpoints: log.checkpoints,
    *lines() {
      for (const entry of log.entries()) yield { kind: 'entry', ...entry };
    },
    close: () => log.close(),
  };
}

function openLog(file: string): ReadOnlyLog {
  try {
    return openReadOnlyLog(file);
  } catch (error) {
    if (error instanceof StoreError) throw new CommandFailed(error.code, `${file}: ${error.message}`);
    throw error;
  }
}

function bundleSource(file: string): LogSource {
  return { name: basename(file), file, size: undefined, waiting: 0, checkpoints: [], lines: () => readBundle(createReadStream(file)), close: () => undefined };
}

/** What a log has beyond that, in words; nothing mostly. */
export function describeWaiting({ file, waiting }: LogSource): readonly string[] {
  if (waiting === 0) return [];
  const events = waiting === 1 ? '1 event more is' : `${grouped(waiting)} events more are`;
  return [`${events} durable in ${file}-tail; the node takes ${waiting === 1 ? 'it' : 'them'} in when it opens the log`];
}

/** The events of a log as this version reads them. Throws LogCorrupt where an entry cannot be read. */
export async function* readEvents(source: LogSource, wanted: (stream: string) => boolean = () => true): AsyncGenerator<EventEnvelope> {
  for await (const line of source.lines()) {
    if (line.kind !== 'entry') continue;
    const envelope = readEnvelope(line, wanted);
    if (envelope !== undefined) yield envelope;
  }
}

function readEnvelope(line: Extract<LogLine, { kind: 'entry' }>, wanted: (stream: string) => boolean): EventEnvelope | undefined {
  try {
    const { type, data, ...entry } = readEntry(line.entry);
    return wanted(entry.stream) ? { ...entry, position: line.position, hash: (line.hash ?? '') as EventEnvelope['hash'], event: decodeEvent(type, data) } : undefined;
  } catch (error) {
    const { message } = error as Error;
    throw new LogCorrupt(`position ${line.position}: ${message}`, { position: line.position, expected: 'an event', got: message });
  }
}
