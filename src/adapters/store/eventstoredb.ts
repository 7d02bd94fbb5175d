/** The EventStore in EventStoreDB: our own hash chain and checkpoints inside an event database that is run by others. */
import { crypto } from '../../bolt/crypto.ts';
import { toHex, type Hex32, type NodeId } from '../../bolt/primitives.ts';
import { vkeyOf } from '../../events/checkpoint.ts';
import { LogCorrupt, StoreBusy, StoreClosed, type StoreError, type StreamId } from '../../events/store.ts';
import type { StoredEntry } from '../../events/verify.ts';
import { toRequest } from './append-request.ts';
import { toEnvelope } from './envelopes.ts';
import { createAppender } from './esdb/appender.ts';
import { openCheckpoints } from './esdb/checkpoints.ts';
import { APPEND_DEADLINE, connect, type Connection, type Patience } from './esdb/connection.ts';
import { openCursors } from './esdb/cursors.ts';
import { createLayout, defaultPrefix, type Layout } from './esdb/layout.ts';
import { openLog, type OpenedIndex } from './esdb/open.ts';
import { createReader } from './esdb/reader.ts';
import { followLog } from './esdb/tail.ts';
import { createFeed } from './feed.ts';
import type { LogStore } from './log-store.ts';
import { checkpointKey, type OnProgress } from './open.ts';
import type { CheckpointKey } from './writer.ts';

export interface EventStoreDbOptions {
  /** `esdb://user:password@host:2113`, `esdb+discover://...`; `?tls=false` for a server without TLS (and without users). */
  readonly url: string;
  readonly nodeId: NodeId;
  /** Ed25519 seed of the checkpoints (Signer.logKeySeed). */
  readonly logKeySeed: Uint8Array;
  /** The clock. */
  readonly now: () => Date;
  /** What the names of all our streams begin with. One for each node; derived from its id when absent. */
  readonly prefix?: string | undefined;
  /** A local file for the newest checkpoint: without it a database that lost its tail is not found out. */
  readonly checkpointFile?: string | undefined;
  readonly patience?: Partial<Patience> | undefined;
  /** Called while a long log is verified. */
  readonly onProgress?: OnProgress | undefined;
  /** Appends that may wait for an answer. */
  readonly maxWaiting?: number | undefined;
  /** Events that may wait for one subscriber. */
  readonly maxQueued?: number | undefined;
}

const PATIENCE: Patience = { attempt: 5_000, total: 20_000 };

/**
 * Opens or creates a node's log in an event database. One process a log: exact revisions let only one of two write, but
 * neither would know why. Throws StoreError `invalid_url`, `store_unreachable`, `access_denied` or `one_client_a_process`; LogCorrupt with
 * the place when the log is damaged, cut short or older than the checkpoint file; UnknownEventType when a newer version wrote it.
 */
export async function openEventStoreDb(options: EventStoreDbOptions): Promise<LogStore> {
  const layout = createLayout(options.prefix ?? defaultPrefix(options.nodeId));
  const key = checkpointKey(options.nodeId, options.logKeySeed);
  const connection = await connect(options.url, { ...PATIENCE, ...options.patience });
  try {
    const opened = await openLog({
      connection,
      layout,
      key,
      file: options.checkpointFile,
      onProgress: options.onProgress,
    });
    return await createStore(options, connection, layout, key, opened);
  } catch (error) {
    await connection.release();
    throw error;
  }
}

