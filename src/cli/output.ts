/** How the command line talks: results on standard output, progress and errors on standard error, colours only to people. */
import { styleText } from 'node:util';

/** The two streams of a command; tests hand in their own. */
export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
}

export interface Output {
  /** False when the reader has no room left, as of Node's streams. */
  write(text: string): boolean;
  readonly isTTY?: boolean;
  once?(event: 'drain', listener: () => void): unknown;
}

/** A command that found something wrong: exit 1. The message is one sentence with both values. */
export class CommandFailed extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'CommandFailed';
    this.code = code;
  }
}

/** A command that cannot be understood: exit 2. */
export class WrongUsage extends CommandFailed {}

/** One line of text. Waits while the reader has no room. */
export async function printLine(output: Output, text: string): Promise<void> {
  const room = output.write(`${text}\n`);
  if (!room && output.once !== undefined) await new Promise<void>((resolve) => output.once!('drain', resolve));
}

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/** Styles text for a terminal, and leaves it alone elsewhere. https://no-color.org */
export function painter({ isTTY = false }: Output): (style: Style, text: string) => string {
  const colours = isTTY && (process.env['NO_COLOR'] ?? '') === '';
  return (style, text) => (colours ? styleText(style, text) : text);
}

/** Numbers as JSON has no room for: bigints become decimal text. */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, (_key, field: unknown) => (typeof field === 'bigint' ? String(field) : field), indent);
}

/** `20000000` -> `20,000,000`. */
export const grouped = (amount: bigint | number): string => String(amount).replace(/\B(?=(\d{3})+(?!\d))/g, ',');

const QUIET_MS = 2000;
const EVERY_MS = 500;

/** Reports on standard error what takes longer than two seconds: one changing line on a terminal, else a line now and then. */
export function createProgress(stderr: Output, label: string): { at(done: number, total?: number): void; done(): void } {
  const started = Date.now();
  let [shown, last] = [false, 0];
  return {
    at(done, total) {
      const now = Date.now();
      if (now - started < QUIET_MS || now - last < (stderr.isTTY === true ? EVERY_MS : 5 * EVERY_MS)) return;
      [shown, last] = [true, now];
      const share = total === undefined || total === 0 ? '' : ` of ${grouped(total)} (${Math.floor((100 * done) / total)} %)`;
      const text = `${label}: ${grouped(done)}${share}`;
      stderr.write(stderr.isTTY === true ? `\r${text}\u001b[K` : `${text}\n`);
    },
    done() {
      if (shown && stderr.isTTY === true) stderr.write('\r\u001b[K');
    },
  };
}

/** Rows in columns; the columns named in `right` are numbers. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((cell, column) => (right.includes(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!))).join('  ').trimEnd());
}
