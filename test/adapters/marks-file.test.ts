/** The signer's marks on the disk: two slots a channel, torn writes, files of others. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openMarksFile, type MarksFile } from '../../src/adapters/signer/marks-file.ts';
import { point } from '../../src/bolt/primitives.ts';

const NODE = point(`02${'ab'.repeat(32)}`);
const SLOT = 64;
let folder: string;
let file: string;
let open: MarksFile[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fulgurite-marks-'));
  file = join(folder, 'signer', 'marks');
  open = [];
});
afterEach(() => {
  for (const marks of open) marks.close();
  rmSync(folder, { recursive: true });
});

function openMarks(node = NODE): MarksFile {
  const marks = openMarksFile(file, node);
  open.push(marks);
  return marks;
}

function again(marks: MarksFile): MarksFile {
  marks.close();
  return openMarks();
}

describe('marks', () => {
  it('are there after a restart, for their owner alone', () => {
    const marks = openMarks();
    marks.keep(3, { signed: 7n, revoked: 5n });
    marks.keep(900, { signed: 0n, revoked: -1n });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'signer')).mode & 0o777).toBe(0o700);
    expect(again(marks).all()).toEqual(new Map([[3, { signed: 7n, revoked: 5n }], [900, { signed: 0n, revoked: -1n }]]));
  });

  it('reach the system before keep returns: the end of the process loses none', () => {
    const marks = openMarks();
    marks.keep(0, { signed: 1n, revoked: 0n });
    expect(openMarks().all(), 'read while the first is open, nothing closed or synced').toEqual(new Map([[0, { signed: 1n, revoked: 0n }]]));
  });

  it('only rise, each of the two by itself', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ key: fc.nat(5), signed: fc.bigInt(-1n, 50n), revoked: fc.bigInt(-1n, 50n), restart: fc.boolean() }), { maxLength: 60 }), (steps) => {
        rmSync(join(folder, 'signer'), { recursive: true, force: true });
        let marks = openMarks();
        const expected = new Map<number, { signed: bigint; revoked: bigint }>();
        for (const { key, restart, ...wanted } of steps) {
          const { signed, revoked } = expected.get(key) ?? wanted;
          expected.set(key, { signed: signed > wanted.signed ? signed : wanted.signed, revoked: revoked > wanted.revoked ? revoked : wanted.revoked });
          marks.keep(key, wanted);
          if (restart) marks = again(marks);
        }
        expect(again(marks).all()).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  it('of more channels than the file began with', () => {
    const marks = openMarks();
    for (let key = 0; key < 100; key++) marks.keep(key, { signed: BigInt(key), revoked: -1n });
    expect(again(marks).all().size).toBe(100);
  });

  it('survive a torn write: the slot that was written before is whole', () => {
    const marks = openMarks();
    marks.keep(0, { signed: 1n, revoked: 0n });
    marks.keep(0, { signed: 2n, revoked: 1n });
    marks.close();
    const newest = 2 * SLOT + SLOT;
    for (const cut of [newest, newest + 17, newest + SLOT - 1]) {
      const bytes = readFileSync(file);
      bytes[cut]! ^= 0xff;
      writeFileSync(file, bytes);
      expect(openMarks().all().get(0)).toEqual({ signed: 1n, revoked: 0n });
      bytes[cut]! ^= 0xff;
      writeFileSync(file, bytes);
    }
    expect(openMarks().all().get(0)).toEqual({ signed: 2n, revoked: 1n });
  });

  it('are refused where both slots are damaged, where others may write, and where they are of another node', () => {
    const marks = openMarks();
    marks.keep(0, { signed: 1n, revoked: 0n });
    marks.keep(0, { signed: 2n, revoked: 1n });
    marks.close();
    expect(() => openMarks(point(`03${'cd'.repeat(32)}`))).toThrow(expect.objectContaining({ code: 'marks_of_another_node', message: expect.stringMatching(/03cdcd.*02abab/) }));
    const bytes = readFileSync(file);
    for (const at of [2 * SLOT + 20, 3 * SLOT + 20]) bytes[at]! ^= 1;
    writeFileSync(file, bytes);
    expect(() => openMarks()).toThrow(expect.objectContaining({ code: 'marks_unreadable' }));
    chmodSync(file, 0o666);
    expect(() => openMarks()).toThrow(expect.objectContaining({ code: 'marks_permissions' }));
    chmodSync(file, 0o600);
    writeFileSync(file, 'something else');
    expect(() => openMarks()).toThrow(expect.objectContaining({ code: 'marks_unreadable' }));
  });

  it('cannot be kept once the file is closed', () => {
    const marks = openMarks();
    marks.close();
    expect(() => marks.keep(0, { signed: 1n, revoked: 0n })).toThrow('closed');
  });
});
