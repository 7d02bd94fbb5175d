/** Invoices held open: their HTLCs wait, as if their payer's other parts were on the way, until they are let go. */
import type { LogStore } from '../../src/adapters/store/log-store.ts';
import type { Hex32 } from '../../src/bolt/primitives.ts';
import type { Event } from '../../src/events/registry.ts';
import { StoreClosed } from '../../src/events/store.ts';

export interface Hold {
  readonly store: LogStore;
  /** HTLCs that came for invoices held open. */
  waiting(): number;
  /** Looks again at what may go. */
  release(): void;
  /** What waits is refused, as if the store were closed. */
  end(): void;
}

/** A log that takes its time over an invoice's HTLC until it is let go: everything else about the node is as ever. */
export function holdInvoices(inner: LogStore, letGo: ReadonlySet<Hex32>): Hold {
  const waiting = new Map<() => void, { readonly payment_hash: Hex32; readonly refuse: (error: Error) => void }>();
  const ended = new StoreClosed('memory', 'the node ends');
  let over = false;
  const takesAnHtlc = (events: readonly Event[]) => events.some(({ type }) => type === 'InvoiceHtlcAccepted');
  const store: LogStore = {
    ...inner,
    async append(stream, expected, events, cause, attachments) {
      const payment_hash = stream.slice('invoice-'.length) as Hex32;
      if (stream.startsWith('invoice-') && takesAnHtlc(events) && !letGo.has(payment_hash)) {
        if (over) throw ended;
        await new Promise<void>((resolve, refuse) => void waiting.set(resolve, { payment_hash, refuse }));
      }
      return inner.append(stream, expected, events, cause, attachments);
    },
  };
  return {
    store,
    waiting: () => waiting.size,
    release() {
      for (const [resolve, { payment_hash }] of waiting) {
        if (!letGo.has(payment_hash)) continue;
        waiting.delete(resolve);
        resolve();
      }
    },
    end() {
      over = true;
      for (const { refuse } of waiting.values()) refuse(ended);
      waiting.clear();
    },
  };
}
