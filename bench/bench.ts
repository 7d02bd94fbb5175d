/** What a bench is, and how one measures: after warming up, for a fixed time, with every duration kept for percentiles. */

export interface Row {
  readonly what: string;
  readonly value: number;
  /** Higher is better for rates and ratios; a ratio is ours over theirs. */
  readonly unit: '/s' | 'ms' | 'x';
}

export interface Bench {
  readonly name: string;
  /** One sentence: what exactly is measured, and what is not. */
  readonly about: string;
  run(): Promise<readonly Row[]>;
}

/** Seconds that each figure is measured for; `BENCH_SECONDS=0.2` for a glance. */
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 2);

export interface Timing {
  readonly perSecond: number;
  /** Milliseconds of one run. */
  readonly p50: number;
  readonly p99: number;
}

/** Times synchronous work in runs of about a millisecond, so that the clock does not count. */
export function timeSync(work: () => unknown): Timing {
  const batch = Math.max(1, Math.round(1 / warmUp(work)));
  const durations: number[] = [];
  const end = performance.now() + SECONDS * 1000;
  for (let now = performance.now(); now < end; now = performance.now()) {
    for (let i = 0; i < batch; i += 1) work();
    durations.push((performance.now() - now) / batch);
  }
  return timingOf(durations, durations.length * batch, durations.reduce((sum, ms) => sum + ms * batch, 0));
}

/** Milliseconds of one run, once the compiler has settled. */
function warmUp(work: () => unknown): number {
  const start = performance.now();
  let runs = 0;
  while (performance.now() - start < 300 || runs < 10) {
    work();
    runs += 1;
  }
  return (performance.now() - start) / runs;
}

/** Times asynchronous work done by `writers` at once, each awaiting its own before the next. */
export async function timeAsync(writers: number, work: (writer: number) => Promise<unknown>): Promise<Timing> {
  await untilTime(writers, work, 300);
  const start = performance.now();
  const durations = await untilTime(writers, work, SECONDS * 1000);
  return timingOf(durations, durations.length, performance.now() - start);
}

async function untilTime(writers: number, work: (writer: number) => Promise<unknown>, forMs: number): Promise<number[]> {
  const end = performance.now() + forMs;
  const durations: number[] = [];
  const run = async (writer: number): Promise<void> => {
    for (let start = performance.now(); start < end; start = performance.now()) {
      await work(writer);
      durations.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, writer) => run(writer)));
  return durations;
}

function timingOf(durations: readonly number[], runs: number, elapsedMs: number): Timing {
  return { perSecond: (runs * 1000) / elapsedMs, p50: percentile(durations, 0.5), p99: percentile(durations, 0.99) };
}

/** The value below which this share of the durations lies. */
export function percentile(durations: readonly number[], share: number): number {
  const sorted = durations.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
