/** The saga runner: at least once, in order per stream, from the saved place, whatever the store or a saga does. */
import { afterEach, describe, expect, it } from 'vitest';
import { openMemoryStore } from '../../src/adapters/store/memory.ts';
import { createMemoryDisk } from '../../src/adapters/store/memory-storage.ts';
import { createFaultyStore } from '../../src/adapters/store/faulty.ts';
import { commandId, type Dispatch, type Outcome } from '../../src/commands/dispatch.ts';
import type { Intent } from '../../src/commands/intents.ts';
import { startSagaRunner, type Reactor, type SagaRunner, type SagaRunnerOptions } from '../../src/commands/saga-runner.ts';
import type { Event } from '../../src/events/registry.ts';
import { StoreFull, type Cause, type EventStore, type StreamId } from '../../src/events/store.ts';
import { hash } from '../support/words.ts';

const noted = (index: number): Event => ({ type: 'AddressIssued', branch: 'receive', index, script_pubkey: '', purpose: '' });
const cause = (word: string): Cause => ({ command_id: hash(word), correlation_id: hash('story') });
const fulfill = (htlc_id: bigint): Intent => ({ type: 'FulfillHtlc', htlc_id, payment_preimage: hash('x') });

/** Answers each event n with one intent for stream `t<n mod 3>`. */
const saga: Reactor = {
  name: 'test',
  react: ({ event }) => (event.type === 'AddressIssued' ? [{ to: `t${event.index % 3}`, intent: fulfill(BigInt(event.index)) }] : []),
};

const runners: SagaRunner[] = [];
afterEach(async () => {
  await Promise.all(runners.splice(0).map((runner) => runner.stop()));
});

async function start(options: Pick<SagaRunnerOptions, 'store'> & Partial<SagaRunnerOptions>) {
  const asked: { to: StreamId; intent: Intent; cause: Cause }[] = [];
  const answer = options.dispatch ?? (async () => ({ accepted: 1 }));
  const dispatch: Dispatch = (to, intent, why) => {
    asked.push({ to, intent, cause: why });
    return answer(to, intent, why);
  };
  const runner = await startSagaRunner({ saga, ...options, dispatch });
  runners.push(runner);
  return { runner, asked, ids: () => asked.map(({ intent }) => Number((intent as { htlc_id: bigint }).htlc_id)) };
}

async function write(store: EventStore, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n++) await store.append('s', n === 0 ? 'none' : BigInt(n - 1), [noted(n)], cause(`event ${n}`));
}

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, n) => from + n);

describe('reactions', () => {
  it('are asked in the order of the log, with a command id that can be derived again', async () => {
    const store = await openMemoryStore();
    await write(store, 0, 5);
    const { runner, asked, ids } = await start({ store });
    await write(store, 5, 10);
    await runner.settled();
    expect(ids()).toEqual(numbers(0, 10));
    for await (const { id, event, correlation_id } of store.read('s')) {
      expect(asked[(event as { index: number }).index]!.cause).toMatchObject({ command_id: commandId(id, 0), correlation_id });
    }
  });

  it('are many at a time, and never more than the window', async () => {
    const store = await openMemoryStore();
    let [open, most] = [0, 0];
    const dispatch = async (): Promise<Outcome> => {
      most = Math.max(most, ++open);
      await new Promise((resolve) => setTimeout(resolve, 1));
      open--;
      return { accepted: 1 };
    };
    await write(store, 0, 60);
    const { runner } = await start({ store, dispatch, window: 8 });
    await runner.settled();
    expect(most).toBe(8);
  });

  it('come once though the subscription repeats itself', async () => {
    const store = createFaultyStore(await openMemoryStore(), { redeliver: () => true });
    await write(store, 0, 10);
    const { runner, ids } = await start({ store });
    await runner.settled();
    expect(ids()).toEqual(numbers(0, 10));
  });

  it('reach the end of a log longer than the queue', async () => {
    const store = await openMemoryStore();
    const events = numbers(0, 10_000).map(noted);
    for (let n = 0; n < events.length; n += 500) await store.append('s', n === 0 ? 'none' : BigInt(n - 1), events.slice(n, n + 500), cause(`batch ${n}`));
    const slow = async (): Promise<Outcome> => {
      await new Promise((resolve) => setTimeout(resolve, 0));
      return { accepted: 1 };
    };
    const { runner, ids } = await start({ store, dispatch: slow });
    await runner.settled();
    expect(ids()).toEqual(numbers(0, 10_000));
  });
});

