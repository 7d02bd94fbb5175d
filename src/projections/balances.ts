/** What the node owns, each part in one place: in channels, in flight, on chain; per channel and in all. */
import { msat, sat, satToMsat, type Msat, type NodeId, type Sat, type ShortChannelId } from '../bolt/primitives.ts';
import type { StreamId } from '../events/store.ts';
import { channels, type ChannelRow } from './channels.ts';
import { combine, type Projection } from './projection.ts';
import { wallet, type WalletRow } from './wallet.ts';

export interface ChannelBalance {
  readonly stream: StreamId;
  readonly peer_id?: NodeId;
  readonly short_channel_id?: ShortChannelId;
  readonly phase: ChannelRow['phase'];
  readonly capacity_sat: Sat;
  readonly local_msat: Msat;
  readonly remote_msat: Msat;
  /** HTLCs we offered: ours until the peer shows a preimage. */
  readonly offered_msat: Msat;
  /** HTLCs the peer offered: the peer's until we show a preimage. */
  readonly received_msat: Msat;
  readonly to_sweep_sat: Sat;
}

export interface BalanceSheet {
  readonly channels: readonly ChannelBalance[];
  readonly wallet: WalletRow;
  readonly totals: {
    readonly capacity_sat: Sat;
    readonly local_msat: Msat;
    readonly remote_msat: Msat;
    readonly offered_msat: Msat;
    readonly received_msat: Msat;
    readonly to_sweep_sat: Sat;
    readonly wallet_sat: Sat;
    /** Everything that is ours if nothing in flight succeeds: local + offered + to sweep + wallet. */
    readonly owned_msat: Msat;
  };
}

const parts = combine('balances', { channels, wallet });

export const balanceSheet: Projection<ReturnType<typeof parts.initial>, BalanceSheet> = {
  ...parts,
  rows: (view) => toBalanceSheet(channels.rows(view.channels), wallet.rows(view.wallet)),
};

/** The sheet of rows that were folded already. */
export function toBalanceSheet(rows: readonly ChannelRow[], walletRow: WalletRow): BalanceSheet {
  const total = (field: 'local_msat' | 'remote_msat' | 'offered_msat' | 'received_msat' | 'to_sweep_sat') =>
    rows.reduce((sum, row) => sum + row[field], 0n);
  const totals = {
    capacity_sat: sat(rows.filter(holdsMoney).reduce((sum, { capacity_sat }) => sum + capacity_sat, 0n)),
    local_msat: msat(total('local_msat')),
    remote_msat: msat(total('remote_msat')),
    offered_msat: msat(total('offered_msat')),
    received_msat: msat(total('received_msat')),
    to_sweep_sat: sat(total('to_sweep_sat')),
    wallet_sat: walletRow.total_sat,
  };
  const owned = totals.local_msat + totals.offered_msat + satToMsat(totals.to_sweep_sat) + satToMsat(totals.wallet_sat);
  return { channels: rows.map(channelBalance), wallet: walletRow, totals: { ...totals, owned_msat: msat(owned) } };
}

/** The four parts of a channel sum to its capacity for as long as it holds money. */
const holdsMoney = (row: ChannelRow): boolean => row.local_msat + row.remote_msat + row.offered_msat + row.received_msat > 0n;

function channelBalance(row: ChannelRow): ChannelBalance {
  const { stream, peer_id, short_channel_id, phase, capacity_sat, local_msat, remote_msat, offered_msat, received_msat, to_sweep_sat } = row;
  return { stream, peer_id, short_channel_id, phase, capacity_sat, local_msat, remote_msat, offered_msat, received_msat, to_sweep_sat };
}
