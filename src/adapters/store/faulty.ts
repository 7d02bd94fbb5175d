/** A store that fails on purpose, around any store: lost answers, lost requests, late answers, false conflicts, repeated deliveries, a full disk. */
import { concatMap, type Observable } from 'rxjs';
import type { EventEnvelope } from '../../events/envelope.ts';
import { OutcomeUnknown, RevisionConflict, StoreFull, type EventStore, type Position } from '../../events/store.ts';

/** What happens to one append. */
export type AppendFault =
  | 'none'
  /** Written, but the answer is lost: OutcomeUnknown. */
  | 'lost_answer'
  /** Never written, and nobody knows: OutcomeUnknown. */
  | 'lost_request'
  /** Written, answered late, after what was asked later. */
  | 'late'
  /** Refused though nobody was faster. */
  | 'conflict'
  | 'full';

export interface FaultPlan {
  /** Asked once per append, in order. Keep it deterministic: a seeded generator, or a script. */
  readonly append?: () => AppendFault;
  /** true: this event reaches subscribers twice, as after a crash between an effect and its cursor. */
  readonly redeliver?: (envelope: EventEnvelope) => boolean;
  /** How late `late` is, in milliseconds. */
  readonly delay?: number;
}

/** The same promises as the port, less what the plan breaks. */
export function createFaultyStore<S extends EventStore>(inner: S, plan: FaultPlan): S {
  const { append: nextFault = () => 'none', redeliver, delay = 5 } = plan;
  const faulty: EventStore = {
    ...inner,
    name: `faulty ${inner.name}`,
    async append(stream, expected, events, cause, attachments) {
      const write = (): Promise<bigint> => inner.append(stream, expected, events, cause, attachments);
      switch (nextFault()) {
        case 'none':
          return write();
        case 'lost_answer':
          await write();
          throw new OutcomeUnknown(stream, 'the answer was lost');
        case 'lost_request':
          throw new OutcomeUnknown(stream, 'the request was lost');
        case 'late':
          return write().finally(() => new Promise((resolve) => setTimeout(resolve, delay)));
        case 'conflict':
          throw new RevisionConflict(stream, expected, expected === 'none' ? 'none' : expected);
        case 'full':
          throw new StoreFull('the plan says so');
      }
    },
    subscribe(after?: Position): Observable<EventEnvelope> {
      const events = inner.subscribe(after);
      return redeliver === undefined
        ? events
        : events.pipe(concatMap((envelope) => (redeliver(envelope) ? [envelope, envelope] : [envelope])));
    },
  };
  return faulty as S;
}

/** A plan's script: these faults in order, then none. */
export function scripted(...faults: readonly AppendFault[]): () => AppendFault {
  let next = 0;
  return () => faults[next++] ?? 'none';
}
