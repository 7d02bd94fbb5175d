/** An engine before an engine: plain appends become durable in the tail, in the caller's thread, and the engine behind takes them in a moment later. */
import { FollowsNothing, OutcomeUnknown, StoreClosed, StoreFull, type StreamId } from '../../events/store.ts';
import { eventsIn, failed, plainError, revive, type AppendOutcome, type AppendRequest, type Engine, type OnSealed, type PlainError } from './engine.ts';
import { readable } from './local-engine.ts';
import { createLostAppends } from './lost-appends.ts';
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
  /** Revisions of streams kept in memory; others are looked up. */
  readonly maxKnown?: number | undefined;
  /** Told how many events are durable, before they are answered. */
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

/** What is asked of the engine behind once that has `end` events. One of both is called, at once and in the order of the line. */
interface Turn {
  readonly end: number;
  readonly go: () => void;
  readonly fail: (error: unknown) => void;
}

/** What waits is taken in after so long, in ms, or once there is so much of it: a transaction for each append would cost more than the appends. */
const TAKE_IN_AFTER_MS = 50;
const TAKE_IN_REQUESTS = 256;
const TAKE_IN_BYTES = 1 << 20;
const MAX_KNOWN = 50_000;
/** Whether a larger event is too large for an entry is judged behind. */
const PLAIN_CHARACTERS = 16_384;
/** A row, its indexes and its write-ahead log take this many times its text. */
const GROWTH = 4;
/** A full disk is asked again after so long, in ms. */
const FULL_RETRY_MS = 1000;
/** Refusals that leave no doubt of what the engine behind has. */
const CLEAR = new Set(['revision_conflict', 'follows_nothing', 'store_full', 'invalid_append']);

/**
 * The order of the calls is the order of the log. Whatever is not plain (a revision that does not fit, an event that cannot
 * be read again, little room, a tail that fails) goes to the engine behind, after all that waits, and is judged there.
 */
