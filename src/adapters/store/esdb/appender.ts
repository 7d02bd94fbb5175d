/**
 * Appends to EventStoreDB: one lane for each stream, in which what waits travels together; each event sealed into the
 * stream's hash chain; an outcome that is not known asked again with the same ids at the same revision until it is.
 */
import { fromHex, type Hex32 } from '../../../bolt/primitives.ts';
import { eventIds, ZERO_HASH, type SealedEntry } from '../../../events/envelope.ts';
import { LogCorrupt, OutcomeUnknown, RevisionConflict, StoreError, type StreamId } from '../../../events/store.ts';
import { NO_STREAM, type AppendRequest } from '../engine.ts';
import { readable } from '../local-engine.ts';
import { checkedAttachments, factsOf, isSame, seal } from '../writer.ts';
import type { AppendAnswer, Connection } from './connection.ts';
import { Unreachable } from './errors.ts';
import { takeGroup, type Group, type Lane, type Pending } from './group.ts';
import { attachmentEvent, entryOf, logEvent, type EsdbRecord, type Layout, type Place } from './layout.ts';
import type { LogIndex, StreamEnd } from './log-index.ts';

export interface AppenderOptions {
  readonly connection: Connection;
  readonly layout: Layout;
  readonly index: LogIndex;
  /** Until then (milliseconds of `clock`) the first write to each stream is read back: one of a process before us may still have been on its way. */
  readonly settled: number;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** The server lost what it had acknowledged. */
  readonly onCorrupt: (error: LogCorrupt) => void;
}

export interface Appender {
  /** Answers the stream's new last revision. Rejects as the port says. */
  append(request: AppendRequest): Promise<bigint>;
  /** Commit position of the newest event that was acknowledged to us; undefined before the first. */
  acknowledged(): bigint | undefined;
  /** False in the middle of an append of ours: it is shown to subscribers as a whole. */
  endsAppend(stream: StreamId, revision: number): boolean;
  /** To be called when the index took an event: what is remembered of the stream here is then needless. */
  indexed(stream: StreamId, revision: number): void;
  /** Resolves when nothing waits. */
  idle(): Promise<void>;
  /** Everything that waits is rejected; what is on its way may land. */
  abandon(reason: string): void;
}

const NO_END: StreamEnd = { revision: NO_STREAM, hash: ZERO_HASH };
const FIRST_DELAY = 20;
const MAX_DELAY = 1_000;

