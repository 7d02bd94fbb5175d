/** The newest signed checkpoint, kept apart from the database: what tells a log that was cut short, or an old copy put back. */
import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseCheckpoint } from '../../events/checkpoint.ts';
import { LogCorrupt } from '../../events/store.ts';

/** Two slots of one disk sector, written in turn: a torn write leaves the other one whole. An atomic rename costs a hundred times as much. */
const SLOT = 512;

export const checkpointFileOf = (databaseFile: string): string => join(dirname(databaseFile), 'checkpoint');

/** In the same file behind the checkpoints, in two slots as well: how many events were durable in the tail of the log, which no checkpoint covers yet. */
const MARK = 2 * SLOT;

export interface CheckpointFile {
  /** Not synced: after a power loss the file may be older than the log, never newer. */
  write(note: string): void;
  close(): void;
}

export function openCheckpointFile(file: string): CheckpointFile {
  // Both slots are taken at once, so that a full disk never keeps a checkpoint from being written.
  if (!existsSync(file)) writeFileSync(file, '\n'.repeat(2 * SLOT), { mode: 0o600 });
  const fd = openSync(file, 'r+');
  const [first, second] = slots(file).map(sizeOf) as [number, number];
  let slot = first > second ? 1 : 0;
  return {
    write(note) {
      const bytes = Buffer.alloc(SLOT, '\n');
      if (bytes.write(note) < Buffer.byteLength(note))
        throw new Error(`a checkpoint has at most ${SLOT} bytes, got ${Buffer.byteLength(note)}`);
      writeSync(fd, bytes, 0, SLOT, slot * SLOT);
      slot = 1 - slot;
    },
    close: () => closeSync(fd),
  };
}

/** The newest whole note, or undefined when there is none yet. Its signature is for the log verifier. Throws LogCorrupt when no slot can be read. */
export function readCheckpointFile(file: string): string | undefined {
  if (!existsSync(file)) return undefined;
  const [first, second] = slots(file) as [string, string];
  const newest = sizeOf(first) > sizeOf(second) ? first : second;
  if (sizeOf(newest) >= 0) return newest;
  if (first === '' && second === '') return undefined;
  throw new LogCorrupt(`${file} holds no checkpoint`, {
    expected: 'a signed checkpoint',
    got: (first || second).slice(0, 200),
  });
}

/** Both slots without their padding; one that was never written is empty. */
function slots(file: string): readonly string[] {
  const bytes = readFileSync(file);
  return [bytes.subarray(0, SLOT), bytes.subarray(SLOT, 2 * SLOT)].map((slot) =>
    slot
      .toString()
      .replace(/[\0\n]+$/, '\n')
      .replace(/^\n$/, ''),
  );
}

/** -1 for what is no note. */
function sizeOf(note: string): number {
  try {
    return parseCheckpoint(note).size;
  } catch {
    return -1;
  }
}

export interface DurableMark {
  /** Not synced, as a checkpoint. */
  write(size: number): void;
  close(): void;
}

/** The checkpoint file is there already. */
export function openDurableMark(file: string): DurableMark {
  const fd = openSync(file, 'r+');
  const [first, second] = marks(file);
  let slot = first > second ? 1 : 0;
  return {
    write(size) {
      const text = `tail ${size}`;
      writeSync(fd, `${text} ${checksum(text)}\n`.padEnd(SLOT, '\n'), MARK + slot * SLOT);
      slot = 1 - slot;
    },
    close: () => closeSync(fd),
  };
}

/** The larger of both slots, 0 where none can be read. */
export const readDurableMark = (file: string): number => (existsSync(file) ? Math.max(...marks(file)) : 0);

function marks(file: string): readonly [first: number, second: number] {
  const bytes = readFileSync(file);
  const at = (from: number): number => markAt(bytes.toString('latin1', from, from + SLOT));
  return [at(MARK), at(MARK + SLOT)];
}

function markAt(slot: string): number {
  const [text, sum] = /^(tail \d+) ([0-9a-f]{16})\n/.exec(slot)?.slice(1) ?? [];
  return text !== undefined && checksum(text) === sum ? Number(text.slice(5)) : 0;
}

const checksum = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);
