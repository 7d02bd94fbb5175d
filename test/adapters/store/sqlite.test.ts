/** The contract on SQLite, and what only a file can suffer: flipped bytes, torn tails, kills, two processes. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'libsql';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openReadOnlyLog } from '../../../src/adapters/store/read-only.ts';
import { openLog } from '../../../src/adapters/store/open.ts';
import { openSqliteStorage } from '../../../src/adapters/store/sqlite-storage.ts';
import type { LogStorage } from '../../../src/adapters/store/storage.ts';
import { openSqliteStore, type SqliteStoreOptions } from '../../../src/adapters/store/sqlite.ts';
import { hex32, point } from '../../../src/bolt/primitives.ts';
import type { EventEnvelope } from '../../../src/events/envelope.ts';
import type { Event } from '../../../src/events/registry.ts';
import { StoreError } from '../../../src/events/store.ts';
import { createLogVerifier } from '../../../src/events/verify.ts';
import { crypto } from '../../../src/bolt/crypto.ts';
import { originOf } from '../../../src/events/checkpoint.ts';
import { sampleEvents } from '../../support/sample-events.ts';
import { eventStoreContract, type LogHarness } from './contract.ts';

const nodeId = point(`02${'00'.repeat(31)}01`);
const logKeySeed = new Uint8Array(32).fill(1);
const key = { origin: originOf(nodeId), publicKey: crypto().ed25519PublicKey(logKeySeed) };
const settings = (folder: string): SqliteStoreOptions => ({
  file: join(folder, 'log.db'),
  nodeId,
  logKeySeed,
  now: () => new Date(),
});
const temporary = (): string => mkdtempSync(join(tmpdir(), 'fulgurite-store-'));

function harness(): LogHarness {
  const folder = temporary();
  return {
    open: ({ full = false, ...options } = {}) =>
      openSqliteStore({ ...settings(folder), ...options, ...(full ? { maxBytes: 256 * 1024 } : {}) }),
    tamper(change) {
      const db = new Database(join(folder, 'log.db'));
      const all = <T>(query: string) => db.prepare(query).all() as T[];
      const raw = {
        rows: all<{ position: number; stream: string; revision: number; entry: string; hash: string }>(
          'SELECT * FROM events ORDER BY position',
        ),
        checkpoints: new Map(
          all<{ size: number; note: string; edge: string }>('SELECT * FROM checkpoints').map((row) => [row.size, row]),
        ),
        attachments: new Map(
          all<{ hash: string; bytes: ArrayBuffer }>('SELECT * FROM attachments').map(({ hash, bytes }) => [
            hash,
            Buffer.from(bytes).toString('hex'),
          ]),
        ),
      };
      change(raw as never);
      db.exec('DELETE FROM events; DELETE FROM checkpoints; DELETE FROM attachments');
      for (const { position, stream, revision, entry, hash } of raw.rows)
        db.prepare('INSERT INTO events VALUES(?, ?, ?, ?, ?)').run(position, stream, revision, entry, hash);
      for (const [size, { note, edge }] of raw.checkpoints)
        db.prepare('INSERT INTO checkpoints VALUES(?, ?, ?)').run(size, note, edge);
      for (const [hash, bytes] of raw.attachments)
        db.prepare('INSERT INTO attachments VALUES(?, ?)').run(hash, Buffer.from(bytes, 'hex'));
      db.close();
    },
    forgetKeptApart: () => rmSync(join(folder, 'checkpoint')),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

eventStoreContract('sqlite', harness);

const fee = (feerate_per_kw: number): Event => ({ type: 'UpdateFeeSent', feerate_per_kw });
const cause = (n: number) => ({
  command_id: hex32(n.toString(16).padStart(64, '0')),
  correlation_id: hex32('00'.repeat(32)),
});

async function collect<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Where what was written ends. */
const endOfFrames = (wal: Buffer): number => wal.findLastIndex((byte) => byte !== 0) + 1;

