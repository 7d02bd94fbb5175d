/**
 * One process a log: a lock file that names its owner, taken over when the owner is gone. It is there for a clear word to
 * people; should two processes ever pass it, the database's unique positions and revisions still let only one of them write.
 */
import { mkdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { StoreError } from '../../events/store.ts';

/** Another process (or another store in this one) writes to the log. */
export class StoreLocked extends StoreError {
  constructor(file: string, owner: string) {
    super('store_locked', `${file} is in use by process ${owner}: close that one first`, {
      file,
      got: owner,
      expected: 'nobody',
    });
  }
}

const ours = new Set<string>();

/** Takes the lock beside `file` and answers how to give it back. Throws StoreLocked. */
export function lock(file: string): () => void {
  const path = `${file}.lock`;
  if (ours.has(path)) throw new StoreLocked(file, `${process.pid} (this one)`);
  mkdirSync(dirname(path), { recursive: true });
  for (let attempt = 0; !tryCreate(path); attempt += 1) {
    const owner = readOwner(path);
    if (attempt > 3 || (owner !== undefined && isAlive(owner)))
      throw new StoreLocked(file, String(owner?.pid ?? 'unknown'));
    remove(path);
  }
  ours.add(path);
  return () => {
    if (ours.delete(path)) remove(path);
  };
}

/** A process id alone is used again after a restart: with its start time it names one process. */
interface Owner {
  readonly pid: number;
  readonly started: string;
}

function tryCreate(path: string): boolean {
  try {
    writeFileSync(path, JSON.stringify({ pid: process.pid, started: startOf('self') }), { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function readOwner(path: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Owner;
  } catch {
    return undefined;
  }
}

function isAlive({ pid, started }: Owner): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const now = startOf(String(pid));
  return started === '' || now === '' || now === started;
}

/** Boot and clock ticks at which a process started, where the system tells (Linux); else empty. */
function startOf(pid: string): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${boot} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
  } catch {
    return '';
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody else was faster.
  }
}
