/** Looks at the backend again and again: whether it can be believed, and what its tip is. Says so once when that changes. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChainTip } from '../../../domain/ports.ts';
import type { Backend } from './backend.ts';
import { isLasting, messageOf } from './errors.ts';

export interface PollerOptions {
  readonly backend: Backend;
  readonly pollMs: number;
  /** After each look that found a tip. */
  readonly onLook: () => Promise<void>;
  readonly onLog: (line: string) => void;
}

export interface Poller {
  /** Of the last look; undefined since the backend failed. */
  tip(): ChainTip | undefined;
  /** The first look. Waits `patienceMs` for what may pass, then rejects with it; then looks for ever. */
  start(patienceMs: number): Promise<void>;
  /** Looks now. Never rejects. */
  look(): Promise<void>;
  /** Something else of the backend failed. */
  onProblem(error: unknown): void;
  stop(): void;
}

const PATIENCE_STEP_MS = 250;
/** Looks at a backend that fails come ever later, up to this. */
const MAX_PAUSE_MS = 30_000;

export function createPoller({ backend, pollMs, onLook, onLog }: PollerOptions): Poller {
  let tip: ChainTip | undefined;
  let problem: string | undefined;
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;
  let looking: Promise<void> | undefined;
  let stopped = false;

  function onProblem(error: unknown): void {
    tip = undefined;
    failures++;
    backend.doubt();
    const told = messageOf(error);
    if (told !== problem && !stopped) onLog(`the chain backend fails: ${told}; asking again`);
    problem = told;
  }

  function recovered(now: ChainTip): void {
    if (problem !== undefined) onLog(`the chain backend is back, at block ${now.height} (${now.block_hash})`);
    problem = undefined;
    failures = 0;
  }

  async function lookOnce(): Promise<void> {
    try {
      const now = await backend.tip();
      if (stopped) return;
      tip = now;
      await onLook();
      // A follower may have failed in between.
      if (tip !== undefined) recovered(now);
    } catch (error) {
      onProblem(error);
    }
  }

  const look = (): Promise<void> => (looking ??= lookOnce().finally(() => (looking = undefined)));

  function schedule(): void {
    if (stopped) return;
    // The timer alone keeps no process alive.
    timer = setTimeout(() => void look().then(schedule), Math.min(pollMs * 2 ** Math.min(failures, 10), Math.max(pollMs, MAX_PAUSE_MS))).unref();
  }

  return {
    tip: () => tip,
    look,
    onProblem,
    async start(patienceMs) {
      for (const deadline = Date.now() + patienceMs; ; await sleep(PATIENCE_STEP_MS)) {
        try {
          tip = await backend.tip();
          recovered(tip);
          return schedule();
        } catch (error) {
          if (isLasting(error) || Date.now() >= deadline) throw error;
          onProblem(error);
        }
      }
    },
    stop() {
      stopped = true;
      tip = undefined;
      clearTimeout(timer);
    },
  };
}
