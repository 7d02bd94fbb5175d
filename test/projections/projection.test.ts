/** Every projection is a fold that can stop anywhere: at a position, at a time, at the end; and one that follows a log lives. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { openMemoryStore } from '../../src/adapters/store/memory.ts';
import type { EventEnvelope } from '../../src/events/envelope.ts';
import { runLive } from '../../src/projections/live.ts';
import { combine, foldUntil, parseUntil, type Projection } from '../../src/projections/projection.ts';
import { named } from '../support/audited-pair.ts';

const counter: Projection<{ seen: bigint[] }, readonly bigint[]> = {
  name: 'counter',
  initial: () => ({ seen: [] }),
  apply(view, { position }) {
    view.seen.push(position);
    return view;
  },
  rows: ({ seen }) => [...seen],
};

const log = Array.from({ length: 10 }, (_, index) => ({ position: BigInt(index), recorded_at: `2026-01-01T00:00:0${index}.000Z` }) as EventEnvelope);

describe('foldUntil', () => {
  it('folds to the end, and says where that is', async () => {
    expect(await foldUntil(counter, log)).toEqual({ rows: log.map(({ position }) => position), position: 9n, recorded_at: log[9]!.recorded_at, events: 10 });
  });

  it('stops behind a position, or behind the last event up to a time', async () => {
    expect((await foldUntil(counter, log, { position: 3n })).rows).toEqual([0n, 1n, 2n, 3n]);
    expect((await foldUntil(counter, log, { time: '2026-01-01T00:00:03.500Z' })).rows).toEqual([0n, 1n, 2n, 3n]);
  });

  it('may stop before the first event', async () => {
    expect(await foldUntil(counter, log, { time: '2025-01-01T00:00:00.000Z' })).toEqual({ rows: [], position: undefined, recorded_at: undefined, events: 0 });
  });

  it('gives a prefix of the whole fold wherever it stops', async () => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: -1, max: 12 }), async (stop) => {
      const { rows } = await foldUntil(counter, log, { position: BigInt(stop) });
      expect(rows).toEqual(log.map(({ position }) => position).filter((position) => position <= BigInt(stop)));
    }));
  });

  it('folds several in one pass, each as if alone', async () => {
    const both = combine('both', { a: counter, b: counter });
    const { rows } = await foldUntil(both, log, { position: 1n });
    expect(rows).toEqual({ a: [0n, 1n], b: [0n, 1n] });
  });
});

describe('parseUntil', () => {
  it.each([
    ['0', { position: 0n }],
    ['1234', { position: 1234n }],
    ['2026-01-31T12:00:00Z', { time: '2026-01-31T12:00:00.000Z' }],
    ['2026-01-31T12:00', { time: '2026-01-31T12:00:00.000Z' }],
    ['2026-01-31T12:00:00+02:00', { time: '2026-01-31T10:00:00.000Z' }],
    ['2026-01-31', { time: '2026-01-31T23:59:59.999Z' }],
  ])('reads %s', (text, until) => expect(parseUntil(text)).toEqual(until));

  it.each(['', '-1', 'now', '2026-13-45', '1e3', '12 ', '99999999999999999999'])('refuses %j', (text) => expect(parseUntil(text)).toBeUndefined());
});

describe('a live projection', () => {
  const started = { type: 'NodeStarted', version: '1', crypto_backend: 'none' } as const;
  const cause = (word: string) => ({ command_id: named(word), correlation_id: named(word) });

  it('catches up with what is there, then follows what comes', async () => {
    const store = await openMemoryStore();
    await store.append('node', 'none', [started, started], cause('one'));
    const live = runLive(store, counter);
    await live.reached();
    expect(live.current()).toMatchObject({ rows: [0n, 1n], position: 1n, events: 2 });
    const heard: bigint[] = [];
    live.events.subscribe(({ position }) => heard.push(position));
    await store.append('node', 1n, [started], cause('two'));
    await live.reached();
    expect({ heard, rows: live.current().rows }).toEqual({ heard: [2n], rows: [0n, 1n, 2n] });
    live.stop();
    await store.close();
  });

  it('keeps snapshots apart from what comes later', async () => {
    const store = await openMemoryStore();
    const live = runLive(store, counter);
    await store.append('node', 'none', [started], cause('one'));
    await live.reached();
    const before = live.current();
    await store.append('node', 0n, [started], cause('two'));
    await live.reached();
    expect(before.rows).toEqual([0n]);
    live.stop();
    await store.close();
  });

  it('stops before an event that it cannot take, and says which', async () => {
    const store = await openMemoryStore();
    const fragile: typeof counter = { ...counter, apply: (view, envelope) => (envelope.position === 1n ? fail() : counter.apply(view, envelope)) };
    const fail = (): never => {
      throw new Error('a rule is missing');
    };
    const live = runLive(store, fragile);
    await store.append('node', 'none', [started, started, started], cause('one'));
    await expect(live.reached()).rejects.toThrow('projection counter stopped at position 1, node@1: a rule is missing');
    expect(live.current()).toMatchObject({ rows: [0n], position: 0n });
    expect(live.problem()?.message).toContain('position 1');
    await expect(live.reached()).rejects.toThrow('stopped');
    await store.close();
  });
});
