/** Amounts as people type them: 250000, 250,000sat, 0.0025btc, 1500msat. */
import { WrongUsage } from './output.ts';

/** msat in one unit. */
const UNITS: Readonly<Record<string, bigint>> = { msat: 1n, sat: 1000n, btc: 100_000_000_000n };

/** In msat; sat where no unit is given. Throws WrongUsage. */
export function parseMsat(text: string, what: string): bigint {
  const [, digits, fraction = '', unit = 'sat'] = /^(\d[\d,_]*)(?:\.(\d+))?\s*(msat|sat|btc)?$/i.exec(text.trim()) ?? [];
  if (digits === undefined || digits.length > 24) throw new WrongUsage('invalid_amount', `${what}: expected an amount such as 250000, 0.0025btc or 1500msat, got ${text}`);
  const scale = 10n ** BigInt(fraction.length);
  const scaled = BigInt(digits.replaceAll(/[,_]/g, '') + fraction) * UNITS[unit.toLowerCase()]!;
  if (scaled % scale !== 0n) throw new WrongUsage('invalid_amount', `${what}: expected a whole number of msat, got ${text}`);
  return scaled / scale;
}

/** In sat. Throws WrongUsage for a part of a sat. */
export function parseSat(text: string, what: string): bigint {
  const amount_msat = parseMsat(text, what);
  if (amount_msat % 1000n !== 0n) throw new WrongUsage('invalid_amount', `${what}: expected a whole number of sat, got ${text}`);
  return amount_msat / 1000n;
}

/** In sat per 1000 weight units. Throws WrongUsage. */
export function parseFeerate(text: string): number {
  const rate = /^\d{1,9}$/.test(text.trim()) ? Number(text) : NaN;
  if (Number.isNaN(rate)) throw new WrongUsage('invalid_feerate', `--feerate: expected a whole number of sat per 1000 weight units (250 of them are 1 sat/vB), got ${text}`);
  return rate;
}