/** The hashes of all events, read by position and again by stream, without a thread of its own; or why the log is refused. */
function readHashes(file: string): readonly string[] | StoreError {
  let storage: LogStorage | undefined;
  try {
    storage = openSqliteStorage({ file, readOnly: true });
    openLog(storage, { key: { ...key, seed: logKeySeed }, verify: true });
    const all = storage.readAll(0, 10_000).map(([, , hash]) => hash);
    const byStream = Array.from({ length: 12 }, (_, n) =>
      storage!.readStream(`stream-${n}`, 0, 10_000).map(([, , hash]) => hash),
    );
    expect(byStream.flat()).toEqual(all);
    return all;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return error;
  } finally {
    storage?.close();
  }
}

describe('a database file', () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = temporary();
    file = join(folder, 'log.db');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const open = (options: Partial<SqliteStoreOptions> = {}) => openSqliteStore({ ...settings(folder), ...options });

  /** 12 streams of every type of event. After a power loss the folder is as it was while the store was open, with its write-ahead log. */
  async function fill(end: 'close' | 'power loss'): Promise<readonly EventEnvelope[]> {
    const store = await open();
    for (let n = 0; n < 12; n += 1)
      await store.append(`stream-${n}`, 'none', sampleEvents(), cause(n), [
        { hash: hex32('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'), bytes: '' },
      ]);
    const all = await collect(store.readAll());
    const image = temporary();
    cpSync(folder, image, { recursive: true });
    await store.close();
    if (end === 'power loss') cpSync(image, folder, { recursive: true });
    rmSync(image, { recursive: true });
    return all;
  }

  async function readBack(): Promise<readonly EventEnvelope[]> {
    const store = await open();
    const all = await collect(store.readAll());
    await store.close();
    return all;
  }

  it('is whole after a power loss', async () => {
    const written = await fill('power loss');
    expect(existsSync(`${file}-wal`)).toBe(true);
    expect(await readBack()).toEqual(written);
  });

  it('holds all that was answered when its process is killed', async () => {
    const script = fileURLToPath(new URL('./endless-writer.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', script, file], { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    let said = '';
    for await (const chunk of child.stdout) {
      said += String(chunk);
      if (said.length > 2000) child.kill('SIGKILL');
    }
    await exited;
    const store = await open();
    const answered = said
      .split('\n')
      .slice(0, -1)
      .map((line) => line.split(' ') as [string, string]);
    expect(answered.length).toBeGreaterThan(100);
    for (const [stream, revision] of answered) {
      expect((await collect(store.read(stream, BigInt(revision))))[0]?.event).toEqual(fee(Number(revision)));
    }
    await store.close();
  });

  it('with a flipped byte anywhere never shows a changed event', async () => {
    const written = (await fill('close')).map(({ hash }) => hash);
    const bytes = readFileSync(file);
    const flipped = join(folder, 'flipped.db');
    let found = 0;
    for (let n = 0; n < 200; n += 1) {
      const place = (n * 7919 + n * n * 31) % bytes.length;
      const damaged = Buffer.from(bytes);
      damaged[place]! ^= 1 << (n % 8);
      for (const end of ['', '-wal', '-shm']) rmSync(flipped + end, { force: true });
      writeFileSync(flipped, damaged);
      const read = readHashes(flipped);
      if (read instanceof StoreError) found += 1;
      else expect(read, `bit ${n % 8} of byte ${place} flipped`).toEqual(written);
    }
    expect(found).toBeGreaterThan(100);
  });

  it('with a torn write-ahead log is refused: the checkpoint beside it knows more', async () => {
    await fill('power loss');
    const wal = `${file}-wal`;
    truncateSync(wal, endOfFrames(readFileSync(wal)) - 5000);
    await expect(open()).rejects.toThrow('the log is cut short: a checkpoint was signed for more events');
  });

  it('with a flipped byte in the write-ahead log is refused', async () => {
    await fill('power loss');
    const wal = readFileSync(`${file}-wal`);
    wal[endOfFrames(wal) - 6000]! ^= 1;
    writeFileSync(`${file}-wal`, wal);
    await expect(open()).rejects.toMatchObject({ code: 'log_corrupt' });
  });

  it('is refused with a checkpoint file that was changed, and opens with one torn slot', async () => {
    const written = await fill('close');
    const checkpoint = readFileSync(join(folder, 'checkpoint'));
    const other = Buffer.from(checkpoint);
    other.fill('x', 0, 512);
    writeFileSync(join(folder, 'checkpoint'), other);
    expect(await readBack()).toEqual(written);
    writeFileSync(join(folder, 'checkpoint'), 'garbage');
    await expect(open()).rejects.toMatchObject({ code: 'log_corrupt' });
  });

  it('that is no log of ours is refused, and left as it is', async () => {
    writeFileSync(file, 'hello, I am a text');
    await expect(open()).rejects.toMatchObject({ code: 'log_corrupt' });
    expect(readFileSync(file, 'utf8')).toBe('hello, I am a text');
    rmSync(file);
    const db = new Database(file);
    db.exec('CREATE TABLE mine(x)');
    db.close();
    await expect(open()).rejects.toMatchObject({ code: 'not_a_log' });
  });

  it('of a newer layout is refused', async () => {
    await fill('close');
    const db = new Database(file);
    db.exec('PRAGMA user_version = 2');
    db.close();
    await expect(open()).rejects.toThrow('has layout 2, this version reads 1');
  });

  it('is refused to a node of another key', async () => {
    await fill('close');
    await expect(open({ logKeySeed: new Uint8Array(32).fill(9) })).rejects.toThrow('is not signed by key');
  });

  it('belongs to one store at a time', async () => {
    const store = await open();
    await expect(open()).rejects.toMatchObject({ code: 'store_locked' });
    await store.close();
    await (await open()).close();
    const elsewhere = `import { writeFileSync } from 'node:fs'; writeFileSync(process.argv[1], JSON.stringify({ pid: process.pid, started: '' }));`;
    spawnSync(process.execPath, ['--input-type=module', '-e', elsewhere, `${file}.lock`]);
    await (await open()).close();
    writeFileSync(`${file}.lock`, JSON.stringify({ pid: process.ppid, started: '' }));
    await expect(open()).rejects.toThrow(`is in use by process ${process.ppid}`);
    expect(existsSync(`${file}.lock`)).toBe(true);
  });

  it('is read for an audit without key, lock or change, also while a node writes to it', async () => {
    const store = await open();
    const before = await store.append('a', 'none', sampleEvents(), cause(1));
    await store.head();
    const names = readdirSync(folder);
    const log = openReadOnlyLog(file);
    await store.append('a', before, [fee(1)], cause(2));
    const verifier = createLogVerifier({ checkpoints: log.checkpoints, key });
    for (const entry of log.entries()) verifier.add(entry);
    expect(verifier.finish().size).toBe(Number(before) + 1);
    log.close();
    expect(readdirSync(folder)).toEqual(names);
    await store.kill();
    const killed = openReadOnlyLog(file);
    expect({ signed: [...killed.entries()].length, waiting: killed.waiting }).toEqual({ signed: Number(before) + 1, waiting: 1 });
    killed.close();
    await (await open()).close();
    const taken = openReadOnlyLog(file);
    expect({ signed: [...taken.entries()].length, waiting: taken.waiting }).toEqual({ signed: Number(before) + 2, waiting: 0 });
    taken.close();
    expect(() => openReadOnlyLog(join(folder, 'nothing'))).toThrow('there is no log at');
  });

  it('keeps the newest checkpoint and about one for each 64 events', async () => {
    const store = await open();
    for (let n = 0; n < 30; n += 1)
      await store.append(
        `s${n}`,
        'none',
        Array.from({ length: 10 }, () => fee(n)),
        cause(n),
      );
    expect((await store.checkpoints()).map((note) => Number(note.split('\n')[1]))).toEqual([60, 120, 190, 250, 300]);
    await store.close();
    expect((await open().then(async (again) => [await again.head(), await again.close()]))[0]).toBe(299n);
  });

  it('moves as a folder', async () => {
    const written = await fill('close');
    const copy = temporary();
    cpSync(folder, copy, { recursive: true });
    const store = await openSqliteStore(settings(copy));
    expect(await collect(store.readAll())).toEqual(written);
    await store.close();
    rmSync(copy, { recursive: true });
  });
});
