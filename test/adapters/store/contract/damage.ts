/** What any store finds when it opens a log that somebody changed. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { FullRow } from '../../../../src/adapters/store/storage.ts';
import { sealEvents, ZERO_HASH } from '../../../../src/events/envelope.ts';
import { LogCorrupt } from '../../../../src/events/store.ts';
import { cause, collect, fee, useLog, write, type Impossible, type LogHarness, type RawLog } from './support.ts';

export function damageContract(name: string, create: () => LogHarness | Promise<LogHarness>, impossible: readonly Impossible[]): void {
  describe.skipIf(impossible.includes('tampering'))(`${name}: opening a damaged log`, () => {
    const { log, store, open, reopen } = useLog(create);

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
      await reopen();
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
      const unverified = await open({ verify: false });
      expect(await collect(unverified.readAll())).toHaveLength(5);
      await unverified.close();
      await log.tamper((raw) => raw.rows.pop());
      await expect(open({ verify: false })).rejects.toThrow(LogCorrupt);
    });
  });
}
