/** The auditor: a log read from its first byte, with nothing believed. Needs no seed, no network, no store; runs in a browser. */
import { isEstablished } from '../domain/channel/state.ts';
import type { ChannelEvent } from '../events/channel/index.ts';
import type { GossipEvent } from '../events/gossip.ts';
import type { EventEnvelope } from '../events/envelope.ts';
import { decodeEvent } from '../events/registry.ts';
import type { BundleHeader } from '../events/bundle.ts';
import { StoreError, type StreamId } from '../events/store.ts';
import type { StoredEntry } from '../events/verify.ts';
import { auditChannel, type ChannelAudit } from './audit/channel.ts';
import { checkClose, watchCloses, type CloseReport } from './audit/closes.ts';
import { watchIntegrity, type ReadEntry } from './audit/integrity.ts';
import { CheckFailed, emptyTally, mustEqual, type AuditFailure, type AuditReport, type Tally } from './audit/report.ts';
import { auditGossip } from './audit/gossip.ts';
import { auditStories } from './audit/stories.ts';
import { auditWallet } from './audit/wallet.ts';
import { msatDifference } from './channels.ts';
import { isChannelStream } from './streams.ts';

export type { CloseReport } from './audit/closes.ts';
export type { AuditFailure, AuditReport } from './audit/report.ts';

/** A log in position order: its entries as they are stored, and signed checkpoints wherever they stand. A bundle has a header too. */
export type LogLine =
  | ({ readonly kind: 'entry' } & StoredEntry)
  | { readonly kind: 'checkpoint'; readonly note: string }
  | { readonly kind: 'header'; readonly header: BundleHeader };

export interface AuditProgress {
  readonly events: number;
  readonly tally: Readonly<Tally>;
}

export interface AuditOptions {
  readonly lines: AsyncIterable<LogLine> | Iterable<LogLine>;
  /** Signed notes kept beside the log. */
  readonly checkpoints?: readonly string[];
  /** False: the log's own integrity, replay and conservation, but no signature of a channel. Much faster. */
  readonly cryptography?: boolean;
  /** Called every `progressEvery` events (1000). */
  readonly onProgress?: (progress: AuditProgress) => void;
  readonly progressEvery?: number;
  /** Hears each event that could be read: for comparisons between logs. */
  readonly onEvent?: (envelope: EventEnvelope) => void;
}

/**
 * Audits a log: `{ lines: readBundle(chunks) }` a bundle. Never rejects for a bad log: every damage is a failure in the
 * report. Rejects when `lines` fails with anything but a StoreError (a file that cannot be read).
 */
export async function auditLog(options: AuditOptions): Promise<AuditReport> {
  const audit = startAudit(options);
  const every = options.progressEvery ?? 1000;
  try {
    for await (const line of options.lines) {
      audit.take(line);
      const { events } = audit.tally;
      if (line.kind === 'entry' && events % every === 0) options.onProgress?.({ events, tally: audit.tally });
    }
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    audit.unreadable(error);
  }
  return audit.finish();
}

interface RunningAudit {
  readonly tally: Tally;
  take(line: LogLine): void;
  /** The source broke off. */
  unreadable(error: StoreError): void;
  finish(): AuditReport;
}

