/** One catch-up subscription: what is stored, `caughtUp`, then live events; a reader that falls 32 live events behind is dropped. */
import { status } from '@grpc/grpc-js';
import type { Faults } from './faults.ts';
import type { StoredRecord } from './journal.ts';
import type { EmbeddedLog } from './log.ts';
import { caughtUp, checkpoint, confirmation, eventMessage, type Filter } from './messages.ts';
import { drained, type ReadCall } from './read-call.ts';

export interface SubscriptionRequest {
  readonly id: string;
  readonly filter: Filter;
  /** undefined: $all. */
  readonly stream: string | undefined;
  /** Index of the first record to send. */
  readonly next: number;
}

/** As EventStoreDB: live events that may wait for one reader. */
const MAX_WAITING = 32;
const TOO_SLOW = 'Operation timed out: Consumer too slow to handle event while live.';

/** Answers when the reader has gone or was dropped. */
export async function serveSubscription(
  call: ReadCall,
  log: EmbeddedLog,
  faults: Faults,
  { id, filter, stream, next: first }: SubscriptionRequest,
): Promise<void> {
  const list = () => (stream === undefined ? log.all : (log.stream(stream) ?? []));
  const gone = (): boolean => dropped || call.cancelled || call.destroyed;
  let [next, looked, live, blocked, dropped, wake] = [first, 0, false, false, false, () => {}];
  const drop = (): void => {
    if (gone()) return;
    dropped = true;
    call.emit('error', Object.assign(new Error(TOO_SLOW), { code: status.ABORTED, details: TOO_SLOW }));
    wake();
  };
  call.once('cancelled', () => wake());
  call.once('close', () => wake());
  const stop = log.onCommitted(() => {
    if (live && blocked && isTooSlow(list(), next, filter)) drop();
    wake();
  });
  const leave = faults.onDrop(drop);
  try {
    call.write(confirmation(id));
    while (!gone()) {
      if (faults.frozen) await faults.gate();
      const record = list()[next];
      if (record === undefined) {
        if (!live) call.write(caughtUp());
        live = true;
        await new Promise<void>((resolve) => (wake = resolve));
        continue;
      }
      next += 1;
      looked += 1;
      if (looked % filter.checkpointEvery === 0) call.write(checkpoint(record.position));
      if (!filter.fits(record) || call.write(eventMessage(record))) continue;
      blocked = true;
      await drained(call);
      blocked = false;
    }
  } finally {
    stop();
    leave();
  }
}

function isTooSlow(list: readonly StoredRecord[], next: number, { fits }: Filter): boolean {
  let waiting = 0;
  for (let index = next; index < list.length && waiting <= MAX_WAITING; index += 1) {
    if (fits(list[index]!)) waiting += 1;
  }
  return waiting > MAX_WAITING;
}