export function createTailEngine(inner: Engine, options: TailEngineOptions): Engine {
  const { tail, revisionOf, room, maxKnown = MAX_KNOWN, onDurable, onEnd } = options;
  /** Of every stream with an event that is not taken in yet, and of others. */
  const known = new Map<StreamId, number>();
  const lost = createLostAppends();
  /** Events accepted, durable, and with the engine behind: each at most as many as the one before. */
  let [size, durable, taken] = [options.size, options.size, options.size];
  let queue: Group[] = [];
  const waiting: Group[] = [];
  const line: Turn[] = [];
  let flushing: Promise<void> | undefined;
  let taking = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** Appends that are with the engine behind, or in line for it: until they are judged, nobody knows the next position. */
  let direct = 0;
  let usable = true;
  let full: PlainError | undefined;
  let gone: StoreClosed | undefined;

  // ---- what is plain

  function accepts(requests: readonly AppendRequest[], bytes: number): boolean {
    if (!usable || direct > 0 || full !== undefined || !remembers()) return false;
    const queued = bytesIn(queue) + bytes;
    if (!tail.fits(queued) && !rewound(queued)) return false;
    if (freeBytes() < GROWTH * (bytesIn(waiting) + queued)) return false;
    const ahead = new Map<StreamId, number>();
    return requests.every((request) => isPlain(request, ahead));
  }

  /** Whoever is forgotten is looked up, which finds only what was taken in: while anything waits, nobody is, and too many are too many. */
  function remembers(): boolean {
    if (known.size > maxKnown && taken === size) known.clear();
    return known.size <= 2 * maxKnown;
  }

  function freeBytes(): number {
    try {
      return room();
    } catch {
      return 0;
    }
  }

  function isPlain(request: AppendRequest, ahead: Map<StreamId, number>): boolean {
    const { stream, expected } = request;
    if (lost.before(request) !== undefined) return false;
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
    if (taken < size) return false;
    tail.rewind();
    return tail.fits(bytes);
  }

  // ---- into the tail

  function accept(requests: readonly AppendRequest[], bytes: number, onSealed?: OnSealed): Promise<readonly AppendOutcome[]> {
    const first = size;
    size += eventsIn(requests);
    for (const { stream, expected, facts } of requests) learn(stream, expected + facts.length / 2);
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
        flushing = undefined;
        return bypass(groups, queue.splice(0));
      }
      durable = endOf(groups);
      note();
      for (const { requests, resolve } of groups) resolve(requests.map(({ expected, facts }) => ({ kind: 'durable', revision: expected + facts.length / 2 })));
      waiting.push(...groups);
      if (gone !== undefined) continue;
      advance();
      takeInSoon();
    }
    flushing = undefined;
  }

  /** The tail failed: the engine behind makes them durable, before all that was asked after them. Some may be in the tail all the same. */
  function bypass(doubtful: readonly Group[], fresh: readonly Group[]): void {
    usable = false;
    size = durable;
    const turns = [
      ...doubtful.map(({ requests, onSealed, resolve, reject }) => turnOf(requests, onSealed, (outcomes) => resolve(outcomes.map(inDoubt(requests))), reject)),
      ...fresh.map(({ requests, onSealed, resolve, reject }) => turnOf(requests, onSealed, resolve, reject)),
    ];
    const after = line.findIndex(({ end }) => end > durable);
    const later = after < 0 ? [] : line.splice(after);
    line.push(...turns, ...later.map((turn) => ({ ...turn, end: durable })));
    if (gone === undefined) advance();
    else failLine(gone);
  }

  /** Before anybody is answered: a tail that loses its end from here on is found out. A mark that cannot be written leaves the one before. */
  function note(): void {
    try {
      if (gone === undefined) onDurable?.(durable);
    } catch {
      // A full disk, most likely: the next append tells.
    }
  }

  // ---- behind

  function takeInSoon(): void {
    if (waiting.length === 0 || taking || gone !== undefined) return;
    const much = bytesIn(waiting) >= TAKE_IN_BYTES || waiting.reduce((sum, { requests }) => sum + requests.length, 0) >= TAKE_IN_REQUESTS;
    if (much && full === undefined) void takeIn();
    else timer ??= setTimeout(() => void takeIn(), full === undefined ? TAKE_IN_AFTER_MS : FULL_RETRY_MS);
  }

  /** Hands what waits to the engine behind, in one transaction: it has all of a frame or nothing. */
  async function takeIn(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    if (taking || waiting.length === 0 || gone !== undefined) return;
    taking = true;
    const groups = waiting.slice();
    const outcomes = await takenIn(groups);
    taking = false;
    const error = outcomes.find((outcome) => outcome.kind === 'failed')?.error;
    if (error?.code === 'store_full') return putOff(error);
    if (error !== undefined || !isPlaced(groups, outcomes)) return fail(error?.message ?? 'it was written elsewhere than it was accepted');
    full = undefined;
    waiting.splice(0, groups.length);
    taken = endOf(groups);
    let from = 0;
    for (const { requests, onSealed } of groups) onSealed?.(outcomes.slice(from, (from += requests.length)));
    advance();
    // Under load there is always more: what came meanwhile makes one transaction.
    void takeIn();
  }

  async function takenIn(groups: readonly Group[]): Promise<readonly AppendOutcome[]> {
    try {
      return await inner.append(groups.flatMap(({ requests }) => requests.map(alone)));
    } catch (error) {
      return [{ kind: 'failed', error: plainError(error) }];
    }
  }

  /** Durable all the same: it stays in the tail and is tried again. Until it is in, nothing more is taken. */
  function putOff(error: PlainError): void {
    full = error;
    failLine(revive(error));
    takeInSoon();
  }

  function fail(reason: string): void {
    gone ??= new StoreClosed('log', `what is durable could not be taken into the database (${reason}); it is once the log is opened again`);
    failLine(gone);
  }

  // ---- in line for the engine behind

  function enter(turn: Turn): void {
    if (gone !== undefined) return turn.fail(gone);
    line.push(turn);
    advance();
  }

  /** Those for whom the engine behind has enough go on. */
  function advance(): void {
    while (line.length > 0 && line[0]!.end <= taken) line.shift()!.go();
    if (line.length > 0 && line[0]!.end <= durable) void takeIn();
  }

  function failLine(error: unknown): void {
    for (const turn of line.splice(0)) turn.fail(error);
  }

  /** After all that was accepted before. */
  const after = <T>(question: () => Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => enter({ end: size, go: () => void question().then(resolve, reject), fail: reject }));

  function through(requests: readonly AppendRequest[], onSealed?: OnSealed): Promise<readonly AppendOutcome[]> {
    direct += 1;
    return new Promise<readonly AppendOutcome[]>((resolve, reject) => enter(turnOf(requests, onSealed, resolve, reject))).finally(() => (direct -= 1));
  }

  const turnOf = (requests: readonly AppendRequest[], onSealed: OnSealed | undefined, resolve: Group['resolve'], reject: Group['reject']): Turn => ({
    end: size,
    go: () => void behind(requests, onSealed).then(resolve, reject),
    fail: (error) => (error instanceof StoreFull ? resolve(requests.map((request) => judged(request, failed(error)))) : reject(error)),
  });

  /** Judged by the engine behind, but for those that follow what it has never heard of. */
  async function behind(requests: readonly AppendRequest[], onSealed?: OnSealed): Promise<readonly AppendOutcome[]> {
    const refused = new Map<AppendRequest, AppendOutcome>();
    for (const request of requests) {
      const missing = lost.before(request);
      if (missing !== undefined) refused.set(request, judged(request, failed(new FollowsNothing(request.stream, missing))));
    }
    const asked = requests.filter((request) => !refused.has(request));
    const answers = asked.length === 0 ? [] : (await answered(asked)).map((outcome, index) => judged(asked[index]!, outcome));
    const outcomes = requests.map((request) => refused.get(request) ?? answers[asked.indexOf(request)]!);
    onSealed?.(outcomes);
    return outcomes;
  }

  async function answered(requests: readonly AppendRequest[]): Promise<readonly AppendOutcome[]> {
    try {
      return await inner.append(requests);
    } catch (error) {
      usable = false;
      throw error;
    }
  }

  function judged(request: AppendRequest, outcome: AppendOutcome): AppendOutcome {
    if (outcome.kind === 'written') {
      size = durable = taken = outcome.firstPosition + outcome.seals.length / 2;
      learn(request.stream, outcome.revision);
      return outcome;
    }
    if (outcome.kind !== 'failed') return outcome;
    // It may be written: then the next position is not the one that we would put into the tail.
    if (!CLEAR.has(outcome.error.code)) usable = false;
    lost.add(request);
    return outcome;
  }

  function learn(stream: StreamId, revision: number): void {
    known.delete(stream);
    known.set(stream, revision);
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
      const whole = await after(() => Promise.resolve(true)).catch(() => false);
      clearTimeout(timer);
      gone ??= new StoreClosed('log');
      try {
        tail.close(whole ? 'remove' : 'keep');
        onEnd?.();
      } finally {
        await inner.close();
      }
    },
    async kill() {
      clearTimeout(timer);
      gone = new StoreClosed('log', 'it was killed');
      for (const { reject } of queue.splice(0)) reject(gone);
      failLine(gone);
      await flushing;
      tail.close('keep');
      onEnd?.();
      await inner.kill();
    },
  };
}

