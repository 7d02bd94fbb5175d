/** A log in our own event server as rows that can be changed by hand, and put back. */
import { readEntry } from '../../src/events/canonical.ts';
import { parseCheckpoint } from '../../src/events/checkpoint.ts';
import type { MemoryJournal, StoredRecord } from '../../src/adapters/esdb-server/journal.ts';
import type { FullRow } from '../../src/adapters/store/storage.ts';
import type { RawLog } from '../adapters/store/contract.ts';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const bytes = (value: string): Uint8Array => new Uint8Array(Buffer.from(value));

/** Lets `change` loose on a closed log. */
export function tamper(journal: MemoryJournal, prefix: string, change: (log: RawLog) => void): void {
  const named = (name: string) => journal.records.filter(({ stream }) => stream.startsWith(`${prefix}.${name}`));
  const raw: RawLog = {
    rows: named('events.').map((record, position) => toRow(record, position, prefix)),
    // `edge` has no meaning here: it carries the kind of the note.
    checkpoints: new Map(named('checkpoints').map(({ data, type }) => [parseCheckpoint(text(data)).size, { note: text(data), edge: type }])),
    attachments: new Map(named('attachments.').map(({ stream, data }) => [stream.split('.').at(-1)!, Buffer.from(data).toString('hex')])),
  };
  change(raw);
  const others = journal.records.filter(({ stream }) => !/\.(events\.|checkpoints$|attachments\.)/.test(stream));
  const fresh = [
    ...raw.rows.map((row) => fromRow(row, prefix)),
    ...[...raw.checkpoints.values()].map(({ note, edge }, revision) => blank(`${prefix}.checkpoints`, edge, bytes(note), revision)),
    ...[...raw.attachments].map(([hash, hex]) => blank(`${prefix}.attachments.${hash}`, 'Attachment', new Uint8Array(Buffer.from(hex, 'hex')))),
    ...others,
  ];
  journal.records = fresh.map((record, index) => ({ ...record, position: 1000 * index }));
}

function toRow({ stream, revision, data, metadata }: StoredRecord, position: number, prefix: string): FullRow {
  const { hash } = JSON.parse(text(metadata)) as { hash: string };
  return { position, stream: stream.slice(`${prefix}.events.`.length), revision, entry: text(data), hash };
}

function fromRow({ stream, revision, entry, hash }: FullRow, prefix: string): StoredRecord {
  const { id, type } = readEntry(entry);
  return { ...blank(`${prefix}.events.${stream}`, type, bytes(entry), revision), id, metadata: bytes(JSON.stringify({ hash })) };
}

function blank(stream: string, type: string, data: Uint8Array, revision = 0): StoredRecord {
  const id = crypto.randomUUID();
  return { position: 0, stream, revision, id, type, contentType: 'application/octet-stream', data, metadata: new Uint8Array(0), created: 0 };
}
