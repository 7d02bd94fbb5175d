/** Waits that end: for a condition, with a sentence about what is still missing when time is up. */

/** Something of the playground did not come out as it had to; `code` is stable, the message has both values. */
export class PlaygroundError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'PlaygroundError';
    this.code = code;
  }
}

export interface WaitOptions {
  /** 20 s unless told. */
  readonly timeoutMs?: number;
  readonly everyMs?: number;
}

/** What is missing, as sentences; nothing when all is there. */
export type Missing = readonly string[];

/** Resolves when nothing is missing any more. Throws PlaygroundError `timeout` that names the rest. */
export async function until(what: string, missing: () => Missing | Promise<Missing>, { timeoutMs = 20_000, everyMs = 10 }: WaitOptions = {}): Promise<void> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const rest = await missing();
    if (rest.length === 0) return;
    if (performance.now() > end) throw timedOut(what, timeoutMs, rest);
    await sleep(everyMs);
  }
}

/** The promise's value, if it comes in time. Throws PlaygroundError `timeout`. */
export async function within<T>(what: string, promise: Promise<T>, timeoutMs = 20_000): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(timedOut(what, timeoutMs, ['an answer'])), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

const timedOut = (what: string, timeoutMs: number, rest: Missing): PlaygroundError =>
  new PlaygroundError('timeout', `${what}: expected within ${timeoutMs / 1000} s, still missing: ${rest.slice(0, 6).join('; ')}`);

export const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Throws PlaygroundError unless both values are equal. */
export function mustBe<T extends string | number | bigint | boolean>(what: string, expected: T, got: T): void {
  if (expected !== got) throw new PlaygroundError('unexpected_value', `${what}: expected ${expected}, got ${got}`);
}
