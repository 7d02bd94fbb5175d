/** What stands around an event in the log: its identity, its place, its cause and its hash. */
import type { Hex32 } from '../bolt/primitives.ts';
import type { Event } from './registry.ts';
import type { Position, StreamId } from './store.ts';

/** Metadata stands outside the event, so that no rule can read a clock by accident. */
export interface EventEnvelope<E extends Event = Event> {
  /** UUID derived from (command id, index): the same command yields the same ids, for ever. */
  readonly id: string;
  readonly stream: StreamId;
  /** 0, 1, 2 ... within the stream. */
  readonly revision: bigint;
  /** Place in the whole log; not part of the hash. */
  readonly position: Position;
  readonly causation_id: Hex32;
  readonly correlation_id: Hex32;
  /** ISO 8601, UTC, milliseconds. */
  readonly recorded_at: string;
  /** Hash of the stream's event before; 32 zero bytes for the first. */
  readonly previous_hash: Hex32;
  /** SHA-256 of the entry's canonical bytes (canonical.ts), which include previous_hash. */
  readonly hash: Hex32;
  readonly event: E;
}
