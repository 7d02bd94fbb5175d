/** Subscriptions: the log from a position on, then the live events, in order, each once, with a bounded queue for each subscriber. */
import { Observable, type Subscriber } from 'rxjs';
import type { EventEnvelope } from '../../events/envelope.ts';
import { SubscriberTooSlow } from '../../events/store.ts';

export interface FeedOptions {
  /** A page of the log from a position on; empty at its end. */
  readonly readPage: (from: bigint) => Promise<readonly EventEnvelope[]>;
  /** Number of events in the log when the feed starts. */
  readonly size: bigint;
  /** Events that may wait for one subscriber. */
  readonly queueLimit: number;
}

export interface Feed {
  /** Hands on events that just became durable, in position order. */
  publish(envelopes: readonly EventEnvelope[]): void;
  /** The position after the newest published event. */
  advance(size: bigint): void;
  readonly hasSubscribers: () => boolean;
  subscribe(after?: bigint): Observable<EventEnvelope>;
  /** Completes every subscription. */
  close(): void;
}

/** Events delivered in one go before others get a turn. */
const BATCH = 256;

export function createFeed(options: FeedOptions): Feed {
  const live = new Set<LiveSubscription>();
  const open = new Set<Subscriber<EventEnvelope>>();
  let size = options.size;

  /** Reads pages until nothing is published beyond them; from that very moment on the live events follow. */
  async function catchUp(subscriber: Subscriber<EventEnvelope>, from: bigint): Promise<void> {
    let next = from;
    while (!subscriber.closed && next < size) {
      for (const envelope of await options.readPage(next)) {
        if (subscriber.closed) return;
        subscriber.next(envelope);
        next = envelope.position + 1n;
      }
    }
    if (subscriber.closed) return;
    const subscription = createLive(subscriber, next, options.queueLimit);
    live.add(subscription);
    subscriber.add(() => live.delete(subscription));
  }

  return {
    publish: (envelopes) => live.forEach((subscription) => subscription.push(envelopes)),
    advance: (newSize) => (size = newSize),
    hasSubscribers: () => live.size > 0,
    subscribe: (after) =>
      new Observable((subscriber) => {
        open.add(subscriber);
        subscriber.add(() => open.delete(subscriber));
        catchUp(subscriber, after === undefined ? 0n : after + 1n).catch((error: unknown) => subscriber.error(error));
      }),
    close: () => [...open].forEach((subscriber) => subscriber.complete()),
  };
}

interface LiveSubscription {
  push(envelopes: readonly EventEnvelope[]): void;
}

/** Delivers apart from the append that caused it, so that a slow reader never delays a writer's answer. */
function createLive(subscriber: Subscriber<EventEnvelope>, from: bigint, limit: number): LiveSubscription {
  let [queue, scheduled, next] = [[] as EventEnvelope[], false, from];

  function drain(): void {
    scheduled = false;
    for (const envelope of queue.splice(0, BATCH)) {
      if (subscriber.closed) return;
      subscriber.next(envelope);
    }
    if (queue.length > 0) schedule();
  }
  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(drain);
  }

  return {
    push(envelopes) {
      for (const envelope of envelopes) {
        // A page of the catch-up may have shown an event whose answer is only now here.
        if (envelope.position < next) continue;
        queue.push(envelope);
        next = envelope.position + 1n;
      }
      if (queue.length > limit) {
        const waiting = queue.length;
        queue = [];
        return subscriber.error(new SubscriberTooSlow(waiting, limit));
      }
      if (queue.length > 0) schedule();
    },
  };
}
