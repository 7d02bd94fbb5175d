/** A test peer's facts as a log: envelopes for projections, and a whole log for the auditor, forged or not. */
import { createMemoryDisk } from '../../src/adapters/store/memory-storage.ts';
import type { ChannelEvent } from '../../src/events/channel/index.ts';
import type { EventEnvelope } from '../../src/events/envelope.ts';
import type { Event } from '../../src/events/registry.ts';
import type { StreamId } from '../../src/events/store.ts';
import { auditLog, type AuditReport, type LogLine } from '../../src/projections/audit.ts';
import { named, writeLog, type Node } from './audited-pair.ts';
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

/** Audits a log that holds these facts. Its hashes and checkpoints are in order: who forged it has the log's key. */
export async function auditPeer({ name, signer, events }: Peer, forgery: Forgery = (event) => event, cryptography = true): Promise<AuditReport> {
  const forged = events.flatMap((event) => forgery(structuredClone(event)) ?? []);
  const disk = createMemoryDisk();
  const node = { name, signer, log: forged.map((event) => ({ stream: PEER_STREAM, events: [event] })) } as unknown as Node;
  await (await writeLog(node, disk)).close();
  const lines = disk.rows.map(({ position, entry, hash, stream, revision }): LogLine => ({ kind: 'entry', position: BigInt(position), entry, hash, stream, revision: BigInt(revision) }));
  return auditLog({ lines, checkpoints: [...disk.checkpoints.values()].map(({ note }) => note), cryptography });
}
