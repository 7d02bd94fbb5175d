/** Every log of a data folder, read back from the disk and audited: no node is asked. */
import { join } from 'node:path';
import { openReadOnlyLog } from '../adapters/store/read-only.ts';
import { auditLog, type AuditReport, type LogLine } from '../projections/audit.ts';
import type { StoredEntry } from '../events/verify.ts';
import { NAMES, type Name } from './cast.ts';

export interface NodeAudit {
  readonly name: Name;
  readonly report: AuditReport;
}

/** Audits the logs of the whole cast, one after the other. */
export async function auditAll(dataDir: string, onAudited: (audit: NodeAudit) => void = () => undefined): Promise<readonly NodeAudit[]> {
  const audits: NodeAudit[] = [];
  for (const name of NAMES) {
    const audit = { name, report: await auditFile(join(dataDir, name, 'log.sqlite')) };
    audits.push(audit);
    onAudited(audit);
  }
  return audits;
}

/** Audits one log file. Throws StoreError for what is no log. */
export async function auditFile(file: string): Promise<AuditReport> {
  const log = openReadOnlyLog(file);
  try {
    return await auditLog({ lines: asLines(log.entries()), checkpoints: log.checkpoints });
  } finally {
    log.close();
  }
}

function* asLines(entries: Iterable<StoredEntry>): Iterable<LogLine> {
  for (const entry of entries) yield { kind: 'entry', ...entry };
}
