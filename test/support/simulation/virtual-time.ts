/** Time that passes only when told: every timer of the process stands in one queue, so that a run is the same each time it is made. */

export interface VirtualTime {
  /** Milliseconds since the time was installed. */
  now(): number;
  /** Fires timers in their order until none is left but those of daemons (`unref`). Throws when `limit` of them do not suffice. */
  rest(limit?: number): Promise<void>;
  /** Forgets every timer and stands at `now` ms: another run begins. */
  restart(now: number): void;
  /** The real timers again. */
  uninstall(): void;
}

class VirtualTimer {
  readonly callback: () => void;
  readonly period: number | undefined;
  at: number;
  order: number;
  daemon = false;

  constructor(callback: () => void, at: number, order: number, period?: number) {
    this.callback = callback;
    this.at = at;
    this.order = order;
    this.period = period;
  }

  ref(): this {
    this.daemon = false;
    return this;
  }

  unref(): this {
    this.daemon = true;
    return this;
  }
}

const NAMES = ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate', 'clearImmediate'] as const;

/** From here on nothing in this process happens by itself: promises still settle, timers wait for `rest`. */
export function installVirtualTime(): VirtualTime {
  const real = Object.fromEntries(NAMES.map((name) => [name, globalThis[name]]));
  const letPromisesSettle = (): Promise<void> => new Promise((resolve) => void (real['setImmediate'] as typeof setImmediate)(resolve));
  const timers = new Set<VirtualTimer>();
  let [now, made] = [0, 0];

  const add = (callback: () => void, delay: number, period?: number): VirtualTimer => {
    const timer = new VirtualTimer(callback, now + delay, made++, period);
    timers.add(timer);
    return timer;
  };
  const remove = (timer: VirtualTimer | undefined): void => void (timer !== undefined && timers.delete(timer));
  const atLeast1 = (delay: number | undefined): number => Math.max(1, Math.floor(delay ?? 0));
  Object.assign(globalThis, {
    setTimeout: (callback: (...given: unknown[]) => void, delay?: number, ...given: unknown[]) => add(() => callback(...given), atLeast1(delay)),
    setInterval: (callback: () => void, delay?: number) => add(callback, atLeast1(delay), atLeast1(delay)),
    setImmediate: (callback: (...given: unknown[]) => void, ...given: unknown[]) => add(() => callback(...given), 0),
    clearTimeout: remove,
    clearInterval: remove,
    clearImmediate: remove,
  });

  function next(): VirtualTimer | undefined {
    let [first, busy]: [VirtualTimer | undefined, boolean] = [undefined, false];
    for (const timer of timers) {
      busy ||= !timer.daemon;
      if (first === undefined || timer.at < first.at || (timer.at === first.at && timer.order < first.order)) first = timer;
    }
    return busy ? first : undefined;
  }

  function fire(timer: VirtualTimer): void {
    now = Math.max(now, timer.at);
    if (timer.period === undefined) timers.delete(timer);
    else [timer.at, timer.order] = [now + timer.period, made++];
    timer.callback();
  }

  return {
    now: () => now,
    async rest(limit = 200_000) {
      await letPromisesSettle();
      for (let fired = 0; ; fired++) {
        const timer = next();
        if (timer === undefined) return;
        if (fired === limit) throw new Error(`the world does not come to rest: ${limit} timers fired, virtual time ${now} ms`);
        fire(timer);
        await letPromisesSettle();
      }
    },
    restart(at) {
      timers.clear();
      [now, made] = [at, 0];
    },
    uninstall: () => void Object.assign(globalThis, real),
  };
}

/** Resolves after so many milliseconds of whatever time is installed; 0: in the next turn. */
export const after = (ms: number): Promise<void> =>
  new Promise((resolve) => void (ms === 0 ? setImmediate(resolve) : setTimeout(resolve, ms)));
