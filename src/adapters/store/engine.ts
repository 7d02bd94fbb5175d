/** What passes between a store and the engine under it: plain data that crosses threads cheaply. */
import type { Hex, Hex32 } from '../../bolt/primitives.ts';
import type { Causes } from '../../events/envelope.ts';
import {
  FollowsNothing,
  InvalidAppend,
  LogCorrupt,
  OutcomeUnknown,
  RevisionConflict,
  StoreClosed,
  StoreError,
  StoreFull,
  type StreamId,
  type Ticket,
} from '../../events/store.ts';

/** The expected revision of a stream that must not exist yet. Revisions and positions are numbers in here, bigints outside. */
export const NO_STREAM = -1;

/** One append; its events are canonical text already. */
export interface AppendRequest {
  readonly stream: StreamId;
  readonly expected: number;
  readonly cause: Causes;
  readonly recorded_at: string;
  readonly ticket?: Ticket;
  /** Appends without which this one must not be written. */
  readonly follows?: readonly Ticket[];
  /** type, data, type, data ... */
  readonly facts: readonly string[];
  /** hash, bytes (hex), hash, bytes ... */
  readonly attachments: readonly string[];
}

export const eventsIn = (requests: readonly AppendRequest[]): number => requests.reduce((sum, { facts }) => sum + facts.length / 2, 0);

export type AppendOutcome =
  /** Durable. `seals`: id, hash, id, hash ... of the events. */
  | {
      readonly kind: 'written';
      readonly revision: number;
      readonly firstPosition: number;
      readonly previous_hash: Hex32;
      readonly seals: readonly string[];
    }
  /** Durable; how it was sealed is told later. */
  | { readonly kind: 'durable'; readonly revision: number }
  /** The very same append was written before. */
  | { readonly kind: 'repeated'; readonly revision: number }
  | { readonly kind: 'failed'; readonly error: PlainError };

/** A stored event: position, canonical entry, hash. */
export type Row = readonly [position: number, entry: string, hash: string];

/** Hears how appends were sealed once they can be read, in position order: before their answer, with it or after it. */
export type OnSealed = (outcomes: readonly AppendOutcome[]) => void;

/** An engine as the store above it sees it. Answers come in the order of the calls. */
export interface Engine {
  /** Answers each append in order; appends that fail leave the others alone. Rejects when the engine is gone: each outcome is unknown. */
  append(requests: readonly AppendRequest[], onSealed?: OnSealed): Promise<readonly AppendOutcome[]>;
  /** Number of events, those of the appends before included. */
  size(): Promise<number>;
  readStream(stream: StreamId, from: number, limit: number): Promise<readonly Row[]>;
  readAll(from: number, limit: number): Promise<readonly Row[]>;
  attachment(hash: Hex32): Promise<Hex | undefined>;
  loadCursor(name: string): Promise<number | undefined>;
  saveCursor(name: string, position: number): Promise<void>;
  /** Signed notes that are kept, the newest last. */
  checkpoints(): Promise<readonly string[]>;
  /** Waits for what is in flight. */
  close(): Promise<void>;
  /** Stops as a power loss would: what was not answered may be written or not. */
  kill(): Promise<void>;
}

/** What an opening tells. */
export interface OpenedLog {
  readonly size: number;
  readonly vkey: string;
}

/** An error that can be sent to another thread. */
export interface PlainError {
  readonly code: string;
  readonly message: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

export function plainError(error: unknown): PlainError {
  if (error instanceof StoreError) return { code: error.code, message: error.message, detail: error.detail };
  return { code: 'store_failed', message: error instanceof Error ? error.message : String(error), detail: {} };
}

export const failed = (error: unknown): AppendOutcome => ({ kind: 'failed', error: plainError(error) });

/** The typed error again. What is no error of the store's keeps its code in a StoreError. */
export function revive({ code, message, detail }: PlainError): StoreError {
  const text = (name: string) => String(detail[name]);
  switch (code) {
    case 'revision_conflict':
      return new RevisionConflict(text('stream'), detail['expected'] as bigint, detail['actual'] as bigint);
    case 'follows_nothing':
      return new FollowsNothing(text('stream'), detail['ticket'] as Ticket);
    case 'store_full':
      return new StoreFull(text('reason'));
    case 'invalid_append':
      return new InvalidAppend(message, detail);
    case 'outcome_unknown':
      return new OutcomeUnknown(text('stream'), text('reason'));
    case 'log_corrupt':
      return new LogCorrupt(message, detail);
    case 'store_closed':
      return new StoreClosed(text('name'), text('reason'));
    default:
      return new StoreError(code, message, detail);
  }
}
