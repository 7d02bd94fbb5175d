/** Several audits as one: what a folder of nodes comes to. */
import type { PeerComparison } from './peers.ts';
import { emptyTally, type AuditFailure, type AuditReport, type Tally } from './report.ts';

export interface AuditSummary extends Readonly<Tally> {
  readonly ok: boolean;
  readonly logs: number;
  readonly channels: number;
  readonly msat_difference: bigint;
  readonly checkpoints_verified: number;
  /** Messages that both ends of a channel recorded alike; 0 unless both logs were there. */
  readonly messages_compared: number;
  readonly failures: readonly (AuditFailure & { readonly log: string })[];
}

/** Sums the counts; `ok` when there is a log, every one is, and no two disagree. */
export function summarize(reports: readonly { readonly log: string; readonly report: AuditReport }[], peers?: PeerComparison): AuditSummary {
  const disagreements = peers?.failures() ?? [];
  const sum = (field: keyof Tally | 'channels' | 'checkpoints_verified') => reports.reduce((total, { report }) => total + report[field], 0);
  const tally = Object.fromEntries(Object.keys(emptyTally()).map((field) => [field, sum(field as keyof Tally)])) as unknown as Tally;
  return {
    ok: reports.length > 0 && disagreements.length === 0 && reports.every(({ report }) => report.ok),
    logs: reports.length,
    channels: sum('channels'),
    ...tally,
    msat_difference: reports.reduce((total, { report }) => total + report.msat_difference, 0n),
    checkpoints_verified: sum('checkpoints_verified'),
    messages_compared: peers?.compared() ?? 0,
    failures: [...reports.flatMap(({ log, report }) => report.failures.map((failure) => Object.assign({ log }, failure))), ...disagreements],
  };
}
