/** A log whose newest events are in its tail alone: kills, power cuts, old copies, full disks. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LogStore } from '../../../src/adapters/store/log-store.ts';
import { openReadOnlyLog } from '../../../src/adapters/store/read-only.ts';
import { openSqliteStore, type SqliteStoreOptions } from '../../../src/adapters/store/sqlite.ts';
import { hex32, point } from '../../../src/bolt/primitives.ts';
import type { Event } from '../../../src/events/registry.ts';

const fee = (feerate_per_kw: number): Event => ({ type: 'UpdateFeeSent', feerate_per_kw });
const cause = (n: number) => ({ command_id: hex32(n.toString(16).padStart(64, '0')), correlation_id: hex32('00'.repeat(32)) });

describe('a log whose newest events are in its tail', () => {
  let folder: string;
  let copies: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'fulgurite-sqlite-tail-'));
    copies = mkdtempSync(join(tmpdir(), 'fulgurite-sqlite-tail-'));
    file = join(folder, 'log.db');
  });
  afterEach(() => [folder, copies].forEach((each) => rmSync(each, { recursive: true, force: true })));

  const tail = (): string => `${file}-tail`;
  const open = (options: Partial<SqliteStoreOptions> = {}): Promise<LogStore> =>
    openSqliteStore({ file, nodeId: point(`02${'00'.repeat(31)}01`), logKeySeed: new Uint8Array(32).fill(1), now: () => new Date(), ...options });

  async function append(store: LogStore, from: number, count: number): Promise<void> {
    for (let n = from; n < from + count; n += 1) expect(await store.append('a', n === 0 ? 'none' : BigInt(n - 1), [fee(n)], cause(n + 1))).toBe(BigInt(n));
  }

  async function readBack(store: LogStore): Promise<readonly number[]> {
    const fees: number[] = [];
    for await (const { event } of store.readAll()) fees.push((event as { feerate_per_kw: number }).feerate_per_kw);
    return fees;
  }

  /** Two events in the database, three more answered and in the tail alone; then the power fails. */
  async function threeWait(): Promise<void> {
    const store = await open();
    await append(store, 0, 2);
    await store.head();
    await append(store, 2, 3);
    await store.kill();
  }

  function copyTo(name: string): void {
    mkdirSync(join(copies, name));
    for (const each of readdirSync(folder).filter((one) => !one.endsWith('.lock'))) cpSync(join(folder, each), join(copies, name, each));
  }

  const change = (edit: (bytes: Buffer) => Buffer): void => writeFileSync(tail(), edit(readFileSync(tail())));
  const end = (bytes: Buffer): number => bytes.findLastIndex((byte) => byte !== 0) + 1;

  /** Where the frame begins whose first event has this position. */
  const frameOf = (bytes: Buffer, first: number): number => Array.from({ length: 40 }, (_, sector) => 512 * sector).find((at) => bytes.toString('latin1', at, at + 4) === 'FT01' && bytes.readBigUInt64BE(at + 8) === BigInt(first))!;

  it('has everything when it is opened again, and needs the tail no more', async () => {
    await threeWait();
    const waiting = openReadOnlyLog(file);
    expect({ size: waiting.size, waiting: waiting.waiting }).toEqual({ size: 2, waiting: 3 });
    waiting.close();
    const store = await open();
    expect(await readBack(store)).toEqual([0, 1, 2, 3, 4]);
    await append(store, 5, 1);
    await store.close();
    expect(existsSync(tail())).toBe(false);
    const again = await open();
    expect(await readBack(again)).toEqual([0, 1, 2, 3, 4, 5]);
    await again.close();
  });

  it('killed again and again never loses what it answered', async () => {
    for (let round = 0; round < 5; round += 1) {
      const store = await open();
      expect(await readBack(store)).toEqual(Array.from({ length: 3 * round }, (_, n) => n));
      await append(store, 3 * round, 3);
      await store.kill();
    }
  });

  it('killed while the tail was being taken in, has each event once', async () => {
    await threeWait();
    copyTo('waiting');
    await (await open()).close();
    // The database has them, and the tail still does.
    cpSync(join(copies, 'waiting', 'log.db-tail'), tail());
    const store = await open();
    expect(await readBack(store)).toEqual([0, 1, 2, 3, 4]);
    await store.close();
  });

  it.each([
    ['was cut at its end', (bytes: Buffer) => bytes.subarray(0, end(bytes) - 3)],
    ['lost its last sector', (bytes: Buffer) => bytes.fill(0, end(bytes) - 300)],
    ['has a wrong byte in its newest frame', (bytes: Buffer) => bytes.fill(bytes[end(bytes) - 50]! ^ 1, end(bytes) - 50, end(bytes) - 49)],
  ])('is refused when the tail %s: the mark knows what was answered', async (_, edit) => {
    await threeWait();
    change(edit);
    await expect(open()).rejects.toThrow('the log is cut short: 5 events were durable, got 4, up to position 3');
    await expect(open(), 'each time').rejects.toMatchObject({ code: 'log_corrupt' });
  });

  it('is refused when the tail is gone', async () => {
    await threeWait();
    rmSync(tail());
    await expect(open()).rejects.toThrow('the log is cut short: 5 events were durable, got 2');
  });

  it('is refused when a frame before the newest is damaged', async () => {
    await threeWait();
    change((bytes) => bytes.fill(1, frameOf(bytes, 2) + 100, frameOf(bytes, 2) + 110));
    await expect(open()).rejects.toThrow(/has a hole: the log has 2 events, the file goes on at position 3/);
  });

  it('opens though the last frame is torn that nobody was answered for', async () => {
    await threeWait();
    change((bytes) => {
      const at = Math.ceil(end(bytes) / 512) * 512;
      bytes.copy(bytes, at, 0, 200);
      return bytes;
    });
    const store = await open();
    expect(await readBack(store)).toEqual([0, 1, 2, 3, 4]);
    await store.close();
  });

  it('safety 29: put back to an older copy beside a newer tail is refused, and opens with that tail set aside where the old log is wanted', async () => {
    const store = await open();
    await append(store, 0, 2);
    await store.close();
    copyTo('old');
    const newer = await open();
    await append(newer, 2, 3);
    await newer.head();
    await append(newer, 5, 1);
    await newer.kill();
    for (const each of ['log.db', 'checkpoint']) cpSync(join(copies, 'old', each), join(folder, each));
    for (const each of ['-wal', '-shm']) rmSync(file + each, { force: true });
    // Whole, it would continue the old log up to the newest event.
    change((bytes) => bytes.fill(0, 0, 512));
    const damaged = readFileSync(tail());
    await expect(open()).rejects.toThrow(/log\.db-tail has a hole: the log has 2 events, the file goes on at position 3/);
    const forced = await open({ setAsideTail: true });
    expect(await readBack(forced)).toEqual([0, 1]);
    await append(forced, 2, 1);
    await forced.close();
    expect(readFileSync(`${tail()}.before-recovery`).equals(damaged)).toBe(true);
  });

  it('and the node of another key do not fit', async () => {
    await threeWait();
    copyTo('theirs');
    rmSync(folder, { recursive: true });
    const store = await openSqliteStore({ file, nodeId: point(`02${'00'.repeat(31)}01`), logKeySeed: new Uint8Array(32).fill(2), now: () => new Date() });
    await append(store, 0, 2);
    await store.close();
    cpSync(join(copies, 'theirs', 'log.db-tail'), tail());
    await expect(open({ logKeySeed: new Uint8Array(32).fill(2) })).rejects.toThrow('was not written by this node');
  });

  it('works through the database alone where there is no room for a tail', async () => {
    const store = await open({ createTail: noRoom });
    await append(store, 0, 3);
    expect(existsSync(tail())).toBe(false);
    await store.kill();
    const again = await open({ createTail: noRoom });
    expect(await readBack(again)).toEqual([0, 1, 2]);
    await again.close();
  });

  it('tells a full disk, and goes on when there is room', async () => {
    const store = await open();
    await append(store, 0, 2);
    await store.close();
    const full = await open({ maxBytes: 4096 });
    const stored = await full.append('a', 1n, Array.from({ length: 400 }, (_, n) => fee(n + 2)), cause(3)).catch((error: unknown) => (error as { code: string }).code);
    expect(stored).toBe('store_full');
    expect(await readBack(full)).toEqual([0, 1]);
    await full.close();
    const again = await open();
    await append(again, 2, 2);
    await again.close();
  });
});

function noRoom(): never {
  throw new Error('ENOSPC: no space left on device');
}
