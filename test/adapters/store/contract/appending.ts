/** What any store promises of appends: revisions, conflicts, repetition, order, bounds. */
import { describe, expect, it } from 'vitest';
import type { Hex32 } from '../../../../src/bolt/primitives.ts';
import { eventIds, ZERO_HASH } from '../../../../src/events/envelope.ts';
import type { Event } from '../../../../src/events/registry.ts';
import { InvalidAppend, RevisionConflict, type EventStore } from '../../../../src/events/store.ts';
import { sampleEvent, sampleEvents } from '../../../support/sample-events.ts';
import { cause, collect, fee, feeOf, hash, useLog, write, type LogHarness } from './support.ts';

export function appendingContract(name: string, create: () => LogHarness | Promise<LogHarness>): void {
  describe(`${name}: appending`, () => {
    const { log, store, reopen } = useLog(create);

    it('counts revisions from 0 in each stream and positions through all', async () => {
      expect(await write(store, 'a', 'none', [fee(1), fee(2)], cause(1))).toBe(1n);
      expect(await write(store, 'b', 'none', [fee(3)], cause(2))).toBe(0n);
      expect(await write(store, 'a', 1n, [fee(4)], cause(3))).toBe(2n);
      const all = await collect(store.readAll());
      expect(all.map(({ stream, revision, position }) => [stream, revision, position])).toEqual([
        ['a', 0n, 0n],
        ['a', 1n, 1n],
        ['b', 0n, 2n],
        ['a', 2n, 3n],
      ]);
      expect(await store.head()).toBe(3n);
    });

    it('keeps every type of event, its cause and its time', async () => {
      const events = sampleEvents();
      await write(store, 'a', 'none', events, cause(7));
      const read = await collect(store.read('a'));
      expect(read.map(({ event }) => event)).toEqual(events);
      expect(read.every((envelope) => envelope.causation_id === hash(7) && envelope.correlation_id === hash(0))).toBe(
        true,
      );
      expect(read[0]!.recorded_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    });

    it('chains the hashes of a stream and derives the ids from the command', async () => {
      await write(store, 'a', 'none', [fee(1), fee(2)], cause(1));
      await write(store, 'a', 1n, [fee(3), fee(4), fee(5)], [cause(2), cause(3), cause(2)]);
      const read = await collect(store.read('a'));
      expect(read.map(({ previous_hash }) => previous_hash)).toEqual([
        ZERO_HASH,
        ...read.slice(0, -1).map(({ hash }) => hash),
      ]);
      expect(read.map(({ id }) => id)).toEqual([
        ...eventIds(cause(1), 2),
        ...eventIds([cause(2), cause(3), cause(2)], 3),
      ]);
      expect(read.map(({ causation_id }) => causation_id)).toEqual([1, 1, 2, 3, 2].map(hash));
    });

    it('refuses a wrong revision with both values, and writes nothing', async () => {
      await write(store, 'a', 'none', [fee(1), fee(2)], cause(1));
      for (const expected of ['none', 0n, 2n, 99n] as const) {
        await expect(write(store, 'a', expected, [fee(9)], cause(2))).rejects.toMatchObject({
          code: 'revision_conflict',
          detail: { stream: 'a', expected, actual: 1n },
        });
      }
      await expect(write(store, 'new', 0n, [fee(9)], cause(2))).rejects.toMatchObject({
        detail: { expected: 0n, actual: 'none' },
      });
      expect(await collect(store.readAll())).toHaveLength(2);
    });

    it('lets one of 20 racers win, and the others after they reloaded', async () => {
      await write(store, 'a', 'none', [fee(0)], cause(1000));
      const race = async (racer: number): Promise<number> => {
        for (let attempt = 1; ; attempt += 1) {
          const read = await collect(store.read('a'));
          try {
            await write(store, 'a', read.at(-1)!.revision, [fee(racer)], cause(racer * 100 + attempt));
            return attempt;
          } catch (error) {
            expect(error).toBeInstanceOf(RevisionConflict);
          }
        }
      };
      const attempts = await Promise.all(Array.from({ length: 20 }, (_, index) => race(index + 1)));
      expect(attempts.filter((count) => count === 1).length).toBeGreaterThan(0);
      const fees = (await collect(store.read('a'))).map(feeOf);
      expect(fees.slice(1).sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
    });

    it('answers a repeated append with the first outcome, and writes it once', async () => {
      await write(store, 'a', 'none', [fee(1), fee(2)], cause(1));
      await write(store, 'a', 1n, [fee(3)], cause(2));
      expect(await write(store, 'a', 'none', [fee(1), fee(2)], cause(1))).toBe(1n);
      expect(await write(store, 'a', 1n, [fee(3)], cause(2))).toBe(2n);
      expect((await collect(store.readAll())).map(feeOf)).toEqual([1, 2, 3]);
    });

    it('takes a repetition at its word: other events, another revision or more of them are a conflict', async () => {
      await write(store, 'a', 'none', [fee(1), fee(2)], cause(1));
      await expect(write(store, 'a', 'none', [fee(1), fee(9)], cause(1))).rejects.toThrow(RevisionConflict);
      await expect(write(store, 'a', 'none', [fee(1), fee(2), fee(3)], cause(1))).rejects.toThrow(RevisionConflict);
      await expect(write(store, 'a', 0n, [fee(1), fee(2)], cause(1))).rejects.toThrow(RevisionConflict);
      await expect(write(store, 'a', 'none', [fee(1), fee(2)], cause(2))).rejects.toThrow(RevisionConflict);
      expect((await collect(store.readAll())).map(feeOf)).toEqual([1, 2]);
    });

    it('remembers the outcome after a restart', async () => {
      await write(store, 'a', 'none', [fee(1)], cause(1));
      await store.close();
      await reopen();
      expect(await write(store, 'a', 'none', [fee(1)], cause(1))).toBe(0n);
      expect(await collect(store.readAll())).toHaveLength(1);
    });

    it('keeps 200 appends in order that were not awaited one by one', async () => {
      if (log.faulty === true) return;
      const revisions = await Promise.all(
        Array.from({ length: 200 }, (_, index) =>
          store.append('a', index === 0 ? 'none' : BigInt(index - 1), [fee(index)], cause(index)),
        ),
      );
      expect(revisions).toEqual(Array.from({ length: 200 }, (_, index) => BigInt(index)));
      expect((await collect(store.read('a'))).map(feeOf)).toEqual(Array.from({ length: 200 }, (_, index) => index));
    });

    it('lets a conflict in the same moment harm nobody else', async () => {
      const outcomes = await Promise.allSettled([
        write(store, 'a', 'none', [fee(1)], cause(1)),
        write(store, 'b', 5n, [fee(2)], cause(2)),
        write(store, 'c', 'none', [fee(3)], cause(3)),
      ]);
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect((await collect(store.readAll())).map(feeOf).sort()).toEqual([1, 3]);
    });

    it.each<[string, Parameters<EventStore['append']>]>([
      ['no events', ['a', 'none', [], cause(1)]],
      ['no stream', ['', 'none', [fee(1)], cause(1)]],
      ['a negative revision', ['a', -1n, [fee(1)], cause(1)]],
      ['a command id that is none', ['a', 'none', [fee(1)], { command_id: 'x' as Hex32, correlation_id: hash(0) }]],
      ['too few causes', ['a', 'none', [fee(1), fee(2)], [cause(1)]]],
      [
        'an event that could not be read again',
        ['a', 'none', [{ type: 'UpdateFeeSent', feerate_per_kw: -1 }], cause(1)],
      ],
      ['an event of no known type', ['a', 'none', [{ type: 'Surprise' } as unknown as Event], cause(1)]],
      ['a float', ['a', 'none', [{ type: 'UpdateFeeSent', feerate_per_kw: 0.5 }], cause(1)]],
      [
        'an event of more than 65,535 bytes',
        ['a', 'none', [{ ...sampleEvent('TransactionCreated'), transaction: '00'.repeat(33_000) } as Event], cause(1)],
      ],
      [
        'more than 1 MiB',
        [
          'a',
          'none',
          Array.from(
            { length: 20 },
            () => ({ ...sampleEvent('TransactionCreated'), transaction: '00'.repeat(30_000) }) as Event,
          ),
          cause(1),
        ],
      ],
      ['an attachment that does not fit its hash', ['a', 'none', [fee(1)], cause(1), [{ hash: hash(1), bytes: 'ff' }]]],
    ])('refuses %s, and writes nothing', async (_name, args) => {
      await expect(write(store, ...args)).rejects.toThrow(InvalidAppend);
      expect(await store.head()).toBeUndefined();
      expect(await collect(store.readAll())).toEqual([]);
      expect(await write(store, 'a', 'none', [fee(1)], cause(2))).toBe(0n);
    });
  });
}
