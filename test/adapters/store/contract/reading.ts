/** What any store promises of reads, attachments, cursors and subscriptions. */
import { describe, expect, it, vi } from 'vitest';
import { crypto } from '../../../../src/bolt/crypto.ts';
import { fromHex, toHex32 } from '../../../../src/bolt/primitives.ts';
import { LogCorrupt, RevisionConflict, type Attachment } from '../../../../src/events/store.ts';
import { sampleEvents } from '../../../support/sample-events.ts';
import { cause, collect, fee, feeOf, firstEvents, hash, useLog, write, type Impossible, type LogHarness } from './support.ts';

export function readingContract(name: string, create: () => LogHarness | Promise<LogHarness>, impossible: readonly Impossible[]): void {
  describe(`${name}: reading`, () => {
    const { store } = useLog(create);

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
    const { log, store, reopen } = useLog(create);

    const attachment = (bytes: string): Attachment => ({ bytes, hash: toHex32(crypto().sha256(fromHex(bytes))) });

    it('keeps bytes beside the log, by their hash', async () => {
      const [onion, empty] = [attachment('ab'.repeat(1366)), attachment('')];
      await write(store, 'a', 'none', [fee(1)], cause(1), [onion, empty]);
      await write(store, 'a', 0n, [fee(2)], cause(2), [onion]);
      await store.close();
      await reopen();
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
      await reopen();
      await expect(store.attachment(bytes.hash)).rejects.toThrow(LogCorrupt);
    });

    it('keeps cursors, the newest of each name, through a proper close', async () => {
      expect(await store.loadCursor('saga')).toBeUndefined();
      await store.saveCursor('saga', 1n);
      await store.saveCursor('other', 7n);
      await store.saveCursor('saga', 2n);
      expect(await store.loadCursor('saga')).toBe(2n);
      await store.close();
      await reopen();
      expect([await store.loadCursor('saga'), await store.loadCursor('other')]).toEqual([2n, 7n]);
    });
  });

  describe(`${name}: subscribing`, () => {
    const { log, store, reopen } = useLog(create);

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
      await reopen({ maxQueued: 10 });
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
}
