/** What only a server far away can do: vanish, freeze, lose answers, drop readers; and what the store makes of it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { StoredRecord } from '../../../src/adapters/esdb-server/journal.ts';
import { openSqliteJournal } from '../../../src/adapters/esdb-server/journal-sqlite.ts';
import { openEventStoreDb } from '../../../src/adapters/store/eventstoredb.ts';
import type { LogStore } from '../../../src/adapters/store/log-store.ts';
import { hex32 } from '../../../src/bolt/primitives.ts';
import { OutcomeUnknown } from '../../../src/events/store.ts';
import { createMemoryServer, createTestLog, createTestServer, logKeySeed, nodeId, type TestLog } from '../../support/esdb.ts';
import { startServerProcess } from '../../support/esdb-process.ts';
import { cause, collect, fee, feeOf, insist, patience, sleep } from '../../support/esdb-stories.ts';

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

describe('answers that are lost', () => {
  it.each(['lost_answer', 'lost_request'] as const)('%s: the same is asked again, and written once', async (fate) => {
    const { faults } = await server.running();
    await store.append('a', 'none', [fee(1)], cause(1));
    const fates = [fate, fate];
    faults.fate = () => fates.shift() ?? 'normal';
    expect(await store.append('a', 0n, [fee(2), fee(3)], cause(2))).toBe(2n);
    expect(await store.append('a', 2n, [fee(4)], cause(3))).toBe(3n);
    expect((await collect(store.readAll())).map(feeOf)).toEqual([1, 2, 3, 4]);
  });

  it('keep the attachments: they are there when the events are', async () => {
    const { faults } = await server.running();
    const fates = ['lost_request', 'normal', 'lost_answer'] as const;
    let next = 0;
    faults.fate = () => fates[next++] ?? 'normal';
    const empty = { hash: hex32('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'), bytes: '' };
    expect(await store.append('a', 'none', [fee(1)], cause(1), [empty])).toBe(0n);
    expect(await store.attachment(empty.hash)).toBe('');
    expect(await collect(store.readAll())).toHaveLength(1);
  });
});

describe('a server that freezes', () => {
  it('for a moment: the client is built anew, and the append succeeds', async () => {
    const { faults } = await server.running();
    faults.freeze();
    const append = store.append('a', 'none', [fee(1)], cause(1));
    await sleep(2.5 * patience.attempt);
    faults.thaw();
    expect(await append).toBe(0n);
    expect((await collect(store.read('a'))).map(feeOf)).toEqual([1]);
    expect(await store.append('a', 0n, [fee(2)], cause(2))).toBe(1n);
  });

  it('for too long: the outcome is unknown, asked again it is what it was', async () => {
    const { faults } = await server.running();
    await store.append('a', 'none', [fee(1)], cause(1));
    faults.freeze();
    const behind = store.append('a', 1n, [fee(3)], cause(3)).catch((error: unknown) => error);
    const unknown = store.append('a', 0n, [fee(2)], cause(2));
    await expect(unknown).rejects.toThrow(OutcomeUnknown);
    expect(await behind).toBeInstanceOf(OutcomeUnknown);
    faults.thaw();
    expect(await insist(store, 'a', 0n, [fee(2)], cause(2))).toBe(1n);
    expect(await insist(store, 'a', 1n, [fee(3)], cause(3))).toBe(2n);
    expect((await collect(store.read('a'))).map(feeOf)).toEqual([1, 2, 3]);
  });

  it('harms nobody who only reads what comes after', async () => {
    const { faults } = await server.running();
    const seen: number[] = [];
    store.subscribe().subscribe((envelope) => seen.push(feeOf(envelope)));
    await store.append('a', 'none', [fee(1)], cause(1));
    faults.freeze();
    const append = store.append('a', 0n, [fee(2)], cause(2));
    await sleep(1.5 * patience.attempt);
    faults.thaw();
    await append;
    await vi.waitFor(() => expect(seen).toEqual([1, 2]), 5_000);
  });
});

describe('a server that is killed', () => {
  it('again and again under 8 writers loses nothing that was answered and doubles nothing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fulgurite-esdb-'));
    const durable = createTestServer(openKeptJournal(join(folder, 'records.db')));
    const [theirs, answered] = [createTestLog(), new Map<string, bigint>()];
    await store.close();
    store = await theirs.open((await durable.running()).url, { patience: { attempt: 1_000, total: 10_000 } });
    const seen: bigint[] = [];
    store.subscribe().subscribe(({ position }) => seen.push(position));
    const until = { stop: false };
    const writer = async (name: string): Promise<void> => {
      for (let revision = -1n; !until.stop; ) {
        const number = Number(revision) + 1;
        const command = cause(Number(name.slice(1)) * 100_000 + number);
        revision = await insist(store, name, revision < 0n ? 'none' : revision, [fee(number)], command);
        answered.set(name, revision);
      }
    };
    const writers = Array.from({ length: 8 }, (_, index) => writer(`w${index + 1}`));
    for (let kill = 0; kill < 8; kill += 1) {
      await sleep(60 + 37 * kill);
      await durable.stop('kill');
      await sleep(20);
      await durable.running();
    }
    await sleep(200);
    until.stop = true;
    await Promise.all(writers);
    let events = 0;
    for (const [name, revision] of answered) {
      const fees = (await collect(store.read(name))).map(feeOf);
      expect(fees).toEqual(Array.from({ length: Number(revision) + 1 }, (_, index) => index));
      events += fees.length;
    }
    await vi.waitFor(() => expect(seen).toEqual(Array.from({ length: events }, (_, index) => BigInt(index))), 10_000);
    await store.close();
    store = await theirs.open((await durable.running()).url);
    expect(await store.head()).toBe(BigInt(events - 1));
    await store.close();
    await durable.stop();
    theirs.remove();
    rmSync(folder, { recursive: true });
  }, 60_000);

  it('while somebody subscribes: the subscription goes on where it was', async () => {
    const seen: number[] = [];
    store.subscribe().subscribe((envelope) => seen.push(feeOf(envelope)));
    for (let n = 0; n < 6; n += 1) {
      await store.append('a', n === 0 ? 'none' : BigInt(n - 1), [fee(n)], cause(n));
      await server.stop('kill');
      await server.running();
    }
    await vi.waitFor(() => expect(seen).toEqual([0, 1, 2, 3, 4, 5]), 10_000);
  });

  it('and does not come back: reads and appends end with a word, and the store still closes', async () => {
    await server.stop('kill');
    await expect(store.append('a', 'none', [fee(1)], cause(1))).rejects.toThrow(OutcomeUnknown);
    await expect(collect(store.read('a'))).rejects.toMatchObject({ code: 'store_unreachable' });
    await store.close();
  });
});

describe('a subscription that the server drops as too slow', () => {
  it('is taken up again without a gap and without a repetition', async () => {
    const { faults } = await server.running();
    const seen: number[] = [];
    store.subscribe().subscribe((envelope) => seen.push(feeOf(envelope)));
    for (let n = 0; n < 60; n += 1) {
      if (n % 7 === 3) faults.dropSubscriptions();
      await store.append('a', n === 0 ? 'none' : BigInt(n - 1), [fee(n)], cause(n));
    }
    await vi.waitFor(() => expect(seen).toEqual(Array.from({ length: 60 }, (_, index) => index)), 10_000);
  });
});

describe('the door', () => {
  it('an address that is none is refused, without the password', async () => {
    await store.close();
    const opening = openEventStoreDb({ url: 'http://admin:changeit@host', nodeId, logKeySeed, now: () => new Date() });
    await expect(opening).rejects.toThrow('expected an address like esdb://host:2113?tls=false, got http://host');
  });

  it('a server that is not there is a clear word, without the password', async () => {
    await store.close();
    const url = 'esdb://admin:changeit@127.0.0.1:1?tls=false';
    const opening = openEventStoreDb({ url, nodeId, logKeySeed, now: () => new Date(), patience: { attempt: 200, total: 500 } });
    await expect(opening).rejects.toMatchObject({ code: 'store_unreachable' });
    await expect(opening).rejects.toThrow('the event database esdb://127.0.0.1:1?tls=false does not answer');
  });

  it('one process talks to one database; two logs in it do not disturb each other', async () => {
    await expect(
      openEventStoreDb({ url: 'esdb://127.0.0.1:2?tls=false', nodeId, logKeySeed, now: () => new Date() }),
    ).rejects.toMatchObject({ code: 'one_client_a_process' });
    const other = createTestLog();
    const second = await other.open((await server.running()).url);
    await store.append('a', 'none', [fee(1)], cause(1));
    await second.append('a', 'none', [fee(2)], cause(1));
    expect((await collect(store.readAll())).map(feeOf)).toEqual([1]);
    expect((await collect(second.readAll())).map(feeOf)).toEqual([2]);
    await second.close();
    other.remove();
    expect(await store.append('a', 0n, [fee(3)], cause(3))).toBe(1n);
  });

  it('the log of another node is refused', async () => {
    await store.append('a', 'none', [fee(1)], cause(1));
    await store.close();
    const { url } = await server.running();
    const stranger = openEventStoreDb({ url, nodeId, logKeySeed: new Uint8Array(32).fill(9), prefix: log.prefix, now: () => new Date() });
    await expect(stranger).rejects.toThrow('is not signed by key');
  });

  it('many appends to one stream share the way', async () => {
    const { faults } = await server.running();
    let appends = 0;
    faults.fate = (stream) => ((appends += stream.includes('.events.') ? 1 : 0), 'normal');
    await Promise.all(Array.from({ length: 500 }, (_, n) => store.append('a', n === 0 ? 'none' : BigInt(n - 1), [fee(n)], cause(n))));
    expect(appends).toBeLessThan(20);
    expect((await collect(store.read('a'))).map(feeOf)).toEqual(Array.from({ length: 500 }, (_, n) => n));
  });
});

describe('a server in a process of its own', () => {
  it('stopped by SIGSTOP and killed by SIGKILL in the middle of appends loses nothing that was answered', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fulgurite-esdb-'));
    let [process, revision] = [await startServerProcess(join(folder, 'records.db')), -1n];
    const until = { stop: false };
    const { port } = process;
    await store.close();
    const theirs = createTestLog();
    store = await theirs.open(process.url, { patience: { attempt: 700, total: 20_000 } });
    const writing = (async () => {
      while (!until.stop)
        revision = await insist(store, 'a', revision < 0n ? 'none' : revision, [fee(Number(revision) + 1)], cause(Number(revision) + 1));
    })();
    try {
      for (let turn = 0; turn < 3; turn += 1) {
        await sleep(300);
        process.signal('SIGSTOP');
        await sleep(1_000);
        process.signal('SIGCONT');
        await sleep(200);
        await process.kill();
        process = await startServerProcess(join(folder, 'records.db'), port);
      }
      await sleep(300);
      until.stop = true;
      await writing;
      expect(revision).toBeGreaterThan(50n);
      expect((await collect(store.read('a'))).map(feeOf)).toEqual(Array.from({ length: Number(revision) + 1 }, (_, n) => n));
      await store.close();
      store = await theirs.open(process.url);
      expect(await store.head()).toBe(revision);
    } finally {
      await store.close();
      await process.kill();
      theirs.remove();
      rmSync(folder, { recursive: true });
    }
  }, 90_000);
});

/** A SQLite journal that is opened again when a killed server's successor loads it. */
function openKeptJournal(file: string) {
  let journal = openSqliteJournal(file);
  return {
    load() {
      journal.close();
      journal = openSqliteJournal(file);
      return journal.load();
    },
    write: (records: readonly StoredRecord[]) => journal.write(records),
    close: () => {},
  };
}
