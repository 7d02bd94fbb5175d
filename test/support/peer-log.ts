/** A test peer's facts as a log: envelopes for projections, and one channel under audit, its facts forged or not. */
import type { ChannelEvent } from '../../src/events/channel/index.ts';
import type { EventEnvelope } from '../../src/events/envelope.ts';
import type { Event } from '../../src/events/registry.ts';
import type { StreamId } from '../../src/events/store.ts';
import { auditChannel } from '../../src/projections/audit/channel.ts';
import { checkClose, watchCloses, type CloseReport } from '../../src/projections/audit/closes.ts';
import { emptyTally, type CheckFailed } from '../../src/projections/audit/report.ts';
import { named } from './audited-pair.ts';
import type { Peer } from './channel-pair.ts';

export const PEER_STREAM: StreamId = 'channel-peer-0';

/** One stream's events, a second apart. */
export function told(stream: StreamId, events: readonly Event[], from = 0): EventEnvelope[] {
  return events.map((event, index) => ({
    id: '', stream, revision: BigInt(index), position: BigInt(from + index), causation_id: named('c'), correlation_id: named('c'),
    recorded_at: new Date(Date.UTC(2026, 0, 1) + (from + index) * 1000).toISOString(), previous_hash: named('p'), hash: named('h'), event,
  }));
}

/** Changes an event of a log, or takes it away; the one given is a copy. */
export type Forgery = (event: ChannelEvent) => ChannelEvent | undefined;

/** What the auditor says of one channel's facts, those of other streams left aside; it goes no further than the first failure. */
export function auditPeer({ events }: Peer, forgery: Forgery = (event) => event, cryptography = true): { readonly failure?: CheckFailed; readonly close?: CloseReport } {
  const forged = events.flatMap((event) => forgery(structuredClone(event)) ?? []);
  const channel = auditChannel(emptyTally(), cryptography);
  const closes = watchCloses();
  let close: CloseReport | undefined;
  try {
    for (const envelope of told(PEER_STREAM, forged)) {
      channel.take(envelope.event as ChannelEvent);
      closes.take(envelope);
    }
    close = closes.report(PEER_STREAM, channel.state(), channel.known);
    if (close !== undefined) checkClose(close);
    return { close };
  } catch (failure) {
    return { failure: failure as CheckFailed, close };
  }
}
