/** `fulgurite balance --at POSITION|TIME PATH`: what each node owned then, each part in one place. */
import { balanceSheet, type BalanceSheet } from '../projections/balances.ts';
import { foldUntil, parseUntil, type AsOf, type Until } from '../projections/projection.ts';
import { createProgress, grouped, painter, printLine, table, toJson, WrongUsage, type Io } from './output.ts';
import { chooseNode, openSources, readEvents, type LogSource } from './sources.ts';

export interface BalanceCommand {
  readonly path: string;
  readonly node?: string;
  readonly at?: string;
  readonly json?: boolean;
}

export async function balanceCommand({ path, node, at, json = false }: BalanceCommand, io: Io): Promise<number> {
  const until = readUntil(at);
  const sources = openSources(path);
  try {
    const chosen = chooseNode(sources, node);
    const sheets: ({ node: string } & AsOf<BalanceSheet>)[] = [];
    for (const source of chosen) sheets.push({ node: source.name, ...(await sheetOf(source, until, io)) });
    const lines = json ? [toJson(sheets.map(({ rows, ...place }) => ({ ...place, ...rows })), 2)] : sheets.flatMap((sheet) => describeSheet(sheet, painter(io.stdout)));
    for (const line of lines) await printLine(io.stdout, line);
    return 0;
  } finally {
    for (const source of sources) source.close();
  }
}

function readUntil(at: string | undefined): Until {
  const until = at === undefined ? {} : parseUntil(at);
  if (until === undefined) throw new WrongUsage('invalid_at', `--at: expected a log position (1234) or an ISO 8601 time (2026-01-31T12:00:00Z), got ${at}`);
  return until;
}

/** Counts what it reads, for who waits. */
async function sheetOf(source: LogSource, until: Until, { stderr }: Io): Promise<AsOf<BalanceSheet>> {
  const progress = createProgress(stderr, `reading ${source.name}, events`);
  async function* watched() {
    for await (const envelope of readEvents(source)) {
      progress.at(Number(envelope.position), source.size);
      yield envelope;
    }
  }
  try {
    const sheet = await foldUntil(balanceSheet, watched(), until);
    if (until.position !== undefined && sheet.position !== until.position) {
      throw new WrongUsage('position_out_of_range', `--at: expected a position of the log of ${source.name}, up to ${sheet.position ?? 'none'}, got ${until.position}`);
    }
    return sheet;
  } finally {
    progress.done();
  }
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
