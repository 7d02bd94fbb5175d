/** BOLT 4, "Basic Multi-Part Payments": a set of HTLCs that stays incomplete is failed after a while (`mpp_timeout`). */
import { toHex32 } from '../bolt/primitives.ts';
import { MPP_TIMEOUT_SECONDS } from '../domain/invoice/decide.ts';
import type { EventStore, StreamId } from '../events/store.ts';
import { createLogQueue } from './log-queue.ts';
import type { QuietStreams } from './quiet-streams.ts';

export interface InvoiceTimeoutsOptions {
  readonly store: EventStore;
  readonly quiet: Pick<QuietStreams, 'invoices'>;
  /** Unix seconds. */
  readonly now: () => number;
  /** Cryptographic randomness, bytes. */
  readonly entropy: (length: number) => Uint8Array;
  readonly every_ms?: number;
}

export interface InvoiceTimeouts {
  /** Fails what is due; called by a timer, and by tests. */
  tick(): Promise<void>;
  stop(): void;
}

const EVERY_MS = 5_000;

/** Reads the log once to learn which sets wait, then follows it. */
export function startInvoiceTimeouts({ store, quiet, now, entropy, every_ms = EVERY_MS }: InvoiceTimeoutsOptions): InvoiceTimeouts {
  /** Stream -> when its oldest HTLC came, unix seconds. */
  const waiting = new Map<StreamId, number>();
  let open = false;
  const queue = createLogQueue(store, undefined, () => {
    if (open) drain();
  });
  open = true;

  function drain(): void {
    for (let envelope = queue.next(); envelope !== undefined; envelope = queue.next()) {
      const { stream, event } = envelope;
      if (event.type === 'InvoiceHtlcAccepted' && !waiting.has(stream)) waiting.set(stream, event.accepted_at);
      if (event.type === 'InvoiceSettled') waiting.delete(stream);
    }
  }

  /** Whether anything still waits is for the invoice to say: a set may have been failed long ago, and another begun since. */
  async function tick(): Promise<void> {
    drain();
    const due = [...waiting].filter(([, since]) => now() >= since + MPP_TIMEOUT_SECONDS);
    for (const [stream] of due) {
      const command_id = toHex32(entropy(32));
      await quiet.invoices.execute(stream, { type: 'TimeoutInvoiceHtlcs' }, { command_id, correlation_id: command_id });
      const state = await quiet.invoices.state(stream);
      const oldest = state.phase === 'open' ? state.accepted[0] : undefined;
      if (oldest === undefined) waiting.delete(stream);
      else waiting.set(stream, oldest.accepted_at);
    }
  }

  // A store that fails now is asked again at the next tick.
  const timer = setInterval(() => void tick().catch(() => undefined), every_ms);
  timer.unref?.();
  drain();
  return {
    tick,
    stop() {
      clearInterval(timer);
      queue.stop();
    },
  };
}
