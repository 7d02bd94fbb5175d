/** The contract on the memory store, and on a faulty store around it. */
import { describe, expect, it } from 'vitest';
import { createFaultyStore, scripted, type AppendFault } from '../../../src/adapters/store/faulty.ts';
import { createMemoryDisk, type MemoryDisk } from '../../../src/adapters/store/memory-storage.ts';
import { openMemoryStore } from '../../../src/adapters/store/memory.ts';
import type { LogStore } from '../../../src/adapters/store/log-store.ts';
import type { CheckpointRow } from '../../../src/adapters/store/storage.ts';
import { hex32 } from '../../../src/bolt/primitives.ts';
import type { Event } from '../../../src/events/registry.ts';
import { eventStoreContract, type LogHarness } from './contract.ts';

function harness(wrap: (store: LogStore) => LogStore = (store) => store): LogHarness {
  const disk: MemoryDisk = createMemoryDisk();
  return {
    async open({ full = false, ...options } = {}) {
      disk.maxEvents = full ? 50 : Infinity;
      return wrap(await openMemoryStore({ disk, ...options }));
    },
    tamper(change) {
      const raw = {
        rows: disk.rows,
        checkpoints: disk.checkpoints as Map<number, never>,
        attachments: disk.attachments,
      };
      change(raw);
      disk.rows = raw.rows;
      const checkpoints = [...(raw.checkpoints as Map<number, CheckpointRow>)];
      disk.checkpoints.clear();
      for (const [size, row] of checkpoints) disk.checkpoints.set(size, { ...row, size });
    },
    forgetKeptApart: () => void (disk.keptApart = undefined),
    remove() {},
  };
}

eventStoreContract('memory', () => harness());

/** Every kind of trouble in turn; the same in each run. */
function troubles(): () => AppendFault {
  const turn: readonly AppendFault[] = [
    'lost_answer',
    'none',
    'lost_request',
    'late',
    'conflict',
    'none',
    'none',
    'late',
  ];
  let next = 0;
  return () => turn[next++ % turn.length]!;
}

eventStoreContract('faulty memory', () => ({
  ...harness((store) =>
    createFaultyStore(store, { append: troubles(), redeliver: ({ position }) => position % 7n === 3n }),
  ),
  faulty: true,
}));

describe('the faulty store', () => {
  const cause = { command_id: hex32('01'.repeat(32)), correlation_id: hex32('02'.repeat(32)) };
  const event: Event = { type: 'UpdateFeeSent', feerate_per_kw: 1 };

  it('plays its script', async () => {
    const store = createFaultyStore(await openMemoryStore(), {
      append: scripted('lost_request', 'lost_answer', 'conflict', 'full', 'late'),
    });
    const append = () => store.append('a', 'none', [event], cause);
    await expect(append()).rejects.toMatchObject({ code: 'outcome_unknown' });
    expect(await store.head()).toBeUndefined();
    await expect(append()).rejects.toMatchObject({ code: 'outcome_unknown' });
    expect(await store.head()).toBe(0n);
    await expect(append()).rejects.toMatchObject({ code: 'revision_conflict' });
    await expect(append()).rejects.toMatchObject({ code: 'store_full' });
    expect(await append()).toBe(0n);
    expect(await append()).toBe(0n);
    expect(store.name).toBe('faulty memory');
  });

  it('answers late what is asked early', async () => {
    const store = createFaultyStore(await openMemoryStore(), { append: scripted('late'), delay: 20 });
    const order: string[] = [];
    const late = store.append('a', 'none', [event], cause).then(() => order.push('a'));
    await store.append('b', 'none', [event], cause).then(() => order.push('b'));
    await late;
    expect(order).toEqual(['b', 'a']);
  });
});
