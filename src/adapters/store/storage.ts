/** The rows under a log: what a storage (SQLite, memory) must do for the writer. Synchronous: it lives in the engine's thread. */
import type { Hex, Hex32 } from '../../bolt/primitives.ts';
import type { StreamId } from '../../events/store.ts';
import type { Row } from './engine.ts';

/** Where a stream ends. */
export interface StreamEnd {
  readonly revision: number;
  readonly hash: Hex32;
}

export interface CheckpointRow {
  readonly size: number;
  readonly note: string;
  /** Right edge of the Merkle tree at that size, as hex. */
  readonly edge: Hex;
}

/** A row with every column, for verification. */
export interface FullRow {
  readonly position: number;
  readonly stream: string;
  readonly revision: number;
  readonly entry: string;
  readonly hash: string;
}

/** Reads see what the open transaction wrote. Throws StoreFull when there is no room, LogCorrupt when the file is damaged. */
export interface LogStorage {
  size(): number;
  endOf(stream: StreamId): StreamEnd | undefined;
  readStream(stream: StreamId, from: number, limit: number): readonly Row[];
  readAll(from: number, limit: number): readonly Row[];
  fullRows(from: number, limit: number): readonly FullRow[];
  attachment(hash: Hex32): Hex | undefined;
  cursor(name: string): number | undefined;
  /** In order of size. */
  checkpoints(): readonly CheckpointRow[];

  begin(): void;
  insert(row: FullRow): void;
  attach(hash: string, bytes: Hex): void;
  saveCursor(name: string, position: number): void;
  saveCheckpoint(row: CheckpointRow): void;
  dropCheckpoint(size: number): void;
  /** Durable when it returns. */
  commit(): void;
  /** Never throws: after it nothing of the transaction is there, unless its commit had been under way. */
  rollback(): void;

  /** Compares the storage's own structures (indexes) with the rows. Throws LogCorrupt. */
  check(): void;
  /** Drops all that is held in memory and reads the disk again. */
  reopen(): void;
  close(): void;
}
