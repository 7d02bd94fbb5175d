/** Appends that will never be written, remembered against those that follow them (Cause.follows). */
import type { Ticket } from '../../events/store.ts';
import type { AppendRequest } from './engine.ts';

/** Far more than can wait at once. */
const MAX_LOST = 65_536;

export interface LostAppends {
  add(request: AppendRequest): void;
  /** The lost one that this one follows, if there is one. */
  before(request: AppendRequest): Ticket | undefined;
}

export function createLostAppends(): LostAppends {
  const lost = new Set<Ticket>();
  return {
    add({ ticket }) {
      if (ticket !== undefined) lost.add(ticket);
      if (lost.size > MAX_LOST) lost.delete(lost.values().next().value!);
    },
    before: ({ follows }) => follows?.find((ticket) => lost.has(ticket)),
  };
}
