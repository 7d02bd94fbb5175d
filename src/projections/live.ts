/** A projection kept up to date by a store's subscription: one view and its place in the log. */
import { Subject, type Observable, type Subscription } from 'rxjs';
import type { EventEnvelope } from '../events/envelope.ts';
import type { EventStore, Position } from '../events/store.ts';
import type { AsOf, Projection } from './projection.ts';

export interface LiveProjection<View, Rows> {
  readonly name: string;
  /** The newest snapshot, made when asked for. */
  current(): AsOf<Rows>;
  /** A part of it: `select` makes rows of the view and keeps nothing else of it. */
  read<R>(select: (view: View) => R): AsOf<R>;
  /** Resolves once the view has seen this position (by default all that is durable now); rejects when the projection stopped. */
  reached(position?: Position): Promise<void>;
  /** Each event after the view has taken it in. */
  readonly events: Observable<EventEnvelope>;
  /** Why the view stands still: an event that the rules could not follow. It holds the state before that event. */
  problem(): Error | undefined;
  stop(): void;
}

interface Waiter {
  readonly position: Position;
  resolve(): void;
  reject(error: Error): void;
}

const RETRY_MS = 100;

/**
 * Follows the log from its start. A subscription that fell behind is taken up again from the last position; an event that
 * `apply` cannot take stops the view for good and shows in `problem`, the node goes on.
 */
export function runLive<View, Rows>(store: Pick<EventStore, 'subscribe' | 'head'>, projection: Projection<View, Rows>): LiveProjection<View, Rows> {
  let view = projection.initial();
  let [last, count]: [EventEnvelope | undefined, number] = [undefined, 0];
  let [problem, stopped]: [Error | undefined, boolean] = [undefined, false];
  let waiters: readonly Waiter[] = [];
  let subscription: Subscription | undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;
  const events = new Subject<EventEnvelope>();

  function take(envelope: EventEnvelope): void {
    if (stopped || (last !== undefined && envelope.position <= last.position)) return;
    try {
      view = projection.apply(view, envelope);
    } catch (error) {
      halt(new Error(`projection ${projection.name} stopped at position ${envelope.position}, ${envelope.stream}@${envelope.revision}: ${(error as Error).message}`));
      return;
    }
    [last, count] = [envelope, count + 1];
    if (waiters.length > 0) wake(envelope.position);
    if (events.observed) events.next(envelope);
  }

  function wake(position: Position): void {
    for (const waiter of waiters) if (waiter.position <= position) waiter.resolve();
    waiters = waiters.filter((waiter) => waiter.position > position);
  }

  function halt(error?: Error): void {
    [problem, stopped] = [problem ?? error, true];
    subscription?.unsubscribe();
    clearTimeout(retry);
    for (const waiter of waiters) waiter.reject(error ?? new Error(`projection ${projection.name} was stopped`));
    waiters = [];
    events.complete();
  }

  function follow(): void {
    subscription = store.subscribe(last?.position).subscribe({
      next: take,
      error: () => {
        if (!stopped) retry = setTimeout(follow, RETRY_MS);
      },
    });
    if (stopped) subscription.unsubscribe();
  }

  function read<R>(select: (view: View) => R): AsOf<R> {
    return { rows: select(view), position: last?.position, recorded_at: last?.recorded_at, events: count };
  }

  follow();
  return {
    name: projection.name,
    current: () => read(projection.rows),
    read,
    async reached(position) {
      const goal = position ?? (await store.head());
      if (goal === undefined || (last !== undefined && last.position >= goal)) return;
      if (stopped) throw problem ?? new Error(`projection ${projection.name} was stopped`);
      await new Promise<void>((resolve, reject) => (waiters = [...waiters, { position: goal, resolve, reject }]));
    },
    events: events.asObservable(),
    problem: () => problem,
    stop: () => halt(),
  };
}
