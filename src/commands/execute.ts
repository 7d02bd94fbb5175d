/** One turn of a quiet stream: load, gather, decide, append, evolve; one at a time per stream, again when another was first. */
import type { Hex32 } from '../bolt/primitives.ts';
import type { Decider } from '../domain/decider.ts';
import type { Event } from '../events/registry.ts';
import { OutcomeUnknown, RevisionConflict, type Attachment, type Cause, type EventStore, type StreamId } from '../events/store.ts';
import type { Outcome } from './dispatch.ts';

export interface Gathered<C> {
  readonly command: C;
  /** Saved in the same append as the facts that name them. */
  readonly attachments?: readonly Attachment[];
}

/** The rules of a kind of stream, and how an intent becomes a command for them. */
export interface StreamFamily<S, C, E extends Event, I> {
  readonly decider: Decider<S, C, E>;
  /** Facts of the world that the rules need. May be asked again for the same intent. */
  gather(intent: I, state: S, stream: StreamId): Gathered<C> | Promise<Gathered<C>>;
}

/** Called when a stream's state is known anew: its events are durable. May be called twice with the same. */
export type ChangeListener<S> = (stream: StreamId, state: S) => void;

export interface ExecuteOptions {
  /** The caller has just drawn the command_id: no event can bear it yet, and the stream is probably new. Spares one read. */
  readonly fresh?: boolean;
}

export interface Executor<S, I> {
  /** Idempotent by command_id. Turns of one stream follow the order of the calls. Rejects only when the store failed, or with a bug. */
  execute(stream: StreamId, intent: I, cause: Cause, options?: ExecuteOptions): Promise<Outcome>;
  /** The state after the turns asked for so far. */
  state(stream: StreamId): Promise<S>;
  /** Answers how to stop. */
  onChanged(listener: ChangeListener<S>): () => void;
}

export interface ExecutorOptions {
  readonly store: EventStore;
  /** States kept in memory, of streams that rest; the log has them all. */
  readonly cached?: number;
}

interface Loaded<S> {
  readonly state: S;
  readonly revision: bigint | 'none';
  /** Commands that are events of this stream by now. */
  readonly seen: Set<Hex32>;
}

interface Slot<S> {
  /** Absent: to be read from the log. */
  loaded?: Loaded<S> | undefined;
  tail: Promise<unknown>;
  pending: number;
}

const CACHED = 10_000;
/** A conflict means that someone else wrote to the stream; so often in a row it is no accident. */
const MAX_TRIES = 8;

export function createExecutor<S, C, E extends Event, I>(family: StreamFamily<S, C, E, I>, { store, cached = CACHED }: ExecutorOptions): Executor<S, I> {
  const slots = new Map<StreamId, Slot<S>>();
  const listeners = new Set<ChangeListener<S>>();
  const { decider } = family;
  const unread = (): Loaded<S> => ({ state: decider.initial, revision: 'none', seen: new Set() });

  async function load(stream: StreamId): Promise<Loaded<S>> {
    let { state, revision } = unread();
    const seen = new Set<Hex32>();
    for await (const envelope of store.read(stream)) {
      state = decider.evolve(state, envelope.event as E);
      revision = envelope.revision;
      seen.add(envelope.causation_id);
    }
    // What a lost answer or another writer left behind is news all the same.
    tell(stream, state);
    return { state, revision, seen };
  }

  const tell = (stream: StreamId, state: S): void => listeners.forEach((listener) => listener(stream, state));

  async function turn(slot: Slot<S>, stream: StreamId, intent: I, cause: Cause): Promise<Outcome> {
    for (let tries = 1; ; tries++) {
      slot.loaded ??= await load(stream);
      try {
        return await attempt(slot, slot.loaded, stream, intent, cause);
      } catch (error) {
        // Not durable for sure, or perhaps durable: either way the log knows better than we do.
        slot.loaded = undefined;
        const again = error instanceof RevisionConflict || error instanceof OutcomeUnknown;
        if (!again || tries === MAX_TRIES) throw error;
      }
    }
  }

  async function attempt(slot: Slot<S>, { state, revision, seen }: Loaded<S>, stream: StreamId, intent: I, cause: Cause): Promise<Outcome> {
    if (seen.has(cause.command_id)) return { accepted: 0 };
    const asked = family.gather(intent, state, stream);
    const { command, attachments } = asked instanceof Promise ? await asked : asked;
    const decision = decider.decide(command, state);
    if ('refused' in decision) return decision;
    const events = decision.accepted;
    if (events.length === 0) return { accepted: 0 };
    const written = await store.append(stream, revision, events, cause, attachments);
    // Durable from here.
    const after = events.reduce((current, event) => decider.evolve(current, event), state);
    seen.add(cause.command_id);
    slot.loaded = { state: after, revision: written, seen };
    tell(stream, after);
    return { accepted: events.length };
  }

  function slotOf(stream: StreamId, fresh: boolean): Slot<S> {
    const known = slots.get(stream);
    const slot: Slot<S> = known ?? { tail: Promise.resolve(), pending: 0, ...(fresh ? { loaded: unread() } : {}) };
    if (known !== undefined) slots.delete(stream);
    slots.set(stream, slot);
    return slot;
  }

  /** Runs after what was asked of the stream before; nothing is awaited before it stands in the queue. */
  function enqueue<T>(stream: StreamId, fresh: boolean, work: (slot: Slot<S>) => Promise<T>): Promise<T> {
    const slot = slotOf(stream, fresh);
    const result = slot.pending++ === 0 ? work(slot) : slot.tail.then(() => work(slot));
    slot.tail = result.then(release, release);
    return result;

    function release(): void {
      slot.pending--;
      if (slots.size > cached) evict();
    }
  }

  /** Forgets the streams that rested longest. */
  function evict(): void {
    for (const [stream, slot] of slots) {
      if (slots.size <= cached) return;
      if (slot.pending === 0) slots.delete(stream);
    }
  }

  return {
    execute: (stream, intent, cause, { fresh = false } = {}) => enqueue(stream, fresh, (slot) => turn(slot, stream, intent, cause)),
    state: (stream) => enqueue(stream, false, async (slot) => (slot.loaded ??= await load(stream)).state),
    onChanged(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
