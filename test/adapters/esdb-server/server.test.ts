/** What a real EventStoreDB was seen to do (23.10.6, client 6.2.1), held against the server that EVENTSTORE_URL names, else against our own. */
import { randomUUID } from 'node:crypto';
import {
  BACKWARDS,
  binaryEvent,
  END,
  eventTypeFilter,
  EventStoreDBClient,
  jsonEvent,
  MaxAppendSizeExceededError,
  NO_STREAM,
  START,
  STREAM_EXISTS,
  StreamNotFoundError,
  streamNameFilter,
  TimeoutError,
  UnknownError,
  WrongExpectedVersionError,
  type AllStreamSubscription,
  type AppendExpectedRevision,
  type EventData,
} from '@eventstore/db-client';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { startEsdbServer, type EsdbServer } from '../../../src/adapters/esdb-server/server.ts';
import { realServer } from '../../support/esdb.ts';

let server: EsdbServer | undefined;
let client: EventStoreDBClient;
beforeAll(async () => {
  server = realServer === undefined ? await startEsdbServer() : undefined;
  client = EventStoreDBClient.connectionString(realServer ?? server!.url);
});
afterAll(async () => {
  await client.dispose();
  await server?.close();
});

const fresh = (): string => `s${randomUUID()}`;
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const event = (text = 'x', id: string = randomUUID()): EventData => binaryEvent({ id, type: 'Said', data: bytes(text) });
const append = (stream: string, events: EventData[], expectedRevision: AppendExpectedRevision) =>
  client.appendToStream(stream, events, { expectedRevision });
const textOf = (data: unknown): string => Buffer.from(data as Uint8Array).toString();

async function said(stream: string, options?: Parameters<EventStoreDBClient['readStream']>[1]): Promise<string[]> {
  const all: string[] = [];
  for await (const { event: one } of client.readStream(stream, options)) all.push(textOf(one!.data));
  return all;
}

describe('appending', () => {
  it('answers with the revision and position of the last event', async () => {
    const stream = fresh();
    const first = await append(stream, [event(), event()], NO_STREAM);
    expect(first).toMatchObject({ success: true, nextExpectedRevision: 1n });
    const second = await append(stream, [event()], 1n);
    expect(second.nextExpectedRevision).toBe(2n);
    expect(second.position!.commit).toBeGreaterThan(first.position!.commit);
  });

  it.each<[string, AppendExpectedRevision, bigint | 'no_stream']>([
    ['a stale revision', 0n, 1n],
    ['a revision to come', 5n, 1n],
    ['no stream', NO_STREAM, 1n],
  ])('refuses %s with both versions', async (_what, expected, actualVersion) => {
    const stream = fresh();
    await append(stream, [event(), event()], NO_STREAM);
    const error = await append(stream, [event()], expected).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(WrongExpectedVersionError);
    expect(error).toMatchObject({ streamName: stream, expectedVersion: expected, actualVersion });
  });

  it('refuses an exact revision, and "exists", of a stream that is not there', async () => {
    await expect(append(fresh(), [event()], 0n)).rejects.toMatchObject({ expectedVersion: 0n, actualVersion: 'no_stream' });
    await expect(append(fresh(), [event()], STREAM_EXISTS)).rejects.toBeInstanceOf(WrongExpectedVersionError);
  });

  it('the same ids at the same revision: the first answer again, the old data kept', async () => {
    const stream = fresh();
    const [one, two] = [event('1'), event('2')];
    const first = await append(stream, [one, two], NO_STREAM);
    await append(stream, [event('3')], 1n);
    expect(await append(stream, [one, two], NO_STREAM)).toEqual(first);
    expect((await append(stream, [event('other', one.id), event('data', two.id)], NO_STREAM)).success).toBe(true);
    expect(await said(stream)).toEqual(['1', '2', '3']);
  });

  it('a prefix of the ids succeeds; more, or in another order, is a conflict; a stale revision too', async () => {
    const stream = fresh();
    const [one, two] = [event('1'), event('2')];
    await append(stream, [one, two], NO_STREAM);
    expect((await append(stream, [one], NO_STREAM)).success).toBe(true);
    await expect(append(stream, [one, two, event('3')], NO_STREAM)).rejects.toBeInstanceOf(WrongExpectedVersionError);
    await expect(append(stream, [two, one], NO_STREAM)).rejects.toBeInstanceOf(WrongExpectedVersionError);
    await expect(append(stream, [one, two], 0n)).rejects.toBeInstanceOf(WrongExpectedVersionError);
    expect(await said(stream)).toEqual(['1', '2']);
  });

  it('the same ids at the newest revision are written again: never refresh a revision to retry', async () => {
    const stream = fresh();
    const one = event('1');
    await append(stream, [one], NO_STREAM);
    expect((await append(stream, [one], 0n)).nextExpectedRevision).toBe(1n);
    expect(await said(stream)).toEqual(['1', '1']);
  });

  it('one of 20 racers wins', async () => {
    const stream = fresh();
    await append(stream, [event()], NO_STREAM);
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => append(stream, [event()], 0n)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const refused = outcomes.filter((one) => one.status === 'rejected');
    expect(refused.every(({ reason }) => reason instanceof WrongExpectedVersionError)).toBe(true);
  });

  it('200 appends to one stream that are not awaited all succeed, in order', async () => {
    const stream = fresh();
    const all = Array.from({ length: 200 }, (_, n) => append(stream, [event(String(n))], n === 0 ? NO_STREAM : BigInt(n - 1)));
    expect((await Promise.all(all)).map(({ nextExpectedRevision }) => Number(nextExpectedRevision))).toEqual(Array.from({ length: 200 }, (_, n) => n));
  });

  it('nothing to append succeeds and makes no stream', async () => {
    const stream = fresh();
    expect((await append(stream, [], NO_STREAM)).success).toBe(true);
    await expect(said(stream)).rejects.toBeInstanceOf(StreamNotFoundError);
  });

  it('more than 1 MiB of data is refused, and 1 MiB is not', async () => {
    const stream = fresh();
    const data = (size: number) => [binaryEvent({ id: randomUUID(), type: 'Said', data: new Uint8Array(size) })];
    const error = await append(stream, data((1 << 20) + 1), NO_STREAM).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(MaxAppendSizeExceededError);
    await expect(said(stream)).rejects.toBeInstanceOf(StreamNotFoundError);
    expect((await append(stream, data(1_000_000), NO_STREAM)).success).toBe(true);
  });

  it('the classic append, which clients with credentials use, has the same rules', async () => {
    const stream = fresh();
    const options = { credentials: { username: 'admin', password: 'changeit' } };
    const one = event('1');
    const first = await client.appendToStream(stream, [one], { ...options, expectedRevision: NO_STREAM });
    expect(await client.appendToStream(stream, [one], { ...options, expectedRevision: NO_STREAM })).toEqual(first);
    await expect(client.appendToStream(stream, [event()], { ...options, expectedRevision: 7n })).rejects.toMatchObject({ actualVersion: 0n });
  });
});

