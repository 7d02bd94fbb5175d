/** Group commit when the disk fails: what was written stays, what is unknown is said to be unknown, and memory follows the disk. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { AppendOutcome, AppendRequest } from '../../../src/adapters/store/engine.ts';
import { openLocalEngine, type LocalEngine } from '../../../src/adapters/store/local-engine.ts';
import { createMemoryDisk, createMemoryStorage, type MemoryDisk } from '../../../src/adapters/store/memory-storage.ts';
import { checkpointKey } from '../../../src/adapters/store/open.ts';
import type { LogStorage } from '../../../src/adapters/store/storage.ts';
import { hex32, point } from '../../../src/bolt/primitives.ts';

const key = checkpointKey(point(`02${'00'.repeat(31)}01`), new Uint8Array(32).fill(1));
let commands = 0;

function request(stream: string, expected: number, command = (commands += 1)): AppendRequest {
  const cause = { command_id: hex32(command.toString(16).padStart(64, '0')), correlation_id: hex32('00'.repeat(32)) };
  return {
    stream,
    expected,
    cause,
    recorded_at: '2026-01-02T03:04:05.678Z',
    facts: ['UpdateFeeSent', `{"feerate_per_kw":${command}}`],
    attachments: [],
  };
}

const summary = (outcomes: readonly AppendOutcome[]) =>
  outcomes.map((outcome) => (outcome.kind === 'failed' ? outcome.error.code : outcome.kind));

describe('a group commit', () => {
  let disk: MemoryDisk;
  let failing: 'no' | 'before' | 'after';
  let reopened: number;
  let engine: LocalEngine;

  /** The disk fails before it wrote, or after. */
  function fragile(storage: LogStorage): LogStorage {
    return {
      ...storage,
      commit() {
        if (failing === 'before') throw new Error('disk I/O error');
        storage.commit();
        if (failing === 'after') throw new Error('disk I/O error');
      },
      reopen() {
        reopened += 1;
        storage.reopen();
      },
    };
  }

  beforeEach(() => {
    [disk, failing, reopened] = [createMemoryDisk(), 'no', 0];
    ({ engine } = openLocalEngine(fragile(createMemoryStorage(disk)), { key, verify: true }));
    engine.append([request('a', -1), request('b', -1)]);
  });

  const reopen = () => openLocalEngine(createMemoryStorage(disk), { key, verify: true });

  it('writes many appends with one checkpoint, and refuses one alone', () => {
    expect(summary(engine.append([request('a', 0), request('b', 7), request('c', -1), request('a', 1)]))).toEqual([
      'written',
      'revision_conflict',
      'written',
      'written',
    ]);
    expect(disk.rows.map(({ stream, revision }) => `${stream}${revision}`)).toEqual(['a0', 'b0', 'a1', 'c0', 'a2']);
    expect([...disk.checkpoints.keys()]).toEqual([5]);
    expect(reopen().opened.size).toBe(5);
  });

  it.each(['before', 'after'] as const)(
    'that failed %s the disk wrote is unknown, and the next one follows the disk',
    (when) => {
      failing = when;
      const lost = [request('a', 0), request('b', 9), request('c', -1)];
      expect(summary(engine.append(lost))).toEqual(['outcome_unknown', 'revision_conflict', 'outcome_unknown']);
      expect(reopened).toBe(1);
      failing = 'no';
      const again = when === 'after' ? 'repeated' : 'written';
      expect(summary(engine.append([lost[0]!, lost[2]!]))).toEqual([again, again]);
      expect(summary(engine.append([request('a', 1), request('c', 0)]))).toEqual(['written', 'written']);
      expect(reopen().opened.size).toBe(6);
    },
  );

  it('that finds the disk full writes nothing of the group, and goes on when there is room', () => {
    disk.maxEvents = 3;
    expect(summary(engine.append([request('a', 0), request('b', 0)]))).toEqual(['store_full', 'store_full']);
    expect(disk.rows).toHaveLength(2);
    expect(summary(engine.append([request('a', 0)]))).toEqual(['written']);
    disk.maxEvents = 10;
    expect(summary(engine.append([request('a', 1), request('b', 0)]))).toEqual(['written', 'written']);
    expect(reopen().opened.size).toBe(5);
  });

  it('writes no append that follows one which was not written, in the same group or a later one, and none that follows those', () => {
    const [base, next, last] = [
      { ...request('a', 5), ticket: 1 },
      { ...request('b', 0), ticket: 2, follows: [1] },
      { ...request('c', -1), ticket: 3, follows: [2] },
    ];
    expect(summary(engine.append([base, next]))).toEqual(['revision_conflict', 'follows_nothing']);
    expect(summary(engine.append([last, { ...request('a', 0), ticket: 4 }]))).toEqual(['follows_nothing', 'written']);
    expect(summary(engine.append([{ ...request('b', 0), ticket: 5, follows: [4] }]))).toEqual(['written']);
    expect(reopen().opened.size).toBe(4);
  });

  it('that failed takes with it what follows later, though the disk may have written it', () => {
    failing = 'after';
    expect(summary(engine.append([{ ...request('a', 0), ticket: 1 }]))).toEqual(['outcome_unknown']);
    failing = 'no';
    expect(summary(engine.append([{ ...request('b', 0), ticket: 2, follows: [1] }]))).toEqual(['follows_nothing']);
  });

  it('never goes on with a log that it cannot read again', () => {
    failing = 'after';
    const broken = fragile(createMemoryStorage(disk));
    broken.reopen = () => {
      throw new Error('gone');
    };
    const other = openLocalEngine(broken, { key, verify: true }).engine;
    expect(summary(other.append([request('a', 0)]))).toEqual(['outcome_unknown']);
    failing = 'no';
    expect(summary(other.append([request('z', -1)]))).toEqual(['store_closed']);
  });
});
