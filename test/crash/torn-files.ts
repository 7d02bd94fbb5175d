/** A disk that loses power: copies of a killed node's folder whose newest bytes are torn, lost or wrong. Of the checkpoint kept apart one slot may be torn, never both. */
import { appendFileSync, closeSync, copyFileSync, existsSync, fstatSync, mkdirSync, openSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { pick, type Chance } from './plan.ts';

const LOG = 'log.sqlite';
const WAL = 'log.sqlite-wal';
const KEPT = ['seed', 'checkpoint', LOG, WAL];

const SECTOR = 512;
const PAGE = 4096;
const WAL_HEAD = 32;
const WAL_FRAME = 24 + PAGE;
const SLOT = 512;
/** How much of a file's end a power cut may reach. */
const REACH = 64 * PAGE;

/** What the power cut does to the files in a folder. */
type Fault = (folder: string, chance: Chance) => void;

export const FILE_FAULTS: Readonly<Record<string, Fault>> = {
  'the write-ahead log is cut anywhere': (folder, chance) => cut(join(folder, WAL), (size) => size - chance(Math.min(size, REACH))),
  'the write-ahead log lost whole frames': (folder, chance) => cut(join(folder, WAL), (size) => size - Math.min(size, WAL_FRAME * (1 + chance(32)))),
  'the write-ahead log ends in zeros': (folder, chance) => overwriteEnd(join(folder, WAL), SECTOR * (1 + chance(32)), () => 0),
  'a sector of the write-ahead log is wrong': (folder, chance) => overwriteSector(join(folder, WAL), chance, WAL_HEAD),
  'the write-ahead log is gone': (folder) => rmSync(join(folder, WAL), { force: true }),
  'the database lost its last pages': (folder, chance) => cut(join(folder, LOG), (size) => size - Math.min(size, PAGE * (1 + chance(8)))),
  'the database is cut anywhere': (folder, chance) => cut(join(folder, LOG), (size) => size - chance(Math.min(size, REACH))),
  'a sector of the database is wrong': (folder, chance) => overwriteSector(join(folder, LOG), chance, 0),
  'one slot of the checkpoint is torn': (folder, chance) => overwriteAt(join(folder, 'checkpoint'), SLOT * chance(2) + chance(SLOT / 2), SLOT / 2, () => chance(256)),
  'a checkpoint and an unfinished transaction are torn': (folder, chance) => {
    overwriteAt(join(folder, 'checkpoint'), SLOT * chance(2) + chance(SLOT / 2), SLOT / 2, () => chance(256));
    addTo(join(folder, WAL), Uint8Array.from({ length: 1 + chance(2 * WAL_FRAME) }, () => chance(256)));
  },
};

/** Copies what a log needs. The copy has neither lock nor shared memory: as after a power cut. */
export function copyFolder(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const name of KEPT) if (existsSync(join(from, name))) copyFileSync(join(from, name), join(to, name));
}

function cut(file: string, sizeOf: (size: number) => number): void {
  if (existsSync(file)) truncateSync(file, sizeOf(statSync(file).size));
}

function addTo(file: string, bytes: Uint8Array): void {
  if (existsSync(file)) appendFileSync(file, bytes);
}

function overwriteEnd(file: string, bytes: number, byte: () => number): void {
  const size = existsSync(file) ? statSync(file).size : 0;
  overwriteAt(file, Math.max(0, size - bytes), bytes, byte);
}

/** One sector, mostly among the newest. */
function overwriteSector(file: string, chance: Chance, from: number): void {
  const size = existsSync(file) ? statSync(file).size : 0;
  if (size <= from) return;
  const reach = pick(chance, [size, REACH]);
  const first = Math.max(from, size - reach);
  overwriteAt(file, first + chance(size - first), SECTOR, () => chance(256));
}

/** Never beyond the end. */
function overwriteAt(file: string, position: number, bytes: number, byte: () => number): void {
  if (!existsSync(file)) return;
  const fd = openSync(file, 'r+');
  const length = Math.min(bytes, fstatSync(fd).size - position);
  if (length > 0) writeSync(fd, Uint8Array.from({ length }, byte), 0, length, position);
  closeSync(fd);
}
