/** The process's one client of EventStoreDB, with a deadline on everything, typed outcomes, and a new client when the old one is poisoned. */
import {
  AccessDeniedError,
  BACKWARDS,
  convertToCommandError,
  END,
  EventStoreDBClient,
  FORWARDS,
  MaxAppendSizeExceededError,
  NO_STREAM,
  START,
  StreamDeletedError,
  StreamNotFoundError,
  streamNameFilter,
  WrongExpectedVersionError,
  type AllStreamResolvedEvent,
  type AppendExpectedRevision,
  type EventData,
  type ResolvedEvent,
} from '@eventstore/db-client';
import { InvalidAppend, LogCorrupt, StoreError, StoreFull } from '../../../events/store.ts';
import type { EsdbRecord, Place } from './layout.ts';
import { createPermits } from './permits.ts';

/** How long we wait, in milliseconds. */
export interface Patience {
  /** For one answer: the client's own deadlines do nothing on the paths we use. */
  readonly attempt: number;
  /** For the outcome of an append, over all attempts; then it is unknown. */
  readonly total: number;
}

/** No answer, or one that says nothing about the outcome: it may have happened or not. Ask the same again. */
export class Unreachable extends StoreError {
  constructor(url: string, reason: string) {
    super('store_unreachable', `the event database ${url} does not answer: ${reason}`, { url, reason });
  }
}

export type AppendAnswer =
  | { readonly kind: 'written'; readonly place: Place }
  | { readonly kind: 'conflict'; readonly actual: bigint | 'none' };

export interface Connection {
  /** For people: without credentials. */
  readonly url: string;
  readonly patience: Patience;
  /** One attempt. `any` for streams where the last word counts. Throws Unreachable, InvalidAppend, StoreFull, LogCorrupt or StoreError `access_denied`. */
  append(stream: string, expected: bigint | 'none' | 'any', events: readonly EventData[]): Promise<AppendAnswer>;
  /** Events from a revision on (inclusive), or the newest first from the end. A missing stream is empty. Throws Unreachable. */
  readStream(stream: string, from: bigint | 'end', limit: number): Promise<readonly EsdbRecord[]>;
  /** Events of every stream of $all from a place on (inclusive). */
  readAll(from: Place | undefined, limit: number): Promise<readonly EsdbRecord[]>;
  /** Events of streams whose names begin so, after a place (exclusive), for ever. The iteration throws when the connection breaks. */
  subscribe(streamPrefix: string, after: Place | undefined): EsdbSubscription;
  /** Keeps only the newest events of a stream. */
  limitHistory(stream: string, count: number): Promise<void>;
  /** Gives the client back; the last one disposes it. */
  release(): Promise<void>;
}

export interface EsdbSubscription extends AsyncIterable<EsdbRecord> {
  cancel(): void;
}

/**
 * The client keeps the promises of all its instances in one table of the module: two clients reject or hang each other's
 * appends. So there is one in the process, shared by all stores.
 */
interface Shared {
  readonly url: string;
  client: EventStoreDBClient;
  users: number;
  renewing: Promise<void> | undefined;
  /** Reads and subscriptions that a disposal would leave hanging. */
  readonly open: Set<{ destroy(error: Error): unknown }>;
}
let shared: Shared | undefined;
let disposed: Promise<void> = Promise.resolve();

/** Beyond 15 unanswered writes the client waits for its socket, and what waits there when it breaks ends the process. */
const permits = createPermits(12);
/** The server drops an append after this (absolute) time: wide, so that two clocks may differ. */
export const APPEND_DEADLINE = 30_000;
const DISPOSAL = 2_000;

/** Throws StoreError `one_client_a_process` while this process is connected to another database. */
export async function connect(url: string, patience: Patience): Promise<Connection> {
  await disposed;
  if (shared !== undefined && shared.url !== url) {
    const [expected, got] = [withoutCredentials(shared.url), withoutCredentials(url)];
    throw new StoreError('one_client_a_process', `this process uses ${expected} already, it cannot use ${got} too`, {
      expected,
      got,
    });
  }
  shared ??= { url, client: EventStoreDBClient.connectionString(url), users: 0, renewing: undefined, open: new Set() };
  shared.users += 1;
  return createConnection(shared, patience);
}

