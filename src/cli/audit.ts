/** `fulgurite audit PATH`: believes nothing, derives everything again, and says where the first thing is wrong. */
import { chooseCryptoBackend } from '../bolt/crypto-native.ts';
import { auditLog, type AuditFailure, type AuditReport } from '../projections/audit.ts';
import { comparePeers, type PeerComparison } from '../projections/audit/peers.ts';
import { summarize } from '../projections/audit/summary.ts';
import { describeCloses } from './audit-closes.ts';
import { createProgress, grouped, painter, printLine, table, toJson, type Io } from './output.ts';
import { chooseNode, describeWaiting, openSources, type LogSource } from './sources.ts';

export interface AuditCommand {
  readonly path: string;
  readonly node?: string;
  /** Leaves the channels' signatures out. */
  readonly replayOnly?: boolean;
  readonly json?: boolean;
}

/** Answers the exit code: 0, or 1 when any log fails. */
export async function auditCommand({ path, node, replayOnly = false, json = false }: AuditCommand, io: Io): Promise<number> {
  await chooseCryptoBackend();
  const sources = openSources(path);
  try {
    const peers = comparePeers();
    const audits: { log: string; file: string; waiting: number; report: AuditReport }[] = [];
    for (const source of chooseNode(sources, node)) {
      const report = await auditSource(source, !replayOnly, peers, io);
      audits.push({ log: source.name, file: source.file, waiting: source.waiting, report });
      if (!json) for (const line of [...describeReport(source, report, painter(io.stdout)), ...describeCloses(report, painter(io.stdout))]) await printLine(io.stdout, line);
    }
    const summary = summarize(audits, peers);
    if (!json && summary.messages_compared > 0) await printLine(io.stdout, `${grouped(summary.messages_compared)} messages are in the logs of both ends of a channel, and agree`);
    if (json) await printLine(io.stdout, toJson({ ...summary, audits: audits.map(({ report, ...place }) => ({ ...place, ...report })) }, 2));
    for (const failure of summary.failures) await printLine(io.stderr, `${failure.log}: ${describeFailure(failure)}`);
    return summary.ok ? 0 : 1;
  } finally {
    for (const source of sources) source.close();
  }
}

async function auditSource(source: LogSource, cryptography: boolean, peers: PeerComparison, { stderr }: Io): Promise<AuditReport> {
  const progress = createProgress(stderr, `auditing ${source.name}, events`);
  try {
    return await auditLog({
      lines: source.lines(),
      checkpoints: source.checkpoints,
      cryptography,
      progressEvery: 100,
      onEvent: (envelope) => peers.take(source.name, envelope),
      onProgress: ({ events }) => progress.at(events, source.size),
    });
  } finally {
    progress.done();
  }
}

/** `stream channel-... revision 17 (position 230): wrong_signature: ...` */
export function describeFailure({ stream, revision, position, code, reason }: AuditFailure): string {
  const place = [
    ...(stream === undefined ? [] : [`stream ${stream}`]),
    ...(revision === undefined ? [] : [`revision ${revision}`]),
    ...(position === undefined ? [] : [`(position ${position})`]),
  ].join(' ');
  return `${place === '' ? 'the log' : place}: ${code}: ${reason}`;
}

function describeReport(source: LogSource, report: AuditReport, paint: ReturnType<typeof painter>): readonly string[] {
  const counts: readonly (readonly [string, number | bigint])[] = [
    ['events', report.events],
    ['streams', report.streams],
    ['channels', report.channels],
    ['checkpoints verified', report.checkpoints_verified],
    ['commitments verified (ours, with the peer\'s signatures)', report.commitments_verified],
    ['commitments derived (the peer\'s)', report.commitments_derived],
    ['signatures verified', report.signatures_verified],
    ['revocations verified', report.revocations_verified],
    ['preimages verified', report.preimages_verified],
    ['transactions verified', report.transactions_verified],
    ['payments verified', report.payments_verified],
    ['relays verified', report.relays_verified],
    ['msat not accounted for', report.msat_difference],
  ];
  const verdict = report.ok ? paint('green', 'ok') : paint('red', `${report.failures.length} failed`);
  const title = `${paint('bold', report.alias ?? source.name)} ${report.node_id ?? 'unknown node'}: ${verdict}`;
  return [title, ...table(counts.map(([name, count]) => [`  ${name}`, grouped(count)]), [1]), ...describeWaiting(source).map((line) => `  ${line}`), ''];
}
