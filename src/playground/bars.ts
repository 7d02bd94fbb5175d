/** Drawings of one line: a channel as a bar of both balances, a rate as a row of blocks. */
import { piece, type Line, type Style } from './paint.ts';

/** A channel's money, msat: what the left and right end own, and what hangs in HTLCs offered by either. */
export interface BarShares {
  readonly left: bigint;
  readonly leftOffers: bigint;
  readonly rightOffers: bigint;
  readonly right: bigint;
}

/** A bar of `width` columns, shares rounded so that they fill it; whatever is there at all has a column of its own. */
export function balanceBar({ left, leftOffers, rightOffers, right }: BarShares, width: number, leftStyle: Style, rightStyle: Style): Line {
  const [a, b, c, d] = apportion([left, leftOffers, rightOffers, right], width) as [number, number, number, number];
  return [
    piece('█'.repeat(a), leftStyle),
    piece('▶'.repeat(b), 'bold', leftStyle),
    piece('◀'.repeat(c), 'bold', rightStyle),
    piece('▒'.repeat(d), rightStyle),
  ].filter(({ text }) => text !== '');
}

/** Whole columns per share: at least one for each that is not zero, the largest takes what rounding leaves. */
export function apportion(shares: readonly bigint[], width: number): readonly number[] {
  const total = shares.reduce((sum, share) => sum + share, 0n);
  if (total === 0n) return shares.map(() => 0);
  const columns = shares.map((share) => (share === 0n ? 0 : Math.max(1, Number((share * BigInt(width)) / total))));
  const largest = shares.reduce((best, share, index) => (share > shares[best]! ? index : best), 0);
  columns[largest]! += width - columns.reduce((sum, column) => sum + column, 0);
  return columns.map((column) => Math.max(0, column));
}

const BLOCKS = [...'▁▂▃▄▅▆▇█'];

/** The last `width` figures as blocks, scaled to the largest of them. */
export function sparkline(figures: readonly number[], width: number): string {
  const shown = figures.slice(-width);
  const largest = Math.max(1, ...shown);
  return shown.map((figure) => (figure === 0 ? ' ' : BLOCKS[Math.min(BLOCKS.length - 1, Math.floor((figure / largest) * BLOCKS.length))])).join('').padStart(width);
}
