/** Words of the stories about logs in an event database. */
import { hex32 } from '../../src/bolt/primitives.ts';
import type { EventEnvelope } from '../../src/events/envelope.ts';
import type { Event } from '../../src/events/registry.ts';
import { OutcomeUnknown, type EventStore } from '../../src/events/store.ts';

export const fee = (feerate_per_kw: number): Event => ({ type: 'UpdateFeeSent', feerate_per_kw });
export const feeOf = ({ event }: EventEnvelope): number => (event as { feerate_per_kw: number }).feerate_per_kw;
const hash = (n: number) => hex32(n.toString(16).padStart(64, '0'));
export const cause = (n: number) => ({ command_id: hash(n), correlation_id: hash(0) });
/** A server in the same process answers within a few milliseconds. */
export const patience = { attempt: 400, total: 4_000 };
export const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export async function collect<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** The careful caller: an unknown outcome is asked again with the same cause at the same revision. */
export async function insist(store: EventStore, ...args: Parameters<EventStore['append']>): Promise<bigint> {
  for (;;) {
    try {
      return await store.append(...args);
    } catch (error) {
      if (!(error instanceof OutcomeUnknown)) throw error;
    }
  }
}
