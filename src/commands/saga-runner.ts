/** Feeds the log to a saga and dispatches what it answers: at least once, many at a time, from a saved place on. */
import { causeAt, eventIds, type EventEnvelope } from '../events/envelope.ts';
import { StoreError, type AppendAhead, type EventStore, type StreamId } from '../events/store.ts';
import type { Refusal } from '../domain/decider.ts';
import { commandId, type Dispatch, type Outcome } from './dispatch.ts';
import { createFrontier, type Frontier, type Taken } from './frontier.ts';
import type { Intent } from './intents.ts';
import { createLogQueue, type LogQueue } from './log-queue.ts';

/** Pure: see sagas/saga.ts. */
export interface Reactor {
  readonly name: string;
  react(input: Pick<EventEnvelope, 'stream' | 'event'>): readonly Asked[];
}

export interface Asked {
  readonly to: StreamId;
  readonly intent: Intent;
}

export interface SagaRunnerOptions {
  readonly store: EventStore;
  readonly saga: Reactor;
  readonly dispatch: Dispatch;
  /** Reactions under way at once, at most. */
  readonly window?: number;
  /** Told of every reaction that a stream refused; the story goes on. */
  readonly onRefused?: (envelope: EventEnvelope, asked: Asked, refusal: Refusal) => void;
  /** Told of an event that met a bug: its story stands still until a restart takes it up again, the rest goes on. */
  readonly onParked?: (envelope: EventEnvelope, error: unknown) => void;
  /** Told when the store failed; the same is asked again after `delay` ms. */
  readonly onRetry?: (envelope: EventEnvelope, error: StoreError, delay: number) => void;
}

export interface SagaRunner {
  /** Resolves once every event that is durable by now has been answered, and what followed from that too. */
  settled(): Promise<void>;
  counters(): { readonly outstanding: number; readonly parked: number; readonly refused: number; readonly retries: number };
  /** Waits for what is under way, saves the place, ends. Idempotent. */
  stop(): Promise<void>;
}

const WINDOW = 256;
const SAVE_EVERY_EVENTS = 500;
const SAVE_EVERY_MS = 250;
const FIRST_DELAY_MS = 10;
const LONGEST_DELAY_MS = 2_000;
/** Reactions under way to events that are not durable, at most. */
const MAX_AHEAD = 4_096;
const DONE_BEFORE: Outcome = { accepted: 0 };

/** One reaction on its way to its stream. */
interface Errand {
  readonly envelope: EventEnvelope;
  readonly asked: Asked;
  readonly index: number;
  readonly taken: Taken;
  /** ms, before the next try. */
  readonly delay: number;
}

/** Starts at the saved place. Rejects when the store cannot tell it. */
export async function startSagaRunner(options: SagaRunnerOptions): Promise<SagaRunner> {
  const place = await options.store.loadCursor(cursorOf(options.saga));
  return new Runner(options, createFrontier(place), (onReady) => createLogQueue(options.store, place, onReady));
}

const cursorOf = (saga: Reactor): string => `saga-${saga.name}`;

