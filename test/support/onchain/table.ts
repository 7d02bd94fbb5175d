/** The matrix as a table for people: one line a cell. */
import type { Side } from './books.ts';
import { nameOf, type Outcome } from './matrix.ts';

const COLUMNS = ['cell', 'HTLCs', 'txs', 'blocks', 'our fees', 'their fees', 'we gain', 'expected', 'they gain', 'expected', ''] as const;

export function tableOf(outcomes: readonly Outcome[]): string {
  const rows = [COLUMNS as readonly string[], ...outcomes.map(rowOf)];
  const widths = COLUMNS.map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  return rows.map((row) => row.map((text, i) => (i === 0 || i === COLUMNS.length - 1 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join('  ').trimEnd()).join('\n');
}

function rowOf(outcome: Outcome): readonly string[] {
  const name = nameOf(outcome.cell);
  if (outcome.error !== undefined || outcome.gained === undefined) return [name, ...Array.from({ length: COLUMNS.length - 2 }, () => ''), outcome.error ?? 'nothing'];
  const { followers = [], gained, expected, phases, astray = [], refused = [], wallets } = outcome;
  const fees = (side: Side) => followers.filter(({ by }) => by === side).reduce((sum, { fee }) => sum + fee, 0n);
  const wrong = [
    ...(['ours', 'theirs'] as const).filter((side) => gained[side] !== expected![side]).map((side) => `${side} is ${gained[side] - expected![side]} off`),
    ...(['ours', 'theirs'] as const).filter((side) => wallets![side].node !== wallets![side].chain).map((side) => `${side}: wallet says ${wallets![side].node}, chain ${wallets![side].chain}`),
    ...(['ours', 'theirs'] as const).filter((side) => !['closed', 'off'].includes(phases![side])).map((side) => `${side} is ${phases![side]}`),
    ...astray.slice(0, 2),
    ...refused.slice(0, 2),
  ];
  const figures = [outcome.htlcs, followers.length, outcome.blocks, fees('ours'), fees('theirs'), gained.ours, expected!.ours, gained.theirs, expected!.theirs];
  return [name, ...figures.map(String), wrong.length === 0 ? 'to the sat' : wrong.join('; ')];
}
