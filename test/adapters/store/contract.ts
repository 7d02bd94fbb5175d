/** What every EventStore promises, as one suite for all of them: revisions, conflicts, repetition, order, subscriptions, restarts, damage. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { bufferCount, filter, firstValueFrom, take, type Observable } from 'rxjs';
import { crypto } from '../../../src/bolt/crypto.ts';
import { fromHex, hex32, toHex32, type Hex32 } from '../../../src/bolt/primitives.ts';
import type { LogStore } from '../../../src/adapters/store/log-store.ts';
import type { FullRow } from '../../../src/adapters/store/storage.ts';
import { eventIds, sealEvents, ZERO_HASH, type EventEnvelope } from '../../../src/events/envelope.ts';
import type { Event } from '../../../src/events/registry.ts';
import {
  InvalidAppend,
  LogCorrupt,
  OutcomeUnknown,
  RevisionConflict,
  StoreClosed,
  StoreFull,
  type Attachment,
  type EventStore,
} from '../../../src/events/store.ts';
import { sampleEvent, sampleEvents } from '../../support/sample-events.ts';

/** The rows as somebody with a database tool sees them. Checkpoints: size -> note. */
export interface RawLog {
  rows: FullRow[];
  checkpoints: Map<number, { note: string; edge: string }>;
  attachments: Map<string, string>;
}

/** One log of a kind of store, opened and opened again. */
export interface LogHarness {
  open(options?: {
    readonly full?: boolean;
    readonly verify?: boolean;
    readonly maxWaiting?: number;
    readonly maxQueued?: number;
  }): Promise<LogStore>;
  /** Changes the closed log by hand; what is kept apart from it stays as it was. */
  tamper(change: (log: RawLog) => void): void | Promise<void>;
  /** Takes away the checkpoint that is kept apart. */
  forgetKeptApart(): void;
  /** The store breaks promises on purpose: answers are lost, subscribers see events twice. */
  readonly faulty?: boolean;
  remove(): void | Promise<void>;
}

/** What a kind of store has no way to show: `positions`: they are counted, not stored, so nobody can change one. */
export type Impossible = 'positions' | 'tampering' | 'a full disk';

const hash = (n: number): Hex32 => hex32(n.toString(16).padStart(64, '0'));
const cause = (n: number) => ({ command_id: hash(n), correlation_id: hash(0) });
const fee = (feerate_per_kw: number): Event => ({ type: 'UpdateFeeSent', feerate_per_kw });
const feeOf = ({ event }: EventEnvelope): number => (event as { feerate_per_kw: number }).feerate_per_kw;

async function collect<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** As a careful caller appends: an unknown outcome is asked again, with the same cause and the same revision. */
async function write(store: EventStore, ...args: Parameters<EventStore['append']>): Promise<bigint> {
  for (;;) {
    try {
      return await store.append(...args);
    } catch (error) {
      const isFalseConflict = error instanceof RevisionConflict && error.detail['expected'] === error.detail['actual'];
      if (!(error instanceof OutcomeUnknown) && !isFalseConflict) throw error;
    }
  }
}

/** The first `count` events, what was seen before left out where the store repeats itself. */
function firstEvents(events: Observable<EventEnvelope>, count: number, repeats = false): Promise<EventEnvelope[]> {
  let next = -1n;
  const fresh = repeats ? events.pipe(filter(({ position }) => position > next && ((next = position), true))) : events;
  return firstValueFrom(fresh.pipe(take(count), bufferCount(count)));
}

