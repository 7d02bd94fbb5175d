/** Logs of nodes as an auditor reads them, from outside the node: a copy of its SQLite file, or its events in the database. */
import { join } from 'node:path';
import { readCheckpoints } from '../../src/adapters/store/esdb/checkpoints.ts';
import { connect } from '../../src/adapters/store/esdb/connection.ts';
import { createLayout, defaultPrefix, textOf, type EsdbRecord, type Place } from '../../src/adapters/store/esdb/layout.ts';
import { openReadOnlyLog } from '../../src/adapters/store/read-only.ts';
import type { NodeId } from '../../src/bolt/primitives.ts';
import type { EventEnvelope } from '../../src/events/envelope.ts';
import { auditLog, type AuditReport, type LogLine } from '../../src/projections/audit.ts';

export interface AuditedLog {
  readonly log: readonly EventEnvelope[];
  readonly report: AuditReport;
}

/** Where a node's log is. */
export interface LogPlace {
  readonly folder: string;
  readonly nodeId: NodeId;
  readonly esdb?: string | undefined;
}

/** Reads a log and audits it with every signature. */
export async function auditedLog(place: LogPlace): Promise<AuditedLog> {
  const source = place.esdb === undefined ? fromSqlite(place) : await fromDatabase(place, place.esdb);
  const log: EventEnvelope[] = [];
  try {
    const report = await auditLog({ ...source, onEvent: (envelope) => void log.push(envelope) });
    return { log, report };
  } finally {
    source.close();
  }
}

interface Source {
  readonly lines: Iterable<LogLine>;
  readonly checkpoints: readonly string[];
  close(): void;
}

function fromSqlite({ folder }: LogPlace): Source {
  const opened = openReadOnlyLog(join(folder, 'log.sqlite'));
  return { lines: entriesOf(opened.entries()), checkpoints: opened.checkpoints, close: opened.close };
}

type Entry = Omit<Extract<LogLine, { kind: 'entry' }>, 'kind'>;

function* entriesOf(entries: Iterable<Entry>): Generator<LogLine> {
  for (const entry of entries) yield { kind: 'entry', ...entry };
}

const PAGE = 1_000;
const PATIENCE = { attempt: 10_000, total: 30_000 };

async function fromDatabase({ folder, nodeId }: LogPlace, url: string): Promise<Source> {
  const layout = createLayout(defaultPrefix(nodeId));
  const connection = await connect(url, PATIENCE);
  try {
    // The notes first: a log may be newer than its checkpoints, never older.
    const { notes } = await readCheckpoints(connection, layout, join(folder, 'checkpoint'));
    const records: EsdbRecord[] = [];
    for (let place: Place | undefined, page: readonly EsdbRecord[] = []; ; place = page.at(-1)!.place) {
      page = await connection.readAll(place, PAGE);
      // The start is inclusive: a page begins with the last event of the one before.
      records.push(...(place === undefined ? page : page.slice(1)).filter(({ stream }) => stream.startsWith(layout.events)));
      if (page.length < PAGE) break;
    }
    const entries = records.map((record, position): Entry => ({
      position: BigInt(position),
      stream: layout.streamId(record.stream),
      revision: record.revision,
      entry: textOf(record),
      hash: record.hash ?? '',
    }));
    return { lines: entriesOf(entries), checkpoints: notes, close: () => undefined };
  } finally {
    await connection.release();
  }
}
