/** The thread that owns the database: takes all appends that wait, writes them in one transaction, then answers them all. */
import { renameSync } from 'node:fs';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { chooseCryptoBackend } from '../../bolt/crypto-native.ts';
import { LogCorrupt } from '../../events/store.ts';
import { checkpointFileOf, openCheckpointFile, readCheckpointFile, readDurableMark } from './checkpoint-file.ts';
import { plainError, revive, type AppendRequest, type Engine, type OpenedLog, type PlainError } from './engine.ts';
import { openLocalEngine, type LocalEngine } from './local-engine.ts';
import { checkpointKey } from './open.ts';
import { openSqliteStorage } from './sqlite-storage.ts';
import { readTail, tailFileOf, type TailFrame } from './tail-file.ts';

/** What the store hands to the thread when it starts it. */
export interface WorkerOptions {
  readonly file: string;
  readonly nodeId: string;
  readonly logKeySeed: Uint8Array;
  readonly maxBytes: number | undefined;
  readonly setAsideTail: boolean;
  readonly verify: boolean;
  /** Set to 1 to stop without finishing what waits. */
  readonly killed: SharedArrayBuffer;
}

/** A question: a verb of the engine and its arguments. */
export type ToWorker = readonly [id: number, verb: keyof Engine, ...args: readonly unknown[]];
export type FromWorker =
  | readonly ['opened', OpenedLog]
  | readonly ['refused', PlainError]
  | readonly ['progress', { readonly verified: number; readonly total: number }]
  | readonly ['answer', id: number, value: unknown]
  | readonly ['error', id: number, PlainError];

/** Bounds one transaction. */
const MAX_GROUP = 4096;

const options = workerData as WorkerOptions;
const port = parentPort!;
const killed = new Int32Array(options.killed);
const say = (message: FromWorker): void => port.postMessage(message);

await chooseCryptoBackend();
const opened = open();
if (opened !== undefined) {
  say(['opened', opened.opened]);
  port.on('message', (first: ToWorker) => serve(opened, first));
}

interface Served {
  readonly engine: LocalEngine;
  readonly opened: OpenedLog;
  readonly close: () => void;
}

function open(): Served | undefined {
  try {
    const { file, nodeId, logKeySeed, maxBytes, verify } = options;
    const apart = checkpointFileOf(file);
    const storage = openSqliteStorage({ file, maxBytes });
    const key = checkpointKey(nodeId as never, logKeySeed);
    const notes = openCheckpointFile(apart);
    const keptApart = readCheckpointFile(apart);
    const log = openLocalEngine(storage, {
      key,
      keptApart,
      verify,
      onProgress: (progress) => say(['progress', progress]),
      onCheckpoint: notes.write,
    });
    takeInTail(log.engine, readDurableMark(apart));
    return { engine: log.engine, opened: { ...log.opened, size: log.engine.size() }, close: notes.close };
  } catch (error) {
    say(['refused', plainError(error)]);
    return undefined;
  }
}

/** What was durable in the tail when the log was last open, and not yet in the database. Throws LogCorrupt where it is not there any more. */
function takeInTail(engine: LocalEngine, durable: number): void {
  for (const { requests } of continuation(engine.size())) {
    const failed = engine.append(requests).find((outcome) => outcome.kind === 'failed');
    if (failed !== undefined) throw revive(failed.error);
  }
  if (engine.size() < durable) throw cutShort(engine.size(), durable);
}

function continuation(size: number): readonly TailFrame[] {
  const { file, logKeySeed, setAsideTail } = options;
  const tail = tailFileOf(file);
  try {
    return readTail(tail, size, logKeySeed);
  } catch (error) {
    if (!setAsideTail || !(error instanceof LogCorrupt)) throw error;
    renameSync(tail, `${tail}.before-recovery`);
    return [];
  }
}

function cutShort(got: number, expected: number): LogCorrupt {
  const place = { position: BigInt(got), expected: `${expected}`, got: `${got}` };
  return new LogCorrupt(`the log is cut short: ${expected} events were durable, got ${got}, up to position ${got - 1}`, place);
}

/** Everything that waits, in order; neighbouring appends become one group. */
function serve(served: Served, first: ToWorker): void {
  let [message, group, size] = [first as ToWorker | undefined, [] as ToWorker[], 0];
  for (; message !== undefined; message = next()) {
    if (Atomics.load(killed, 0) === 1) return stop(served, 'kill', -1);
    if (message[1] === 'append') {
      group.push(message);
      size += (message[2] as readonly AppendRequest[]).length;
      if (size < MAX_GROUP) continue;
    }
    commit(served.engine, group);
    [group, size] = [[], 0];
    if (message[1] === 'close') return stop(served, 'close', message[0]);
    if (message[1] !== 'append') reply(served.engine, message);
  }
  commit(served.engine, group);
}

const next = (): ToWorker | undefined => receiveMessageOnPort(port)?.message as ToWorker | undefined;

function commit(engine: LocalEngine, group: readonly ToWorker[]): void {
  if (group.length === 0) return;
  const batches = group.map((message) => message[2] as readonly AppendRequest[]);
  const outcomes = engine.append(batches.length === 1 ? batches[0]! : batches.flat());
  let from = 0;
  for (const [index, batch] of batches.entries()) {
    say(['answer', group[index]![0], outcomes.slice(from, from + batch.length)]);
    from += batch.length;
  }
}

function reply(engine: LocalEngine, [id, verb, ...args]: ToWorker): void {
  try {
    say(['answer', id, (engine[verb] as (...args: readonly unknown[]) => unknown)(...args)]);
  } catch (error) {
    say(['error', id, plainError(error)]);
  }
}

function stop({ engine, close }: Served, how: 'close' | 'kill', id: number): void {
  engine[how]();
  close();
  say(['answer', id, undefined]);
  port.close();
}