function startAudit({ checkpoints = [], cryptography = true, onEvent }: AuditOptions): RunningAudit {
  const tally = emptyTally();
  const integrity = watchIntegrity(checkpoints);
  const stories = auditStories(tally, cryptography);
  const wallet = auditWallet(tally, cryptography);
  const gossip = auditGossip(tally);
  const closes = watchCloses();
  const streams = new Set<StreamId>();
  const channels = new Map<StreamId, ChannelAudit>();
  const broken = new Map<StreamId, AuditFailure>();
  const source: AuditFailure[] = [];
  let header: BundleHeader | undefined;
  let node: Pick<AuditReport, 'node_id' | 'alias'> = {};

  function replay(envelope: EventEnvelope): void {
    const { stream, event } = envelope;
    onEvent?.(envelope);
    if (event.type === 'NodeInitialized') {
      node = { node_id: event.node_id, alias: event.alias };
      judge(envelope, () => header && checkHeader(header, event));
    }
    // What follows a stream's first failure means nothing there, but other streams still refer to it.
    if (!broken.has(stream)) judge(envelope, () => replayStream(stream, envelope));
    judge(envelope, () => stories.take(envelope));
    judge(envelope, () => wallet.take(event));
  }

  function replayStream(stream: StreamId, envelope: EventEnvelope): void {
    const { event } = envelope;
    if (isChannelStream(stream)) {
      channelOf(stream).take(event as ChannelEvent);
      closes.take(envelope);
    }
    if (cryptography && stream === 'gossip') gossip.take(event as GossipEvent);
  }

  function judge(place: Pick<EventEnvelope, 'stream' | 'revision' | 'position'>, check: () => unknown): void {
    try {
      check();
    } catch (error) {
      if (!broken.has(place.stream)) broken.set(place.stream, failureAt(place, error));
    }
  }

  function channelOf(stream: StreamId): ChannelAudit {
    const found = channels.get(stream) ?? auditChannel(tally, cryptography);
    channels.set(stream, found);
    return found;
  }

  /** How channels ended, as far as their streams can be believed. An end that pays something else than the last state is a failure. */
  function closesOf(): readonly CloseReport[] {
    const reports: CloseReport[] = [];
    for (const [stream, { state, known }] of channels) {
      try {
        const report = closes.report(stream, state(), known);
        if (report === undefined) continue;
        reports.push(report);
        judge({ stream, ...report.cause }, () => checkClose(report));
      } catch (error) {
        if (!broken.has(stream)) broken.set(stream, { stream, code: codeOf(error), reason: (error as Error).message });
      }
    }
    return reports;
  }

  return {
    tally,
    take(line) {
      if (line.kind === 'checkpoint') return integrity.expect(line.note);
      if (line.kind === 'header') return void (header = line.header);
      tally.events += 1;
      const entry = integrity.read(line);
      if (entry === undefined) return;
      streams.add(entry.stream);
      judge(entry, () => replay(toEnvelope(entry)));
    },
    unreadable: ({ code, message }) => void source.push({ code, reason: message }),
    finish() {
      const proven = integrity.finish();
      const ends = closesOf();
      const failures = [...source, ...proven.failures, ...broken.values()];
      return {
        ok: failures.length === 0,
        ...node,
        ...tally,
        streams: streams.size,
        channels: channels.size,
        msat_difference: totalDifference(channels.values()),
        checkpoints_verified: proven.checkpoints,
        last_checkpoint: proven.last,
        cryptography,
        closes: ends,
        failures,
      };
    },
  };
}

/** A bundle says whose log it is; so does the log. */
function checkHeader(header: BundleHeader, node: Pick<BundleHeader, 'node_id' | 'log_public_key'>): void {
  mustEqual('bundle_node_id', 'node_id in the header of the bundle', node.node_id, header.node_id);
  mustEqual('bundle_log_public_key', 'log_public_key in the header of the bundle', node.log_public_key, header.log_public_key);
}

function toEnvelope({ type, data, ...envelope }: ReadEntry): EventEnvelope {
  return { ...envelope, event: decodeEvent(type, data) };
}

/** Whatever the rules threw, as data: a forged log may break them anywhere. */
function failureAt({ stream, revision, position }: Pick<EventEnvelope, 'stream' | 'revision' | 'position'>, error: unknown): AuditFailure {
  const code = error instanceof CheckFailed || error instanceof StoreError ? error.code : codeOf(error);
  return { stream, revision, position, code, reason: error instanceof Error ? error.message : String(error) };
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'replay_failed';

function totalDifference(channels: Iterable<ChannelAudit>): bigint {
  let total = 0n;
  for (const channel of channels) {
    const state = channel.state();
    if (!isEstablished(state)) continue;
    const difference = msatDifference(state);
    total += difference < 0n ? -difference : difference;
  }
  return total;
}
