/** What we ask of EventStoreDB, with a deadline on everything and typed outcomes. */
import {
  BACKWARDS,
  END,
  FORWARDS,
  NO_STREAM,
  START,
  StreamNotFoundError,
  streamNameFilter,
  WrongExpectedVersionError,
  type AllStreamResolvedEvent,
  type AppendExpectedRevision,
  type EventData,
  type EventStoreDBClient,
  type ResolvedEvent,
} from '@eventstore/db-client';
import { StoreError } from '../../../events/store.ts';
import { giveBack, guard, renew, takeClient, within, type SharedClient } from './client.ts';
import { translate, Unreachable, withoutCredentials } from './errors.ts';
import type { EsdbRecord, Place } from './layout.ts';
import { createPermits } from './permits.ts';

/** How long we wait, in milliseconds. */
export interface Patience {
  /** For one answer: the client's own deadlines do nothing on the paths we use. */
  readonly attempt: number;
  /** For the outcome of an append, over all attempts; then it is unknown. */
  readonly total: number;
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

/** Beyond 15 unanswered writes the client waits for its socket, and what waits there when it breaks ends the process. */
const permits = createPermits(12);
/** The server drops an append after this (absolute) time: wide, so that two clocks may differ. */
export const APPEND_DEADLINE = 30_000;
/** Throws StoreError `one_client_a_process` while this process is connected to another database. */
export async function connect(url: string, patience: Patience): Promise<Connection> {
  return createConnection(await takeClient(url), patience);
}

function createConnection(link: SharedClient, patience: Patience): Connection {
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
      await giveBack(link);
    },
  };
}

type EventIterable = AsyncIterable<ResolvedEvent | AllStreamResolvedEvent> & {
  destroy(error?: Error): unknown;
  on(event: 'error', listener: () => void): unknown;
};

function subscribe(link: SharedClient, prefix: string, after: Place | undefined): EsdbSubscription {
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
