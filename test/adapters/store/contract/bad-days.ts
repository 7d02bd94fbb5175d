/** What any store promises on a bad day: a kill, a crowd, a full disk. */
import { describe, expect, it } from 'vitest';
import type { Event } from '../../../../src/events/registry.ts';
import { OutcomeUnknown, StoreClosed, StoreFull } from '../../../../src/events/store.ts';
import { sampleEvent } from '../../../support/sample-events.ts';
import { cause, collect, fee, feeOf, useLog, write, type Impossible, type LogHarness } from './support.ts';

export function badDaysContract(name: string, create: () => LogHarness | Promise<LogHarness>, impossible: readonly Impossible[]): void {
  describe(`${name}: bad days`, () => {
    const { log, store, reopen } = useLog(create);

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
      await reopen();
      expect(await collect(store.readAll())).toHaveLength(10);
    });

    it('what was answered before a kill is there after it; what was not is there whole or not at all', async () => {
      await write(store, 'a', 'none', [fee(1), fee(2)], cause(1));
      const open1 = store.append('b', 'none', [fee(3), fee(4)], cause(2)).catch((error: unknown) => error);
      await store.kill();
      const outcome = await open1;
      await reopen();
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
      await reopen({ maxWaiting: 10 });
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
        await reopen({ full: true });
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
        await reopen();
        expect(await collect(store.readAll())).toHaveLength(written);
        expect(await write(store, 'a', BigInt(written - 1), [fee(2)], cause(5000))).toBe(BigInt(written));
      },
    );
  });
}
