/** An engine before an engine: plain appends become durable in the tail, in the caller's thread, and the engine behind takes them in a moment later. */
import { FollowsNothing, StoreClosed, type StreamId, type Ticket } from '../../events/store.ts';
import { plainError, revive, type AppendOutcome, type AppendRequest, type Engine, type OnSealed, type PlainError } from './engine.ts';
import { readable } from './local-engine.ts';
import type { TailFile } from './tail-file.ts';
import { checkedAttachments, factsOf } from './writer.ts';

export interface TailEngineOptions {
  readonly tail: TailFile;
  /** Number of events that the engine behind has. */
  readonly size: number;
  /** The last revision of a stream as the engine behind has it, -1 if it has none. Throws when it cannot be told. */
  readonly revisionOf: (stream: StreamId) => number;
  /** Bytes that the engine behind can still take for sure. */
  readonly room: () => number;
  /** Told now and then how many events are durable. */
  readonly onDurable?: (size: number) => void;
  /** Nothing more is asked of the above. */
  readonly onEnd?: () => void;
}

/** Appends of one call, accepted at `first`. */
interface Group {
  readonly requests: readonly AppendRequest[];
  readonly first: number;
  readonly bytes: number;
  readonly onSealed: OnSealed | undefined;
  readonly resolve: (outcomes: readonly AppendOutcome[]) => void;
  readonly reject: (error: unknown) => void;
}

/** What waits is taken in after so long, in ms, or once there is so much of it: a transaction for each append would cost more than the appends. */
const TAKE_IN_AFTER_MS = 50;
const TAKE_IN_REQUESTS = 256;
const TAKE_IN_BYTES = 1 << 20;
/** Revisions of streams kept in memory; others are looked up. */
const MAX_KNOWN = 50_000;
/** Whether a larger event is too large for an entry is judged behind. */
const PLAIN_CHARACTERS = 16_384;
/** As in writer.ts. */
const MAX_LOST = 65_536;
/** A row, its indexes and its write-ahead log take this many times its text. */
const GROWTH = 4;
/** A full disk is asked again after so long, in ms. */
const FULL_RETRY_MS = 1000;

/**
 * The order of the calls is the order of the log. Whatever is not plain (a revision that does not fit, an event that cannot
 * be read again, little room, a tail that fails) goes to the engine behind, after all that waits, and is judged there.
 */
