/** The EventStore over an engine: checks and canonicalises what comes in, batches it, decodes what goes out, feeds subscribers. */
import { toHex, isHex, type Hex32 } from '../../bolt/primitives.ts';
import { crypto } from '../../bolt/crypto.ts';
import { fromHex } from '../../bolt/primitives.ts';
import { canonicalData, isStreamId, NotCanonical, readEntry } from '../../events/canonical.ts';
import { causeAt, type Causes, type EventEnvelope } from '../../events/envelope.ts';
import { decodeEvent, type Event } from '../../events/registry.ts';
import {
  InvalidAppend,
  LogCorrupt,
  OutcomeUnknown,
  StoreBusy,
  StoreClosed,
  type Attachment,
  type EventStore,
  type StreamId,
} from '../../events/store.ts';
import type { StoredEntry } from '../../events/verify.ts';
import {
  NO_STREAM,
  revive,
  type AppendOutcome,
  type AppendRequest,
  type Engine,
  type OpenedLog,
  type Row,
} from './engine.ts';
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

/** The bound that every store can keep: EventStoreDB refuses more, too. */
const MAX_APPEND_BYTES = 1 << 20;
const PAGE = 256;

interface Waiting {
  readonly request: AppendRequest;
  readonly events: readonly Event[];
  readonly resolve: (revision: bigint) => void;
  readonly reject: (error: unknown) => void;
}

/** A store over an engine that was opened. */
export function createLogStore(engine: Engine, opened: OpenedLog, options: LogStoreOptions): LogStore {
  const { name, now, maxWaiting = 16_384, maxQueued = 65_536 } = options;
  let size = BigInt(opened.size);
  let state: 'open' | 'closed' = 'open';
  let closing: Promise<void> | undefined;
  let batch: Waiting[] = [];
  const inFlight = new Set<Promise<void>>();
  let waiting = 0;

  const feed = createFeed({
    size,
    queueLimit: maxQueued,
    readPage: async (from) => (await ask(() => engine.readAll(Number(from), PAGE))).map(toEnvelope),
  });

  /** Whatever is asked is asked after the appends made before it. */
  function ask<T>(question: () => Promise<T>): Promise<T> {
    if (state === 'closed') return Promise.reject(new StoreClosed(name));
    flush();
    return question();
  }

  function flush(): void {
    if (batch.length === 0) return;
    const group = batch;
    batch = [];
    const done = send(group).finally(() => inFlight.delete(done));
    inFlight.add(done);
  }

  async function send(group: readonly Waiting[]): Promise<void> {
    try {
      const outcomes = await engine.append(group.map((one) => one.request));
      answer(group, outcomes);
    } catch (error) {
      const reason = (error as Error).message;
      for (const one of group) one.reject(new OutcomeUnknown(one.request.stream, reason));
    } finally {
      waiting -= group.length;
    }
  }

  function answer(group: readonly Waiting[], outcomes: readonly AppendOutcome[]): void {
    const written: EventEnvelope[] = [];
    for (const [index, { request, events, resolve, reject }] of group.entries()) {
      const outcome = outcomes[index]!;
      if (outcome.kind === 'failed') {
        reject(revive(outcome.error));
        continue;
      }
      resolve(BigInt(outcome.revision));
      if (outcome.kind === 'repeated') continue;
      size = BigInt(outcome.firstPosition + events.length);
      if (feed.hasSubscribers()) written.push(...envelopesOf(request, events, outcome));
    }
    feed.advance(size);
    if (written.length > 0) feed.publish(written);
  }

  async function* pages(
    read: (from: number) => Promise<readonly Row[]>,
    from: number,
    step: (last: Row, count: number) => number,
  ): AsyncGenerator<readonly Row[]> {
    let next = from;
    let page = ask(() => read(next));
    while (true) {
      const rows = await page;
      if (rows.length < PAGE) return yield rows;
      next = step(rows.at(-1)!, rows.length);
      // The engine reads the next page while this one is decoded.
      page = ask(() => read(next));
      page.catch(() => {});
      yield rows;
    }
  }

  async function* rowsFrom(from: bigint): AsyncGenerator<Row> {
    const end = Number(size);
    for await (const rows of pages(
      (next) => engine.readAll(next, PAGE),
      Number(from),
      ([position]) => position + 1,
    )) {
      for (const row of rows) {
        if (row[0] >= end) return;
        yield row;
      }
      if ((rows.at(-1)?.[0] ?? end) + 1 >= end) return;
    }
  }

  return {
    name,
    vkey: opened.vkey,
    append(stream, expected, events, cause, attachments = []) {
      if (state === 'closed') return Promise.reject(new StoreClosed(name));
      if (waiting >= maxWaiting) return Promise.reject(new StoreBusy(waiting, maxWaiting));
      return new Promise((resolve, reject) => {
        const request = toRequest(stream, expected, events, cause, attachments, now());
        waiting += 1;
        // Appends of the same moment travel together.
        if (batch.push({ request, events, resolve, reject }) === 1) queueMicrotask(flush);
      });
    },
    async *read(stream, from = 0n) {
      let revision = from;
      for await (const rows of pages(
        (next) => engine.readStream(stream, next, PAGE),
        Number(from),
        (_last, count) => Number(revision) + count,
      )) {
        for (const row of rows) {
          const envelope = toEnvelope(row);
          if (envelope.stream !== stream || envelope.revision !== revision) throw misplaced(envelope, stream, revision);
          revision += 1n;
          yield envelope;
        }
      }
    },
    async *readAll(from = 0n) {
      for await (const row of rowsFrom(from)) yield toEnvelope(row);
    },
    async *entries(from = 0n) {
      for await (const [position, entry, hash] of rowsFrom(from)) yield { position: BigInt(position), entry, hash };
    },
    subscribe: (after) => feed.subscribe(after),
    async attachment(hash) {
      const bytes = await ask(() => engine.attachment(hash));
      if (bytes === undefined) return undefined;
      const got = toHex(crypto().sha256(fromHex(bytes)));
      if (got !== hash)
        throw new LogCorrupt(`an attachment's bytes do not fit its hash: expected ${hash}, got ${got}`, {
          expected: hash,
          got,
        });
      return bytes;
    },
    async loadCursor(cursor) {
      const position = await ask(() => engine.loadCursor(cursor));
      return position === undefined ? undefined : BigInt(position);
    },
    saveCursor: (cursor, position) => ask(() => engine.saveCursor(cursor, Number(position))),
    head: () =>
      state === 'closed' ? Promise.reject(new StoreClosed(name)) : Promise.resolve(size === 0n ? undefined : size - 1n),
    checkpoints: () => ask(() => engine.checkpoints()),
    close() {
      return (closing ??= (async () => {
        flush();
        state = 'closed';
        await Promise.all(inFlight);
        feed.close();
        await engine.close();
      })());
    },
    kill() {
      return (closing ??= (async () => {
        state = 'closed';
        feed.close();
        const lost = batch;
        batch = [];
        for (const one of lost) one.reject(new OutcomeUnknown(one.request.stream, 'the store was killed'));
        await engine.kill();
      })());
    },
  };
}

