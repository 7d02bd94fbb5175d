/** The EventStore port: where the facts live, and what any store promises about them. */
import type { Observable } from 'rxjs';
import type { Hex, Hex32 } from '../bolt/primitives.ts';
import type { EventEnvelope } from './envelope.ts';
import type { Event } from './registry.ts';

/** A stream's name: `channel-<peer>-<attempt>`, `payment-<id>`, `invoice-<payment_hash>`, `relay-<channel stream>-<htlc id>`, `node`, `wallet`, `gossip`. */
export type StreamId = string;
/** An opaque place in the whole log, as text: positions of one store compare with `comparePositions` only. */
export type Position = bigint;

/** Names an append while the store lives. */
export type Ticket = number;

/** Why events happened: the command that decided them, and the story it belongs to. */
export interface Cause {
  readonly command_id: Hex32;
  readonly correlation_id: Hex32;
  /** Not stored. An append of this cause is written only if the one of this ticket was: otherwise FollowsNothing. */
  readonly follows?: Ticket;
}

/** An append that was asked for and is not durable yet. */
export interface AppendAhead {
  readonly stream: StreamId;
  readonly events: readonly Event[];
  readonly cause: Cause | readonly Cause[];
  readonly ticket: Ticket;
  /** As its caller hears it. */
  readonly written: Promise<bigint>;
}

/** Bulky, short-lived bytes that stand beside the log: events hold the SHA-256, the bytes may be pruned. */
export interface Attachment {
  readonly hash: Hex32;
  readonly bytes: Hex;
}

/**
 * Promises: an append is all or nothing and resolves only when the events survive a power loss; a stream's revisions
 * are 0, 1, 2 ... without gaps; every reader sees one order of positions; event ids are derived from the command id,
 * so repeating an append with the same cause and the same expected revision answers the first outcome again.
 */
export interface EventStore {
  /** Names the store for people: `memory`, `sqlite <file>`, `esdb <url>`. */
  readonly name: string;
  /** Events of one stream from a revision on (inclusive), in order. A missing stream is empty. */
  read(stream: StreamId, from?: bigint): AsyncIterable<EventEnvelope>;
  /** The whole log in position order, from a position on (inclusive), up to what is durable now. */
  readAll(from?: Position): AsyncIterable<EventEnvelope>;
  /**
   * `cause`: one for all events, or one per event (an append may carry the outcome of several commands); an event's id
   * derives from its command id and its index among the append's events of that command.
   * Answers the stream's new last revision. Throws RevisionConflict: reload and decide again. Throws StoreFull, StoreBusy,
   * StoreClosed or InvalidAppend: nothing was written. Any other rejection (OutcomeUnknown) may have been written: stop, reload, and only then speak.
   */
  append(
    stream: StreamId,
    expected: bigint | 'none',
    events: readonly Event[],
    cause: Cause | readonly Cause[],
    attachments?: readonly Attachment[],
  ): Promise<bigint>;
  /** Every event after a position (exclusive; undefined = from the start), then the live ones, in order, each once. Errors when it falls too far behind. */
  subscribe(after?: Position): Observable<EventEnvelope>;
  /**
   * Only of stores that write appends in the order of the calls: hears of each while it is being asked for. What follows
   * from it may be asked for at once if its cause names the ticket; nothing may leave the process before it is durable.
   * Answers how to stop.
   */
  onAhead?(listener: (append: AppendAhead) => void): () => void;
  attachment(hash: Hex32): Promise<Hex | undefined>;
  /** A saga's or projection's place. Not durable at once: after a crash an older one may be answered. */
  loadCursor(name: string): Promise<Position | undefined>;
  saveCursor(name: string, position: Position): Promise<void>;
  /** The position of the newest durable event. */
  head(): Promise<Position | undefined>;
  /** Waits for what is in flight, then closes. Idempotent. */
  close(): Promise<void>;
}

/** Base of the store's errors; `code` is stable, the message names both values. */
export class StoreError extends Error {
  readonly code: string;
  readonly detail: Readonly<Record<string, unknown>>;
  constructor(code: string, message: string, detail: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.name = 'StoreError';
    this.code = code;
    this.detail = detail;
  }
}

/** Somebody else wrote to the stream first. Nothing was written. */
export class RevisionConflict extends StoreError {
  constructor(stream: StreamId, expected: bigint | 'none', actual: bigint | 'none') {
    super('revision_conflict', `stream ${stream}: expected revision ${expected}, it is at ${actual}`, {
      stream,
      expected,
      actual,
    });
  }
}

/** The disk has no room. Nothing was written. */
export class StoreFull extends StoreError {
  constructor(detail: string) {
    super('store_full', `the store has no room left: ${detail}`, { reason: detail });
  }
}

/** The append breaks the port's rules (no events, too many bytes). Nothing was written. */
export class InvalidAppend extends StoreError {
  constructor(message: string, detail: Readonly<Record<string, unknown>> = {}) {
    super('invalid_append', message, detail);
  }
}

/** What this append rests on was not written. Nothing was written. */
export class FollowsNothing extends StoreError {
  constructor(stream: StreamId, ticket: Ticket) {
    super('follows_nothing', `stream ${stream}: append ${ticket}, which this one follows, was not written`, { stream, ticket });
  }
}

/** Too many appends wait already. Nothing was written: slow down, then repeat. */
export class StoreBusy extends StoreError {
  constructor(waiting: number, limit: number) {
    super('store_busy', `${waiting} appends wait already, at most ${limit} may`, { got: waiting, expected: limit });
  }
}

/** The store is closed (or killed, or its engine failed for good). Nothing was written, nothing can be read. */
export class StoreClosed extends StoreError {
  constructor(name: string, reason = 'it was closed') {
    super('store_closed', `the store ${name} does not answer any more: ${reason}`, { name, reason });
  }
}

/** A subscriber takes events more slowly than they are written. Subscribe again from the last position seen. */
export class SubscriberTooSlow extends StoreError {
  constructor(waiting: number, limit: number) {
    super('subscriber_too_slow', `${waiting} events wait for a subscriber, at most ${limit} may`, {
      got: waiting,
      expected: limit,
    });
  }
}

/** The answer did not come or was lost: the events may or may not be there. */
export class OutcomeUnknown extends StoreError {
  constructor(stream: StreamId, reason: string) {
    super('outcome_unknown', `stream ${stream}: the outcome of an append is unknown: ${reason}`, { stream, reason });
  }
}

/** The log is damaged: a hash, an order or a checkpoint does not fit. */
export class LogCorrupt extends StoreError {
  constructor(
    message: string,
    detail: {
      readonly stream?: StreamId;
      readonly revision?: bigint;
      readonly position?: Position;
      readonly expected?: string;
      readonly got?: string;
    },
  ) {
    super('log_corrupt', message, detail);
  }
}
