/** `fulgurite balance` without a path: the balance sheet that a running node gives of itself. */
import type { BalanceSheet } from '../projections/balances.ts';
import type { AsOf } from '../projections/projection.ts';
import { connectApi } from './api-client.ts';
import { print, type AskOptions } from './ask.ts';
import { describeSheet } from './balance.ts';
import { painter, type Io } from './output.ts';

interface Answer {
  readonly as_of: readonly { readonly position?: string; readonly recorded_at?: string; readonly events: number }[];
  readonly balances: readonly ({ readonly node: string } & Readonly<Record<string, unknown>>)[];
}

export async function nodeBalanceCommand(options: AskOptions & { readonly at?: string }, io: Io): Promise<number> {
  const query = options.at === undefined ? '' : `?as_of=${encodeURIComponent(options.at)}`;
  const { as_of, balances } = await connectApi(options.data).get<Answer>(`/v1/balances${query}`);
  const sheets = balances.map(({ node, ...rows }, index) => {
    const { position, recorded_at, events } = as_of[index]!;
    const place = { position: position === undefined ? undefined : BigInt(position), recorded_at, events };
    return { node, ...place, rows: withAmounts(rows) as unknown as BalanceSheet } as { node: string } & AsOf<BalanceSheet>;
  });
  const json = sheets.map(({ rows, ...place }) => ({ ...place, ...rows }));
  return print(io, options, json, sheets.flatMap((sheet) => describeSheet(sheet, painter(io.stdout))));
}

/** Amounts are text in JSON; they are known by their unit. */
function withAmounts(value: unknown, name = ''): unknown {
  if (typeof value === 'string' && /_(msat|sat)$/.test(name)) return BigInt(value);
  if (Array.isArray(value)) return value.map((each) => withAmounts(each));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, withAmounts(field, key)]));
}
