/** An engine in the caller's own thread, over any storage: the memory store's, and what the SQLite worker runs. */
import { crypto } from '../../bolt/crypto.ts';
import type { Hex32 } from '../../bolt/primitives.ts';
import { vkeyOf } from '../../events/checkpoint.ts';
import type { Fact } from '../../events/envelope.ts';
import { decodeEvent } from '../../events/registry.ts';
import { LogCorrupt } from '../../events/store.ts';
import type { AppendOutcome, AppendRequest, Engine, OpenedLog, Row } from './engine.ts';
import { openLog, type OpenLogOptions } from './open.ts';
import type { LogStorage } from './storage.ts';
import { createLogWriter } from './writer.ts';

export interface LocalEngineOptions extends OpenLogOptions {
  readonly onCheckpoint?: (note: string) => void;
}

/** The same verbs as an engine's, answered at once. */
export type LocalEngine = {
  readonly [verb in keyof Engine]: (...args: Parameters<Engine[verb]>) => Awaited<ReturnType<Engine[verb]>>;
};

/** Over an engine whose answers to appends tell how they were sealed. */
export const tellSealed =
  (append: (requests: readonly AppendRequest[]) => Promise<readonly AppendOutcome[]>): Engine['append'] =>
  async (requests, onSealed) => {
    const outcomes = await append(requests);
    onSealed?.(outcomes);
    return outcomes;
  };

/** Verifies the log and opens it. Throws LogCorrupt. */
export function openLocalEngine(
  storage: LogStorage,
  options: LocalEngineOptions,
): { readonly engine: LocalEngine; readonly opened: OpenedLog } {
  const tree = openLog(storage, options);
  const writer = createLogWriter(storage, { ...options, tree, check: readable });
  const { key } = options;
  return {
    opened: { size: tree.size(), vkey: vkeyOf(key.origin, key.publicKey) },
    engine: {
      append: (requests) => writer.append(requests),
      size: () => writer.size(),
      readStream: (stream, from, limit) => whole(storage.readStream(stream, from, limit)),
      readAll: (from, limit) => whole(storage.readAll(from, limit)),
      attachment: (hash: Hex32) => storage.attachment(hash),
      loadCursor: (name) => writer.loadCursor(name),
      saveCursor: (name, position) => writer.saveCursor(name, position),
      checkpoints: () => storage.checkpoints().map((row) => row.note),
      close() {
        writer.flush();
        storage.close();
      },
      kill: () => storage.close(),
    },
  };
}

/** An event that could not be read again must never become durable. */
export const readable = ({ type, data }: Fact): void => void decodeEvent(type, JSON.parse(data));

const utf8 = new TextEncoder();

/** A byte may rot while the store is open: what is read is compared with its hash. */
function whole(rows: readonly Row[]): readonly Row[] {
  for (const [position, entry, expected] of rows) {
    const got = crypto().sha256Hex(utf8.encode(entry));
    if (got !== expected)
      throw new LogCorrupt(
        `the entry at position ${position} does not fit its hash: expected ${expected}, got ${got}`,
        { position: BigInt(position), expected, got },
      );
  }
  return rows;
}
