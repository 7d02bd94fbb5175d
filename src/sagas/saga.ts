/** A saga: an event in, intents for other streams out. No memory, no secrets; it may see every event twice. */
import type { Intent } from '../commands/intents.ts';
import type { EventEnvelope } from '../events/envelope.ts';
import type { StreamId } from '../events/store.ts';

export interface Reaction {
  readonly to: StreamId;
  readonly intent: Intent;
}

/** What a saga is told of an event: the same before it is durable and after. */
export type Told = Pick<EventEnvelope, 'stream' | 'event'>;

/** `react` is pure: the same event yields the same reactions in the same order, so their command ids can be derived again. */
export interface Saga {
  readonly name: string;
  react(input: Told): readonly Reaction[];
}

export const NOTHING: readonly Reaction[] = [];

/** Several sagas as one: reactions in the order of the sagas. */
export function combine(name: string, sagas: readonly Saga[]): Saga {
  return { name, react: (input) => sagas.flatMap((saga) => saga.react(input)) };
}
