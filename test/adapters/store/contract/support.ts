/** What the parts of the store contract share: a log for each test, small events, and a careful caller. */
import { afterEach, beforeEach } from 'vitest';
import { bufferCount, filter, firstValueFrom, take, type Observable } from 'rxjs';
import { hex32, type Hex32 } from '../../../../src/bolt/primitives.ts';
import type { LogStore } from '../../../../src/adapters/store/log-store.ts';
import type { FullRow } from '../../../../src/adapters/store/storage.ts';
import type { EventEnvelope } from '../../../../src/events/envelope.ts';
import type { Event } from '../../../../src/events/registry.ts';
import { OutcomeUnknown, RevisionConflict, type EventStore } from '../../../../src/events/store.ts';

/** The rows as somebody with a database tool sees them. Checkpoints: size -> note. */
export interface RawLog {
  rows: FullRow[];
  checkpoints: Map<number, { note: string; edge: string }>;
  attachments: Map<string, string>;
}

/** One log of a kind of store, opened and opened again. */
export interface LogHarness {
  open(options?: {
    readonly full?: boolean;
    readonly verify?: boolean;
    readonly maxWaiting?: number;
    readonly maxQueued?: number;
  }): Promise<LogStore>;
  /** Changes the closed log by hand; what is kept apart from it stays as it was. */
  tamper(change: (log: RawLog) => void): void | Promise<void>;
  /** Takes away the checkpoint that is kept apart. */
  forgetKeptApart(): void;
  /** The store breaks promises on purpose: answers are lost, subscribers see events twice. */
  readonly faulty?: boolean;
  remove(): void | Promise<void>;
}

/** What a kind of store has no way to show: `positions`: they are counted, not stored, so nobody can change one. */
export type Impossible = 'positions' | 'tampering' | 'a full disk';

export const hash = (n: number): Hex32 => hex32(n.toString(16).padStart(64, '0'));
export const cause = (n: number) => ({ command_id: hash(n), correlation_id: hash(0) });
export const fee = (feerate_per_kw: number): Event => ({ type: 'UpdateFeeSent', feerate_per_kw });
export const feeOf = ({ event }: EventEnvelope): number => (event as { feerate_per_kw: number }).feerate_per_kw;

export async function collect<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** As a careful caller appends: an unknown outcome is asked again, with the same cause and the same revision. */
export async function write(store: EventStore, ...args: Parameters<EventStore['append']>): Promise<bigint> {
  for (;;) {
    try {
      return await store.append(...args);
    } catch (error) {
      const isFalseConflict = error instanceof RevisionConflict && error.detail['expected'] === error.detail['actual'];
      if (!(error instanceof OutcomeUnknown) && !isFalseConflict) throw error;
    }
  }
}

/** The first `count` events, what was seen before left out where the store repeats itself. */
export function firstEvents(events: Observable<EventEnvelope>, count: number, repeats = false): Promise<EventEnvelope[]> {
  let next = -1n;
  const fresh = repeats ? events.pipe(filter(({ position }) => position > next && ((next = position), true))) : events;
  return firstValueFrom(fresh.pipe(take(count), bufferCount(count)));
}

/** Makes an empty log for each test of the describe it is called in. `store` and `log` are those of the test that runs. */
export function useLog(create: () => LogHarness | Promise<LogHarness>): {
  readonly log: LogHarness;
  readonly store: LogStore;
  open(options?: Parameters<LogHarness['open']>[0]): Promise<LogStore>;
  /** Opens, and makes it the store of the test. */
  reopen(options?: Parameters<LogHarness['open']>[0]): Promise<LogStore>;
} {
  const now: { log?: LogHarness; store?: LogStore } = {};
  const opened: LogStore[] = [];
  const open = async (options?: Parameters<LogHarness['open']>[0]): Promise<LogStore> => {
    const one = await now.log!.open(options);
    opened.push(one);
    return one;
  };
  const reopen = async (options?: Parameters<LogHarness['open']>[0]): Promise<LogStore> => (now.store = await open(options));

  beforeEach(async () => {
    now.log = await create();
    await reopen();
  });
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close().catch(() => {});
    await now.log!.remove();
  });
  return { log: current(() => now.log!), store: current(() => now.store!), open, reopen };
}

/** Stands for a value that is another in each test. */
function current<T extends object>(value: () => T): T {
  return new Proxy({} as T, {
    get: (_, name) => {
      const property = (value() as Record<string | symbol, unknown>)[name];
      return typeof property === 'function' ? property.bind(value()) : property;
    },
  });
}