export function createAppender(options: AppenderOptions): Appender {
  const { connection, layout, index, clock } = options;
  const lanes = new Map<StreamId, Lane>();
  /** Ends that were acknowledged to us and that the index has not seen yet. */
  const ends = new Map<StreamId, StreamEnd>();
  /** Last revisions of the appends that are on their way and not yet indexed, in order. */
  const onTheirWay = new Map<StreamId, number[]>();
  /** Streams that this process wrote to while writes of a process before it might still land. */
  const ours = new Set<StreamId>();
  /** Streams whose end must be read from the server, and writes to them read back. */
  const doubtful = new Set<StreamId>();
  let acknowledged: bigint | undefined;
  let abandoned: string | undefined;
  let idle: (() => void)[] = [];

  async function endOf(stream: StreamId, fresh: boolean): Promise<StreamEnd> {
    if (!fresh && !doubtful.has(stream)) return ends.get(stream) ?? index.endOf(stream) ?? NO_END;
    const end = await readEnd(stream);
    ends.set(stream, end);
    return end;
  }

  async function readEnd(stream: StreamId): Promise<StreamEnd> {
    const [last] = await patiently(() => connection.readStream(layout.eventStream(stream), 'end', 1));
    if (last === undefined) return NO_END;
    entryOf(last);
    return { revision: Number(last.revision), hash: last.hash as Hex32 };
  }

  async function serve(stream: StreamId, lane: Lane): Promise<void> {
    // Appends of the same moment travel together.
    await Promise.resolve();
    while (lane.queue.length > 0) {
      try {
        await step(stream, lane);
      } catch (error) {
        forget(stream);
        const failed = error instanceof Unreachable ? lane.queue.length : Math.max(1, lane.taken);
        for (const one of lane.queue.splice(0, failed)) one.reject(outcomeOf(stream, error));
      }
      lane.taken = 0;
    }
    lanes.delete(stream);
    if (lanes.size === 0) for (const resolve of idle.splice(0)) resolve();
  }

  /** Settles the first of the queue, or more. What is taken stays in the queue until it is settled. */
  async function step(stream: StreamId, lane: Lane): Promise<void> {
    const { request } = lane.queue[0]!;
    let end = await endOf(stream, false);
    if (request.expected > end.revision) end = await endOf(stream, true);
    if (request.expected !== end.revision) {
      lane.taken = 1;
      const outcome = await repeatedOrConflict(request, end.revision);
      return settle(lane, [outcome]);
    }
    const group = takeGroup(lane, end, (one, at) => ({ sealed: seal(one, at, readable), attachments: checkedAttachments(one) }));
    if (group.requests.length > 0) await write(stream, lane, end, group);
  }

  async function write(stream: StreamId, lane: Lane, end: StreamEnd, group: Group): Promise<void> {
    const last = { revision: end.revision + group.sealed.length, hash: group.sealed.at(-1)!.hash };
    onTheirWay.set(stream, [...(onTheirWay.get(stream) ?? []), last.revision]);
    const { answer, attempts } = await send(stream, end, group);
    if (answer.kind === 'conflict') return conflicted(stream, lane, end, group, answer.actual);
    acknowledge(answer.place);
    if (attempts > 1 || isDoubtful(stream)) {
      if (!(await isOurs(stream, group.sealed))) return conflicted(stream, lane, end, group, undefined);
      doubtful.delete(stream);
      if (clock() < options.settled) ours.add(stream);
    }
    if ((index.endOf(stream)?.revision ?? NO_STREAM) < last.revision) ends.set(stream, last);
    settle(lane, revisionsOf(end.revision, group.requests));
  }

  const isDoubtful = (stream: StreamId): boolean => doubtful.has(stream) || (clock() < options.settled && !ours.has(stream));

  function acknowledge({ commit }: Place): void {
    if (acknowledged === undefined || commit > acknowledged) acknowledged = commit;
  }

  /** The same ids at the same revision, until there is an answer. Throws Unreachable when patience ends. */
  async function send(stream: StreamId, end: StreamEnd, group: Group): Promise<{ answer: AppendAnswer; attempts: number }> {
    const name = layout.eventStream(stream);
    const expected = end.revision === NO_STREAM ? 'none' : BigInt(end.revision);
    const events = group.sealed.map(logEvent);
    let attempts = 0;
    const answer = await patiently(async () => {
      attempts += 1;
      const attached = attach(group.attachments);
      // Both travel on one ordered connection, so the log holds the attachments first; asked again, they are awaited.
      if (attempts > 1) await attached;
      const [answered, attachedToo] = await Promise.allSettled([connection.append(name, expected, events), attached]);
      if (answered.status === 'rejected') throw answered.reason;
      if (attachedToo.status === 'rejected') throw new Unreachable(connection.url, `an attachment: ${attachedToo.reason}`);
      return answered.value;
    });
    return { answer, attempts };
  }

  /** Stored by their hash: a second time is no conflict but the same. */
  async function attach(attachments: ReadonlyMap<string, string>): Promise<void> {
    const writes = [...attachments].map(([hash, bytes]) =>
      connection.append(layout.attachmentStream(hash), 'none', [attachmentEvent(hash, fromHex(bytes))]),
    );
    await Promise.all(writes);
  }

  /** Somebody else wrote to the stream, or an earlier attempt of ours did. `actual` undefined: it is to be read. */
  async function conflicted(stream: StreamId, lane: Lane, end: StreamEnd, group: Group, actual: bigint | 'none' | undefined): Promise<void> {
    const revision = actual === undefined ? (await readEnd(stream)).revision : actual === 'none' ? NO_STREAM : Number(actual);
    if (revision < end.revision) {
      const [expected, got] = [`revision ${end.revision}`, revision < 0 ? 'no stream' : `revision ${revision}`];
      const error = new LogCorrupt(`stream ${stream} is shorter than it was: expected ${expected}, got ${got}`, { stream, expected, got });
      options.onCorrupt(error);
      throw error;
    }
    const outcomes: Outcome[] = [];
    for (const { request } of group.requests) outcomes.push(await repeatedOrConflict(request, revision));
    forget(stream);
    settle(lane, outcomes);
  }

  /** True when the stored bytes are ours: EventStoreDB compares ids alone, and keeps what it had. */
  async function isOurs(stream: StreamId, sealed: readonly SealedEntry[]): Promise<boolean> {
    const stored = await storedFrom(stream, Number(sealed[0]!.revision), sealed.length);
    return stored.length === sealed.length && sealed.every(({ entry }, at) => entryOf(stored[at]!) === entry);
  }

  const storedFrom = (stream: StreamId, revision: number, count: number): Promise<readonly EsdbRecord[]> =>
    patiently(() => connection.readStream(layout.eventStream(stream), BigInt(revision), count));

  async function repeatedOrConflict(request: AppendRequest, actual: number): Promise<Outcome> {
    const facts = factsOf(request);
    const ids = eventIds(request.cause, facts.length);
    const stored = request.expected < actual ? await storedFrom(request.stream, request.expected + 1, facts.length) : [];
    const same = stored.length === facts.length && facts.every((fact, at) => isSame(ids[at]!, fact, entryOf(stored[at]!)));
    if (same) {
      acknowledge(stored.at(-1)!.place);
      return BigInt(request.expected + facts.length);
    }
    return new RevisionConflict(request.stream, toRevision(request.expected), toRevision(actual));
  }

  /** Asks until there is an answer that says something, or patience ends. */
  async function patiently<T>(ask: () => Promise<T>): Promise<T> {
    const until = clock() + connection.patience.total;
    for (let delay = FIRST_DELAY; ; delay = Math.min(2 * delay, MAX_DELAY)) {
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof Unreachable) || abandoned !== undefined || clock() + delay > until) throw error;
        await new Promise((resolve) => setTimeout(resolve, delay));
      }
    }
  }

  function forget(stream: StreamId): void {
    ends.delete(stream);
    onTheirWay.delete(stream);
    doubtful.add(stream);
  }

  return {
    append(request) {
      return new Promise((resolve, reject) => {
        if (abandoned !== undefined) return reject(new OutcomeUnknown(request.stream, abandoned));
        const lane = lanes.get(request.stream) ?? { queue: [], taken: 0 };
        const isNew = !lanes.has(request.stream);
        lanes.set(request.stream, lane);
        lane.queue.push({ request, resolve, reject });
        if (isNew) void serve(request.stream, lane);
      });
    },
    acknowledged: () => acknowledged,
    endsAppend(stream, revision) {
      const end = onTheirWay.get(stream)?.find((last) => last >= revision);
      return end === undefined || end === revision;
    },
    indexed(stream, revision) {
      const left = onTheirWay.get(stream)?.filter((last) => last > revision) ?? [];
      if (left.length > 0) onTheirWay.set(stream, left);
      else onTheirWay.delete(stream);
      const end = ends.get(stream);
      if (end !== undefined && end.revision <= revision) ends.delete(stream);
    },
    idle: () => (lanes.size === 0 ? Promise.resolve() : new Promise((resolve) => (idle = [...idle, resolve]))),
    abandon(reason) {
      abandoned = reason;
      for (const [stream, { queue }] of lanes) for (const one of queue.splice(0)) one.reject(new OutcomeUnknown(stream, reason));
    },
  };
}

/** What an append is answered: its last revision, or why nothing was written. */
type Outcome = bigint | StoreError;

function settle(lane: Lane, outcomes: readonly Outcome[]): void {
  const settled: readonly Pending[] = lane.queue.splice(0, outcomes.length);
  for (const [at, one] of settled.entries()) {
    const outcome = outcomes[at]!;
    if (typeof outcome === 'bigint') one.resolve(outcome);
    else one.reject(outcome);
  }
}

function revisionsOf(end: number, requests: readonly Pending[]): readonly bigint[] {
  let revision = end;
  return requests.map(({ request }) => BigInt((revision += request.facts.length / 2)));
}

const toRevision = (revision: number): bigint | 'none' => (revision < 0 ? 'none' : BigInt(revision));

/** What nobody answered for is unknown; everything else says what it is. */
function outcomeOf(stream: StreamId, error: unknown): unknown {
  if (error instanceof StoreError && !(error instanceof Unreachable)) return error;
  return new OutcomeUnknown(stream, (error as Error).message);
}
