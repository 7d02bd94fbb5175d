/** What goes wrong in a simulated run, and when: by counting appends and messages, so that a plan means the same each time. */

export const CRASH_POINTS = ['before_append', 'before_answer', 'before_messages', 'between_messages'] as const;
/**
 * Where a node loses power at one of its appends: before it reaches the store; once it is durable, before the answer; after
 * the answer, before any message leaves; after one message has left.
 */
export type CrashPoint = (typeof CRASH_POINTS)[number];

export const STORE_FAULTS = ['lost_request', 'lost_answer', 'conflict', 'full'] as const;
/** What the store may do to a node that lives on. */
export type StoreFault = (typeof STORE_FAULTS)[number];

export type Fault =
  /** At the node's `append`-th append since the run began, over all its lives. `rewind`: its sagas begin again from the start of the log. */
  | { readonly kind: 'crash'; readonly node: string; readonly append: number; readonly point: CrashPoint; readonly rewind: boolean }
  | { readonly kind: 'store'; readonly node: string; readonly append: number; readonly fault: StoreFault }
  /** The `message`-th message of the run is lost, and its connection with it. */
  | { readonly kind: 'cut'; readonly message: number }
  /** The `message`-th message of the run, if it ends an HTLC, comes twice. */
  | { readonly kind: 'twice'; readonly message: number };

export type AppendFault = Extract<Fault, { append: number }>;
export type MessageFault = Extract<Fault, { message: number }>;

/** Counts, and says what goes wrong now. */
export class FaultPlan {
  readonly #faults: readonly Fault[];
  readonly #appends = new Map<string, number>();
  #messages = 0;

  constructor(faults: readonly Fault[]) {
    this.#faults = faults;
  }

  onAppend(node: string): AppendFault | undefined {
    const count = this.appends(node) + 1;
    this.#appends.set(node, count);
    return this.#faults.find((fault): fault is AppendFault => 'append' in fault && fault.node === node && fault.append === count);
  }

  onMessage(): MessageFault | undefined {
    this.#messages++;
    return this.#faults.find((fault): fault is MessageFault => 'message' in fault && fault.message === this.#messages);
  }

  /** Of one node so far. */
  appends(node: string): number {
    return this.#appends.get(node) ?? 0;
  }

  messages(): number {
    return this.#messages;
  }
}

/** A small seeded generator (mulberry32): whole numbers from 0 to `below` - 1. */
export function seeded(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
