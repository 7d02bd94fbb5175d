/** Styled text whose width is known: pieces are cut and padded by what the eye sees, then coloured. */
import { styleText } from 'node:util';

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan' | 'magenta' | 'blue' | 'gray';

/** Text in one or more styles. */
export interface Piece {
  readonly text: string;
  readonly styles: readonly Style[];
}

/** A line of a screen, left to right. */
export type Line = readonly Piece[];

export const piece = (text: string, ...styles: readonly Style[]): Piece => ({ text, styles });

export const widthOf = (line: Line): number => line.reduce((sum, { text }) => sum + [...text].length, 0);

/** The line cut to `width` columns; what is lost shows as an ellipsis. */
export function cut(line: Line, width: number): Line {
  if (widthOf(line) <= width) return line;
  let left = width - 1;
  const kept: Piece[] = [];
  for (const { text, styles } of line) {
    const part = [...text].slice(0, left).join('');
    left -= [...part].length;
    if (part !== '') kept.push({ text: part, styles });
  }
  return [...kept, piece('…', 'dim')];
}

/** `left` and `right` at the two ends of a line; the left one gives way. */
export function spread(left: Line, right: Line, width: number): Line {
  const room = width - widthOf(right) - 1;
  if (room < 10) return cut(left, width);
  const shown = cut(left, room);
  return [...shown, piece(' '.repeat(width - widthOf(shown) - widthOf(right))), ...right];
}

/** The line as a terminal takes it. */
export function toText(line: Line, colours: boolean): string {
  return line.map(({ text, styles }) => (colours && styles.length > 0 ? styleText([...styles], text, { validateStream: false }) : text)).join('');
}

/** `1234567` -> `1,234,567`. */
export const grouped = (amount: bigint | number): string => String(amount).replace(/\B(?=(\d{3})+(?!\d))/g, ',');

/** msat as sat, rounded down: for eyes, not for books. */
export const inSat = (amount_msat: bigint): string => `${grouped(amount_msat / 1000n)} sat`;

/** Seconds as `m:ss` or `h:mm:ss`. */
export function clock(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const shown = parts[0] === 0 ? parts.slice(1) : parts;
  return shown.map((part, index) => (index === 0 ? String(part) : String(part).padStart(2, '0'))).join(':');
}
