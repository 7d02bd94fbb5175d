/** An engine with a tail on a disk in memory, whose flushes and transactions wait for a word. */
import { expect, vi } from 'vitest';
import type { AppendOutcome, AppendRequest, Engine } from '../../../src/adapters/store/engine.ts';
import { openLocalEngine, type LocalEngine } from '../../../src/adapters/store/local-engine.ts';
import { createMemoryDisk, createMemoryStorage, type MemoryDisk } from '../../../src/adapters/store/memory-storage.ts';
import { checkpointKey } from '../../../src/adapters/store/open.ts';
import { createTailEngine } from '../../../src/adapters/store/tail-engine.ts';
import type { TailFile, TailFrame } from '../../../src/adapters/store/tail-file.ts';
import { hex32, point } from '../../../src/bolt/primitives.ts';
import { readEntry } from '../../../src/events/canonical.ts';

const key = checkpointKey(point(`02${'00'.repeat(31)}01`), new Uint8Array(32).fill(1));

/** Of an append; its events can be found again by it. */
export type Id = number;

export const request = (id: Id, stream: string, expected: number, events = 1, follows?: readonly Id[]): AppendRequest => ({
  stream,
  expected,
  cause: { command_id: hex32(id.toString(16).padStart(64, '0')), correlation_id: hex32('00'.repeat(32)) },
  recorded_at: '2026-01-02T03:04:05.678Z',
  ticket: id,
  ...(follows === undefined ? {} : { follows }),
  facts: Array.from({ length: events }, () => ['UpdateFeeSent', `{"feerate_per_kw":${id}}`]).flat(),
  attachments: [],
});

export const codeOf = (outcome: AppendOutcome): string => (outcome.kind === 'failed' ? outcome.error.code : outcome.kind);

/** The appends in a log, each once for each of its events. */
export const idsOn = (disk: MemoryDisk): readonly Id[] => disk.rows.map(({ entry }) => (readEntry(entry).data as { feerate_per_kw: number }).feerate_per_kw);

export const quiet = async (): Promise<void> => {
  for (let turn = 0; turn < 40; turn += 1) await Promise.resolve();
};

/** A disk and a tail that outlive an engine, and an engine over them whose flushes and transactions wait for a word. */
export class Stage {
  readonly disk = createMemoryDisk();
  frames: TailFrame[] = [];
  tailEnd: 'open' | 'keep' | 'remove' = 'open';
  /** The frame that fails, counted from 0, and whether it is on the disk all the same. */
  failing = { frame: Infinity, stays: false };
  capacity = Infinity;
  space = Infinity;
  readonly maxKnown: number | undefined;
  durable = 0;
  local!: LocalEngine;
  engine!: Engine;
  /** Each does its work and answers. */
  readonly flushes: (() => void)[] = [];
  readonly asked: (() => void)[] = [];
  readonly sealed: (readonly [id: Id, position: number])[] = [];
  #written = 0;

  constructor(maxKnown?: number) {
    this.maxKnown = maxKnown;
    this.open();
  }

  /** As sqlite-worker.ts does. */
  open(): void {
    ({ engine: this.local } = openLocalEngine(createMemoryStorage(this.disk), { key, verify: true }));
    for (const { first, requests } of this.frames) {
      if (first < this.local.size()) continue;
      expect(first, 'a tail without holes').toBe(this.local.size());
      for (const outcome of this.local.append(requests)) expect(codeOf(outcome)).toBe('written');
    }
    this.frames = [];
    this.engine = createTailEngine(this.#late(), {
      tail: this.#tail(),
      size: this.local.size(),
      revisionOf: (stream) => this.disk.rows.findLast((row) => row.stream === stream)?.revision ?? -1,
      room: () => this.space,
      maxKnown: this.maxKnown,
      onDurable: (size) => (this.durable = size),
    });
  }

  append(...requests: readonly AppendRequest[]): Promise<readonly AppendOutcome[]> {
    return this.engine.append(requests, (outcomes) => {
      for (const [index, outcome] of outcomes.entries()) if (outcome.kind === 'written') this.sealed.push([requests[index]!.ticket!, outcome.firstPosition]);
    });
  }

  /** Lets everything happen that can; a full disk is asked again and again. */
  async settle(): Promise<void> {
    for (let [idle, turns] = [0, 0]; idle < 3 && turns < 60; turns += 1) {
      await quiet();
      vi.advanceTimersByTime(1000);
      await quiet();
      const next = this.flushes.shift() ?? this.asked.shift();
      next?.();
      idle = next === undefined ? idle + 1 : 0;
    }
  }

  #tail(): TailFile {
    return {
      fits: (bytes) => this.frames.length * 1000 + bytes <= this.capacity,
      write: (frame) =>
        new Promise((resolve, reject) =>
          this.flushes.push(() => {
            const fails = this.#written++ === this.failing.frame;
            if (!fails || this.failing.stays) this.frames.push(frame);
            if (fails) reject(new Error('EIO'));
            else resolve();
          }),
        ),
      rewind: () => void (this.frames = []),
      close: (how) => (this.tailEnd = how),
    };
  }

  #late(): Engine {
    const late = <T>(work: () => T): Promise<T> =>
      new Promise((resolve, reject) =>
        this.asked.push(() => {
          try {
            resolve(work());
          } catch (error) {
            reject(error as Error);
          }
        }),
      );
    return {
      append: async (requests, onSealed) => {
        const outcomes = await late(() => this.local.append(requests));
        onSealed?.(outcomes);
        return outcomes;
      },
      size: () => late(() => this.local.size()),
      readStream: (stream, from, limit) => late(() => this.local.readStream(stream, from, limit)),
      readAll: (from, limit) => late(() => this.local.readAll(from, limit)),
      attachment: (hash) => late(() => this.local.attachment(hash)),
      loadCursor: async () => undefined,
      saveCursor: async () => undefined,
      checkpoints: () => late(() => this.local.checkpoints()),
      close: async () => undefined,
      kill: async () => this.asked.splice(0).forEach(() => undefined),
    };
  }
}
