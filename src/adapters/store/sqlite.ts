/** The EventStore in one SQLite file: durable before it answers, verified when it opens, written by a thread of its own. */
import { mkdirSync, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { NodeId } from '../../bolt/primitives.ts';
import { StoreClosed } from '../../events/store.ts';
import { checkpointFileOf, openDurableMark } from './checkpoint-file.ts';
import { revive, type Engine, type OpenedLog } from './engine.ts';
import { tellSealed } from './local-engine.ts';
import { lock } from './lock.ts';
import { createLogStore, type LogStore, type LogStoreOptions } from './log-store.ts';
import type { OnProgress } from './open.ts';
import type { FromWorker, ToWorker, WorkerOptions } from './sqlite-worker.ts';
import { openSqliteStorage } from './sqlite-storage.ts';
import { createTailEngine } from './tail-engine.ts';
import { createTailFile, tailFileOf, type TailFile } from './tail-file.ts';
import { workerScript } from './worker-script.ts';

export interface SqliteStoreOptions extends Omit<LogStoreOptions, 'name'> {
  /** The database. `<file>.lock` and, in the same folder, `checkpoint` stand beside it. */
  readonly file: string;
  readonly nodeId: NodeId;
  /** Ed25519 seed of the checkpoints (Signer.logKeySeed). */
  readonly logKeySeed: Uint8Array;
  /** Called while a long log is verified, from 2 s on. */
  readonly onProgress?: OnProgress;
  /** false skips the verification of the whole chain: only for a log that was verified just now. */
  readonly verify?: boolean;
  /** A tail that does not continue the log is set aside instead of refused: where an old log is put back on purpose. */
  readonly setAsideTail?: boolean;
  /** Begins the tail; throws where there is no room for it. For tests. */
  readonly createTail?: typeof createTailFile;
  /** The database may not grow beyond this; then appends throw StoreFull. */
  readonly maxBytes?: number;
}

/**
 * Opens or creates a log. Throws StoreLocked when another process has it, LogCorrupt with the place when it is damaged,
 * cut short or older than the checkpoint kept beside it, UnknownEventType when a newer version wrote it.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<LogStore> {
  mkdirSync(dirname(options.file), { recursive: true });
  const unlock = lock(options.file);
  try {
    const { engine: behind, opened } = await startEngine(options, unlock);
    const engine = beforeIt(behind, opened.size, options);
    return createLogStore(engine, opened, { ...options, name: `sqlite ${options.file}` });
  } catch (error) {
    unlock();
    throw error;
  }
}

/** The smallest free space, in bytes, at which appends still go to the tail first. */
const RESERVE = 64 << 20;
/** Free space is asked for so often, in ms. */
const ROOM_EVERY_MS = 250;

/** The tail before the database. Where there is no room for it, the database alone does. */
function beforeIt(behind: Engine, size: number, { file, logKeySeed, maxBytes, createTail = createTailFile }: SqliteStoreOptions): Engine {
  let tail: TailFile;
  try {
    tail = createTail(tailFileOf(file), logKeySeed);
  } catch {
    return behind;
  }
  const looking = openSqliteStorage({ file, readOnly: true });
  const mark = openDurableMark(checkpointFileOf(file));
  return createTailEngine(behind, {
    tail,
    size,
    revisionOf: (stream) => looking.endOf(stream)?.revision ?? -1,
    room: roomAt(file, maxBytes),
    onDurable: mark.write,
    onEnd() {
      looking.close();
      mark.close();
    },
  });
}

/** Bytes that the database can still grow by for sure. */
function roomAt(file: string, maxBytes: number | undefined): () => number {
  const folder = dirname(file);
  let [room, until] = [0, 0];
  return () => {
    const now = performance.now();
    if (now < until) return room;
    const { bavail, bsize } = statfsSync(folder);
    const free = bavail * bsize - RESERVE;
    const allowed = maxBytes === undefined ? Infinity : maxBytes - statSync(file).size - statSync(`${file}-wal`).size;
    [room, until] = [Math.min(free, allowed), now + ROOM_EVERY_MS];
    return room;
  };
}

interface Question {
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
}

/** Starts the thread and answers once the log is verified. */
function startEngine(options: SqliteStoreOptions, unlock: () => void): Promise<{ engine: Engine; opened: OpenedLog }> {
  const killed = new SharedArrayBuffer(4);
  const worker = spawn(options, killed);
  const questions = new Map<number, Question>();
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const started = Date.now();
  let [lastId, gone] = [0, undefined as StoreClosed | undefined];

  const ask = <T>(verb: keyof Engine, ...args: readonly unknown[]): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      if (gone !== undefined) return reject(gone);
      lastId += 1;
      questions.set(lastId, { resolve, reject });
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage([lastId, verb, ...args] satisfies ToWorker);
    });
  const fail = (reason: string): void => {
    gone ??= new StoreClosed(`sqlite ${options.file}`, reason);
    for (const { reject } of questions.values()) reject(gone);
    questions.clear();
  };
  const take = (id: number): Question | undefined => {
    const question = questions.get(id);
    questions.delete(id);
    return question;
  };
  const end = async (): Promise<void> => {
    await exited;
    unlock();
  };

  const engine: Engine = {
    append: tellSealed((requests) => ask('append', requests)),
    size: () => ask('size'),
    readStream: (stream, from, limit) => ask('readStream', stream, from, limit),
    readAll: (from, limit) => ask('readAll', from, limit),
    attachment: (hash) => ask('attachment', hash),
    loadCursor: (name) => ask('loadCursor', name),
    saveCursor: (name, position) => ask('saveCursor', name, position),
    checkpoints: () => ask('checkpoints'),
    async close() {
      if (gone === undefined) await ask('close').catch(() => {});
      await end();
    },
    async kill() {
      Atomics.store(new Int32Array(killed), 0, 1);
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage([0, 'kill'] satisfies ToWorker);
      fail('it was killed');
      await end();
    },
  };

  return new Promise((resolve, reject) => {
    worker.on('message', (message: FromWorker) => {
      switch (message[0]) {
        case 'answer':
          return take(message[1])?.resolve(message[2] as never);
        case 'error':
          return take(message[1])?.reject(revive(message[2]));
        case 'progress':
          return Date.now() - started > 2000 ? options.onProgress?.(message[1]) : undefined;
        case 'opened':
          return resolve({ engine, opened: message[1] });
        case 'refused':
          return void exited.then(() => reject(revive(message[1])));
      }
    });
    worker.once('error', (error) => {
      fail(error instanceof Error ? error.message : String(error));
      reject(gone);
    });
    worker.once('exit', () => fail('its thread ended'));
  });
}

function spawn(
  { file, nodeId, logKeySeed, maxBytes, setAsideTail = false, verify = true }: SqliteStoreOptions,
  killed: SharedArrayBuffer,
): Worker {
  const data: WorkerOptions = { file, nodeId, logKeySeed, maxBytes, setAsideTail, verify, killed };
  return new Worker(workerScript(), { workerData: data });
}
