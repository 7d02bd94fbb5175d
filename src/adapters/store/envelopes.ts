/** From what an engine stores or answers to the envelopes that readers and subscribers see. */
import type { Hex32 } from '../../bolt/primitives.ts';
import { readEntry } from '../../events/canonical.ts';
import { causeAt, type EventEnvelope } from '../../events/envelope.ts';
import { decodeEvent } from '../../events/registry.ts';
import { LogCorrupt, type StreamId } from '../../events/store.ts';
import type { Written } from './appender.ts';
import type { Row } from './engine.ts';

/** The envelopes of events just written: the events are the very objects that were appended. */
export function envelopesOf({ request, events, outcome }: Written): readonly EventEnvelope[] {
  const { stream, cause, recorded_at } = request;
  const firstRevision = outcome.revision - events.length + 1;
  return events.map((event, index) => ({
    id: outcome.seals[2 * index]!,
    stream,
    revision: BigInt(firstRevision + index),
    position: BigInt(outcome.firstPosition + index),
    causation_id: causeAt(cause, index).command_id,
    correlation_id: causeAt(cause, index).correlation_id,
    recorded_at,
    previous_hash: index === 0 ? outcome.previous_hash : (outcome.seals[2 * index - 1] as Hex32),
    hash: outcome.seals[2 * index + 1] as Hex32,
    event,
  }));
}

/** Throws LogCorrupt when the entry is malformed, UnknownEventType or InvalidEvent when this version cannot read it. */
export function toEnvelope([position, text, hash]: Row): EventEnvelope {
  const { data, type, ...entry } = readEntry(text);
  return { ...entry, position: BigInt(position), hash: hash as Hex32, event: decodeEvent(type, data) };
}

export function misplaced(got: EventEnvelope, stream: StreamId, revision: bigint): LogCorrupt {
  const [expected, found] = [`${stream} at ${revision}`, `${got.stream} at ${got.revision}`];
  return new LogCorrupt(`an event is out of its place: expected ${expected}, got ${found}`, {
    stream,
    revision,
    position: got.position,
    expected,
    got: found,
  });
}
