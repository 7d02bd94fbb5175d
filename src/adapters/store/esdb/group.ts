/** Which of the appends that wait for one stream travel together in one append of EventStoreDB. */
import type { SealedEntry } from '../../../events/envelope.ts';
import { InvalidAppend } from '../../../events/store.ts';
import type { AppendRequest } from '../engine.ts';
import type { StreamEnd } from './log-index.ts';

export interface Pending {
  readonly request: AppendRequest;
  readonly resolve: (revision: bigint) => void;
  readonly reject: (error: unknown) => void;
}

/** The appends to one stream, the oldest first. */
export interface Lane {
  readonly queue: Pending[];
  /** How many of the queue are being written. */
  taken: number;
}

export interface Group {
  /** The first of the lane's queue. */
  readonly requests: readonly Pending[];
  readonly sealed: readonly SealedEntry[];
  /** hash -> bytes (hex). */
  readonly attachments: ReadonlyMap<string, string>;
}

export type Seal = (
  request: AppendRequest,
  end: StreamEnd | undefined,
) => { readonly sealed: readonly SealedEntry[]; readonly attachments: readonly (readonly [hash: string, bytes: string])[] };

/** EventStoreDB refuses 1 MiB and more; a shorter group also waits less. */
const MAX_GROUP_BYTES = (1 << 20) - 1024;
const MAX_GROUP_EVENTS = 1_000;

/**
 * Seals one append after the other while each expects the revision that the one before it leaves. One that breaks the rules
 * is rejected, taken out of the queue, and the next is looked at.
 */
export function takeGroup(lane: Lane, end: StreamEnd, sealOne: Seal): Group {
  const group = { requests: [] as Pending[], sealed: [] as SealedEntry[], attachments: new Map<string, string>() };
  let [at, bytes] = [end, 0];
  while (group.requests.length < lane.queue.length) {
    const pending = lane.queue[group.requests.length]!;
    if (pending.request.expected !== at.revision) break;
    try {
      const { sealed, attachments } = sealOne(pending.request, at.revision < 0 ? undefined : at);
      const size = sizeOf(sealed);
      if (group.requests.length > 0 && (bytes + size > MAX_GROUP_BYTES || group.sealed.length + sealed.length > MAX_GROUP_EVENTS)) break;
      group.requests.push(pending);
      group.sealed.push(...sealed);
      for (const [hash, hex] of attachments) group.attachments.set(hash, hex);
      bytes += size;
      at = { revision: at.revision + sealed.length, hash: sealed.at(-1)!.hash };
    } catch (error) {
      if (!(error instanceof InvalidAppend)) throw error;
      lane.queue.splice(group.requests.length, 1);
      pending.reject(error);
    }
  }
  lane.taken = group.requests.length;
  return group;
}

/** Throws InvalidAppend for an append that the server would refuse. */
function sizeOf(sealed: readonly SealedEntry[]): number {
  const size = sealed.reduce((sum, { entry }) => sum + Buffer.byteLength(entry), 0);
  if (size > MAX_GROUP_BYTES)
    throw new InvalidAppend(`an append has at most ${MAX_GROUP_BYTES} bytes of entries, got ${size}`, { expected: MAX_GROUP_BYTES, got: size });
  return size;
}