/** What is durable follows nothing any more: a full disk must not make the engine behind believe that it was lost. */
const alone = ({ ticket: _ticket, follows: _follows, ...request }: AppendRequest): AppendRequest => request;

/** A refusal says that nothing was written: of a frame that failed, nobody knows. */
const inDoubt =
  (requests: readonly AppendRequest[]) =>
  (outcome: AppendOutcome, index: number): AppendOutcome =>
    outcome.kind === 'failed' ? failed(new OutcomeUnknown(requests[index]!.stream, outcome.error.message)) : outcome;

function isPlaced(groups: readonly Group[], outcomes: readonly AppendOutcome[]): boolean {
  let position = groups[0]!.first;
  return groups
    .flatMap(({ requests }) => requests)
    .every(({ facts }, index) => {
      const outcome = outcomes[index];
      const placed = outcome?.kind === 'written' && outcome.firstPosition === position;
      position += facts.length / 2;
      return placed;
    });
}

const bytesIn = (groups: readonly Group[]): number => groups.reduce((sum, { bytes }) => sum + bytes, 0);

/** The position after their last event. */
const endOf = (groups: readonly Group[]): number => groups.reduce((end, { requests }) => end + eventsIn(requests), groups[0]!.first);

/** Of text that a frame and a row will hold, about. */
const bytesOf = (requests: readonly AppendRequest[]): number =>
  requests.reduce((sum, { facts, attachments }) => [...facts, ...attachments].reduce((all, text) => all + text.length, sum + 600 * facts.length), 0);
