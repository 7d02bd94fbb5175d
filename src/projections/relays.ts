/** Every forward: both of its halves by (channel, id), what it earned, and why it failed. */
import { msat, type Hex32, type Msat } from '../bolt/primitives.ts';
import type { HtlcFailure } from '../events/channel/updates.ts';
import type { RelayEvent } from '../events/relay.ts';
import type { StreamId } from '../events/store.ts';
import type { Projection } from './projection.ts';
import { keepRow, KEPT_ROWS, type Rows } from './recent.ts';

type Started = Extract<RelayEvent, { type: 'RelayStarted' }>;

export interface RelayRow {
  readonly stream: StreamId;
  readonly payment_hash: Hex32;
  readonly incoming: Started['incoming'];
  /** Absent of a forward that was refused. */
  readonly outgoing?: Started['outgoing'] & { readonly htlc_id?: bigint };
  readonly fee_msat: Msat;
  readonly status: 'in_flight' | 'fulfilled' | 'failed' | 'refused';
  /** What the incoming half was failed with. */
  readonly failure?: HtlcFailure;
  readonly started_at: string;
  readonly ended_at?: string;
}

export interface RelaysView {
  readonly rows: Rows<RelayRow>;
  totals: RelayTotals;
}

export interface RelayTotals {
  readonly relays_fulfilled: number;
  readonly relays_failed: number;
  readonly fees_earned_msat: Msat;
}

export interface RelayRows {
  /** Oldest first. */
  readonly relays: readonly RelayRow[];
  readonly totals: RelayTotals;
}

export const relays: Projection<RelaysView, RelayRows> = {
  name: 'relays',
  initial: () => ({ rows: new Map(), totals: { relays_fulfilled: 0, relays_failed: 0, fees_earned_msat: msat(0n) } }),
  apply(view, { stream, event, recorded_at }) {
    if (!stream.startsWith('relay-')) return view;
    const before = view.rows.get(stream);
    const row = advance(before, event as RelayEvent, stream, recorded_at);
    if (row === undefined || row === before) return view;
    keepRow(view.rows, stream, row, ({ status }) => status !== 'in_flight', KEPT_ROWS);
    view.totals = count(view.totals, row, before);
    return view;
  },
  rows: (view) => ({ relays: [...view.rows.values()], totals: view.totals }),
};

function advance(row: RelayRow | undefined, event: RelayEvent, stream: StreamId, recorded_at: string): RelayRow | undefined {
  switch (event.type) {
    case 'RelayStarted': {
      const { payment_hash, incoming, outgoing, fee_msat } = event;
      return { stream, payment_hash, incoming, outgoing, fee_msat, status: 'in_flight', started_at: recorded_at };
    }
    case 'RelayRefused': {
      const { payment_hash, incoming, failure } = event;
      return { stream, payment_hash, incoming, fee_msat: msat(0n), status: 'refused', failure, started_at: recorded_at, ended_at: recorded_at };
    }
    case 'RelayFulfilled':
      return row?.outgoing && { ...row, outgoing: { ...row.outgoing, htlc_id: event.outgoing_htlc_id }, status: 'fulfilled', ended_at: recorded_at };
    case 'RelayFailed':
      return row && { ...row, status: 'failed', failure: event.failure, ended_at: recorded_at };
  }
}

function count(totals: RelayTotals, row: RelayRow, before: RelayRow | undefined): RelayTotals {
  const failed = Number(row.status === 'failed' || row.status === 'refused') - Number(before?.status === 'failed');
  const fulfilled = Number(row.status === 'fulfilled');
  return {
    relays_fulfilled: totals.relays_fulfilled + fulfilled,
    relays_failed: totals.relays_failed + failed,
    fees_earned_msat: msat(totals.fees_earned_msat + (fulfilled === 1 ? row.fee_msat : 0n)),
  };
}
