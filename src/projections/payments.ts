/** Every payment with the timeline of its attempts, and why it failed if it did. */
import type { Hex, Hex32, Msat, NodeId } from '../bolt/primitives.ts';
import { msat } from '../bolt/primitives.ts';
import type { EventEnvelope } from '../events/envelope.ts';
import type { PaymentEvent, RouteHop } from '../events/payment.ts';
import type { StreamId } from '../events/store.ts';
import type { Projection } from './projection.ts';
import { keepRow, KEPT_ROWS, type Rows } from './recent.ts';

export interface PaymentRow {
  readonly stream: StreamId;
  readonly payment_id: Hex32;
  readonly payment_hash: Hex32;
  readonly destination: NodeId;
  readonly amount_msat: Msat;
  readonly fee_limit_msat: Msat;
  readonly status: 'in_flight' | 'succeeded' | 'failed';
  readonly fee_msat?: Msat;
  readonly payment_preimage?: Hex32;
  readonly failure?: PaymentFailure;
  readonly attempts: readonly AttemptRow[];
  readonly started_at: string;
  readonly ended_at?: string;
}

/** BOLT 4's failure where a node gave one; `code` and `reason` are ours. */
export interface PaymentFailure {
  readonly code: string;
  readonly reason: string;
  readonly failure_code?: number;
  readonly failure_name?: string;
  readonly erring_node?: NodeId;
}

export interface AttemptRow {
  readonly attempt: number;
  readonly status: 'in_flight' | 'succeeded' | 'failed';
  readonly channel: StreamId;
  readonly amount_msat: Msat;
  readonly fee_msat: Msat;
  readonly hops: readonly RouteHop[];
  readonly failure?: { readonly failure_code: number; readonly failure_name: string; readonly failure_data: Hex; readonly erring_hop?: number; readonly erring_node?: NodeId; readonly reason: string };
  readonly planned_at: string;
  readonly ended_at?: string;
}

export interface PaymentTotals {
  readonly payments_succeeded: number;
  readonly payments_failed: number;
  readonly sent_msat: Msat;
  readonly fees_paid_msat: Msat;
}

export interface PaymentsView {
  readonly rows: Rows<PaymentRow>;
  totals: PaymentTotals;
}

export interface PaymentRows {
  /** Oldest first. */
  readonly payments: readonly PaymentRow[];
  /** Of the whole log, rows that memory let go included. */
  readonly totals: PaymentTotals;
}

export const payments: Projection<PaymentsView, PaymentRows> = {
  name: 'payments',
  initial: () => ({ rows: new Map(), totals: { payments_succeeded: 0, payments_failed: 0, sent_msat: msat(0n), fees_paid_msat: msat(0n) } }),
  apply(view, envelope) {
    if (!envelope.stream.startsWith('payment-')) return view;
    const event = envelope.event as PaymentEvent;
    const before = view.rows.get(envelope.stream);
    const row = advance(before, event, envelope);
    if (row !== undefined) keepRow(view.rows, envelope.stream, row, ({ status }) => status !== 'in_flight', KEPT_ROWS);
    view.totals = count(view.totals, event, before);
    return view;
  },
  rows: (view) => ({ payments: [...view.rows.values()], totals: view.totals }),
};

function advance(row: PaymentRow | undefined, event: PaymentEvent, { stream, recorded_at }: EventEnvelope): PaymentRow | undefined {
  if (event.type === 'PaymentStarted') {
    const { payment_id, payment_hash, destination, amount_msat, fee_limit_msat } = event;
    // A payment tried again keeps the story of its first attempts.
    const attempts = row?.attempts ?? [];
    return { stream, payment_id, payment_hash, destination, amount_msat, fee_limit_msat, status: 'in_flight', attempts, started_at: row?.started_at ?? recorded_at };
  }
  if (row === undefined) return undefined;
  const ended = { ended_at: recorded_at };
  switch (event.type) {
    case 'AttemptPlanned': {
      const { attempt, channel, amount_msat, fee_msat, hops } = event;
      const planned: AttemptRow = { attempt, status: 'in_flight', channel, amount_msat, fee_msat, hops, planned_at: recorded_at };
      return { ...row, attempts: [...row.attempts, planned] };
    }
    case 'AttemptSucceeded':
      return changeAttempt(row, event.attempt, { status: 'succeeded', ...ended });
    case 'AttemptFailed': {
      const { type: _type, attempt, ...failure } = event;
      return changeAttempt(row, attempt, { status: 'failed', failure, ...ended });
    }
    case 'PaymentSucceeded': {
      const { failure: _failure, ...rest } = row;
      return { ...rest, status: 'succeeded', payment_preimage: event.payment_preimage, fee_msat: event.fee_msat, ...ended };
    }
    case 'PaymentFailed': {
      const { type: _type, ...failure } = event;
      return { ...row, status: 'failed', failure, ...ended };
    }
  }
}

function changeAttempt(row: PaymentRow, attempt: number, change: Partial<AttemptRow>): PaymentRow {
  return { ...row, attempts: row.attempts.map((old) => (old.attempt === attempt ? Object.assign({}, old, change) : old)) };
}

/** A success that came after all takes its failure back. */
function count(totals: PaymentTotals, event: PaymentEvent, before: PaymentRow | undefined): PaymentTotals {
  const failed = before?.status === 'failed' ? 1 : 0;
  switch (event.type) {
    case 'PaymentSucceeded':
      return {
        payments_succeeded: totals.payments_succeeded + 1,
        payments_failed: totals.payments_failed - failed,
        sent_msat: msat(totals.sent_msat + event.amount_msat),
        fees_paid_msat: msat(totals.fees_paid_msat + event.fee_msat),
      };
    case 'PaymentFailed':
      return { ...totals, payments_failed: totals.payments_failed + 1 };
    case 'PaymentStarted':
      return { ...totals, payments_failed: totals.payments_failed - failed };
    default:
      return totals;
  }
}
