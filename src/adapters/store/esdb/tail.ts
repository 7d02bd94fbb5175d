/** The end of the log as EventStoreDB shows it: one catch-up subscription on $all, drained at once, taken up again from our own position whenever it breaks. */
import type { EventEnvelope } from '../../../events/envelope.ts';
import { UnknownEventType } from '../../../events/registry.ts';
import { LogCorrupt, type StoreError } from '../../../events/store.ts';
import type { Row } from '../engine.ts';
import { toEnvelope } from '../envelopes.ts';
import { within } from './client.ts';
import type { Connection, EsdbSubscription } from './connection.ts';
import { Unreachable } from './errors.ts';
import type { EsdbRecord, Layout } from './layout.ts';
import type { LogIndex } from './log-index.ts';

export interface TailOptions {
  readonly connection: Connection;
  readonly layout: Layout;
  readonly index: LogIndex;
  /** False in the middle of an append of ours. */
  readonly endsAppend: (stream: string, revision: number) => boolean;
  /** The index took an event. */
  readonly onIndexed: (record: EsdbRecord) => void;
  /** Nobody listens: events need not be decoded. */
  readonly isHeard: () => boolean;
  /** Events in order, appends of ours as a whole; the log's size after them. */
  readonly publish: (envelopes: readonly EventEnvelope[], size: number) => void;
  /** The log is damaged: nothing more will come. */
  readonly onCorrupt: (error: StoreError) => void;
}

export interface Tail {
  /** Resolves once the index holds the event with this commit position. Rejects with Unreachable when that takes too long. */
  reached(commit: bigint | undefined): Promise<void>;
  /** Idempotent. */
  stop(): void;
}

const FIRST_DELAY = 25;
const MAX_DELAY = 2_000;

interface Waiter {
  readonly commit: bigint;
  readonly resolve: () => void;
}

/** Follows the log from the index's end. */
export function followLog(options: TailOptions): Tail {
  const { connection, layout, index, publish } = options;
  let held: Row[] = [];
  let waiters: Waiter[] = [];
  let subscription: EsdbSubscription | undefined;
  let [stopped, wakeUp] = [false, () => {}];

  async function follow(): Promise<void> {
    for (let delay = FIRST_DELAY; ; delay = Math.min(2 * delay, MAX_DELAY)) {
      try {
        await checkPlace(connection, index);
        if (stopped) return;
        subscription = connection.subscribe(layout.events, index.last()?.place);
        for await (const record of subscription) {
          take(record);
          delay = FIRST_DELAY;
        }
      } catch (error) {
        if (error instanceof LogCorrupt || error instanceof UnknownEventType) return options.onCorrupt(error);
      }
      subscription?.cancel();
      release();
      if (stopped) return;
      await new Promise<void>((resolve) => (wakeUp = after(delay, resolve)));
    }
  }

  function take(record: EsdbRecord): void {
    if (stopped) return;
    const row = index.add(record);
    if (row === undefined) return;
    options.onIndexed(record);
    held.push(row);
    if (options.endsAppend(layout.streamId(record.stream), Number(record.revision))) release();
    const reached = waiters.filter(({ commit }) => commit <= record.place.commit);
    if (reached.length === 0) return;
    waiters = waiters.filter(({ commit }) => commit > record.place.commit);
    for (const { resolve } of reached) resolve();
  }

  function release(): void {
    const rows = held;
    held = [];
    if (rows.length > 0) publish(options.isHeard() ? rows.map(toEnvelope) : [], index.size());
  }

  void follow();

  return {
    async reached(commit) {
      const isThere = (): boolean => commit === undefined || (index.last()?.place.commit ?? -1n) >= commit;
      if (isThere()) return;
      const arrived = new Promise<true>((resolve) => (waiters = [...waiters, { commit: commit!, resolve: () => resolve(true) }]));
      const half = connection.patience.attempt;
      if ((await within(half, arrived, false)) || isThere()) return;
      // A subscription may hang without a word: begin again.
      subscription?.cancel();
      wakeUp();
      if ((await within(half, arrived, false)) || isThere()) return;
      throw new Unreachable(connection.url, `its subscription does not come to position ${commit}`);
    },
    stop() {
      stopped = true;
      subscription?.cancel();
      wakeUp();
    },
  };
}

/** The last event that we know must still be where it was: else the server lost its tail, and may use its revisions again. */
async function checkPlace(connection: Connection, index: LogIndex): Promise<void> {
  const last = index.last();
  if (last === undefined) return;
  const [record] = await connection.readAll(last.place, 1);
  if (record?.id === last.id) return;
  const position = BigInt(index.size() - 1);
  const [expected, got] = [`event ${last.id}`, record === undefined ? 'the end of the log' : `event ${record.id}`];
  throw new LogCorrupt(`the event database lost what it had: expected ${expected} at position ${position}, got ${got}`, { position, expected, got });
}

/** Calls back later, or at once when told to. */
function after(milliseconds: number, call: () => void): () => void {
  const timer = setTimeout(call, milliseconds);
  return () => {
    clearTimeout(timer);
    call();
  };
}
