/** A disk that loses power: copies of a killed node's folder whose newest bytes are torn, lost or wrong. Of the checkpoint kept apart one slot may be torn, never both. */
import { appendFileSync, closeSync, copyFileSync, existsSync, fstatSync, mkdirSync, openSync, readFileSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { pick, type Chance } from './plan.ts';

const LOG = 'log.sqlite';
const WAL = 'log.sqlite-wal';
const TAIL = 'log.sqlite-tail';
const KEPT = ['seed', 'checkpoint', LOG, WAL, TAIL];

const SECTOR = 512;
const PAGE = 4096;
const WAL_HEAD = 32;
const WAL_FRAME = 24 + PAGE;
const SLOT = 512;
/** How much of a file's end a power cut may reach. */
const REACH = 64 * PAGE;

/**
 * Where the write-ahead log ends: SQLite begins it anew without cutting the file, so older frames may follow, which have
 * another salt. Answers bytes; 0 without a log.
 */
export function walEnd(file: string): number {
  const bytes = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
  const salt = bytes.subarray(16, 24);
  let end = Math.min(bytes.length, WAL_HEAD);
  while (end + WAL_FRAME <= bytes.length && bytes.subarray(end + 8, end + 16).equals(salt)) end += WAL_FRAME;
  return end;
}

/** Where the tail of the log ends: it is laid out in zeros, and padded to sectors. Answers bytes; 0 without one. */
export function tailEnd(file: string): number {
  const bytes = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
  return Math.ceil((bytes.findLastIndex((byte) => byte !== 0) + 1) / SECTOR) * SECTOR;
}

/** What the power cut does to the files in a folder. */
type Fault = (folder: string, chance: Chance) => void;

export const FILE_FAULTS: Readonly<Record<string, Fault>> = {
  'the write-ahead log is cut anywhere': (folder, chance) => cutWal(folder, (end) => end - 1 - chance(Math.min(end, REACH))),
  'the write-ahead log lost whole frames': (folder, chance) => cutWal(folder, (end) => end - Math.min(end, WAL_FRAME * (1 + chance(32)))),
  'the write-ahead log ends in zeros': (folder, chance) => overwriteWal(folder, SECTOR * (1 + chance(32)), () => 0),
  'a sector of the write-ahead log is wrong': (folder, chance) => overwriteWal(folder, SECTOR * (1 + chance(REACH / SECTOR)), () => chance(256), SECTOR),
  'the write-ahead log is gone': (folder) => rmSync(join(folder, WAL), { force: true }),
  'the tail is cut anywhere': (folder, chance) => cutTail(folder, (end) => end - 1 - chance(Math.min(end, REACH))),
  'the tail ends in zeros': (folder, chance) => overwriteTail(folder, SECTOR * (1 + chance(32)), () => 0),
  'a sector of the newest in the tail is wrong': (folder, chance) => overwriteTail(folder, SECTOR * (1 + chance(8)), () => chance(256), SECTOR),
  'the tail is gone': (folder) => rmSync(join(folder, TAIL), { force: true }),
  'the database lost its last pages': (folder, chance) => cut(join(folder, LOG), (size) => size - Math.min(size, PAGE * (1 + chance(8)))),
  'the database is cut anywhere': (folder, chance) => cut(join(folder, LOG), (size) => size - 1 - chance(Math.min(size, REACH))),
  'a sector of the database is wrong': (folder, chance) => overwriteSector(join(folder, LOG), chance),
  'one slot of the checkpoint is torn': tearCheckpoint,
  'a checkpoint and an unfinished transaction are torn': (folder, chance) => {
    tearCheckpoint(folder, chance);
    cutWal(folder, (end) => end);
    if (existsSync(join(folder, WAL))) appendFileSync(join(folder, WAL), noise(1 + chance(2 * WAL_FRAME), chance));
  },
};

/** Copies what a log needs. The copy has neither lock nor shared memory: as after a power cut. */
export function copyFolder(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const name of KEPT) if (existsSync(join(from, name))) copyFileSync(join(from, name), join(to, name));
}

function tearCheckpoint(folder: string, chance: Chance): void {
  overwriteAt(join(folder, 'checkpoint'), SLOT * chance(2) + chance(SLOT / 2), noise(SLOT / 2, chance));
}

function cut(file: string, sizeOf: (size: number) => number): void {
  if (existsSync(file)) truncateSync(file, Math.max(0, sizeOf(statSync(file).size)));
}

function cutWal(folder: string, sizeOf: (end: number) => number): void {
  const file = join(folder, WAL);
  cut(file, () => sizeOf(walEnd(file)));
}

function cutTail(folder: string, sizeOf: (end: number) => number): void {
  const file = join(folder, TAIL);
  cut(file, () => sizeOf(tailEnd(file)));
}

function overwriteTail(folder: string, before: number, byte: () => number, length = before): void {
  const file = join(folder, TAIL);
  overwriteAt(file, Math.max(0, tailEnd(file) - before), Uint8Array.from({ length }, byte));
}

/** So many bytes before its end. */
function overwriteWal(folder: string, before: number, byte: () => number, length = before): void {
  const file = join(folder, WAL);
  const from = Math.max(WAL_HEAD, walEnd(file) - before);
  overwriteAt(file, from, Uint8Array.from({ length }, byte));
}

/** Any, or one of the newest. */
function overwriteSector(file: string, chance: Chance): void {
  const { size } = statSync(file);
  const first = Math.max(0, size - pick(chance, [size, REACH]));
  overwriteAt(file, first + chance(size - first), noise(SECTOR, chance));
}

const noise = (length: number, chance: Chance): Uint8Array => Uint8Array.from({ length }, () => chance(256));

/** Never beyond the end. */
function overwriteAt(file: string, position: number, bytes: Uint8Array): void {
  if (!existsSync(file)) return;
  const fd = openSync(file, 'r+');
  const length = Math.min(bytes.length, fstatSync(fd).size - position);
  if (length > 0) writeSync(fd, bytes, 0, length, position);
  closeSync(fd);
}
