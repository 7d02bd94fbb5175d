/** What a server far away can do to the bytes of a log: keep other ones, lose some, flip some, use revisions again; and how each is found out. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { MemoryJournal, StoredRecord } from '../../../src/adapters/esdb-server/journal.ts';
import { openEventStoreDb } from '../../../src/adapters/store/eventstoredb.ts';
import type { LogStore } from '../../../src/adapters/store/log-store.ts';
import { sealEvents, ZERO_HASH, type SealedEntry } from '../../../src/events/envelope.ts';
import type { Event } from '../../../src/events/registry.ts';
import { LogCorrupt, RevisionConflict } from '../../../src/events/store.ts';
import { createMemoryServer, createTestLog, logKeySeed, nodeId, type TestLog } from '../../support/esdb.ts';
import { cause, collect, fee, feeOf, patience, sleep } from '../../support/esdb-stories.ts';

let server: ReturnType<typeof createMemoryServer>;
let log: TestLog;
let store: LogStore;
const open = async (): Promise<LogStore> => (store = await log.open((await server.running()).url, { patience }));

beforeEach(async () => {
  server = createMemoryServer();
  log = createTestLog();
  await open();
});
afterEach(async () => {
  (await server.running()).faults.thaw();
  await store.kill();
  await server.stop();
  log.remove();
});

describe('a server that answers with less than the truth', () => {
  /** Somebody else writes to our stream behind our back, sealed as it should be. */
  const write = (journal: MemoryJournal, stream: string, sealed: readonly SealedEntry[]): void => {
    const at = journal.records.at(-1)!.position + 1;
    const records = sealed.map(({ id, type, entry, hash, revision }, index): StoredRecord => {
      const [data, metadata] = [entry, JSON.stringify({ hash })].map((text) => new Uint8Array(Buffer.from(text)));
      const contentType = 'application/octet-stream';
      return { position: at + 1000 * index, stream: `${log.prefix}.events.${stream}`, revision: Number(revision), id, type, contentType, data: data!, metadata: metadata!, created: 0 };
    });
    journal.records.push(...records);
  };
  const seal = (stream: string, events: readonly Event[], n: number) =>
    sealEvents({ stream, firstRevision: 0n, previousHash: ZERO_HASH, cause: cause(n), recorded_at: '2026-01-02T03:04:05.678Z', events });

  it('an append of an earlier life that landed late is believed, and the chain goes on from its bytes', async () => {
    await server.stop();
    // The same command, decided a while ago: the same ids, another time, so other bytes and another hash.
    write(server.journal, 'a', seal('a', [fee(1), fee(2)], 1));
    await server.running();
    expect(await store.append('a', 'none', [fee(1), fee(2)], cause(1))).toBe(1n);
    expect(await store.append('a', 1n, [fee(3)], cause(2))).toBe(2n);
    await store.close();
    await open();
    const read = await collect(store.read('a'));
    expect(read.map(feeOf)).toEqual([1, 2, 3]);
    expect(read[0]!.recorded_at).toBe('2026-01-02T03:04:05.678Z');
  });

  it('the same ids with other facts are a conflict', async () => {
    await server.stop();
    write(server.journal, 'a', seal('a', [fee(9)], 1));
    await server.running();
    await expect(store.append('a', 'none', [fee(1)], cause(1))).rejects.toThrow(RevisionConflict);
    expect((await collect(store.read('a'))).map(feeOf)).toEqual([9]);
  });

  it('what another process wrote is a conflict with the true revision, then read and built upon', async () => {
    await server.stop();
    write(server.journal, 'a', seal('a', [fee(7), fee(8)], 70));
    await server.running();
    await expect(store.append('a', 'none', [fee(1)], cause(1))).rejects.toMatchObject({ detail: { expected: 'none', actual: 1n } });
    expect(await store.append('a', 1n, [fee(2)], cause(2))).toBe(2n);
    expect((await collect(store.readAll())).map(feeOf)).toEqual([7, 8, 2]);
  });
});

describe('a server that lost what it had', () => {
  const fill = async (): Promise<void> => {
    for (let n = 0; n < 5; n += 1) await store.append('a', n === 0 ? 'none' : BigInt(n - 1), [fee(n)], cause(n));
  };
  const cut = (count: number): void => {
    const events = server.journal.records.filter(({ stream }) => stream.includes('.events.'));
    const first = events.at(-count)!.position;
    server.journal.records = server.journal.records.filter(({ position }) => position < first);
  };

  it('while we run: the next append finds it, and nothing more is written', async () => {
    await fill();
    await server.stop('kill');
    cut(2);
    await server.running();
    await expect(store.append('a', 4n, [fee(9)], cause(9))).rejects.toThrow(/log_corrupt|shorter than it was|lost what it had/);
    await expect(store.append('b', 'none', [fee(9)], cause(10))).rejects.toThrow(LogCorrupt);
    await expect(collect(store.readAll())).rejects.toThrow(LogCorrupt);
  });

  it('while nobody writes: the subscription finds it when it comes back', async () => {
    await fill();
    const ended = new Promise<void>((resolve) => store.subscribe().subscribe({ complete: resolve, error: () => resolve() }));
    await server.stop('kill');
    cut(1);
    await server.running();
    await ended;
    await expect(store.head()).rejects.toThrow('the event database lost what it had');
  });

  it('and used the revisions again, while we were away: the checkpoint kept apart finds it', async () => {
    await fill();
    await vi.waitFor(async () => expect(await store.head()).toBe(4n));
    await sleep(50);
    await store.kill();
    await server.stop();
    cut(2);
    // A store without our file goes on as if nothing had happened.
    const { url } = await server.running();
    const careless = await openEventStoreDb({ url, nodeId, logKeySeed, prefix: log.prefix, now: () => new Date() });
    for (let n = 3; n < 9; n += 1) await careless.append('a', BigInt(n - 1), [fee(100 + n)], cause(100 + n));
    await careless.close();
    await expect(open()).rejects.toThrow('not those of the checkpoint signed for size 5');
  });

  it('a byte that flips while we run is found when it is read', async () => {
    await fill();
    await server.stop('kill');
    const victim = server.journal.records.find(({ stream, revision }) => stream.endsWith('.events.a') && revision === 2)!;
    victim.data[victim.data.length - 20]! ^= 1;
    await server.running();
    await expect(collect(store.read('a'))).rejects.toThrow(LogCorrupt);
    await expect(collect(store.readAll())).rejects.toThrow(LogCorrupt);
  });

  it('any flipped byte of any of our records is found or harms nothing', async () => {
    await fill();
    await store.close();
    await server.stop();
    const whole = server.journal.records;
    let found = 0;
    for (const [index, record] of whole.entries()) {
      for (const field of ['data', 'metadata'] as const) {
        if (record[field].length === 0) continue;
        const changed = new Uint8Array(record[field]);
        changed[(index * 31) % changed.length]! ^= 4;
        server.journal.records = whole.map((one, at) => (at === index ? { ...one, [field]: changed } : one));
        try {
          await open();
          expect((await collect(store.readAll())).map(feeOf)).toEqual([0, 1, 2, 3, 4]);
        } catch (error) {
          expect(error).toBeInstanceOf(LogCorrupt);
          found += 1;
        }
        await store.kill();
        await server.stop();
      }
    }
    server.journal.records = whole;
    expect(found).toBeGreaterThanOrEqual(10);
  });
});
