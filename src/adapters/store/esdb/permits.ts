/** A bound on how many may do something at once, first come, first served. */

export interface Permits {
  /** Resolves when there is room; call what it answers when done. */
  take(): Promise<() => void>;
}

export function createPermits(limit: number): Permits {
  const waiting: (() => void)[] = [];
  let taken = 0;
  function free(): void {
    const next = waiting.shift();
    if (next === undefined) taken -= 1;
    else next();
  }
  return {
    take() {
      if (taken >= limit) return new Promise((resolve) => waiting.push(() => resolve(free)));
      taken += 1;
      return Promise.resolve(free);
    },
  };
}