function createConnection(link: Shared, patience: Patience): Connection {
  const url = withoutCredentials(link.url);
  let released = false;

  /** Calls the client; when it does not answer in time, the next call gets a new one. */
  async function ask<T>(what: string, call: (client: EventStoreDBClient) => Promise<T>): Promise<T> {
    await link.renewing;
    if (released) throw new Unreachable(url, 'the connection was given back');
    const { client } = link;
    const late = Symbol('late');
    const answer = call(client);
    answer.catch(() => {});
    const result = await within(patience.attempt, answer, late);
    if (result !== late) return result as T;
    renew(link, client);
    throw new Unreachable(url, `no answer to ${what} within ${patience.attempt} ms`);
  }

  async function collect(
    what: string,
    open: (client: EventStoreDBClient) => EventIterable,
  ): Promise<readonly EsdbRecord[]> {
    let reading: EventIterable | undefined;
    try {
      return await ask(what, async (client) => {
        reading = guard(link, open(client));
        const records: EsdbRecord[] = [];
        for await (const { event } of reading) if (event !== undefined) records.push(toRecord(event));
        return records;
      });
    } catch (error) {
      if (error instanceof StreamNotFoundError) return [];
      reading?.destroy();
      throw translate(url, error);
    } finally {
      if (reading !== undefined) link.open.delete(reading);
    }
  }

  return {
    url,
    patience,
    async append(stream, expected, events) {
      const expectedRevision: AppendExpectedRevision = expected === 'none' ? NO_STREAM : expected;
      const free = await permits.take();
      try {
        const options = { expectedRevision, deadline: APPEND_DEADLINE, requiresLeader: true };
        const { position } = await ask(`an append to ${stream}`, (client) =>
          client.appendToStream(stream, [...events], options),
        );
        if (position === undefined) throw new Unreachable(url, 'an append was answered without its position');
        return { kind: 'written', place: position };
      } catch (error) {
        if (!(error instanceof WrongExpectedVersionError)) throw translate(url, error);
        const actual = error.actualVersion;
        return { kind: 'conflict', actual: typeof actual === 'bigint' ? actual : 'none' };
      } finally {
        free();
      }
    },
    readStream: (stream, from, maxCount) =>
      collect(`a read of ${stream}`, (client) => {
        const start =
          from === 'end'
            ? ({ fromRevision: END, direction: BACKWARDS } as const)
            : ({ fromRevision: from, direction: FORWARDS } as const);
        return client.readStream(stream, { ...start, maxCount, requiresLeader: true });
      }),
    readAll: (from, maxCount) =>
      collect('a read of $all', (client) =>
        client.readAll({ fromPosition: from ?? START, maxCount, requiresLeader: true }),
      ),
    subscribe: (prefix, after) => subscribe(link, prefix, after),
    async limitHistory(stream, maxCount) {
      await ask(`a change of ${stream}`, (client) => client.setStreamMetadata(stream, { maxCount })).catch(
        (error: unknown) => {
          throw translate(url, error);
        },
      );
    },
    async release() {
      if (released) return;
      released = true;
      link.users -= 1;
      if (link.users > 0) return;
      if (shared === link) shared = undefined;
      disposed = Promise.resolve(link.renewing).then(() => dispose(link));
      await disposed;
    },
  };
}

type EventIterable = AsyncIterable<ResolvedEvent | AllStreamResolvedEvent> & {
  destroy(error?: Error): unknown;
  on(event: 'error', listener: () => void): unknown;
};

/** An error nobody listens to would end the process; one that a disposal hides would let the reader hang. */
function guard<T extends EventIterable>(link: Shared, reading: T): T {
  reading.on('error', () => {});
  link.open.add(reading);
  return reading;
}

function subscribe(link: Shared, prefix: string, after: Place | undefined): EsdbSubscription {
  const filter = streamNameFilter({ prefixes: [prefix] });
  const subscription = link.client.subscribeToAll({ fromPosition: after ?? START, filter, requiresLeader: true });
  guard(link, subscription);
  return {
    async *[Symbol.asyncIterator]() {
      try {
        for await (const { event } of subscription) if (event !== undefined) yield toRecord(event);
      } catch (error) {
        throw translate(withoutCredentials(link.url), error);
      } finally {
        link.open.delete(subscription);
      }
    },
    cancel() {
      link.open.delete(subscription);
      subscription.unsubscribe().catch(() => {});
      subscription.destroy();
    },
  };
}

/** Disposes a client that does not answer and builds a new one; once for all who complain about the same one. */
function renew(link: Shared, complained: EventStoreDBClient): void {
  if (link.client !== complained || link.renewing !== undefined) return;
  link.renewing = dispose(link).then(() => {
    if (link.users > 0) link.client = EventStoreDBClient.connectionString(link.url);
    link.renewing = undefined;
  });
}

async function dispose(link: Shared): Promise<void> {
  for (const reading of link.open) reading.destroy(new Error('the client was disposed'));
  link.open.clear();
  await within(
    DISPOSAL,
    link.client.dispose().catch(() => {}),
    undefined,
  );
}

async function within<T, U>(milliseconds: number, answer: Promise<T>, otherwise: U): Promise<T | U> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<U>((resolve) => (timer = setTimeout(() => resolve(otherwise), milliseconds)));
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

type Recorded = NonNullable<ResolvedEvent['event'] | AllStreamResolvedEvent['event']>;

function toRecord(event: Recorded): EsdbRecord {
  const place = event.position;
  if (place === undefined)
    throw new StoreError(
      'unknown_version',
      'the event database tells no positions: it must be of version 22.10 or newer',
    );
  const hash = (event.metadata as { hash?: unknown } | undefined)?.hash;
  return {
    stream: event.streamId,
    revision: event.revision,
    id: event.id,
    type: event.type,
    data: event.data instanceof Uint8Array ? event.data : new Uint8Array(0),
    hash: typeof hash === 'string' ? hash : undefined,
    place,
  };
}

/** EventStoreDB's errors in the port's words. What is no clear refusal is Unreachable. */
function translate(url: string, cause: unknown): Error {
  if (cause instanceof StoreError) return cause;
  const error = convertToCommandError(cause as Error) as Error;
  if (error instanceof MaxAppendSizeExceededError)
    return new InvalidAppend(`the event database takes at most ${error.maxAppendSize} bytes in one append`, {
      expected: error.maxAppendSize,
    });
  if (error instanceof AccessDeniedError)
    return new StoreError(
      'access_denied',
      `the event database ${url} denies access: check the credentials in its address`,
      { url },
    );
  if (error instanceof StreamDeletedError)
    return new LogCorrupt(`a stream of the log was deleted: ${error.streamName}`, {
      stream: error.streamName,
      expected: 'a stream',
      got: 'deleted',
    });
  if (error.message.includes(NO_ROOM)) return new StoreFull(error.message);
  return new Unreachable(url, error.message || error.constructor.name);
}

/** How our own server says that an append was refused because its disk is full. */
const NO_ROOM = 'the store has no room left';

/** `esdb://user:password@host` without what must not be shown. */
export const withoutCredentials = (url: string): string => url.replace(/\/\/[^/@]*@/, '//');
