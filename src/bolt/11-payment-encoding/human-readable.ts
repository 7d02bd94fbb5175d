/** BOLT 11, "Human-Readable Part": `ln`, the currency, and an amount in the largest unit that fits. */
import { type Msat, msat } from '../primitives.ts';
import { InvoiceError } from './invoice-error.ts';

/** BIP 173 currency prefixes: Bitcoin's main, test, signet and regtest networks, and Litecoin's main, test and regtest. */
export const CURRENCIES = ['bc', 'tb', 'tbs', 'bcrt', 'ltc', 'tltc', 'rltc'] as const;
export type Currency = (typeof CURRENCIES)[number];

/** Millisatoshis in one coin, and in one unit of each multiplier; a pico is a tenth of a millisatoshi. */
const COIN = 100_000_000_000n;
const UNITS: readonly (readonly [string, bigint])[] = [['', COIN], ['m', COIN / 1_000n], ['u', COIN / 1_000_000n], ['n', COIN / 1_000_000_000n]];
const MAX_MSAT = 2n ** 64n - 1n;

/** `lnbc2500u`. Throws InvoiceError `invalid_amount` on nothing or too much: a u64 is what an HTLC can carry. */
export function encodeHumanReadable(currency: Currency, amount_msat: Msat | undefined): string {
  return `ln${currency}${amount_msat === undefined ? '' : encodeAmount(amount_msat)}`;
}

/** Throws InvoiceError. */
export function decodeHumanReadable(text: string, allowed: readonly Currency[]): { currency: Currency; amount_msat?: Msat } {
  const match = /^ln([a-z]+)(.*)$/s.exec(text);
  const currency = CURRENCIES.find((known) => known === match?.[1]);
  if (match === null || currency === undefined) {
    throw new InvoiceError('unknown_prefix', `expected ln and one of ${CURRENCIES.join(', ')}, got "${text.slice(0, 20)}"`);
  }
  if (!allowed.includes(currency)) throw new InvoiceError('wrong_network', `expected ${allowed.join(' or ')}, got ${currency}`);
  const amount = match[2]!;
  return amount === '' ? { currency } : { currency, amount_msat: decodeAmount(amount) };
}

function encodeAmount(amount: Msat): string {
  if (amount === 0n || amount > MAX_MSAT) throw new InvoiceError('invalid_amount', `expected 1 to ${MAX_MSAT} msat, got ${amount}`);
  const unit = UNITS.find(([, size]) => amount % size === 0n);
  return unit === undefined ? `${amount * 10n}p` : `${amount / unit[1]}${unit[0]}`;
}

function decodeAmount(text: string): Msat {
  const match = /^([1-9]\d{0,20})(.*)$/s.exec(text);
  if (match === null) {
    throw new InvoiceError('invalid_amount', `expected a number of at most 21 digits without leading 0, got "${text.slice(0, 40)}"`);
  }
  const [value, multiplier] = [BigInt(match[1]!), match[2]!];
  const amount = multiplier === 'p' ? fromPico(value) : value * unitOf(multiplier);
  if (amount > MAX_MSAT) throw new InvoiceError('invalid_amount', `expected at most ${MAX_MSAT} msat, got ${amount}`);
  return msat(amount);
}

function unitOf(multiplier: string): bigint {
  const unit = UNITS.find(([letter]) => letter === multiplier);
  if (unit === undefined) throw new InvoiceError('invalid_multiplier', `expected m, u, n, p or none, got "${multiplier.slice(0, 20)}"`);
  return unit[1];
}

function fromPico(value: bigint): bigint {
  if (value % 10n !== 0n) throw new InvoiceError('sub_millisatoshi', `expected a last digit of 0 before p, got ${value}`);
  return value / 10n;
}
