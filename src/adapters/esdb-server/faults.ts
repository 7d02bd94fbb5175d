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
}

export function createFaults(): Faults {
  let thawed: { promise: Promise<void>; resolve: () => void } | undefined;
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
    gate: () => thawed?.promise ?? Promise.resolve(),
  };
}
