/** What stands around an event in the log: its identity, its place, its cause and its hash. */
import { crypto } from '../bolt/crypto.ts';
import { concatBytes, fromHex, toHex, ZERO_32, type Hex32 } from '../bolt/primitives.ts';
import { canonicalData, digestEntry, entryText } from './canonical.ts';
import type { Event } from './registry.ts';
import type { Cause, Position, StreamId } from './store.ts';

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

/** What a stream's first event names as the hash before it. */
export const ZERO_HASH: Hex32 = ZERO_32;

/** An event ready to be written: the text that is hashed, its hash and its Merkle leaf. */
export interface SealedEntry {
  readonly id: string;
  readonly revision: bigint;
  readonly type: string;
  readonly previous_hash: Hex32;
  readonly entry: string;
  readonly hash: Hex32;
  readonly leaf: Uint8Array;
}

/** A fact on its way to the log: `data` is its canonical JSON without the type. */
export interface Fact {
  readonly type: string;
  readonly data: string;
}

/** One cause for all events of an append, or one for each. */
export type Causes = Cause | readonly Cause[];

/** Where and why facts are written. `firstRevision` 0 goes with `previousHash` ZERO_HASH. */
export interface Sealing {
  readonly stream: StreamId;
  readonly firstRevision: bigint;
  readonly previousHash: Hex32;
  readonly cause: Causes;
  readonly recorded_at: string;
}

/** The facts of one append, chained and hashed in order. Throws NotCanonical when one has no canonical form or more than 65,535 bytes. */
export function sealEvents(at: Sealing & { readonly events: readonly Event[] }): readonly SealedEntry[] {
  return sealFacts(
    at,
    at.events.map((event) => ({ type: event.type, data: canonicalData(event) })),
  );
}

/** The same from data that is canonical text already. */
export function sealFacts(at: Sealing, facts: readonly Fact[]): readonly SealedEntry[] {
  const { stream, recorded_at } = at;
  const ids = eventIds(at.cause, facts.length);
  let previous_hash = at.previousHash;
  return facts.map(({ type, data }, index) => {
    const { command_id: causation_id, correlation_id } = causeAt(at.cause, index);
    const [id, revision] = [ids[index]!, at.firstRevision + BigInt(index)];
    const entry = entryText(
      { causation_id, correlation_id, id, previous_hash, recorded_at, revision, stream, type },
      data,
    );
    const { hash, leaf } = digestEntry(entry);
    const sealed = { id, revision, type, previous_hash, entry, hash, leaf };
    previous_hash = hash;
    return sealed;
  });
}

/** The cause of an append's `index`-th event. */
export const causeAt = (causes: Causes, index: number): Cause => (isList(causes) ? causes[index]! : causes);

const isList = (causes: Causes): causes is readonly Cause[] => Array.isArray(causes);

/** The ids of an append's events: each counts within its own command. */
export function eventIds(causes: Causes, count: number): readonly string[] {
  const next = new Map<Hex32, number>();
  return Array.from({ length: count }, (_, place) => {
    const { command_id } = causeAt(causes, place);
    const index = next.get(command_id) ?? 0;
    next.set(command_id, index + 1);
    return eventId(command_id, index);
  });
}

const ID_TAG = new TextEncoder().encode('fulgurite/event-id');

/**
 * The id of the `index`-th event of a command in one append. A UUID whose bits say version 5 (named by a hash; RFC 9562 would call
 * SHA-256 version 8, which the validators of existing event stores refuse).
 */
export function eventId(command_id: Hex32, index: number): string {
  const place = Uint8Array.of(index >>> 24, index >>> 16, index >>> 8, index);
  const id = crypto().sha256(concatBytes(ID_TAG, fromHex(command_id), place));
  id[6] = (id[6]! & 0x0f) | 0x50;
  id[8] = (id[8]! & 0x3f) | 0x80;
  const hex = toHex(id);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}
