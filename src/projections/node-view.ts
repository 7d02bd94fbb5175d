/** Everything a node shows of itself, folded in one pass over its log. */
import { toBalanceSheet, type BalanceSheet } from './balances.ts';
import { channels, type ChannelRow, type ChannelsView } from './channels.ts';
import { toFeeLedger, walletFees, type FeeLedger, type WalletFeesView } from './fee-ledger.ts';
import { invoices, type InvoicesView } from './invoices.ts';
import { payments, type PaymentsView } from './payments.ts';
import { combine } from './projection.ts';
import { relays, type RelaysView } from './relays.ts';
import { wallet, type WalletView } from './wallet.ts';

export interface NodeView {
  channels: ChannelsView;
  wallet: WalletView;
  walletFees: WalletFeesView;
  payments: PaymentsView;
  invoices: InvoicesView;
  relays: RelaysView;
}

export const nodeView = combine('node', { channels, wallet, walletFees, payments, invoices, relays });

export const channelRows = (view: Pick<NodeView, 'channels'>): readonly ChannelRow[] => channels.rows(view.channels);
export const balanceRows = (view: Pick<NodeView, 'channels' | 'wallet'>): BalanceSheet => toBalanceSheet(channelRows(view), wallet.rows(view.wallet));
export const feeRows = (view: Pick<NodeView, 'channels' | 'walletFees'>): FeeLedger => toFeeLedger(view.channels, view.walletFees);
