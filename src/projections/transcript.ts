/** A channel as people read it: numbered BOLT messages, and after each the balances, HTLCs and commitment numbers it leaves. */
import type { Msat } from '../bolt/primitives.ts';
import { balances } from '../domain/channel/commitment-spec.ts';
import { evolveChannel } from '../domain/channel/evolve.ts';
import { initialChannel, isEstablished, type ChannelState } from '../domain/channel/state.ts';
import type { ChannelEvent } from '../events/channel/index.ts';
import type { EventEnvelope } from '../events/envelope.ts';

export interface TranscriptLine {
  /** Counts messages, from 1; facts that are no message have none. */
  readonly number?: number;
  readonly direction: 'sent' | 'received' | 'fact';
  /** The BOLT's name of a message, or the event's own. */
  readonly name: string;
  /** Fields as the log has them, amounts in decimal. */
  readonly fields: Readonly<Record<string, string>>;
  readonly revision: bigint;
  readonly position: bigint;
  readonly recorded_at: string;
  readonly phase: ChannelState['phase'];
  /** Absent before there is a funding outpoint. */
  readonly after?: ChannelFigures;
}

export interface ChannelFigures {
  readonly local_msat: Msat;
  readonly remote_msat: Msat;
  readonly offered_msat: Msat;
  readonly received_msat: Msat;
  readonly htlcs: number;
  readonly local_commitment_number: bigint;
  readonly remote_commitment_number: bigint;
  readonly feerate_per_kw: number;
}

/** Takes a channel stream's events in order. Throws when one cannot follow the one before. */
export async function* transcript(events: AsyncIterable<EventEnvelope> | Iterable<EventEnvelope>): AsyncGenerator<TranscriptLine> {
  let state = initialChannel;
  let messages = 0;
  for await (const envelope of events) {
    const event = envelope.event as ChannelEvent;
    state = evolveChannel(state, event);
    const direction = directionOf(event.type);
    if (direction !== 'fact') messages += 1;
    yield {
      ...(direction === 'fact' ? {} : { number: messages }),
      direction,
      name: direction === 'fact' ? event.type : messageName(event.type),
      fields: fieldsOf(event),
      revision: envelope.revision,
      position: envelope.position,
      recorded_at: envelope.recorded_at,
      phase: state.phase,
      after: figures(state),
    };
  }
}

/** `-> update_add_htlc id=0 ...` and so on, in one line; facts that are no message are set in. */
export function describeLine(line: TranscriptLine): string {
  const arrow = { sent: '->', received: '<-', fact: '    ' }[line.direction];
  const number = line.number === undefined ? '' : String(line.number);
  const fields = Object.entries(line.fields).map(([name, value]) => `${name}=${shorten(value)}`);
  return [number.padStart(5), arrow, line.name, ...fields].join(' ');
}

/** What the line before left, in one line of figures. */
export function describeFigures({ local_msat, remote_msat, offered_msat, received_msat, htlcs, ...rest }: ChannelFigures): string {
  return [
    `local ${local_msat} msat`,
    `remote ${remote_msat} msat`,
    `HTLCs ${htlcs} (offered ${offered_msat}, received ${received_msat} msat)`,
    `commitments local ${rest.local_commitment_number} remote ${rest.remote_commitment_number}`,
    `feerate ${rest.feerate_per_kw}`,
  ].join(', ');
}

/** OutgoingHtlcFulfilled and its kin are told to other streams: only what BOLT 2 sends ends in Sent or Received. */
function directionOf(type: ChannelEvent['type']): TranscriptLine['direction'] {
  if (type.endsWith('Sent')) return 'sent';
  return type.endsWith('Received') ? 'received' : 'fact';
}

/** UpdateAddHtlcSent -> update_add_htlc. */
export function messageName(type: string): string {
  return type.replace(/(Sent|Received)$/, '').replace(/(?!^)[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
}

function fieldsOf(event: ChannelEvent): Record<string, string> {
  const { type: _type, ...fields } = event;
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined).map(([name, value]) => [name, textOf(value)]));
}

const textOf = (value: unknown): string =>
  typeof value === 'object' ? JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? String(inner) : inner)) : String(value);

const SHOWN_DIGITS = 16;
const LONG_HEX = /[0-9a-f]{32,}/g;
/** A list of signatures is known by its length. */
const LONG_LIST = /^\["[0-9a-f]{32,}"(,"[0-9a-f]{32,}")*\]$/;

/** Keys, hashes and signatures are known by their first digits. */
function shorten(value: string): string {
  if (LONG_LIST.test(value)) return `(${value.split(',').length})`;
  return value.replaceAll(LONG_HEX, (hex) => `${hex.slice(0, SHOWN_DIGITS)}...`);
}

function figures(state: ChannelState): ChannelFigures | undefined {
  if (!isEstablished(state)) return undefined;
  const { htlcs, local, remote, fees } = state.commitments;
  return {
    ...balances(state),
    htlcs: htlcs.length,
    local_commitment_number: local.number,
    remote_commitment_number: remote.number,
    feerate_per_kw: fees.at(-1)?.feerate_per_kw ?? 0,
  };
}
