/** `fulgurite balance` without a path: the balance sheet that a running node gives of itself. */
import type { BalanceSheet } from '../projections/balances.ts';
import { connectApi } from './api-client.ts';
import { print, type AskOptions } from './ask.ts';
import { describeSheet } from './balance.ts';
import type { Folded } from './folds.ts';
import { painter, type Io } from './output.ts';

/** What the API says of a fold: each node's rows, and the places they are of. */
export interface FoldAnswer {
  readonly as_of: readonly { readonly position?: string; readonly recorded_at?: string; readonly events: number }[];
}
type NodeRows = { readonly node: string } & Readonly<Record<string, unknown>>;

export async function nodeBalanceCommand(options: AskOptions & { readonly at?: string }, io: Io): Promise<number> {
  const { as_of, balances } = await connectApi(options.data).get<FoldAnswer & { readonly balances: readonly NodeRows[] }>(`/v1/balances${queryOf(options)}`);
  const sheets = foldedRows<BalanceSheet>(as_of, balances);
  const json = sheets.map(({ rows, ...place }) => ({ ...place, ...rows }));
  return print(io, options, json, sheets.flatMap((sheet) => describeSheet(sheet, painter(io.stdout))));
}

export const queryOf = ({ at }: { readonly at?: string }): string => (at === undefined ? '' : `?as_of=${encodeURIComponent(at)}`);

/** The API's answer in the types of a fold. */
export function foldedRows<Rows>(as_of: FoldAnswer['as_of'], answers: readonly NodeRows[]): readonly Folded<Rows>[] {
  return answers.map(({ node, ...rows }, index) => {
    const { position, recorded_at, events } = as_of[index]!;
    return { node, position: position === undefined ? undefined : BigInt(position), recorded_at, events, rows: withAmounts(rows) as Rows };
  });
}

/** Amounts are text in JSON; they are known by their unit. */
function withAmounts(value: unknown, name = ''): unknown {
  if (typeof value === 'string' && /_(msat|sat)$/.test(name)) return BigInt(value);
  if (Array.isArray(value)) return value.map((each) => withAmounts(each));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, withAmounts(field, key)]));
}