/** The suite. `create` makes an empty log. */
export function eventStoreContract(
  name: string,
  create: () => LogHarness | Promise<LogHarness>,
  impossible: readonly Impossible[] = [],
): void {
  let log: LogHarness;
  let store: LogStore;
  const opened: LogStore[] = [];
  const open = async (options?: Parameters<LogHarness['open']>[0]): Promise<LogStore> => {
    const one = await log.open(options);
    opened.push(one);
    return one;
  };

  beforeEach(async () => {
    log = await create();
    store = await open();
  });
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close().catch(() => {});
    await log.remove();
  });

  describe(`${name}: appending`, () => {
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
      store = await open();
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

  describe(`${name}: reading`, () => {
    it('finds nothing in a stream that is not there', async () => {
      expect(await collect(store.read('nobody'))).toEqual([]);
      expect(await collect(store.readAll())).toEqual([]);
      expect(await store.head()).toBeUndefined();
    });

    it('starts where it is told, across pages', async () => {
      for (let from = 0; from < 900; from += 300) {
        const events = Array.from({ length: 300 }, (_, index) => fee(from + index));
        await write(store, 'a', from === 0 ? 'none' : BigInt(from - 1), events, cause(from + 1));
      }
      for (const from of [0, 1, 255, 256, 512, 767, 899, 900, 2000]) {
        const expected = Array.from({ length: Math.max(0, 900 - from) }, (_, index) => from + index);
        expect((await collect(store.read('a', BigInt(from)))).map(feeOf)).toEqual(expected);
        expect((await collect(store.readAll(BigInt(from)))).map(feeOf)).toEqual(expected);
        expect((await collect(store.entries(BigInt(from)))).map(({ position }) => Number(position))).toEqual(expected);
      }
    });

    it('reads up to what was durable when it began', async () => {
      await write(store, 'a', 'none', [fee(1), fee(2)], cause(1));
      const seen: number[] = [];
      for await (const envelope of store.readAll()) {
        seen.push(feeOf(envelope));
        if (seen.length < 50)
          await write(
            store,
            'b',
            seen.length === 1 ? 'none' : BigInt(seen.length - 2),
            [fee(99)],
            cause(seen.length + 10),
          );
      }
      expect(seen).toEqual([1, 2]);
    });
  });

  describe(`${name}: attachments and cursors`, () => {
    const attachment = (bytes: string): Attachment => ({ bytes, hash: toHex32(crypto().sha256(fromHex(bytes))) });

    it('keeps bytes beside the log, by their hash', async () => {
      const [onion, empty] = [attachment('ab'.repeat(1366)), attachment('')];
      await write(store, 'a', 'none', [fee(1)], cause(1), [onion, empty]);
      await write(store, 'a', 0n, [fee(2)], cause(2), [onion]);
      await store.close();
      store = await open();
      expect(await store.attachment(onion.hash)).toBe(onion.bytes);
      expect(await store.attachment(empty.hash)).toBe('');
      expect(await store.attachment(hash(5))).toBeUndefined();
    });

    it('keeps no attachment of an append that was refused', async () => {
      const bytes = attachment('cd');
      await write(store, 'a', 'none', [fee(1)], cause(1));
      await expect(write(store, 'a', 5n, [fee(2)], cause(2), [bytes])).rejects.toThrow(RevisionConflict);
      expect(await store.attachment(bytes.hash)).toBeUndefined();
    });

    it.skipIf(impossible.includes('tampering'))('tells when an attachment rotted', async () => {
      const bytes = attachment('cdef');
      await write(store, 'a', 'none', [fee(1)], cause(1), [bytes]);
      await store.close();
      await log.tamper(({ attachments }) => attachments.set(bytes.hash, 'cdff'));
      store = await open();
      await expect(store.attachment(bytes.hash)).rejects.toThrow(LogCorrupt);
    });

    it('keeps cursors, the newest of each name, through a proper close', async () => {
      expect(await store.loadCursor('saga')).toBeUndefined();
      await store.saveCursor('saga', 1n);
      await store.saveCursor('other', 7n);
      await store.saveCursor('saga', 2n);
      expect(await store.loadCursor('saga')).toBe(2n);
      await store.close();
      store = await open();
      expect([await store.loadCursor('saga'), await store.loadCursor('other')]).toEqual([2n, 7n]);
    });
  });

  describe(`${name}: subscribing`, () => {
    it('shows the past, then the present, in one order without gaps', async () => {
      for (let n = 0; n < 5; n += 1)
        await write(
          store,
          `s${n}`,
          'none',
          Array.from({ length: 100 }, () => fee(n)),
          cause(n),
        );
      const seen = firstEvents(store.subscribe(), 1500, log.faulty);
      for (let n = 0; n < 10; n += 1)
        await write(
          store,
          `live${n}`,
          'none',
          Array.from({ length: 100 }, () => fee(n)),
          cause(100 + n),
        );
      const positions = (await seen).map(({ position }) => position);
      expect(positions).toEqual(Array.from({ length: 1500 }, (_, index) => BigInt(index)));
    });

    it('starts after a position, also one that is still to come', async () => {
      await write(store, 'a', 'none', [fee(0), fee(1), fee(2)], cause(1));
      expect((await firstEvents(store.subscribe(0n), 2, log.faulty)).map(feeOf)).toEqual([1, 2]);
      const later = firstEvents(store.subscribe(3n), 1, log.faulty);
      await write(store, 'a', 2n, [fee(3), fee(4)], cause(2));
      expect((await later).map(feeOf)).toEqual([4]);
    });

    it('shows live what reading shows', async () => {
      const live = firstEvents(store.subscribe(), 80, log.faulty);
      await write(store, 'a', 'none', sampleEvents().slice(0, 40), cause(1));
      await write(
        store,
        'a',
        39n,
        [...sampleEvents().slice(30), ...sampleEvents().slice(0, 80)].slice(0, 40),
        cause(2),
      );
      expect(await live).toEqual(await collect(store.readAll()));
    });

    it('lets a repeated append be seen once', async () => {
      if (log.faulty === true) return;
      const seen: number[] = [];
      store.subscribe().subscribe((envelope) => seen.push(feeOf(envelope)));
      await write(store, 'a', 'none', [fee(1)], cause(1));
      await write(store, 'a', 'none', [fee(1)], cause(1));
      await write(store, 'a', 0n, [fee(2)], cause(2));
      await vi.waitFor(() => expect(seen).toEqual([1, 2]));
    });

    it('ends for one who left, and completes when the store closes', async () => {
      const seen: bigint[] = [];
      const leaver = store.subscribe().subscribe(({ position }) => seen.push(position));
      leaver.unsubscribe();
      const closed = new Promise<void>((resolve) => store.subscribe().subscribe({ complete: resolve }));
      await write(store, 'a', 'none', [fee(1)], cause(1));
      await store.close();
      await closed;
      expect(seen).toEqual([]);
    });

    it('drops a subscriber that is too far behind, with an error', async () => {
      if (log.faulty === true) return;
      await store.close();
      store = await open({ maxQueued: 10 });
      await write(store, 'a', 'none', [fee(1)], cause(1));
      const error = new Promise((_resolve, reject) => store.subscribe(0n).subscribe({ error: reject }));
      await firstEvents(store.subscribe(), 1);
      const flood = write(
        store,
        'a',
        0n,
        Array.from({ length: 20 }, (_, index) => fee(index)),
        cause(2),
      );
      await expect(error).rejects.toMatchObject({ code: 'subscriber_too_slow', detail: { got: 20, expected: 10 } });
      expect(await flood).toBe(20n);
    });
  });

  describe(`${name}: bad days`, () => {
    it('a closed store says so, and closes twice without a word', async () => {
      await write(store, 'a', 'none', [fee(1)], cause(1));
      await store.close();
      await store.close();
      await expect(write(store, 'a', 0n, [fee(2)], cause(2))).rejects.toThrow(StoreClosed);
      await expect(collect(store.readAll())).rejects.toThrow(StoreClosed);
      await expect(store.head()).rejects.toThrow(StoreClosed);
    });

    it('close waits for the appends in flight', async () => {
      if (log.faulty === true) return;
      const appends = Array.from({ length: 10 }, (_, index) =>
        store.append(`s${index}`, 'none', [fee(index)], cause(index)),
      );
      await store.close();
      expect(await Promise.all(appends)).toEqual(Array.from({ length: 10 }, () => 0n));
      store = await open();
      expect(await collect(store.readAll())).toHaveLength(10);
    });

    it('what was answered before a kill is there after it; what was not is there whole or not at all', async () => {
      await write(store, 'a', 'none', [fee(1), fee(2)], cause(1));
      const open1 = store.append('b', 'none', [fee(3), fee(4)], cause(2)).catch((error: unknown) => error);
      await store.kill();
      const outcome = await open1;
      store = await open();
      const read = await collect(store.read('b'));
      expect((await collect(store.read('a'))).map(feeOf)).toEqual([1, 2]);
      expect([0, 2]).toContain(read.length);
      if (typeof outcome === 'bigint') expect(read).toHaveLength(2);
      else expect(outcome).toBeInstanceOf(OutcomeUnknown);
      // The careful caller asks again, whatever happened.
      expect(await write(store, 'b', 'none', [fee(3), fee(4)], cause(2))).toBe(1n);
      expect((await collect(store.read('b'))).map(feeOf)).toEqual([3, 4]);
    });

    it('a crowd beyond the bound is turned away, and the others served', async () => {
      if (log.faulty === true) return;
      await store.close();
      store = await open({ maxWaiting: 10 });
      const outcomes = await Promise.allSettled(
        Array.from({ length: 15 }, (_, index) => store.append(`s${index}`, 'none', [fee(index)], cause(index))),
      );
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
      expect((outcomes[14] as PromiseRejectedResult).reason).toMatchObject({
        code: 'store_busy',
        detail: { got: 10, expected: 10 },
      });
      expect(await store.append('s14', 'none', [fee(1)], cause(14))).toBe(0n);
    });

    it.skipIf(impossible.includes('a full disk'))(
      'a full disk refuses, keeps what is there whole, and goes on once there is room',
      async () => {
        await write(store, 'a', 'none', [fee(1)], cause(1));
        await store.close();
        store = await open({ full: true });
        let written = 1;
        const fill = async (): Promise<void> => {
          for (; written < 1000; written += 1)
            await write(
              store,
              'a',
              BigInt(written - 1),
              [{ ...sampleEvent('TransactionCreated'), transaction: '00'.repeat(10_000) } as Event],
              cause(written + 1),
            );
        };
        await expect(fill()).rejects.toThrow(StoreFull);
        expect(await collect(store.readAll())).toHaveLength(written);
        await expect(
          write(
            store,
            'a',
            BigInt(written - 1),
            Array.from(
              { length: 40 },
              () => ({ ...sampleEvent('TransactionCreated'), transaction: '00'.repeat(12_000) }) as Event,
            ),
            cause(9999),
          ),
        ).rejects.toThrow(StoreFull);
        await store.close();
        store = await open();
        expect(await collect(store.readAll())).toHaveLength(written);
        expect(await write(store, 'a', BigInt(written - 1), [fee(2)], cause(5000))).toBe(BigInt(written));
      },
    );
  });

  describe.skipIf(impossible.includes('tampering'))(`${name}: opening a damaged log`, () => {
    beforeEach(async () => {
      await write(store, 'a', 'none', [fee(1), fee(2)], cause(1));
      await write(store, 'b', 'none', [fee(3)], cause(2));
      await write(store, 'a', 1n, [fee(4)], cause(3));
      await write(store, 'b', 0n, [fee(5)], cause(4));
      await store.close();
    });

    const refused = async (change: (raw: RawLog) => void, detail: object = {}): Promise<LogCorrupt> => {
      await log.tamper(change);
      const error = await open().then(
        () => new Error('the log was opened'),
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(LogCorrupt);
      expect((error as LogCorrupt).detail).toMatchObject(detail);
      return error as LogCorrupt;
    };
    const at = (raw: RawLog, position: number, change: Partial<FullRow>) =>
      (raw.rows[position] = { ...raw.rows[position]!, ...change });

    it('opens when nothing happened', async () => {
      await log.tamper(() => {});
      expect(await collect((await open()).readAll())).toHaveLength(5);
    });

    it('finds one changed byte anywhere in an entry', async () => {
      await log.tamper((raw) =>
        at(raw, 3, { entry: raw.rows[3]!.entry.replace('"feerate_per_kw":4', '"feerate_per_kw":5') }),
      );
      await refused(() => {}, { position: 3n, stream: 'a', revision: 2n });
    });

    it.each<[string, Partial<FullRow>]>([
      ...(impossible.includes('positions') ? [] : [['position', { position: 7 }] as [string, Partial<FullRow>]]),
      ['stream', { stream: 'c' }],
      ['revision', { revision: 9 }],
      ['hash', { hash: 'ab'.repeat(32) }],
    ])('finds a changed %s', async (_column, change) => {
      await refused((raw) => at(raw, 4, change));
    });

    it('finds the last event cut, even with its checkpoint', async () => {
      await refused((raw) => raw.rows.pop(), { expected: '5 events', got: '4 events' });
      await refused((raw) => raw.checkpoints.clear());
    });

    it('finds an older copy that was put back', async () => {
      let old: RawLog | undefined;
      await log.tamper(
        (raw) => (old = { rows: [...raw.rows], checkpoints: new Map(raw.checkpoints), attachments: new Map() }),
      );
      store = await open();
      await write(store, 'b', 1n, [fee(6)], cause(5));
      await store.close();
      const error = await refused((raw) => Object.assign(raw, old), { expected: '6 events', got: '5 events' });
      expect(error.message).toContain('the log is cut short');
      log.forgetKeptApart();
      expect(await collect((await open()).readAll())).toHaveLength(5);
    });

    it('finds two events swapped', async () => {
      await refused((raw) => {
        const [third, fourth] = [raw.rows[3]!, raw.rows[4]!];
        raw.rows.splice(3, 2, { ...fourth, position: 3 }, { ...third, position: 4 });
      });
    });

    it('finds a stream rewritten with a fresh chain, by the checkpoint', async () => {
      const error = await refused((raw) => {
        const ours = raw.rows.filter((row) => row.stream === 'a');
        const events = [fee(1), fee(2), fee(999)];
        const sealed = sealEvents({
          stream: 'a',
          firstRevision: 0n,
          previousHash: ZERO_HASH,
          cause: [cause(1), cause(1), cause(3)],
          recorded_at: JSON.parse(ours[0]!.entry).recorded_at as string,
          events,
        });
        for (const [index, row] of ours.entries())
          at(raw, row.position, { entry: sealed[index]!.entry, hash: sealed[index]!.hash });
      });
      expect(error.message).toContain('not those of the checkpoint signed for size 5');
    });

    it('finds a changed checkpoint, and one of another key', async () => {
      await refused((raw) => {
        for (const [size, row] of raw.checkpoints)
          raw.checkpoints.set(size, { ...row, note: row.note.replace(/.{6}=\n$/, 'AAAAAA=\n') });
      });
    });

    it('finds an event added by hand', async () => {
      await refused((raw) => {
        const [sealed] = sealEvents({
          stream: 'c',
          firstRevision: 0n,
          previousHash: ZERO_HASH,
          cause: cause(9),
          recorded_at: '2026-01-02T03:04:05.678Z',
          events: [fee(9)],
        });
        raw.rows.push({ position: 5, stream: 'c', revision: 0, entry: sealed!.entry, hash: sealed!.hash });
      });
    });

    it('without verification still finds a log that is too short or not the signed one', async () => {
      expect(await collect((await open({ verify: false })).readAll())).toHaveLength(5);
      for (const one of opened.splice(0)) await one.close();
      await log.tamper((raw) => raw.rows.pop());
      await expect(open({ verify: false })).rejects.toThrow(LogCorrupt);
    });
  });
}
