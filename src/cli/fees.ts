/** `fulgurite fees`: each on-chain transaction of a node's, what it cost, who paid it and why; of a running node or of logs at a path. */
import { feeLedger, type FeeLedger, type FeeRow } from '../projections/fee-ledger.ts';
import { connectApi } from './api-client.ts';
import { type AskOptions } from './ask.ts';
import { foldLogs, type Folded, type FoldRequest } from './folds.ts';
import { foldedRows, queryOf, type FoldAnswer } from './node-balance.ts';
import { grouped, painter, printLine, table, toJson, type Io } from './output.ts';

export interface FeesCommand extends AskOptions, Omit<FoldRequest, 'path'> {
  /** The running node if left out. */
  readonly path?: string;
}

type Answer = FoldAnswer & { readonly fees: readonly ({ readonly node: string } & Readonly<Record<string, unknown>>)[] };

export async function feesCommand({ path, json = false, ...options }: FeesCommand, io: Io): Promise<number> {
  const ledgers = path === undefined ? await askNode(options) : await foldLogs(feeLedger, { ...options, path }, io);
  const lines = json ? [toJson(ledgers.map(({ rows, ...place }) => ({ ...place, ...rows })), 2)] : ledgers.flatMap((ledger) => describeLedger(ledger, painter(io.stdout)));
  for (const line of lines) await printLine(io.stdout, line);
  return 0;
}

async function askNode({ data, at }: Pick<FeesCommand, 'data' | 'at'>): Promise<readonly Folded<FeeLedger>[]> {
  const { as_of, fees } = await connectApi(data).get<Answer>(`/v1/fees${queryOf({ at })}`);
  return foldedRows<FeeLedger>(as_of, fees);
}

/** One node's ledger in lines. */
export function describeLedger({ node, rows: { rows, totals }, position, recorded_at }: Folded<FeeLedger>, paint: ReturnType<typeof painter>): readonly string[] {
  const place = position === undefined ? 'before its first event' : `at position ${position}, ${recorded_at}`;
  const title = `${paint('bold', node)} ${place}`;
  const { local_sat, remote_sat, rounding_sat, unknown_sat, fee_sat, pending_sat } = totals;
  const others = [`peers ${grouped(remote_sat)}`, `rounded away ${grouped(rounding_sat)}`, ...(unknown_sat === 0n ? [] : [`not known whose ${grouped(unknown_sat)}`])];
  return [
    title,
    ...(rows.length === 0 ? ['  no fee was paid yet'] : describeFees(rows).map((line) => `  ${line}`)),
    `  fee_sat ${grouped(fee_sat)} confirmed: ours ${paint('bold', grouped(local_sat))}, ${others.join(', ')}; pending ${grouped(pending_sat)}`,
    '',
  ];
}

/** A table of transactions, with the channel of each where they are of several. */
export function describeFees(rows: readonly FeeRow[], { ofOneChannel = false } = {}): readonly string[] {
  const header = ['kind', 'txid', 'block', 'inputs_sat', 'outputs_sat', 'fee_sat', 'who paid', ...(ofOneChannel ? [] : ['channel'])];
  const cells = rows.map(({ kind, txid, status, block_height, inputs_sat, outputs_sat, fee_sat, parts, stream = '' }) => [
    kind, txid, block_height === undefined ? status : String(block_height), grouped(inputs_sat), grouped(outputs_sat), grouped(fee_sat), describeParts(parts), ...(ofOneChannel ? [] : [stream]),
  ]);
  return table([header, ...cells], [3, 4, 5]);
}

const WHO = { local: 'us', remote: 'the peer', both: 'both', unknown: 'not known' } as const;

/** `1,468 us, 353 us (trimmed_htlc), 3 both (rounding)` */
const describeParts = (parts: FeeRow['parts']): string =>
  parts.map(({ what, by, amount_sat }) => `${grouped(amount_sat)} ${WHO[by]}${what === 'fee' ? '' : ` (${what})`}`).join(', ');