describe('reactions ahead', () => {
  const noMore = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

  it('are asked for while their event is on its way, name its append, and are not asked for again', async () => {
    const store = await openMemoryStore();
    const { runner, asked } = await start({ store });
    const written = store.append('s', 'none', [noted(0), noted(1)], cause('both'));
    expect(asked.map(({ to }) => to)).toEqual(['t0', 't1']);
    expect(new Set(asked.map(({ cause: { follows } }) => follows)).size).toBe(1);
    await written;
    await runner.settled();
    await noMore();
    expect(asked).toHaveLength(2);
  });

  it('that were refused, or failed, or changed nothing are asked for again once the event is durable', async () => {
    const store = await openMemoryStore();
    const answers: (() => Promise<Outcome>)[] = [
      async () => ({ refused: { code: 'too_early', answer: 'to_caller', detail: {} } }),
      () => Promise.reject(new StoreFull('for now')),
      async () => ({ accepted: 0 }),
    ];
    const refused: string[] = [];
    const dispatch = (): Promise<Outcome> => answers.shift()?.() ?? Promise.resolve({ accepted: 1 });
    const { runner, asked } = await start({ store, dispatch, onRefused: (_, { to }) => refused.push(to) });
    await store.append('s', 'none', [noted(0), noted(1), noted(2)], cause('all'));
    await runner.settled();
    expect(asked.map(({ to, cause: { follows } }) => `${to} ${follows === undefined ? 'durable' : 'ahead'}`)).toEqual(['t0 ahead', 't1 ahead', 't2 ahead', 't0 durable', 't1 durable', 't2 durable']);
    expect(new Set(asked.map((one) => one.cause.command_id)).size).toBe(3);
    expect(refused).toEqual([]);
  });

  it('to an event that is never written leave nothing behind', async () => {
    const store = await openMemoryStore();
    const other = await openMemoryStore();
    const followers: Promise<unknown>[] = [];
    const dispatch: Dispatch = (to, _, why) => {
      const followed = store.append(to, 'none', [noted(9)], why).then(() => ({ accepted: 1 }));
      followers.push(followed);
      return followed;
    };
    await start({ store, saga: { name: 'test', react: (told) => (told.stream === 's' ? saga.react(told) : []) }, dispatch });
    await expect(store.append('s', 3n, [noted(0)], cause('wrong place'))).rejects.toMatchObject({ code: 'revision_conflict' });
    await expect(followers[0]).rejects.toMatchObject({ code: 'follows_nothing' });
    expect(await store.head()).toBe(await other.head());
  });
});

describe('the saved place', () => {
  it('is where the next run begins', async () => {
    const disk = createMemoryDisk();
    const store = await openMemoryStore({ disk });
    await write(store, 0, 10);
    const first = await start({ store });
    await first.runner.settled();
    await first.runner.stop();
    await write(store, 10, 12);
    const second = await start({ store });
    await second.runner.settled();
    expect(second.ids()).toEqual([10, 11]);
  });

  it('stays before what was not finished', async () => {
    const store = await openMemoryStore();
    await write(store, 0, 10);
    let finish: (outcome: Outcome) => void = () => undefined;
    const stuck = new Promise<Outcome>((resolve) => (finish = resolve));
    const first = await start({ store, dispatch: async (_, intent) => ((intent as { htlc_id: bigint }).htlc_id === 4n ? stuck : { accepted: 1 }) });
    while (first.asked.length < 10) await new Promise((resolve) => setTimeout(resolve, 1));
    await new Promise((resolve) => setTimeout(resolve, 300));
    const place = await store.loadCursor('saga-test');
    finish({ accepted: 1 });
    const positions: bigint[] = [];
    for await (const { position } of store.read('s')) positions.push(position);
    expect(place).toBe(positions[3]);
  });
});

describe('what goes wrong', () => {
  it('a refusal is told, and the story goes on', async () => {
    const store = await openMemoryStore();
    await write(store, 0, 3);
    const refused: string[] = [];
    const dispatch = async (to: StreamId): Promise<Outcome> => (to === 't1' ? { refused: { code: 'no', answer: 'to_caller', detail: {} } } : { accepted: 1 });
    const { runner } = await start({ store, dispatch, onRefused: (_, { to }, { code }) => refused.push(`${to} ${code}`) });
    await runner.settled();
    expect(refused).toEqual(['t1 no']);
    expect(runner.counters()).toMatchObject({ refused: 1, parked: 0, outstanding: 0 });
  });

  it('a store that fails is asked again until it answers', async () => {
    const store = await openMemoryStore();
    await write(store, 0, 6);
    const failures = new Map<string, number>();
    const dispatch = async (to: StreamId): Promise<Outcome> => {
      const times = (failures.get(to) ?? 0) + 1;
      failures.set(to, times);
      if (times < 4) throw new StoreFull('for now');
      return { accepted: 1 };
    };
    const { runner, ids } = await start({ store, dispatch });
    await runner.settled();
    expect(new Set(ids())).toEqual(new Set(numbers(0, 6)));
    expect(runner.counters()).toMatchObject({ retries: 9, parked: 0 });
  });

  it('a saga that throws parks that story; the rest goes on, and a restart takes it up again', async () => {
    const store = await openMemoryStore();
    await write(store, 0, 5);
    const broken: Reactor = {
      name: 'test',
      react: (input) => {
        if ((input.event as { index: number }).index === 2) throw new Error('a bug');
        return saga.react(input);
      },
    };
    const parked: string[] = [];
    const first = await start({ store, saga: broken, onParked: ({ revision }, error) => parked.push(`${revision} ${(error as Error).message}`) });
    await first.runner.settled();
    expect(first.ids()).toEqual([0, 1, 3, 4]);
    expect(parked).toEqual(['2 a bug']);
    expect(first.runner.counters()).toMatchObject({ parked: 1 });
    await first.runner.stop();
    const mended = await start({ store });
    await mended.runner.settled();
    expect(mended.ids()).toEqual([2, 3, 4]);
  });

  it('a dispatch that throws does the same', async () => {
    const store = await openMemoryStore();
    await write(store, 0, 3);
    const dispatch: Dispatch = (to) => {
      if (to === 't0') throw new Error('a bug');
      return Promise.resolve({ accepted: 1 });
    };
    const { runner } = await start({ store, dispatch });
    await runner.settled();
    expect(runner.counters()).toMatchObject({ parked: 1, outstanding: 0 });
  });
});

describe('stopping', () => {
  it('waits for what is under way, and may be asked twice', async () => {
    const store = await openMemoryStore();
    await write(store, 0, 3);
    let done = 0;
    const dispatch = async (): Promise<Outcome> => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      done++;
      return { accepted: 1 };
    };
    const { runner } = await start({ store, dispatch });
    await Promise.all([runner.stop(), runner.stop()]);
    expect(done).toBe(3);
  });
});
