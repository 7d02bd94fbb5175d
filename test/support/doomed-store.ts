/** A store in a process that is to die at one of its appends: before it is asked, while it writes, once it is durable, or after the answer. */
import type { LogStore } from '../../src/adapters/store/log-store.ts';

/** Where, around one append, the power goes. */
export const FUSE_POINTS = ['before', 'writing', 'durable', 'answered'] as const;
export type FusePoint = (typeof FUSE_POINTS)[number];

/** Counts appends from the moment it is lit: 1 dies at the next one. */
export interface Fuse {
  readonly appends: number;
  readonly point: FusePoint;
}

export interface DoomedStore {
  readonly store: LogStore;
  light(fuse: Fuse): void;
}

const die = (): void => void process.kill(process.pid, 'SIGKILL');

/** The same store, until its fuse has burnt down. */
export function createDoomedStore(inner: LogStore): DoomedStore {
  let fuse: Fuse | undefined;
  let appends = 0;
  /** What to do at this append, which is counted. */
  const pointNow = (): FusePoint | undefined => (fuse !== undefined && ++appends === fuse.appends ? fuse.point : undefined);

  return {
    light(lit) {
      fuse = lit;
      appends = 0;
    },
    store: {
      ...inner,
      async append(...given) {
        const point = pointNow();
        if (point === 'before') die();
        const answer = inner.append(...given);
        // The store's own thread has been asked by then, and may be anywhere.
        if (point === 'writing') setImmediate(die);
        const revision = await answer;
        if (point === 'durable') die();
        if (point === 'answered') setImmediate(die);
        return revision;
      },
    },
  };
}

/** Milliseconds by which a lying store answers too early. */
const LIE_MS = 60;

/** A store that breaks its promise: it answers before anything is durable. Only to see that this is found out. */
export function createLyingStore(inner: LogStore): LogStore {
  return {
    ...inner,
    async append(stream, expected, events, cause, attachments) {
      setTimeout(() => void inner.append(stream, expected, events, cause, attachments).catch(() => undefined), LIE_MS);
      return (expected === 'none' ? -1n : expected) + BigInt(events.length);
    },
  };
}
