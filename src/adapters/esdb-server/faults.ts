/** A server that misbehaves on purpose: frozen as by SIGSTOP, or losing requests and answers. For tests; a healthy one has no faults set. */

/** What happens to one append. */
export type Fate =
  | 'normal'
  /** Never executed; the connection breaks. */
  | 'lost_request'
  /** Executed and durable; the connection breaks before the answer. */
  | 'lost_answer';

export interface Faults {
  /** Asked once for each append, in order. */
  fate: (stream: string) => Fate;
  /** Takes requests and answers none, until thaw. */
  freeze(): void;
  thaw(): void;
  readonly frozen: boolean;
  /** Resolves at once, or when the server is thawed. */
  gate(): Promise<void>;
  /** Ends every subscription, as EventStoreDB does to readers that are too slow. */
  dropSubscriptions(): void;
  /** Called by each subscription with how to drop it; answers how to leave. */
  onDrop(drop: () => void): () => void;
}

export function createFaults(): Faults {
  let thawed: { promise: Promise<void>; resolve: () => void } | undefined;
  const subscriptions = new Set<() => void>();
  return {
    fate: () => 'normal',
    get frozen() {
      return thawed !== undefined;
    },
    freeze() {
      if (thawed !== undefined) return;
      let resolve!: () => void;
      const promise = new Promise<void>((done) => (resolve = done));
      thawed = { promise, resolve };
    },
    thaw() {
      thawed?.resolve();
      thawed = undefined;
    },
    dropSubscriptions: () => subscriptions.forEach((drop) => drop()),
    onDrop(drop) {
      subscriptions.add(drop);
      return () => void subscriptions.delete(drop);
    },
    gate: () => thawed?.promise ?? Promise.resolve(),
  };
}
