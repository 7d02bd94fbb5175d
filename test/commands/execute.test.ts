/** The turn of a quiet stream: one at a time, once per command, again after a conflict, and never deaf after a lost answer. */
import { describe, expect, it } from 'vitest';
import { createFaultyStore, scripted, type AppendFault } from '../../src/adapters/store/faulty.ts';
import { openMemoryStore } from '../../src/adapters/store/memory.ts';
import { createExecutor, type StreamFamily } from '../../src/commands/execute.ts';
import { accept, refuse, type Decider } from '../../src/domain/decider.ts';
import type { Event } from '../../src/events/registry.ts';
import { StoreFull, type EventStore } from '../../src/events/store.ts';
import { hash } from '../support/words.ts';

/** A stream that counts: `AddressIssued` is the nearest thing to a counter among our facts. */
type Counted = Extract<Event, { type: 'AddressIssued' }>;
type Count = { readonly type: 'Count'; readonly upTo: number };

const decider: Decider<number, Count, Counted> = {
  initial: 0,
  decide: ({ upTo }, state) => (state >= upTo ? refuse('enough', { state, upTo }) : accept({ type: 'AddressIssued', branch: 'receive', index: state, script_pubkey: '', purpose: '' })),
  evolve: (state) => state + 1,
};
const family: StreamFamily<number, Count, Counted, Count> = { decider, gather: (command) => ({ command }) };
const count: Count = { type: 'Count', upTo: 1_000 };
const cause = (word: string) => ({ command_id: hash(word), correlation_id: hash(word) });

async function open(...faults: AppendFault[]) {
  const inner = await openMemoryStore();
  const store: EventStore = createFaultyStore(inner, { append: scripted(...faults) });
  const executor = createExecutor(family, { store });
  return { inner, store, executor };
}

async function length(store: EventStore, stream: string): Promise<number> {
  let events = 0;
  for await (const _ of store.read(stream)) events++;
  return events;
}

describe('one stream', () => {
  it('takes its turns one after the other, in the order of the calls', async () => {
    const { executor, inner } = await open();
    const outcomes = await Promise.all(Array.from({ length: 50 }, (_, n) => executor.execute('s', count, cause(`c${n}`))));
    expect(outcomes).toEqual(outcomes.map(() => ({ accepted: 1 })));
    expect(await executor.state('s')).toBe(50);
    const indexes: number[] = [];
    for await (const { event, causation_id } of inner.read('s')) {
      expect(causation_id).toBe(hash(`c${indexes.length}`));
      indexes.push((event as Counted).index);
    }
    expect(indexes).toEqual(Array.from({ length: 50 }, (_, n) => n));
  });

  it('drops a command that it holds already, also after a restart', async () => {
    const { executor, inner } = await open();
    await executor.execute('s', count, cause('once'));
    expect(await executor.execute('s', count, cause('once'))).toEqual({ accepted: 0 });
    expect(await createExecutor(family, { store: inner }).execute('s', count, cause('once'))).toEqual({ accepted: 0 });
    expect(await length(inner, 's')).toBe(1);
  });

  it('answers a refusal, and keeps nothing of it', async () => {
    const { executor, inner } = await open();
    expect(await executor.execute('s', { type: 'Count', upTo: 0 }, cause('no'))).toMatchObject({ refused: { code: 'enough' } });
    expect(await length(inner, 's')).toBe(0);
  });

  it('decides again when another writer was faster', async () => {
    const { executor, inner } = await open();
    await executor.execute('s', count, cause('a'));
    const elsewhere = createExecutor(family, { store: inner });
    await elsewhere.execute('s', count, cause('b'));
    expect(await executor.execute('s', count, cause('c'))).toEqual({ accepted: 1 });
    expect(await executor.state('s')).toBe(3);
  });

  it('spares the read of a new stream, and still finds out that it is not new', async () => {
    const { executor, inner } = await open();
    await createExecutor(family, { store: inner }).execute('s', count, cause('a'));
    expect(await executor.execute('s', count, cause('b'), { fresh: true })).toEqual({ accepted: 1 });
    expect(await executor.state('s')).toBe(2);
  });
});

describe('a store that fails', () => {
  it.each<[AppendFault, number]>([
    ['lost_answer', 0],
    ['lost_request', 1],
    ['conflict', 1],
    ['late', 1],
  ])('%s: the command is done once', async (fault, accepted) => {
    const { executor, inner } = await open('none', fault);
    await executor.execute('s', count, cause('a'));
    expect(await executor.execute('s', count, cause('b'))).toEqual({ accepted });
    expect(await executor.state('s')).toBe(2);
    expect(await length(inner, 's')).toBe(2);
  });

  it('tells of an event whose answer was lost', async () => {
    const { executor } = await open('lost_answer');
    const heard: number[] = [];
    executor.onChanged((_, state) => heard.push(state));
    await executor.execute('s', count, cause('a'));
    expect(heard.at(-1)).toBe(1);
  });

  it('rejects when the disk is full, and goes on when there is room again', async () => {
    const { executor, inner } = await open('full');
    await expect(executor.execute('s', count, cause('a'))).rejects.toBeInstanceOf(StoreFull);
    expect(await executor.execute('s', count, cause('a'))).toEqual({ accepted: 1 });
    expect(await length(inner, 's')).toBe(1);
  });

  it('gives up after some tries, and says why', async () => {
    const { executor } = await open(...Array.from({ length: 100 }, (): AppendFault => 'lost_request'));
    await expect(executor.execute('s', count, cause('a'))).rejects.toMatchObject({ code: 'outcome_unknown' });
  });
});

describe('memory', () => {
  it('is bounded: streams at rest are forgotten and read again', async () => {
    const inner = await openMemoryStore();
    let reads = 0;
    const store: EventStore = { ...inner, read: (stream, from) => (reads++, inner.read(stream, from)) };
    const executor = createExecutor(family, { store, cached: 10 });
    for (let n = 0; n < 100; n++) await executor.execute(`s${n}`, count, cause(`${n}`));
    reads = 0;
    await executor.state('s99');
    expect(reads).toBe(0);
    expect(await executor.state('s0')).toBe(1);
    expect(reads).toBe(1);
  });

  it('keeps a busy stream whatever happens', async () => {
    const { executor } = await open();
    const busy = Array.from({ length: 40 }, (_, n) => executor.execute('busy', count, cause(`busy ${n}`)));
    await Promise.all([...busy, ...Array.from({ length: 40 }, (_, n) => executor.execute(`s${n}`, count, cause(`s ${n}`)))]);
    expect(await executor.state('busy')).toBe(40);
  });
});
