/** The tail as bytes: what a power loss may do to it, and what nobody may. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AppendRequest } from '../../../src/adapters/store/engine.ts';
import { eventsIn } from '../../../src/adapters/store/engine.ts';
import { createTailFile, framesOf, readTail, tailFileOf, type TailFrame } from '../../../src/adapters/store/tail-file.ts';
import { hex32 } from '../../../src/bolt/primitives.ts';

const seed = new Uint8Array(32).fill(1);
const SECTOR = 512;
const cause = { command_id: hex32('01'.repeat(32)), correlation_id: hex32('02'.repeat(32)) };

const request = (stream: string, expected: number, events = 1, text = '1'): AppendRequest => ({
  stream,
  expected,
  cause,
  recorded_at: '2026-01-02T03:04:05.678Z',
  facts: Array.from({ length: events }, () => ['UpdateFeeSent', `{"feerate_per_kw":${text}}`]).flat(),
  attachments: ['ab', 'cd'],
});

const frame = (first: number, ...requests: readonly AppendRequest[]): TailFrame => ({ first, requests });

describe('the tail of a log', () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'fulgurite-tail-'));
    file = tailFileOf(join(folder, 'log.sqlite'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  async function write(...frames: readonly TailFrame[]): Promise<void> {
    const tail = createTailFile(file, seed);
    for (const one of frames) await tail.write(one);
    tail.close('keep');
  }

  function change(edit: (bytes: Buffer) => void): void {
    const bytes = readFileSync(file);
    edit(bytes);
    writeFileSync(file, bytes);
  }

  const three = [frame(0, request('a', -1, 2)), frame(2, request('b', -1), request('a', 1)), frame(4, request('c', -1))] as const;

  it('answers what was written, in order', async () => {
    await write(...three);
    expect(readTail(file, 0, seed)).toEqual(three);
    expect(three.map(({ requests }) => eventsIn(requests))).toEqual([2, 2, 1]);
  });

  it('stands beside the database, is 8 MiB of zeros before its first frame, and is gone when it is not needed', async () => {
    const tail = createTailFile(file, seed);
    expect(file).toBe(join(folder, 'log.sqlite-tail'));
    expect(readFileSync(file).equals(Buffer.alloc(8 << 20))).toBe(true);
    expect(readTail(file, 7, seed)).toEqual([]);
    tail.close('remove');
    expect(existsSync(file)).toBe(false);
    expect(readTail(file, 7, seed)).toEqual([]);
  });

  it('passes over what the database has, also where it has only a part of a frame', async () => {
    await write(...three);
    expect(readTail(file, 2, seed)).toEqual(three.slice(1));
    expect(readTail(file, 4, seed)).toEqual(three.slice(2));
    expect(readTail(file, 5, seed)).toEqual([]);
    expect(readTail(file, 50, seed)).toEqual([]);
    await write(...three.slice(0, 2));
    expect(readTail(file, 3, seed), 'one that failed, and was on its way into the database by itself').toEqual([]);
  });

  it.each([
    ['was cut in its head', (bytes: Buffer) => bytes.fill(0, 2 * 2 * SECTOR + 8)],
    ['lost a sector', (bytes: Buffer) => bytes.fill(0, 2 * 2 * SECTOR + SECTOR, 2 * 2 * SECTOR + 2 * SECTOR)],
    ['has a wrong bit', (bytes: Buffer) => void (bytes[2 * 2 * SECTOR + 200]! ^= 1)],
    ['has a length beyond the file', (bytes: Buffer) => void bytes.writeUInt32BE(0xffff_ffff, 2 * 2 * SECTOR + 4)],
  ])('ends without a word before a last frame that %s: a power loss tore it, nobody was answered', async (_, edit) => {
    const long = '1'.repeat(100);
    const frames = [frame(0, request('a', -1, 3, long)), frame(3, request('b', -1, 3, long)), frame(6, request('c', -1, 3, long))];
    await write(...frames);
    expect(readFileSync(file).readUInt32BE(2 * 2 * SECTOR), 'the last frame begins here').not.toBe(0);
    change(edit);
    expect(readTail(file, 0, seed)).toEqual(frames.slice(0, 2));
  });

  it('refuses a damaged frame before a whole one, and tells which event is missing: a later frame was written when this one had been answered', async () => {
    await write(...three);
    change((bytes) => void (bytes[SECTOR + 100]! ^= 1));
    expect(() => readTail(file, 0, seed)).toThrow('log.sqlite-tail has a hole: the log has 2 events, the file goes on at position 4');
    expect(readTail(file, 4, seed), 'the database has it').toEqual(three.slice(2));
  });

  it('refuses a hole between the database and its first frame', async () => {
    await write(frame(5, request('a', 4)));
    expect(() => readTail(file, 3, seed)).toThrow('the log has 3 events, the file goes on at position 5');
  });

  it("refuses another node's frames, and reads them without a seed", async () => {
    await write(...three);
    const other = new Uint8Array(32).fill(2);
    expect(() => readTail(file, 0, other)).toThrow('was not written by this node: expected its code at position 0, got another');
    expect(framesOf(file, readFileSync(file), 0)).toEqual(three);
  });

  it('refuses a frame that somebody changed together with its digest', async () => {
    await write(...three);
    const copy = join(folder, 'other');
    const forged = createTailFile(copy, new Uint8Array(32).fill(3));
    await forged.write(frame(2, request('evil', -1), request('a', 1)));
    forged.close('keep');
    change((bytes) => void readFileSync(copy).copy(bytes, SECTOR, 0, 2 * SECTOR));
    expect(() => readTail(file, 0, seed)).toThrow('expected its code at position 2');
  });

  it('begins anew once nothing of it is needed: what an earlier round left behind says nothing', async () => {
    const tail = createTailFile(file, seed);
    for (const one of three) await tail.write(one);
    tail.rewind();
    const next = frame(5, request('d', -1));
    await tail.write(next);
    expect(readTail(file, 5, seed)).toEqual([next]);
    expect(readTail(file, 6, seed)).toEqual([]);
    const longer = frame(6, request('d', 0, 12));
    await tail.write(longer);
    expect(readTail(file, 5, seed)).toEqual([next, longer]);
    tail.close('keep');
    // Torn in its second sector: the older round's frames behind it are no sign that it was answered.
    change((bytes) => bytes.fill(7, 2 * SECTOR, 3 * SECTOR));
    expect(readTail(file, 5, seed)).toEqual([next]);
  });

  it('takes no frame that it has no room for, and is whole afterwards', async () => {
    const tail = createTailFile(file, seed);
    const large = (first: number) => frame(first, request('a', first - 1, 1, '1'.repeat(1 << 20)));
    let count = 0;
    for (; tail.fits(1 << 20); count += 1) await tail.write(large(count));
    expect(count).toBe(5);
    await tail.write(large(5));
    await tail.write(large(6));
    await expect(tail.write(large(7))).rejects.toThrow(/^the tail has \d+ bytes left, a frame has \d+$/);
    expect(readTail(file, 0, seed)).toHaveLength(7);
    tail.rewind();
    expect(tail.fits(1 << 20)).toBe(true);
    tail.close('keep');
  });

  it('has room for the text that it said it had, whatever its letters', async () => {
    const tail = createTailFile(file, seed);
    const text = '\u{20ac}'.repeat(2_700_000);
    expect(tail.fits(text.length)).toBe(true);
    await tail.write(frame(0, { ...request('a', -1), facts: ['UpdateFeeSent', text] }));
    expect(readTail(file, 0, seed)[0]!.requests[0]!.facts[1]).toBe(text);
    tail.close('keep');
  });
});
