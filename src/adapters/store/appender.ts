/** Appends on their way to an engine: those of one moment travel together, and only so many may wait. */
import type { Event } from '../../events/registry.ts';
import { OutcomeUnknown, StoreBusy } from '../../events/store.ts';
import { revive, type AppendOutcome, type AppendRequest, type Engine } from './engine.ts';

/** What became durable with one answer of the engine. */
export interface Written {
  readonly request: AppendRequest;
  readonly events: readonly Event[];
  readonly outcome: AppendOutcome & { readonly kind: 'written' };
}

export interface Appender {
  /** Answers the stream's new last revision. Throws StoreBusy when too many wait. `onTaken`: it stands in the queue. */
  append(request: () => AppendRequest, events: readonly Event[], onTaken?: (written: Promise<bigint>) => void): Promise<bigint>;
  /** Hands on what was collected: whatever is asked of the engine next is asked after it. */
  flush(): void;
  /** Waits until every append is answered. */
  settle(): Promise<void>;
  /** Gives up what was not handed on yet. */
  drop(reason: string): void;
}

interface Waiting {
  readonly request: AppendRequest;
  readonly events: readonly Event[];
  readonly resolve: (revision: bigint) => void;
  readonly reject: (error: unknown) => void;
}

/** `onWritten` hears of new events once they can be read, in position order. */
export function createAppender(
  engine: Engine,
  maxWaiting: number,
  onWritten: (written: readonly Written[]) => void,
): Appender {
  const inFlight = new Set<Promise<void>>();
  let batch: Waiting[] = [];
  let waiting = 0;

  async function send(group: readonly Waiting[]): Promise<void> {
    try {
      const outcomes = await engine.append(
        group.map((one) => one.request),
        (sealed) => onWritten(group.flatMap((one, index) => writtenOf(one, sealed[index]!))),
      );
      for (const [index, one] of group.entries()) answer(one, outcomes[index]!);
    } catch (error) {
      giveUp(group, (error as Error).message);
    } finally {
      waiting -= group.length;
    }
  }

  function flush(): void {
    if (batch.length === 0) return;
    const done = send(batch).finally(() => inFlight.delete(done));
    inFlight.add(done);
    batch = [];
  }

  return {
    append(request, events, onTaken) {
      if (waiting >= maxWaiting) return Promise.reject(new StoreBusy(waiting, maxWaiting));
      let taken = false;
      const written = new Promise<bigint>((resolve, reject) => {
        const one = { request: request(), events, resolve, reject };
        waiting += 1;
        taken = true;
        if (batch.push(one) === 1) queueMicrotask(flush);
      });
      if (taken) onTaken?.(written);
      return written;
    },
    flush,
    settle: async () => void (await Promise.all(inFlight)),
    drop(reason) {
      giveUp(batch, reason);
      batch = [];
    },
  };
}

function answer({ resolve, reject }: Waiting, outcome: AppendOutcome): void {
  if (outcome.kind === 'failed') reject(revive(outcome.error));
  else resolve(BigInt(outcome.revision));
}

const writtenOf = ({ request, events }: Waiting, outcome: AppendOutcome): readonly Written[] =>
  outcome.kind === 'written' ? [{ request, events, outcome }] : [];

function giveUp(group: readonly Waiting[], reason: string): void {
  for (const { request, reject } of group) reject(new OutcomeUnknown(request.stream, reason));
}
