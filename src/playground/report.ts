/** The summary of the story as people read it. */
import { grouped, inSat } from './paint.ts';
import type { StorySummary } from './summary.ts';

/** A few lines: what was done, what failed and why, what the audit says of each log. */
export function reportLines(summary: StorySummary): readonly string[] {
  const { hops, closes, audit } = summary;
  return [
    '',
    `${summary.payments_succeeded} payments succeeded (${hops.one} of one hop, ${hops.two} of two, ${hops.three} of three): ${inSat(BigInt(summary.delivered_msat))} delivered for ${inSat(BigInt(summary.fees_msat))} of fees`,
    ...summary.failures.map(({ from, to, failure_name, failure_code, erring_node }) => `${from} could not pay ${to}: ${failure_name} (0x${failure_code.toString(16)}) from ${erring_node ?? 'nobody that could be told'}`),
    `${summary.channels_opened} channels opened, ${closes.mutual} closed together, ${closes.force} by force, ${summary.sweeps} sweeps, ${summary.restarts} node killed and restarted, ${summary.blocks} blocks`,
    '',
    ...auditLines(summary),
    '',
    `logs: ${summary.data_dir} (${(summary.duration_ms / 1000).toFixed(1)} s)`,
    `verify them again: npx fulgurite audit ${summary.data_dir}`,
    ...(audit.ok ? [] : ['the audit FAILED']),
  ];
}

function auditLines({ audit }: StorySummary): readonly string[] {
  const rows = audit.nodes.map(({ name, ok, events, commitments_verified, signatures_verified, revocations_verified }) =>
    [name, ok ? 'ok' : 'FAILED', ...[events, commitments_verified, signatures_verified, revocations_verified].map(grouped)]);
  const total = ['all', audit.ok ? 'ok' : 'FAILED', ...[audit.events, audit.commitments_verified, audit.signatures_verified, audit.revocations_verified].map(grouped)];
  const table = [['audit', '', 'events', 'commitments', 'signatures', 'revocations'], ...rows, total];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  const failures = audit.nodes.flatMap(({ name, failures: found }) => found.map(({ stream, revision, code, reason }) => `${name}: ${stream ?? 'log'}@${revision ?? '?'}: ${code}: ${reason}`));
  return [
    ...table.map((row) => row.map((cell, column) => (column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join('  ').trimEnd()),
    `msat difference: ${audit.msat_difference}`,
    ...failures,
  ];
}