export function createTailEngine(inner: Engine, options: TailEngineOptions): Engine {
  const { tail, revisionOf, room, onDurable, onEnd } = options;
  const known = new Map<StreamId, number>();
  const lost = new Set<Ticket>();
  let size = options.size;
  let durable = options.size;
  let queue: Group[] = [];
  let waiting: Group[] = [];
  const held = { requests: 0, bytes: 0 };
  let flushing: Promise<void> | undefined;
  let takingIn: Promise<void> | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let noting = false;
  /** Appends that are with the engine behind, or on their way there. */
  let direct = 0;
  /** Those of them that wait for what was accepted before. */
  let inLine = 0;
  let ordering: Promise<void> | undefined;
  let usable = true;
  let full: PlainError | undefined;
  let gone: StoreClosed | undefined;

  // ---- what is plain

  function accepts(requests: readonly AppendRequest[], bytes: number): boolean {
    if (!usable || direct > 0 || full !== undefined) return false;
    if (!tail.fits(bytes) && !rewound(bytes)) return false;
    if (freeBytes() < GROWTH * (held.bytes + bytes)) return false;
    const ahead = new Map<StreamId, number>();
    return requests.every((request) => isPlain(request, ahead));
  }

  function freeBytes(): number {
    try {
      return room();
    } catch {
      return 0;
    }
  }

  function isPlain(request: AppendRequest, ahead: Map<StreamId, number>): boolean {
    const { stream, expected, follows } = request;
    if (follows?.some((ticket) => lost.has(ticket))) return false;
    const facts = factsOf(request);
    if (facts.some(({ data }) => data.length > PLAIN_CHARACTERS)) return false;
    try {
      if ((ahead.get(stream) ?? known.get(stream) ?? revisionOf(stream)) !== expected) return false;
      facts.forEach(readable);
      checkedAttachments(request);
    } catch {
      return false;
    }
    ahead.set(stream, expected + facts.length);
    return true;
  }

  /** Begins the tail anew if nothing of it is needed. */
  function rewound(bytes: number): boolean {
    if (queue.length > 0 || waiting.length > 0 || flushing !== undefined || takingIn !== undefined) return false;
    tail.rewind();
    return tail.fits(bytes);
  }

  // ---- into the tail

  function accept(requests: readonly AppendRequest[], bytes: number, onSealed?: OnSealed): Promise<readonly AppendOutcome[]> {
    const first = size;
    for (const { stream, expected, facts } of requests) {
      size += facts.length / 2;
      learn(stream, expected + facts.length / 2);
    }
    return new Promise((resolve, reject) => {
      queue.push({ requests, first, bytes, onSealed, resolve, reject });
      flushing ??= flush();
    });
  }

  /** One flush at a time; what comes meanwhile rides in the next. */
  async function flush(): Promise<void> {
    while (queue.length > 0) {
      const groups = queue;
      queue = [];
      try {
        await tail.write({ first: groups[0]!.first, requests: groups.flatMap(({ requests }) => requests) });
      } catch {
        usable = false;
        flushing = undefined;
        return bypass([...groups, ...queue.splice(0)]);
      }
      for (const { requests, resolve } of groups) resolve(requests.map(({ expected, facts }) => ({ kind: 'durable', revision: expected + facts.length / 2 })));
      hold(groups);
      durable = groups[0]!.first + groups.reduce((sum, { requests }) => sum + eventsOf(requests), 0);
      if (gone === undefined) takeInSoon();
    }
    flushing = undefined;
  }

  /** The tail failed: the engine behind makes them durable, in their order. */
  function bypass(groups: readonly Group[]): void {
    for (const { requests, onSealed, resolve, reject } of groups) void through(requests, onSealed).then(resolve, reject);
  }

  // ---- behind

  function hold(groups: readonly Group[]): void {
    waiting.push(...groups);
    for (const { requests, bytes } of groups) {
      held.requests += requests.length;
      held.bytes += bytes;
    }
  }

  function release(): readonly Group[] {
    const groups = waiting;
    waiting = [];
    held.requests = held.bytes = 0;
    return groups;
  }

  function takeInSoon(): void {
    note();
    if (held.requests >= TAKE_IN_REQUESTS || held.bytes >= TAKE_IN_BYTES) void takeIn();
    else timer ??= setTimeout(() => void takeIn(), TAKE_IN_AFTER_MS);
  }

  function note(): void {
    if (onDurable === undefined || noting) return;
    noting = true;
    setImmediate(() => {
      noting = false;
      if (gone === undefined) onDurable(durable);
    });
  }

  /** Hands what waits to the engine behind. Resolves when it has all of it, or cannot. */
  function takeIn(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    return (takingIn ??= takeAllIn().finally(() => (takingIn = undefined)));
  }

  async function takeAllIn(): Promise<void> {
    while (waiting.length > 0 && gone === undefined) {
      const groups = release();
      full = undefined;
      const outcomes = await takenIn(groups);
      const error = outcomes.find((outcome) => outcome.kind === 'failed')?.error;
      if (error?.code === 'store_full') return putBack(groups, error);
      if (error !== undefined || !isPlaced(groups, outcomes)) return fail(error?.message ?? 'it was written elsewhere than it was accepted');
      let from = 0;
      for (const { requests, onSealed } of groups) onSealed?.(outcomes.slice(from, (from += requests.length)));
    }
    // Whoever is forgotten is looked up; one that is not taken in yet is judged behind.
    if (known.size > MAX_KNOWN) known.clear();
  }

  async function takenIn(groups: readonly Group[]): Promise<readonly AppendOutcome[]> {
    try {
      return await inner.append(groups.flatMap(({ requests }) => requests));
    } catch (error) {
      return [{ kind: 'failed', error: plainError(error) }];
    }
  }

  const isPlaced = (groups: readonly Group[], outcomes: readonly AppendOutcome[]): boolean => {
    let position = groups[0]!.first;
    return groups
      .flatMap(({ requests }) => requests)
      .every(({ facts }, index) => {
        const outcome = outcomes[index];
        const placed = outcome?.kind === 'written' && outcome.firstPosition === position;
        position += facts.length / 2;
        return placed;
      });
  };

  /** Durable all the same: it stays in the tail and is tried again. Until it is in, nothing more is taken. */
  function putBack(groups: readonly Group[], error: PlainError): void {
    hold([...groups, ...release()]);
    full = error;
    timer ??= setTimeout(() => void takeIn(), FULL_RETRY_MS);
  }

  function fail(reason: string): void {
    gone ??= new StoreClosed('log', `what is durable could not be taken into the database (${reason}); it is once the log is opened again`);
  }

  /** Resolves once the engine behind has all that was accepted. Rejects when it cannot. */
  async function settled(): Promise<void> {
    await flushing;
    await takeIn();
    if (gone !== undefined) throw gone;
    if (full !== undefined) throw revive(full);
    if (!isSettled()) await settled();
  }

  const isSettled = (): boolean => flushing === undefined && waiting.length === 0 && takingIn === undefined && gone === undefined;

  /** After all that waits, to the engine behind. */
  async function through(requests: readonly AppendRequest[], onSealed?: OnSealed): Promise<readonly AppendOutcome[]> {
    direct += 1;
    try {
      if (inLine > 0 || !isSettled()) await inOrder();
      const missing = requests.find(({ follows }) => follows?.some((ticket) => lost.has(ticket)));
      if (missing !== undefined && requests.length > 1) return await apart(requests, onSealed);
      if (missing !== undefined) return judged(requests, [followsNothing(missing, lost)]);
      return judged(requests, await inner.append(requests, onSealed));
    } catch (error) {
      if (gone !== undefined || full === undefined) throw error;
      return judged(requests, requests.map(() => ({ kind: 'failed', error: plainError(error) })));
    } finally {
      direct -= 1;
    }
  }

  /** Each by itself: one of them must not be written. */
  async function apart(requests: readonly AppendRequest[], onSealed?: OnSealed): Promise<readonly AppendOutcome[]> {
    const outcomes = (await Promise.all(requests.map((request) => through([request])))).flat();
    onSealed?.(outcomes);
    return outcomes;
  }

  /** Those that wait for the same go on in the order of their calls. */
  async function inOrder(): Promise<void> {
    inLine += 1;
    try {
      await (ordering ??= settled().finally(() => (ordering = undefined)));
    } finally {
      inLine -= 1;
    }
  }

  function judged(requests: readonly AppendRequest[], outcomes: readonly AppendOutcome[]): readonly AppendOutcome[] {
    for (const [index, outcome] of outcomes.entries()) judge(requests[index]!, outcome);
    return outcomes;
  }

  function judge({ stream, ticket }: AppendRequest, outcome: AppendOutcome): void {
    if (outcome.kind === 'written') {
      size = durable = outcome.firstPosition + outcome.seals.length / 2;
      return learn(stream, outcome.revision);
    }
    known.delete(stream);
    if (outcome.kind !== 'failed' || ticket === undefined) return;
    lost.add(ticket);
    if (lost.size > MAX_LOST) lost.delete(lost.values().next().value!);
  }

  function learn(stream: StreamId, revision: number): void {
    known.delete(stream);
    known.set(stream, revision);
  }

  async function after<T>(question: () => Promise<T>): Promise<T> {
    if (!isSettled()) await settled();
    return question();
  }

  return {
    append(requests, onSealed) {
      if (gone !== undefined) return Promise.reject(gone);
      const bytes = bytesOf(requests);
      return accepts(requests, bytes) ? accept(requests, bytes, onSealed) : through(requests, onSealed);
    },
    size: () => after(() => inner.size()),
    readStream: (stream, from, limit) => after(() => inner.readStream(stream, from, limit)),
    readAll: (from, limit) => after(() => inner.readAll(from, limit)),
    attachment: (hash) => after(() => inner.attachment(hash)),
    loadCursor: (name) => inner.loadCursor(name),
    saveCursor: (name, position) => inner.saveCursor(name, position),
    checkpoints: () => after(() => inner.checkpoints()),
    async close() {
      const whole = await settled().then(
        () => true,
        () => false,
      );
      clearTimeout(timer);
      gone ??= new StoreClosed('log');
      tail.close(whole ? 'remove' : 'keep');
      onEnd?.();
      await inner.close();
    },
    async kill() {
      clearTimeout(timer);
      gone = new StoreClosed('log', 'it was killed');
      for (const { reject } of queue.splice(0)) reject(gone);
      await flushing;
      tail.close('keep');
      onEnd?.();
      await inner.kill();
    },
  };
}

function followsNothing({ stream, follows }: AppendRequest, lost: ReadonlySet<Ticket>): AppendOutcome {
  const missing = follows!.find((ticket) => lost.has(ticket))!;
  return { kind: 'failed', error: plainError(new FollowsNothing(stream, missing)) };
}

const eventsOf = (requests: readonly AppendRequest[]): number => requests.reduce((sum, { facts }) => sum + facts.length / 2, 0);

/** Of text that a frame and a row will hold, about. */
const bytesOf = (requests: readonly AppendRequest[]): number =>
  requests.reduce((sum, { facts, attachments }) => [...facts, ...attachments].reduce((all, text) => all + text.length, sum + 600 * facts.length), 0);
