/** `fulgurite balance --at POSITION|TIME PATH`: what each node owned then, each part in one place. */
import { balanceSheet, type BalanceSheet } from '../projections/balances.ts';
import type { AsOf } from '../projections/projection.ts';
import { foldLogs, type FoldRequest } from './folds.ts';
import { grouped, painter, printLine, table, toJson, type Io } from './output.ts';

export interface BalanceCommand extends FoldRequest {
  readonly json?: boolean;
}

export async function balanceCommand({ json = false, ...request }: BalanceCommand, io: Io): Promise<number> {
  const sheets = await foldLogs(balanceSheet, request, io);
  const lines = json ? [toJson(sheets.map(({ rows, ...place }) => ({ ...place, ...rows })), 2)] : sheets.flatMap((sheet) => describeSheet(sheet, painter(io.stdout)));
  for (const line of lines) await printLine(io.stdout, line);
  return 0;
}

/** One node's sheet in lines. */
export function describeSheet({ node, rows, position, recorded_at }: { readonly node: string } & AsOf<BalanceSheet>, paint: ReturnType<typeof painter>): readonly string[] {
  const place = position === undefined ? 'before its first event' : `at position ${position}, ${recorded_at}`;
  const header = ['channel', 'phase', 'local_msat', 'remote_msat', 'offered_msat', 'received_msat', 'to_sweep_sat', 'capacity_sat'];
  const cells = rows.channels.map((row) => [
    row.short_channel_id ?? row.stream, row.phase,
    ...[row.local_msat, row.remote_msat, row.offered_msat, row.received_msat, row.to_sweep_sat, row.capacity_sat].map(grouped),
  ]);
  const { totals, wallet } = rows;
  const total = ['total', '', ...[totals.local_msat, totals.remote_msat, totals.offered_msat, totals.received_msat, totals.to_sweep_sat, totals.capacity_sat].map(grouped)];
  return [
    `${paint('bold', node)} ${place}`,
    ...table([header, ...cells, total], [2, 3, 4, 5, 6, 7]).map((line) => `  ${line}`),
    `  wallet_sat ${grouped(wallet.total_sat)} (confirmed ${grouped(wallet.confirmed_sat)}, pending ${grouped(wallet.pending_sat)}, reserved ${grouped(wallet.reserved_sat)})`,
    `  owned_msat ${paint('bold', grouped(totals.owned_msat))}`,
    '',
  ];
}