describe('reading', () => {
  it('a stream both ways, from any revision, inclusive', async () => {
    const stream = fresh();
    await append(stream, ['a', 'b', 'c', 'd'].map((text) => event(text)), NO_STREAM);
    expect(await said(stream)).toEqual(['a', 'b', 'c', 'd']);
    expect(await said(stream, { fromRevision: 2n })).toEqual(['c', 'd']);
    expect(await said(stream, { fromRevision: 1n, maxCount: 2 })).toEqual(['b', 'c']);
    expect(await said(stream, { direction: BACKWARDS, fromRevision: END, maxCount: 3 })).toEqual(['d', 'c', 'b']);
    expect(await said(stream, { direction: BACKWARDS, fromRevision: 1n })).toEqual(['b', 'a']);
    expect(await said(stream, { fromRevision: 4n })).toEqual([]);
  });

  it('a missing stream is an error of the iterator; a count of 0 is an unknown error', async () => {
    await expect(said(fresh())).rejects.toBeInstanceOf(StreamNotFoundError);
    const stream = fresh();
    await append(stream, [event()], NO_STREAM);
    await expect(said(stream, { maxCount: 0 })).rejects.toBeInstanceOf(UnknownError);
  });

  it('keeps bytes as bytes, JSON as JSON, ids in lower case', async () => {
    const stream = fresh();
    const id = randomUUID();
    await append(stream, [binaryEvent({ id: id.toUpperCase(), type: 'Said', data: bytes('{"a" : 1}'), metadata: { hash: 'h' } })], NO_STREAM);
    await append(stream, [jsonEvent({ type: 'Told', data: { b: 2 } })], 0n);
    const read = [];
    for await (const { event: one } of client.readStream(stream)) read.push(one!);
    expect(read[0]).toMatchObject({ id, type: 'Said', isJson: false, metadata: { hash: 'h' }, revision: 0n, streamId: stream });
    expect(textOf(read[0]!.data)).toBe('{"a" : 1}');
    expect(read[1]).toMatchObject({ type: 'Told', isJson: true, data: { b: 2 } });
  });

  it('$all forwards inclusive, backwards exclusive', async () => {
    const [first, second] = [fresh(), fresh()];
    const one = await append(first, [event('one')], NO_STREAM);
    const two = await append(second, [event('two')], NO_STREAM);
    const forwards = [];
    for await (const { event: each } of client.readAll({ fromPosition: one.position!, maxCount: 1000 })) forwards.push(each!.streamId);
    expect(forwards[0]).toBe(first);
    expect(forwards).toContain(second);
    for await (const { event: each } of client.readAll({ fromPosition: two.position!, direction: BACKWARDS, maxCount: 1 }))
      expect(each!.streamId).not.toBe(second);
  });

  it('$maxCount of a stream hides what is older', async () => {
    const stream = fresh();
    await append(stream, ['a', 'b', 'c'].map((text) => event(text)), NO_STREAM);
    await client.setStreamMetadata(stream, { maxCount: 2 });
    expect(await said(stream)).toEqual(['b', 'c']);
    expect(await said(stream, { direction: BACKWARDS, fromRevision: END })).toEqual(['c', 'b']);
  });
});

