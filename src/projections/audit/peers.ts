/** Logs of both ends of a channel under one audit: what one side says it sent is what the other says it received, field by field. */
import { canonicalJson } from '../../events/canonical.ts';
import type { ChannelEvent } from '../../events/channel/index.ts';
import type { EventEnvelope } from '../../events/envelope.ts';
import { isChannelStream } from '../streams.ts';
import { messageName } from '../transcript.ts';
import type { AuditFailure } from './report.ts';

export interface PeerFailure extends AuditFailure {
  readonly log: string;
}

export interface PeerComparison {
  /** Takes the events of each log in order, one log after the other or mixed. */
  take(log: string, envelope: EventEnvelope): void;
  /** Messages that were found in both logs and agree. */
  compared(): number;
  /** At most one for each pair of streams. */
  failures(): readonly PeerFailure[];
}

interface Side {
  readonly channel: string;
  readonly role: 'opener' | 'accepter';
}

interface Told {
  readonly log: string;
  readonly place: Pick<EventEnvelope, 'stream' | 'revision' | 'position'>;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A message missing on one side proves nothing: it may have been lost, or the logs copied at different times. */
export function comparePeers(): PeerComparison {
  const sides = new Map<string, Side>();
  const told = new Map<string, Told>();
  const failures = new Map<string, PeerFailure>();
  let compared = 0;

  return {
    take(log, { stream, revision, position, event: fact }) {
      if (!isChannelStream(stream)) return;
      const event = fact as ChannelEvent;
      const side = sideOf(sides, `${log} ${stream}`, event);
      const name = side === undefined ? undefined : nameOf(event);
      if (side === undefined || name === undefined) return;
      const sent = event.type.endsWith('Sent');
      const sender = sent ? side.role : side.role === 'opener' ? 'accepter' : 'opener';
      const key = `${side.channel} ${sender} ${name}`;
      const mine: Told = { log, place: { stream, revision, position }, fields: sharedFields(event) };
      const theirs = told.get(key);
      if (theirs === undefined || theirs.log === log) return void told.set(key, mine);
      // Both have told: what was repeated after a reconnection is not kept a second time.
      const different = differingField(theirs, mine);
      if (different === undefined) compared += 1;
      else if (!failures.has(side.channel)) failures.set(side.channel, disagreement(name, different, theirs, mine));
    },
    compared: () => compared,
    failures: () => [...failures.values()],
  };
}

/** A channel is known to both by its temporary_channel_id, which the opener chose at random. */
function sideOf(sides: Map<string, Side>, place: string, event: ChannelEvent): Side | undefined {
  if (event.type === 'OpenChannelSent') sides.set(place, { channel: event.temporary_channel_id, role: 'opener' });
  if (event.type === 'OpenChannelReceived') sides.set(place, { channel: event.temporary_channel_id, role: 'accepter' });
  return sides.get(place);
}

/** A name that both sides give the same message; undefined for what they do not record alike. */
function nameOf(event: ChannelEvent): string | undefined {
  switch (event.type) {
    case 'OpenChannelSent':
    case 'OpenChannelReceived':
    case 'AcceptChannelSent':
    case 'AcceptChannelReceived':
    case 'FundingCreatedSent':
    case 'FundingCreatedReceived':
    case 'ChannelReadySent':
    case 'ChannelReadyReceived':
    case 'ShutdownSent':
    case 'ShutdownReceived':
      return messageName(event.type);
    case 'UpdateAddHtlcSent':
    case 'UpdateAddHtlcReceived':
    case 'UpdateFulfillHtlcSent':
    case 'UpdateFulfillHtlcReceived':
    case 'UpdateFailMalformedHtlcSent':
    case 'UpdateFailMalformedHtlcReceived':
      return `${messageName(event.type)} ${event.id}`;
    case 'RevokeAndAckSent':
    case 'RevokeAndAckReceived':
      return `${messageName(event.type)} ${event.commitment_number}`;
    default:
      return undefined;
  }
}

/** What the wire carried; the rest is each side's own. */
function sharedFields(event: ChannelEvent): Readonly<Record<string, unknown>> {
  const own = new Set(['type', 'peer_id', 'key_index', 'origin', 'hop', 'onion_ephemeral_key', 'funding_transaction', 'signature', 'per_commitment_secret']);
  return Object.fromEntries(Object.entries(event).filter(([field, value]) => !own.has(field) && value !== undefined));
}

function differingField(a: Told, b: Told): string | undefined {
  return Object.keys({ ...a.fields, ...b.fields }).find((field) => canonicalJson(a.fields[field] ?? null) !== canonicalJson(b.fields[field] ?? null));
}

function disagreement(name: string, field: string, theirs: Told, mine: Told): PeerFailure {
  const { stream, revision } = theirs.place;
  const reason = `${field} of ${name}: expected ${String(theirs.fields[field])} as in the log of ${theirs.log} (stream ${stream} revision ${revision}), got ${String(mine.fields[field])}`;
  return { log: mine.log, ...mine.place, code: 'peers_disagree', reason };
}
