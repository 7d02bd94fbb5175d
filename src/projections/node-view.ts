/** Everything a node shows of itself, folded in one pass over its log. */
import { toBalanceSheet, type BalanceSheet } from './balances.ts';
import { channels, type ChannelRow, type ChannelsView } from './channels.ts';
import { invoices, type InvoicesView } from './invoices.ts';
import { payments, type PaymentsView } from './payments.ts';
import { combine } from './projection.ts';
import { relays, type RelaysView } from './relays.ts';
import { wallet, type WalletView } from './wallet.ts';

export interface NodeView {
  channels: ChannelsView;
  wallet: WalletView;
  payments: PaymentsView;
  invoices: InvoicesView;
  relays: RelaysView;
}

export const nodeView = combine('node', { channels, wallet, payments, invoices, relays });

export const channelRows = (view: Pick<NodeView, 'channels'>): readonly ChannelRow[] => channels.rows(view.channels);
export const balanceRows = (view: Pick<NodeView, 'channels' | 'wallet'>): BalanceSheet => toBalanceSheet(channelRows(view), wallet.rows(view.wallet));
