/** Where the embedded event log keeps its records: what a journal promises, and one in memory. */
import { StoreFull } from '../../events/store.ts';

/** One stored event, as any client of EventStoreDB may have written it. */
export interface StoredRecord {
  /** Place in the whole log, in bytes: commit and prepare position in one. Grows, with gaps. */
  readonly position: number;
  readonly stream: string;
  readonly revision: number;
  readonly id: string;
  readonly type: string;
  readonly contentType: string;
  readonly data: Uint8Array;
  readonly metadata: Uint8Array;
  /** Milliseconds since 1970. */
  readonly created: number;
}

/** Keeps records in the order of their positions. */
export interface Journal {
  load(): Iterable<StoredRecord>;
  /** All or none, durable when it returns. Throws StoreFull when there is no room: then nothing is kept. */
  write(records: readonly StoredRecord[]): void;
  close(): void;
}

/** What outlives a server that is killed. Tests damage it by hand. */
export interface MemoryJournal extends Journal {
  records: StoredRecord[];
  /** Room for this many bytes of data. */
  maxBytes: number;
}

export function createMemoryJournal(): MemoryJournal {
  return {
    records: [],
    maxBytes: Infinity,
    load() {
      return [...this.records];
    },
    write(records) {
      if (this.maxBytes !== Infinity && dataBytes(this.records) + dataBytes(records) > this.maxBytes) throw new StoreFull(`${this.maxBytes} bytes`);
      for (const record of records) this.records.push(record);
    },
    close() {},
  };
}

const dataBytes = (records: readonly StoredRecord[]): number => records.reduce((sum, { data }) => sum + data.length, 0);
