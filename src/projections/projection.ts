/** Projections: views folded from the log. Every one can stop at any position, so the past is as easy to ask as the present. */
import type { EventEnvelope } from '../events/envelope.ts';
import type { Position } from '../events/store.ts';

/**
 * A fold over the log. `apply` owns the view it is given and may change it in place, so that folding stays linear;
 * `rows` takes a snapshot, which later events leave alone.
 */
export interface Projection<View, Rows = View> {
  readonly name: string;
  /** An empty view, a new one at each call. */
  initial(): View;
  apply(view: View, envelope: EventEnvelope): View;
  rows(view: View): Rows;
}

/** Where a fold stops: after this position, or after the last event recorded up to this time (ISO 8601). Absent: at the end. */
export interface Until {
  readonly position?: Position;
  readonly time?: string;
}

/** A snapshot and the place in the log it is of; `position` is undefined when no event came before it. */
export interface AsOf<Rows> {
  readonly rows: Rows;
  readonly position?: Position;
  readonly recorded_at?: string;
  readonly events: number;
}

/** Folds the log from its start and stops where it is told to; reads no further than one event past it. */
export async function foldUntil<View, Rows>(
  projection: Projection<View, Rows>,
  events: AsyncIterable<EventEnvelope> | Iterable<EventEnvelope>,
  until: Until = {},
): Promise<AsOf<Rows>> {
  let view = projection.initial();
  let last: EventEnvelope | undefined;
  let count = 0;
  for await (const envelope of events) {
    if (isPast(envelope, until)) break;
    view = projection.apply(view, envelope);
    last = envelope;
    count += 1;
  }
  return { rows: projection.rows(view), position: last?.position, recorded_at: last?.recorded_at, events: count };
}

/** True for the first event behind the place where a fold stops. */
export function isPast(envelope: Pick<EventEnvelope, 'position' | 'recorded_at'>, { position, time }: Until): boolean {
  if (position !== undefined && envelope.position > position) return true;
  return time !== undefined && envelope.recorded_at > time;
}

/**
 * Reads `as_of` as a person writes it: a position (`1234`) or an ISO 8601 time (`2026-01-31`, `2026-01-31T12:00:00Z`).
 * A time without a zone is UTC; a date alone means its last millisecond. Answers undefined for anything else.
 */
export function parseUntil(text: string): Until | undefined {
  if (/^\d{1,19}$/.test(text)) return { position: BigInt(text) };
  if (!/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?$/.test(text)) return undefined;
  const complete = text.includes('T') ? text : `${text}T23:59:59.999`;
  const milliseconds = Date.parse(/(Z|[+-]\d\d:\d\d)$/.test(complete) ? complete : `${complete}Z`);
  return Number.isNaN(milliseconds) ? undefined : { time: new Date(milliseconds).toISOString() };
}

type Views<P> = { [K in keyof P]: P[K] extends Projection<infer View, infer _> ? View : never };
type RowsOf<P> = { [K in keyof P]: P[K] extends Projection<infer _, infer Rows> ? Rows : never };

/** Several projections folded in one pass. */
export function combine<P extends Readonly<Record<string, Projection<unknown, unknown>>>>(name: string, parts: P): Projection<Views<P>, RowsOf<P>> {
  const entries = Object.entries(parts) as [keyof P & string, Projection<unknown, unknown>][];
  const mapped = <T>(make: (key: keyof P, part: Projection<unknown, unknown>) => T) =>
    Object.fromEntries(entries.map(([key, part]) => [key, make(key, part)]));
  return {
    name,
    initial: () => mapped((_, part) => part.initial()) as Views<P>,
    apply(view, envelope) {
      for (const [key, part] of entries) view[key] = part.apply(view[key], envelope) as Views<P>[typeof key];
      return view;
    },
    rows: (view) => mapped((key, part) => part.rows(view[key])) as RowsOf<P>,
  };
}