class Runner implements SagaRunner {
  readonly #options: SagaRunnerOptions;
  readonly #frontier: Frontier;
  readonly #queue: LogQueue;
  readonly #whenQuiet = new Set<() => void>();
  /** Outcomes of reactions dispatched before their event was durable, by command id. */
  readonly #ahead = new Map<string, Promise<Outcome>>();
  readonly #deaf: () => void;
  readonly #retryTimers = new Set<ReturnType<typeof setTimeout>>();
  #underWay = 0;
  #parked = 0;
  #refused = 0;
  #retries = 0;
  #stopped = false;
  #savedAfter = 0;
  #saveTimer: ReturnType<typeof setTimeout> | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(options: SagaRunnerOptions, frontier: Frontier, openQueue: (onReady: () => void) => LogQueue) {
    this.#options = options;
    this.#deaf = options.store.onAhead?.((append) => this.#runAhead(append)) ?? (() => undefined);
    this.#frontier = frontier;
    // The queue may fill before we hold it: the first look is taken below.
    let open = false;
    this.#queue = openQueue(() => {
      if (open) this.#pump();
    });
    open = true;
    this.#pump();
  }

  #pump(): void {
    const window = this.#options.window ?? WINDOW;
    while (!this.#stopped && this.#underWay < window) {
      const envelope = this.#queue.next();
      if (envelope === undefined) return;
      this.#take(envelope);
    }
  }

  #take(envelope: EventEnvelope): void {
    const reactions = this.#reactionsTo(envelope);
    // A parked event is never finished, so the place stays before it and a restart takes it up again.
    const taken = this.#frontier.take(envelope.position, reactions?.length ?? 1);
    reactions?.forEach((asked, index) => this.#run({ envelope, asked, index, taken, delay: FIRST_DELAY_MS }));
    if (taken.left === 0) this.#saveSoon();
  }

  #reactionsTo(envelope: EventEnvelope): readonly Asked[] | undefined {
    try {
      return this.#options.saga.react(envelope);
    } catch (error) {
      this.#park(envelope, error);
      return undefined;
    }
  }

  #run(errand: Errand): void {
    this.#underWay++;
    void this.#dispatch(errand).then(
      (outcome) => this.#answered(errand, outcome),
      (error: unknown) => this.#failed(errand, error),
    );
  }

  /** Calls at once, so that intents for one stream keep the order of the log; a throw becomes a rejection. */
  async #dispatch({ envelope, asked, index }: Errand): Promise<Outcome> {
    const cause = { command_id: commandId(envelope.id, index), correlation_id: envelope.correlation_id };
    const ahead = this.#ahead.get(cause.command_id);
    if (ahead === undefined) return this.#options.dispatch(asked.to, asked.intent, cause);
    this.#ahead.delete(cause.command_id);
    const outcome = await ahead.catch(() => DONE_BEFORE);
    // Only what became durable counts: a no that was said ahead may rest on facts that never were.
    return 'accepted' in outcome && outcome.accepted > 0 ? outcome : this.#options.dispatch(asked.to, asked.intent, cause);
  }

  /**
   * What follows from an event is asked for while the event is on its way to the disk, under the ids that it will have
   * later: in one flush instead of two. The log decides all the same: what follows is not written without it, and once
   * the event is durable its reactions are looked at again.
   */
  #runAhead({ stream, events, cause, ticket, written }: AppendAhead): void {
    if (this.#stopped || this.#ahead.size >= MAX_AHEAD) return;
    const reactions = events.map((event) => this.#aheadReactionsTo({ stream, event }));
    if (reactions.every((asked) => asked.length === 0)) return;
    const ids = eventIds(cause, events.length);
    const asked = reactions.flatMap((list, at) => list.map((one, index) => ({ ...one, command_id: commandId(ids[at]!, index), correlation_id: causeAt(cause, at).correlation_id })));
    for (const { to, intent, command_id, correlation_id } of asked) {
      const outcome = this.#options.dispatch(to, intent, { command_id, correlation_id, follows: ticket });
      outcome.catch(() => undefined);
      this.#ahead.set(command_id, outcome);
    }
    written.catch(() => asked.forEach(({ command_id }) => this.#ahead.delete(command_id)));
  }

  /** A saga that throws is dealt with when the event is durable. */
  #aheadReactionsTo(told: Pick<EventEnvelope, 'stream' | 'event'>): readonly Asked[] {
    try {
      return this.#options.saga.react(told);
    } catch {
      return [];
    }
  }

  #answered({ envelope, asked, taken }: Errand, outcome: Outcome): void {
    if ('refused' in outcome) {
      this.#refused++;
      this.#options.onRefused?.(envelope, asked, outcome.refused);
    }
    this.#frontier.finishPart(taken);
    this.#saveSoon();
    this.#free();
  }

  #failed(errand: Errand, error: unknown): void {
    if (error instanceof StoreError) this.#retryLater(errand, error);
    else this.#park(errand.envelope, error);
    this.#free();
  }

  #retryLater(errand: Errand, error: StoreError): void {
    this.#retries++;
    if (this.#stopped) return;
    this.#options.onRetry?.(errand.envelope, error, errand.delay);
    const timer = setTimeout(() => {
      this.#retryTimers.delete(timer);
      this.#run({ ...errand, delay: Math.min(2 * errand.delay, LONGEST_DELAY_MS) });
    }, errand.delay);
    this.#retryTimers.add(timer);
  }

  #park(envelope: EventEnvelope, error: unknown): void {
    this.#parked++;
    this.#options.onParked?.(envelope, error);
  }

  #free(): void {
    this.#underWay--;
    this.#pump();
    if (!this.#isQuiet()) return;
    for (const tell of this.#whenQuiet) tell();
    this.#whenQuiet.clear();
  }

  /** An older place after a crash is harmless: streams drop the commands they know. */
  #saveSoon(): void {
    if (this.#frontier.passed() - this.#savedAfter >= SAVE_EVERY_EVENTS) void this.#save();
    else this.#saveTimer ??= setTimeout(() => void this.#save(), SAVE_EVERY_MS);
  }

  #save(): Promise<void> {
    clearTimeout(this.#saveTimer);
    this.#saveTimer = undefined;
    const [place, passed] = [this.#frontier.place(), this.#frontier.passed()];
    if (place === undefined || passed === this.#savedAfter) return this.#saving;
    this.#savedAfter = passed;
    const { store, saga } = this.#options;
    this.#saving = this.#saving.then(() => store.saveCursor(cursorOf(saga), place)).catch(() => undefined);
    return this.#saving;
  }

  #isQuiet(): boolean {
    return this.#underWay === 0 && this.#retryTimers.size === 0 && this.#queue.size() === 0;
  }

  async settled(): Promise<void> {
    while (!this.#stopped) {
      if (!this.#isQuiet()) await new Promise<void>((resolve) => this.#whenQuiet.add(resolve));
      const head = await this.#options.store.head();
      const received = this.#queue.received();
      if (this.#isQuiet() && (head === undefined || (received !== undefined && received >= head))) return;
      await pause();
    }
  }

  counters() {
    const outstanding = this.#underWay + this.#retryTimers.size + this.#queue.size();
    return { outstanding, parked: this.#parked, refused: this.#refused, retries: this.#retries };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#deaf();
    this.#queue.stop();
    for (const timer of this.#retryTimers) clearTimeout(timer);
    this.#retryTimers.clear();
    while (this.#underWay > 0) await pause();
    for (const tell of this.#whenQuiet) tell();
    await this.#save();
  }
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));
