/** What `--once` tells at its end: one JSON object, amounts as decimal strings. */
import type { Msat, NodeId } from '../bolt/primitives.ts';
import type { Name } from './cast.ts';
import type { NodeAudit } from './audits.ts';

export interface FailureSummary {
  readonly from: Name;
  readonly to: Name;
  /** BOLT 4's number and word for it. */
  readonly failure_code: number;
  readonly failure_name: string;
  readonly erring_node?: Name | NodeId;
  readonly reason: string;
}

export interface AuditSummary {
  readonly ok: boolean;
  readonly events: number;
  readonly commitments_verified: number;
  readonly signatures_verified: number;
  readonly revocations_verified: number;
  readonly preimages_verified: number;
  readonly transactions_verified: number;
  readonly checkpoints_verified: number;
  /** Summed over all channels of all nodes; 0 in sound logs. */
  readonly msat_difference: number;
  readonly nodes: readonly NodeAuditSummary[];
}

export interface NodeAuditSummary {
  readonly name: Name;
  readonly node_id?: NodeId;
  readonly ok: boolean;
  readonly events: number;
  readonly channels: number;
  readonly commitments_verified: number;
  readonly signatures_verified: number;
  readonly revocations_verified: number;
  readonly failures: readonly { readonly stream?: string; readonly revision?: string; readonly code: string; readonly reason: string }[];
}

export interface StorySummary {
  readonly nodes: number;
  readonly channels_opened: number;
  readonly payments_succeeded: number;
  readonly payments_failed: number;
  /** Successful payments by the number of channels they crossed. */
  readonly hops: { readonly one: number; readonly two: number; readonly three: number };
  readonly failures: readonly FailureSummary[];
  /** What arrived, and what it cost on the way. */
  readonly delivered_msat: string;
  readonly fees_msat: string;
  readonly restarts: number;
  /** Payments that were under way when a node was killed, and succeeded all the same. */
  readonly payments_across_restart: number;
  readonly closes: { readonly mutual: number; readonly force: number };
  readonly sweeps: number;
  readonly blocks: number;
  readonly data_dir: string;
  readonly duration_ms: number;
  readonly audit: AuditSummary;
}

/** Figures that the story counts as it goes. */
export interface Tally {
  payments_succeeded: number;
  readonly hops: { one: number; two: number; three: number };
  readonly failures: FailureSummary[];
  delivered_msat: bigint;
  fees_msat: bigint;
  restarts: number;
  payments_across_restart: number;
  readonly closes: { mutual: number; force: number };
  sweeps: number;
}

export const emptyTally = (): Tally => ({
  payments_succeeded: 0,
  hops: { one: 0, two: 0, three: 0 },
  failures: [],
  delivered_msat: 0n,
  fees_msat: 0n,
  restarts: 0,
  payments_across_restart: 0,
  closes: { mutual: 0, force: 0 },
  sweeps: 0,
});

/** Enters a payment that came through. */
export function countPayment(tally: Tally, hops: number, amount_msat: Msat, fee_msat: Msat): void {
  tally.payments_succeeded += 1;
  tally.delivered_msat += amount_msat;
  tally.fees_msat += fee_msat;
  const word = (['one', 'two', 'three'] as const)[hops - 1];
  if (word !== undefined) tally.hops[word] += 1;
}

/** The audits of all nodes as one. */
export function summarizeAudits(audits: readonly NodeAudit[]): AuditSummary {
  const total = (field: 'events' | 'commitments_verified' | 'signatures_verified' | 'revocations_verified' | 'preimages_verified' | 'transactions_verified' | 'checkpoints_verified') =>
    audits.reduce((sum, { report }) => sum + report[field], 0);
  return {
    ok: audits.every(({ report }) => report.ok),
    events: total('events'),
    commitments_verified: total('commitments_verified'),
    signatures_verified: total('signatures_verified'),
    revocations_verified: total('revocations_verified'),
    preimages_verified: total('preimages_verified'),
    transactions_verified: total('transactions_verified'),
    checkpoints_verified: total('checkpoints_verified'),
    msat_difference: Number(audits.reduce((sum, { report }) => sum + report.msat_difference, 0n)),
    nodes: audits.map(summarizeNode),
  };
}

function summarizeNode({ name, report }: NodeAudit): NodeAuditSummary {
  const { node_id, ok, events, channels, commitments_verified, signatures_verified, revocations_verified } = report;
  const failures = report.failures.map(({ stream, revision, code, reason }) => ({ stream, revision: revision?.toString(), code, reason }));
  return { name, node_id, ok, events, channels, commitments_verified, signatures_verified, revocations_verified, failures };
}
