/** A log's rows in arrays: the same promises as the disk's, as long as the `MemoryDisk` is kept. */
import type { Hex } from '../../bolt/primitives.ts';
import { StoreFull } from '../../events/store.ts';
import type { Row } from './engine.ts';
import type { CheckpointRow, FullRow, LogStorage } from './storage.ts';

/** What outlives a store that is closed or killed. Tests damage it by hand. */
export interface MemoryDisk {
  rows: FullRow[];
  readonly checkpoints: Map<number, CheckpointRow>;
  readonly attachments: Map<string, Hex>;
  readonly cursors: Map<string, number>;
  /** The newest checkpoint, kept apart. */
  keptApart: string | undefined;
  /** Room for this many events. */
  maxEvents: number;
}

export function createMemoryDisk(): MemoryDisk {
  return {
    rows: [],
    checkpoints: new Map(),
    attachments: new Map(),
    cursors: new Map(),
    keptApart: undefined,
    maxEvents: Infinity,
  };
}

export function createMemoryStorage(disk: MemoryDisk): LogStorage {
  /** stream -> positions of its events, by revision. */
  let streams = indexStreams(disk.rows);
  /** What undoes the open transaction, the last step first. */
  let undo: (() => void)[] = [];

  const asRow = ({ position, entry, hash }: FullRow): Row => [position, entry, hash];
  function set<K, V>(map: Map<K, V>, key: K, value: V): void {
    const before = map.get(key);
    undo.push(() => void (before === undefined ? map.delete(key) : map.set(key, before)));
    map.set(key, value);
  }

  return {
    size: () => disk.rows.length,
    endOf(stream) {
      const last = disk.rows[streams.get(stream)?.at(-1) ?? -1];
      return last === undefined ? undefined : { revision: last.revision, hash: last.hash as never };
    },
    readStream: (stream, from, limit) =>
      (streams.get(stream) ?? []).slice(from, from + limit).map((position) => asRow(disk.rows[position]!)),
    readAll: (from, limit) => disk.rows.slice(from, from + limit).map(asRow),
    fullRows: (from, limit) => disk.rows.slice(from, from + limit),
    attachment: (hash) => disk.attachments.get(hash),
    cursor: (name) => disk.cursors.get(name),
    checkpoints: () => [...disk.checkpoints.values()].sort((a, b) => a.size - b.size),

    begin() {
      undo = [];
    },
    insert(row) {
      if (disk.rows.length >= disk.maxEvents) throw new StoreFull(`${disk.maxEvents} events`);
      const positions = streams.get(row.stream) ?? [];
      streams.set(row.stream, positions);
      disk.rows.push(row);
      positions.push(row.position);
      undo.push(() => void (disk.rows.pop(), positions.pop()));
    },
    attach: (hash, bytes) => set(disk.attachments, hash, bytes),
    saveCursor: (name, position) => set(disk.cursors, name, position),
    saveCheckpoint: (row) => set(disk.checkpoints, row.size, row),
    dropCheckpoint(size) {
      const row = disk.checkpoints.get(size);
      disk.checkpoints.delete(size);
      if (row !== undefined) undo.push(() => void disk.checkpoints.set(size, row));
    },
    commit() {
      undo = [];
    },
    rollback() {
      for (const step of undo.reverse()) step();
      undo = [];
    },
    check() {},
    reopen() {
      streams = indexStreams(disk.rows);
    },
    close() {},
  };
}

function indexStreams(rows: readonly FullRow[]): Map<string, number[]> {
  const streams = new Map<string, number[]>();
  for (const [position, { stream }] of rows.entries()) {
    const positions = streams.get(stream) ?? [];
    positions.push(position);
    streams.set(stream, positions);
  }
  return streams;
}