async function createStore(
  { now, checkpointFile, maxWaiting = 16_384, maxQueued = 65_536 }: EventStoreDbOptions,
  connection: Connection,
  layout: Layout,
  key: CheckpointKey,
  { index, isNew }: OpenedIndex,
): Promise<LogStore> {
  const name = `esdb ${connection.url}`;
  const cursors = await openCursors(connection, layout);
  const checkpoints = await openCheckpoints(connection, layout, index, checkpointFile, isNew);
  const clock = (): number => performance.now();
  let [waiting, closing] = [0, undefined as Promise<void> | undefined];
  let broken: StoreError | undefined;

  /** Nothing more is written to, or believed of, a log that is not what it was. */
  function fail(error: StoreError): void {
    if (broken !== undefined || closing !== undefined) return;
    broken = error;
    tail.stop();
    appender.abandon(error.message);
    feed.close();
  }
  function check(): void {
    if (closing !== undefined) throw new StoreClosed(name);
    if (broken !== undefined) throw broken;
  }

  const appender = createAppender({
    connection,
    layout,
    index,
    clock,
    settled: clock() + APPEND_DEADLINE,
    onCorrupt: fail,
  });
  const reader = createReader(connection, layout, index);
  const feed = createFeed({
    size: BigInt(index.size()),
    queueLimit: maxQueued,
    readPage: async (from) => {
      check();
      return (await reader.page(Number(from))).map(toEnvelope);
    },
  });
  const tail = followLog({
    connection,
    layout,
    index,
    endsAppend: appender.endsAppend,
    onIndexed(record) {
      appender.indexed(layout.streamId(record.stream), Number(record.revision));
      checkpoints.changed();
    },
    isHeard: feed.hasSubscribers,
    publish(envelopes, size) {
      feed.advance(BigInt(size));
      if (envelopes.length > 0) feed.publish(envelopes);
    },
    onCorrupt: fail,
  });

  /** Number of events, all that were acknowledged to us among them. */
  async function size(): Promise<number> {
    check();
    await tail.reached(appender.acknowledged());
    return index.size();
  }

  async function append(request: ReturnType<typeof toRequest>): Promise<bigint> {
    waiting += 1;
    try {
      return await appender.append(request);
    } finally {
      waiting -= 1;
    }
  }

  async function end(proper: boolean): Promise<void> {
    feed.close();
    if (proper) await tail.reached(appender.acknowledged()).catch(() => (proper = false));
    tail.stop();
    if (proper) await cursors.close();
    await checkpoints.close(proper);
    await connection.release();
  }

  return {
    name,
    vkey: vkeyOf(key.origin, key.publicKey),
    async append(stream, expected, events, cause, attachments = []) {
      check();
      if (waiting >= maxWaiting) throw new StoreBusy(waiting, maxWaiting);
      return append(toRequest(stream, expected, events, cause, attachments, now()));
    },
    async *read(stream: StreamId, from = 0n) {
      check();
      for await (const row of reader.stream(stream, from, tail.reached)) yield toEnvelope(row);
    },
    async *readAll(from = 0n) {
      for await (const row of reader.rows(Number(from), await size())) yield toEnvelope(row);
    },
    async *entries(from = 0n): AsyncGenerator<StoredEntry> {
      for await (const [position, entry, hash] of reader.rows(Number(from), await size()))
        yield { position: BigInt(position), entry, hash };
    },
    subscribe: (after) => feed.subscribe(after),
    async attachment(hash: Hex32) {
      check();
      const bytes = await reader.attachment(hash);
      if (bytes === undefined) return undefined;
      const got = toHex(crypto().sha256(bytes));
      if (got !== hash)
        throw new LogCorrupt(`an attachment's bytes do not fit its hash: expected ${hash}, got ${got}`, {
          expected: hash,
          got,
        });
      return toHex(bytes);
    },
    async loadCursor(cursor) {
      check();
      return cursors.load(cursor);
    },
    async saveCursor(cursor, position) {
      check();
      cursors.save(cursor, position);
    },
    async head() {
      const events = await size();
      return events === 0 ? undefined : BigInt(events - 1);
    },
    async checkpoints() {
      await size();
      return checkpoints.list();
    },
    close() {
      const wasBroken = broken !== undefined;
      return (closing ??= appender.idle().then(() => end(!wasBroken)));
    },
    kill() {
      if (closing === undefined) appender.abandon('the store was killed');
      return (closing ??= end(false));
    },
  };
}
