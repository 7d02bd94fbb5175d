/** The door of a store: an append is checked and turned into plain data before anything else sees it. */
import { isHex, type Hex32 } from '../../bolt/primitives.ts';
import { canonicalData, isStreamId, NotCanonical } from '../../events/canonical.ts';
import type { Causes } from '../../events/envelope.ts';
import type { Event } from '../../events/registry.ts';
import { InvalidAppend, type Attachment, type StreamId, type Ticket } from '../../events/store.ts';
import { NO_STREAM, type AppendRequest } from './engine.ts';

/** The bound that every store can keep: EventStoreDB refuses more, too. */
const MAX_APPEND_BYTES = 1 << 20;

/** Checks an append at the door and turns it into plain data. Throws InvalidAppend. */
export function toRequest(
  stream: StreamId,
  expected: bigint | 'none',
  events: readonly Event[],
  cause: Causes,
  attachments: readonly Attachment[],
  at: Date,
  ticket?: Ticket,
): AppendRequest {
  if (!isStreamId(stream))
    throw new InvalidAppend(`a stream's name has 1 to 256 characters, got "${stream}"`, { got: stream });
  if (expected !== 'none' && expected < 0n)
    throw new InvalidAppend(`an expected revision is at least 0, got ${expected}`, { expected: 0n, got: expected });
  if (events.length === 0)
    throw new InvalidAppend('an append has at least one event, got none', { expected: 1, got: 0 });
  checkCauses(cause, events.length);
  const facts = events.flatMap(toFact);
  const blobs = attachments.flatMap(({ hash, bytes }) => [checkedHash(hash), checkedHex(bytes)]);
  const bytes = facts.reduce((sum, text) => sum + text.length, 0) + blobs.reduce((sum, hex) => sum + hex.length / 2, 0);
  if (bytes > MAX_APPEND_BYTES)
    throw new InvalidAppend(`an append has at most ${MAX_APPEND_BYTES} bytes, got ${bytes}`, {
      expected: MAX_APPEND_BYTES,
      got: bytes,
    });
  const follows = followed(cause);
  return {
    stream,
    expected: expected === 'none' ? NO_STREAM : Number(expected),
    cause,
    recorded_at: at.toISOString(),
    ...(ticket === undefined ? {} : { ticket }),
    ...(follows.length === 0 ? {} : { follows }),
    facts,
    attachments: blobs,
  };
}

function checkCauses(causes: Causes, events: number): void {
  const list = [causes].flat();
  if (Array.isArray(causes) && list.length !== events)
    throw new InvalidAppend(`an append has one cause, or one for each of its ${events} events, got ${list.length}`, {
      expected: events,
      got: list.length,
    });
  for (const id of list.flatMap(({ command_id, correlation_id }) => [command_id, correlation_id])) {
    if (!isHex(id, 32)) throw new InvalidAppend(`a cause has ids of 32 bytes in hex, got "${id}"`, { got: id });
  }
}

/** Each once. */
const followed = (causes: Causes): readonly Ticket[] => [
  ...new Set([causes].flat().flatMap(({ follows }) => (follows === undefined ? [] : [follows]))),
];

function toFact(event: Event): [type: string, data: string] {
  try {
    return [event.type, canonicalData(event)];
  } catch (error) {
    if (error instanceof NotCanonical) throw new InvalidAppend(`event ${event.type}: ${error.message}`, error.detail);
    throw error;
  }
}

function checkedHash(hash: Hex32): string {
  if (!isHex(hash, 32))
    throw new InvalidAppend(`an attachment's hash has 32 bytes in hex, got "${hash}"`, { got: hash });
  return hash;
}

function checkedHex(bytes: string): string {
  if (!isHex(bytes)) throw new InvalidAppend("an attachment's bytes are lower-case hex", { got: bytes.slice(0, 80) });
  return bytes;
}
