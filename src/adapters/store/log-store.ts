/** The EventStore over an engine: appends by batches, pages read ahead, subscribers fed, and a bounded wait for all. */
import { crypto } from '../../bolt/crypto.ts';
import { fromHex, toHex, type Hex, type Hex32 } from '../../bolt/primitives.ts';
import { LogCorrupt, StoreClosed, type AppendAhead, type EventStore } from '../../events/store.ts';
import type { StoredEntry } from '../../events/verify.ts';
import { toRequest } from './append-request.ts';
import { createAppender, type Written } from './appender.ts';
import type { Engine, OpenedLog, Row } from './engine.ts';
import { envelopesOf, misplaced, toEnvelope } from './envelopes.ts';
import { createFeed } from './feed.ts';

/** What our own stores do beyond the port: export, audit, and dying on purpose. */
export interface LogStore extends EventStore {
  /** Verifier key of the log's checkpoints (C2SP). */
  readonly vkey: string;
  /** The signed notes kept in the log, the newest last. */
  checkpoints(): Promise<readonly string[]>;
  /** The log as it is hashed, in position order, from a position on, up to what is durable now. */
  entries(from?: bigint): AsyncIterable<StoredEntry>;
  /** Stops as a power loss would: appends in flight reject with OutcomeUnknown. For tests and the playground. */
  kill(): Promise<void>;
}

export interface LogStoreOptions {
  readonly name: string;
  /** The clock. */
  readonly now: () => Date;
  /** Appends that may wait for an answer. */
  readonly maxWaiting?: number | undefined;
  /** Events that may wait for one subscriber. */
  readonly maxQueued?: number | undefined;
}

const PAGE = 256;

/** A store over an engine that was opened. */
export function createLogStore(engine: Engine, opened: OpenedLog, options: LogStoreOptions): LogStore {
  const { name, now, maxWaiting = 16_384, maxQueued = 65_536 } = options;
  const appender = createAppender(engine, maxWaiting, publish);
  const readPage = async (from: bigint) => (await ask(() => engine.readAll(Number(from), PAGE))).map(toEnvelope);
  const feed = createFeed({ size: BigInt(opened.size), queueLimit: maxQueued, readPage });
  const aheadListeners = new Set<(append: AppendAhead) => void>();
  let lastTicket = 0;
  let ending: Promise<void> | undefined;

  /** Whatever is asked is asked after the appends made before it. */
  function ask<T>(question: () => Promise<T>): Promise<T> {
    if (ending !== undefined) return Promise.reject(new StoreClosed(name));
    appender.flush();
    return question();
  }

  function publish(written: readonly Written[]): void {
    const newest = written.at(-1);
    if (newest === undefined) return;
    feed.advance(BigInt(newest.outcome.firstPosition + newest.events.length));
    if (feed.hasSubscribers()) feed.publish(written.flatMap(envelopesOf));
  }

  /** Full pages and a last one; the engine reads the next page while this one is decoded. */
  async function* pages(
    read: (from: number) => Promise<readonly Row[]>,
    from: number,
    after: (page: readonly Row[]) => number,
  ): AsyncGenerator<readonly Row[]> {
    let page = ask(() => read(from));
    for (;;) {
      const rows = await page;
      if (rows.length < PAGE) return yield rows;
      page = ask(() => read(after(rows)));
      page.catch(() => {});
      yield rows;
    }
  }

  /** What is durable when it is asked for, and nothing that comes later. */
  async function* rowsFrom(from: bigint): AsyncGenerator<Row> {
    const end = await ask(() => engine.size());
    const all = pages(
      (next) => engine.readAll(next, PAGE),
      Number(from),
      (rows) => rows.at(-1)![0] + 1,
    );
    for await (const rows of all) {
      for (const row of rows) {
        if (row[0] >= end) return;
        yield row;
      }
    }
  }

  return {
    name,
    vkey: opened.vkey,
    append(stream, expected, events, cause, attachments = []) {
      if (ending !== undefined) return Promise.reject(new StoreClosed(name));
      const ticket = (lastTicket += 1);
      return appender.append(
        () => toRequest(stream, expected, events, cause, attachments, now(), ticket),
        events,
        (written) => aheadListeners.forEach((tell) => tell({ stream, events, cause, ticket, written })),
      );
    },
    onAhead(listener) {
      aheadListeners.add(listener);
      return () => void aheadListeners.delete(listener);
    },
    async *read(stream, from = 0n) {
      let [revision, next] = [from, Number(from)];
      const all = pages(
        (start) => engine.readStream(stream, start, PAGE),
        next,
        (rows) => (next += rows.length),
      );
      for await (const row of flatten(all)) {
        const envelope = toEnvelope(row);
        if (envelope.stream !== stream || envelope.revision !== revision) throw misplaced(envelope, stream, revision);
        revision += 1n;
        yield envelope;
      }
    },
    async *readAll(from = 0n) {
      for await (const row of rowsFrom(from)) yield toEnvelope(row);
    },
    async *entries(from = 0n) {
      for await (const [position, entry, hash] of rowsFrom(from)) yield { position: BigInt(position), entry, hash };
    },
    subscribe: (after) => feed.subscribe(after),
    attachment: async (hash) => checkedAttachment(hash, await ask(() => engine.attachment(hash))),
    async loadCursor(cursor) {
      const position = await ask(() => engine.loadCursor(cursor));
      return position === undefined ? undefined : BigInt(position);
    },
    saveCursor: (cursor, position) => ask(() => engine.saveCursor(cursor, Number(position))),
    async head() {
      const size = await ask(() => engine.size());
      return size === 0 ? undefined : BigInt(size) - 1n;
    },
    checkpoints: () => ask(() => engine.checkpoints()),
    close: () =>
      (ending ??= (async () => {
        appender.flush();
        await appender.settle();
        feed.close();
        await engine.close();
      })()),
    kill: () =>
      (ending ??= (async () => {
        feed.close();
        appender.drop('the store was killed');
        await engine.kill();
      })()),
  };
}

async function* flatten<T>(pages: AsyncIterable<readonly T[]>): AsyncGenerator<T> {
  for await (const page of pages) yield* page;
}

/** A byte may rot beside the log, too. */
function checkedAttachment(hash: Hex32, bytes: Hex | undefined): Hex | undefined {
  if (bytes === undefined) return undefined;
  const got = toHex(crypto().sha256(fromHex(bytes)));
  if (got === hash) return bytes;
  throw new LogCorrupt(`an attachment's bytes do not fit its hash: expected ${hash}, got ${got}`, {
    expected: hash,
    got,
  });
}
