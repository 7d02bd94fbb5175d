/** What a story with LDK is, and the words it is told in. */
import { msat, msatToSat } from '../../../src/bolt/primitives.ts';
import type { Link, World } from './world.ts';

/** What a story tells when it went well: its balances. */
export type Tale = readonly string[];

export interface Story {
  readonly name: string;
  /** Throws where the two sides, or a side and the chain, do not agree. */
  readonly tell: (world: World) => Promise<Tale>;
}

/** Both sides' books, once they agree. */
export async function balancesOf(world: World, link: Link): Promise<string> {
  const { ours, theirs } = await world.agree(link);
  return `${link.ours} ${inSat(ours)} sat, ${link.theirs} ${inSat(theirs)} sat`;
}

/** msat as sat, with what is left of them. */
export function inSat(amount: bigint): string {
  const rest = amount % 1000n;
  return `${grouped(msatToSat(msat(amount)))}${rest === 0n ? '' : `.${rest.toString().padStart(3, '0')}`}`;
}

export const grouped = (count: bigint | number): string => count.toLocaleString('en');

export const describe = (value: unknown): string => JSON.stringify(value, (_key, part: unknown) => (typeof part === 'bigint' ? String(part) : part));
