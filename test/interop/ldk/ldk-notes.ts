/** What an LDK node must remember beside LDK's own state: coins, what it found on the chain, how payments ended. On disk at each change. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Hex32, sat, type Sat } from '../../../src/bolt/primitives.ts';

/** An output by its place: `txid:index`. */
export type Place = `${string}:${number}`;

export interface LdkOutput {
  readonly place: Place;
  readonly value: Sat;
}

/** How a channel ended, as LDK says. */
export interface LdkClosed {
  readonly channel_id: Hex32;
  readonly reason: string;
  /** What LDK found to be its own on the chain. */
  readonly outputs: readonly LdkOutput[];
}

export type LdkEnd = 'pending' | 'sent' | 'failed';

/** An event that LDK tells a second time, after a restart, changes nothing. */
export interface LdkNotes {
  readonly coins: ReadonlyMap<Place, Sat>;
  readonly closed: ReadonlyMap<Hex32, LdkClosed>;
  /** Of the payments that somebody wants to know about. */
  readonly ends: ReadonlyMap<Hex32, LdkEnd>;
  coinFound(place: Place, value: Sat): void;
  coinSpent(place: Place): void;
  channelClosed(channel_id: Hex32, found: Partial<Pick<LdkClosed, 'reason' | 'outputs'>>): void;
  paymentIs(payment_hash: Hex32, end: LdkEnd): void;
}

interface Kept {
  readonly coins: readonly (readonly [Place, Sat])[];
  readonly closed: readonly (readonly [Hex32, LdkClosed])[];
  readonly ends: readonly (readonly [Hex32, LdkEnd])[];
}

const NOTHING: Kept = { coins: [], closed: [], ends: [] };

export function openNotes(folder: string): LdkNotes {
  const file = join(folder, 'notes.json');
  const kept = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8'), asWritten) as Kept) : NOTHING;
  const [coins, closed, ends] = [new Map(kept.coins), new Map(kept.closed), new Map(kept.ends)];
  const save = (): void => writeFileSync(file, JSON.stringify({ coins: [...coins], closed: [...closed], ends: [...ends] } satisfies Kept, asText));
  return {
    coins, closed, ends,
    coinFound(place, value) {
      coins.set(place, value);
      save();
    },
    coinSpent(place) {
      if (coins.delete(place)) save();
    },
    channelClosed(channel_id, { reason, outputs = [] }) {
      const before = closed.get(channel_id) ?? { channel_id, reason: '', outputs: [] };
      const added = outputs.filter(({ place }) => !before.outputs.some((known) => known.place === place));
      closed.set(channel_id, { channel_id, reason: reason ?? before.reason, outputs: [...before.outputs, ...added] });
      save();
    },
    paymentIs(payment_hash, end) {
      if (end !== 'pending' && ends.get(payment_hash) !== 'pending') return;
      ends.set(payment_hash, end);
      save();
    },
  };
}

/** Amounts are the only bigints here. */
const asText = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? { sat: String(value) } : value);

function asWritten(_key: string, value: unknown): unknown {
  const { sat: digits } = (value ?? {}) as { sat?: unknown };
  return typeof digits === 'string' ? sat(BigInt(digits)) : value;
}
