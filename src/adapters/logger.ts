/** The node's own log for people and machines: pino's JSON lines, or plain text on a terminal. What it was told to keep secret it never writes. */
import { pino, type Logger } from 'pino';

export type { Logger } from 'pino';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly format: 'json' | 'text';
  readonly out: { write(text: string): unknown };
  /** What no line may hold, whoever wrote it: the token, the passphrase. Asked for each line, since some are learned later. */
  readonly secrets?: () => readonly string[];
}

export function createLogger({ level, format, out, secrets = () => [] }: LoggerOptions): Logger {
  const write = (line: string): void => {
    const clean = without(secrets(), line);
    out.write(format === 'json' ? clean : toText(clean));
  };
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } }, { write });
}

/** The last line of defence (safety 27): nothing of ours puts a secret into a line, and if something does, it is not seen. */
function without(secrets: readonly string[], line: string): string {
  return secrets.reduce((text, secret) => (secret === '' ? text : text.replaceAll(secret, '[secret]').replaceAll(JSON.stringify(secret).slice(1, -1), '[secret]')), line);
}

/** `12:00:00.123 warn  a sentence  name=value`. */
function toText(line: string): string {
  const { level, time, msg = '', ...fields } = JSON.parse(line) as { level: string; time: string; msg?: string } & Record<string, unknown>;
  const rest = Object.entries(fields).map(([name, value]) => `  ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return `${time.slice(11, 23)} ${level.padEnd(5)} ${msg}${rest.join('')}\n`;
}