describe('subscribing', () => {
  /** Follows until told to stop. */
  function follow(subscription: AllStreamSubscription | ReturnType<EventStoreDBClient['subscribeToStream']>) {
    const seen: string[] = [];
    const marks: string[] = [];
    subscription.on('confirmation', () => marks.push('confirmation')).on('caughtUp' as 'confirmation', () => marks.push('caughtUp'));
    subscription.on('data', ({ event: one }: { event?: { data: unknown } }) => seen.push(textOf(one!.data)));
    subscription.on('error', () => {});
    return { seen, marks, stop: () => subscription.unsubscribe() };
  }

  it('to $all with a filter by stream: past, caughtUp, present', async () => {
    const prefix = fresh();
    await append(`${prefix}.1`, [event('a')], NO_STREAM);
    await append(`other-${prefix}`, [event('not this')], NO_STREAM);
    const { seen, marks, stop } = follow(client.subscribeToAll({ fromPosition: START, filter: streamNameFilter({ prefixes: [prefix] }) }));
    await vi.waitFor(() => expect(marks).toEqual(['confirmation', 'caughtUp']), 10_000);
    expect(seen).toEqual(['a']);
    await append(`${prefix}.2`, [event('b'), event('c')], NO_STREAM);
    await vi.waitFor(() => expect(seen).toEqual(['a', 'b', 'c']), 5_000);
    await stop();
  });

  it('starts after a position; filters by type and by pattern, too', async () => {
    const prefix = fresh();
    const { position } = await append(`${prefix}.1`, [event('a')], NO_STREAM);
    const after = follow(client.subscribeToAll({ fromPosition: position!, filter: streamNameFilter({ regex: `^${prefix}` }) }));
    const typed = follow(client.subscribeToAll({ fromPosition: position!, filter: eventTypeFilter({ prefixes: [`T${prefix}`] }) }));
    await append(`${prefix}.2`, [binaryEvent({ id: randomUUID(), type: `T${prefix}`, data: bytes('b') }), event('c')], NO_STREAM);
    await vi.waitFor(() => expect(after.seen).toEqual(['b', 'c']), 5_000);
    await vi.waitFor(() => expect(typed.seen).toEqual(['b']), 5_000);
    await Promise.all([after.stop(), typed.stop()]);
  });

  it('to a stream that is still to come', async () => {
    const stream = fresh();
    const { seen, marks, stop } = follow(client.subscribeToStream(stream));
    await vi.waitFor(() => expect(marks).toContain('confirmation'), 5_000);
    await append(stream, [event('a')], NO_STREAM);
    await vi.waitFor(() => expect(seen).toEqual(['a']), 5_000);
    await stop();
  });

  it('a reader that is too slow is dropped', async () => {
    const prefix = fresh();
    const subscription = client.subscribeToAll({ fromPosition: END, filter: streamNameFilter({ prefixes: [prefix] }) });
    const dropped = new Promise((resolve) => subscription.once('error', resolve));
    await new Promise<void>((resolve) => subscription.once('caughtUp' as 'confirmation', resolve).once('data', () => subscription.pause()));
    await append(prefix, [event()], NO_STREAM);
    subscription.pause();
    for (let n = 0; n < 150; n += 1) await append(prefix, [binaryEvent({ id: randomUUID(), type: 'Said', data: new Uint8Array(60_000) })], BigInt(n));
    subscription.resume();
    expect(await dropped).toBeInstanceOf(TimeoutError);
  });
});

describe.skipIf(realServer !== undefined)('our own server', () => {
  it('answers what a client asks of a cluster', async () => {
    const cluster = EventStoreDBClient.connectionString(`esdb://127.0.0.1:${server!.port},127.0.0.1:${server!.port}?tls=false`);
    const stream = fresh();
    expect((await cluster.appendToStream(stream, [event('a')], { expectedRevision: NO_STREAM })).success).toBe(true);
    await cluster.dispose();
    expect(await said(stream)).toEqual(['a']);
  });

  it('remembers ids of appends with any revision, a while', async () => {
    const stream = fresh();
    const one = event('1');
    await append(stream, [one], 'any');
    await append(stream, [one], 'any');
    expect(await said(stream)).toEqual(['1']);
  });

  it('refuses what is out of its place in $all, instead of guessing', async () => {
    const { position } = await append(fresh(), [event()], NO_STREAM);
    const between = { commit: position!.commit - 1n, prepare: position!.commit - 1n };
    const reading = async () => {
      for await (const _ of client.readAll({ fromPosition: between })) break;
    };
    await expect(reading()).rejects.toBeInstanceOf(UnknownError);
  });
});
