/** Events of the log on their way to a slow reader: a bounded queue over the store's subscription. */
import type { Subscription } from 'rxjs';
import type { EventEnvelope } from '../events/envelope.ts';
import type { EventStore, Position } from '../events/store.ts';

export interface LogQueue {
  /** The oldest waiting event, if there is one. */
  next(): EventEnvelope | undefined;
  size(): number;
  /** The newest event that came in. */
  received(): Position | undefined;
  stop(): void;
}

/** Events in memory, at most; then the subscription is given up until three quarters of them are read. */
const MAX_QUEUED = 4_096;
const RETRY_MS = 100;

/** `onReady` is called whenever an event was added. Each event comes once, in order, whatever the subscription does. */
export function createLogQueue(store: EventStore, after: Position | undefined, onReady: () => void): LogQueue {
  let queue: EventEnvelope[] = [];
  let head = 0;
  let received = after;
  let subscription: Subscription | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;

  const size = (): number => queue.length - head;

  function subscribe(): void {
    timer = undefined;
    if (stopped) return;
    // A subscriber may be called before `subscribe` returns: `subscription` is set only if nothing ended it by then.
    let ended = false;
    const made = store.subscribe(received).subscribe({
      next: (envelope) => {
        if (ended || !receive(envelope)) return;
        ended = size() >= MAX_QUEUED;
        if (ended) pause();
      },
      error: () => {
        ended = true;
        subscription = undefined;
        // Fallen too far behind, or the store failed: the rest is asked for again.
        subscribeIn(RETRY_MS);
      },
    });
    if (ended) made.unsubscribe();
    else subscription = made;
  }

  function receive(envelope: EventEnvelope): boolean {
    if (stopped || (received !== undefined && envelope.position <= received)) return false;
    received = envelope.position;
    queue.push(envelope);
    onReady();
    return true;
  }

  function pause(): void {
    subscription?.unsubscribe();
    subscription = undefined;
  }

  function subscribeIn(delay: number): void {
    if (!stopped) timer ??= setTimeout(subscribe, delay);
  }

  subscribe();
  return {
    size,
    next() {
      const envelope = queue[head];
      if (envelope === undefined) return undefined;
      if (++head >= 1_024) {
        queue = queue.slice(head);
        head = 0;
      }
      if (subscription === undefined && size() < MAX_QUEUED / 4) subscribeIn(0);
      return envelope;
    },
    received: () => received,
    stop() {
      stopped = true;
      clearTimeout(timer);
      pause();
    },
  };
}