/** Checks an append at the door and turns it into plain data. Throws InvalidAppend. */
export function toRequest(
  stream: StreamId,
  expected: bigint | 'none',
  events: readonly Event[],
  cause: Causes,
  attachments: readonly Attachment[],
  at: Date,
): AppendRequest {
  if (!isStreamId(stream))
    throw new InvalidAppend(`a stream's name has 1 to 256 characters, got "${stream}"`, { got: stream });
  if (expected !== 'none' && expected < 0n)
    throw new InvalidAppend(`an expected revision is at least 0, got ${expected}`, { expected: 0n, got: expected });
  if (events.length === 0)
    throw new InvalidAppend('an append has at least one event, got none', { expected: 1, got: 0 });
  checkCauses(cause, events.length);
  const facts = events.flatMap(toFact);
  const blobs = attachments.flatMap(({ hash, bytes }) => [checkedHash(hash), checkedHex(bytes)]);
  const bytes = facts.reduce((sum, text) => sum + text.length, 0) + blobs.reduce((sum, hex) => sum + hex.length / 2, 0);
  if (bytes > MAX_APPEND_BYTES)
    throw new InvalidAppend(`an append has at most ${MAX_APPEND_BYTES} bytes, got ${bytes}`, {
      expected: MAX_APPEND_BYTES,
      got: bytes,
    });
  return {
    stream,
    expected: expected === 'none' ? NO_STREAM : Number(expected),
    cause,
    recorded_at: at.toISOString(),
    facts,
    attachments: blobs,
  };
}

function checkCauses(causes: Causes, events: number): void {
  const list = [causes].flat();
  if (Array.isArray(causes) && list.length !== events)
    throw new InvalidAppend(`an append has one cause, or one for each of its ${events} events, got ${list.length}`, {
      expected: events,
      got: list.length,
    });
  for (const id of list.flatMap(({ command_id, correlation_id }) => [command_id, correlation_id])) {
    if (!isHex(id, 32)) throw new InvalidAppend(`a cause has ids of 32 bytes in hex, got "${id}"`, { got: id });
  }
}

function toFact(event: Event): [type: string, data: string] {
  try {
    return [event.type, canonicalData(event)];
  } catch (error) {
    if (error instanceof NotCanonical) throw new InvalidAppend(`event ${event.type}: ${error.message}`, error.detail);
    throw error;
  }
}

function checkedHash(hash: Hex32): string {
  if (!isHex(hash, 32))
    throw new InvalidAppend(`an attachment's hash has 32 bytes in hex, got "${hash}"`, { got: hash });
  return hash;
}

function checkedHex(bytes: string): string {
  if (!isHex(bytes)) throw new InvalidAppend("an attachment's bytes are lower-case hex", { got: bytes.slice(0, 80) });
  return bytes;
}

/** The envelopes of events just written: the events are the very objects that were appended. */
function envelopesOf(
  request: AppendRequest,
  events: readonly Event[],
  outcome: AppendOutcome & { kind: 'written' },
): readonly EventEnvelope[] {
  const { stream, cause, recorded_at } = request;
  const firstRevision = outcome.revision - events.length + 1;
  return events.map((event, index) => ({
    id: outcome.seals[2 * index]!,
    stream,
    revision: BigInt(firstRevision + index),
    position: BigInt(outcome.firstPosition + index),
    causation_id: causeAt(cause, index).command_id,
    correlation_id: causeAt(cause, index).correlation_id,
    recorded_at,
    previous_hash: index === 0 ? outcome.previous_hash : (outcome.seals[2 * index - 1] as Hex32),
    hash: outcome.seals[2 * index + 1] as Hex32,
    event,
  }));
}

/** Throws LogCorrupt when the entry is malformed, UnknownEventType or InvalidEvent when this version cannot read it. */
export function toEnvelope([position, text, hash]: Row): EventEnvelope {
  const { data, type, ...entry } = readEntry(text);
  return { ...entry, position: BigInt(position), hash: hash as Hex32, event: decodeEvent(type, data) };
}

function misplaced(got: EventEnvelope, stream: StreamId, revision: bigint): LogCorrupt {
  const [expected, found] = [`${stream} at ${revision}`, `${got.stream} at ${got.revision}`];
  return new LogCorrupt(`an event is out of its place: expected ${expected}, got ${found}`, {
    stream,
    revision,
    position: got.position,
    expected,
    got: found,
  });
}
