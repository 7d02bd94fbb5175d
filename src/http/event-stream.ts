/** Server-Sent Events (WHATWG HTML, section 9.2): the log as it grows, resumable by Last-Event-ID, never faster than the reader. */
import type { ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { EventEnvelope } from '../events/envelope.ts';
import type { EventStore, Position } from '../events/store.ts';

/** Every event behind a position, for ever, in order: read from the store, and woken when it grows. Ends with `signal`. */
export async function* followLog(store: EventStore, after: Position | undefined, signal: AbortSignal): AsyncGenerator<EventEnvelope> {
  let last = after;
  let [grown, wake] = [false, () => {}];
  const subscription = store.subscribe((await store.head()) ?? undefined).subscribe({
    next: () => ([grown] = [true, wake()]),
    // The stream ends; its reader comes back with Last-Event-ID.
    error: () => wake(),
    complete: () => wake(),
  });
  signal.addEventListener('abort', () => wake());
  try {
    while (!signal.aborted) {
      grown = false;
      for await (const envelope of store.readAll(last === undefined ? undefined : last + 1n)) {
        if (signal.aborted) return;
        last = envelope.position;
        yield envelope;
      }
      if (!grown && !signal.aborted && !subscription.closed) await new Promise<void>((resolve) => (wake = resolve));
      if (subscription.closed) return;
    }
  } finally {
    subscription.unsubscribe();
  }
}

const HEARTBEAT_MS = 15_000;

export interface SseWriter {
  /** Resolves once the reader has room again. */
  send(id: string, event: string, data: unknown): Promise<void>;
  readonly signal: AbortSignal;
  end(): void;
}

/** Takes a response over. A comment goes out now and then, so that a dead connection is noticed. */
export function openSse(response: ServerResponse): SseWriter {
  const abort = new AbortController();
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
  response.write(': the log, event by event\n\n');
  const heartbeat = setInterval(() => response.write(': still here\n\n'), HEARTBEAT_MS);
  response.once('close', () => {
    clearInterval(heartbeat);
    abort.abort();
  });
  return {
    signal: abort.signal,
    async send(id, event, data) {
      if (abort.signal.aborted) return;
      const room = response.write(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
      if (!room) await once(response, 'drain', { signal: abort.signal }).catch(() => undefined);
    },
    end: () => response.end(),
  };
}
