/** Every invoice of ours: what was asked, what came, what was turned away. */
import { msat, type Hex32, type Msat } from '../bolt/primitives.ts';
import type { InvoiceEvent } from '../events/invoice.ts';
import type { StreamId } from '../events/store.ts';
import type { Projection } from './projection.ts';
import { keepRow, KEPT_ROWS, type Rows } from './recent.ts';

export interface InvoiceRow {
  readonly stream: StreamId;
  readonly payment_hash: Hex32;
  /** Absent where the payer chooses. */
  readonly amount_msat?: Msat;
  readonly description: string;
  readonly status: 'open' | 'settled';
  /** Held now, or received for good once settled. */
  readonly received_msat: Msat;
  readonly htlcs: readonly { readonly channel: StreamId; readonly htlc_id: bigint; readonly amount_msat: Msat }[];
  readonly refused_htlcs: number;
  readonly payment_preimage?: Hex32;
  readonly created_at: string;
  readonly settled_at?: string;
}

export interface InvoicesView {
  readonly rows: Rows<InvoiceRow>;
  received_msat: Msat;
  settled: number;
}

export interface InvoiceRows {
  /** Oldest first. */
  readonly invoices: readonly InvoiceRow[];
  readonly totals: { readonly invoices_settled: number; readonly received_msat: Msat };
}

export const invoices: Projection<InvoicesView, InvoiceRows> = {
  name: 'invoices',
  initial: () => ({ rows: new Map(), received_msat: msat(0n), settled: 0 }),
  apply(view, { stream, event, recorded_at }) {
    if (!stream.startsWith('invoice-')) return view;
    const row = advance(view.rows.get(stream), event as InvoiceEvent, stream, recorded_at);
    if (row !== undefined) keepRow(view.rows, stream, row, ({ status }) => status === 'settled', KEPT_ROWS);
    if (event.type === 'InvoiceSettled') {
      view.received_msat = msat(view.received_msat + event.received_msat);
      view.settled += 1;
    }
    return view;
  },
  rows: (view) => ({ invoices: [...view.rows.values()], totals: { invoices_settled: view.settled, received_msat: view.received_msat } }),
};

function advance(row: InvoiceRow | undefined, event: InvoiceEvent, stream: StreamId, recorded_at: string): InvoiceRow | undefined {
  if (event.type === 'InvoiceCreated') {
    const { payment_hash, amount_msat, description } = event;
    return { stream, payment_hash, amount_msat, description, status: 'open', received_msat: msat(0n), htlcs: [], refused_htlcs: 0, created_at: recorded_at };
  }
  if (row === undefined) return undefined;
  switch (event.type) {
    case 'InvoiceHtlcAccepted': {
      const { channel, htlc_id, amount_msat } = event;
      return withHtlcs(row, [...row.htlcs, { channel, htlc_id, amount_msat }]);
    }
    case 'InvoiceHtlcRefused': {
      const left = row.htlcs.filter(({ channel, htlc_id }) => channel !== event.channel || htlc_id !== event.htlc_id);
      return { ...withHtlcs(row, left), refused_htlcs: row.refused_htlcs + 1 };
    }
    case 'InvoiceSettled':
      return { ...row, status: 'settled', received_msat: event.received_msat, payment_preimage: event.payment_preimage, settled_at: recorded_at };
  }
}

function withHtlcs(row: InvoiceRow, htlcs: InvoiceRow['htlcs']): InvoiceRow {
  if (row.status === 'settled') return row;
  return { ...row, htlcs, received_msat: msat(htlcs.reduce((sum, { amount_msat }) => sum + amount_msat, 0n)) };
}
