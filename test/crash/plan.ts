/** Which process dies when: a plan drawn from a seed, so that a run can be made again as far as clocks allow. */
import { FUSE_POINTS, type Fuse } from '../support/doomed-store.ts';

/** A line of three hops, from its left end to its right. */
export const NAMES = ['alice', 'bob', 'carol', 'dave'] as const;
export type Name = (typeof NAMES)[number];

export type Step =
  /** All of these at one moment, so long after the line was whole. */
  | { readonly kind: 'moment'; readonly victims: readonly Name[]; readonly afterMs: number }
  /** At one of its next appends. */
  | { readonly kind: 'append'; readonly victim: Name; readonly fuse: Fuse }
  /** Killed, and killed again while it wakes up: so long after it was started, or at one of its first appends. */
  | { readonly kind: 'waking'; readonly victim: Name; readonly again: { readonly afterMs: number } | { readonly fuse: Fuse } }
  /** The event database itself, and for how long it is away. */
  | { readonly kind: 'server'; readonly afterMs: number; readonly awayMs: number };

/** A whole number from 0 to `below` - 1. */
export type Chance = (below: number) => number;

/** mulberry32: 32 bits of state are plenty here. */
export function seededChance(seed: number): Chance {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

export const pick = <T>(chance: Chance, among: readonly T[]): T => among[chance(among.length)]!;

/** Processes that a step kills; the server counts by itself. */
export function killsOf(step: Step): number {
  if (step.kind === 'moment') return step.victims.length;
  return step.kind === 'waking' ? 2 : step.kind === 'append' ? 1 : 0;
}

/** Steps that kill exactly so many nodes; `servers` of them kill the event database. */
export function drawPlan(seed: number, kills: number, servers = 0): readonly Step[] {
  const chance = seededChance(seed);
  const steps: Step[] = [];
  for (let left = kills; left > 0; left -= killsOf(steps.at(-1)!)) steps.push(drawStep(chance, left));
  for (let i = 0; i < servers; i += 1) {
    // Never first: every node has something to lose by then.
    steps.splice(1 + chance(steps.length), 0, { kind: 'server', afterMs: chance(800), awayMs: 50 + chance(2_000) });
  }
  return steps;
}

function drawStep(chance: Chance, left: number): Step {
  const victim = pick(chance, NAMES);
  switch (chance(10)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return { kind: 'append', victim, fuse: drawFuse(chance, 40) };
    case 4:
      if (left < 2) break;
      return { kind: 'waking', victim, again: chance(2) === 0 ? { afterMs: 300 + chance(900) } : { fuse: drawFuse(chance, 4) } };
    case 5:
    case 6:
      if (left < 2) break;
      return { kind: 'moment', victims: pick(chance, NEIGHBOURS), afterMs: chance(700) };
    case 7:
      if (left < NAMES.length || chance(2) === 0) break;
      return { kind: 'moment', victims: NAMES, afterMs: chance(700) };
  }
  return { kind: 'moment', victims: [victim], afterMs: chance(700) };
}

const drawFuse = (chance: Chance, most: number): Fuse => ({ appends: 1 + chance(most), point: pick(chance, FUSE_POINTS) });

/** Both ends of each channel. */
const NEIGHBOURS: readonly (readonly Name[])[] = NAMES.slice(1).map((name, index) => [NAMES[index]!, name]);

/** A step in a line of progress. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'moment':
      return `${step.victims.join(', ')} after ${step.afterMs} ms`;
    case 'append':
      return `${step.victim} at append ${step.fuse.appends}, ${step.fuse.point}`;
    case 'waking':
      return `${step.victim}, and again ${'fuse' in step.again ? `at its append ${step.again.fuse.appends}, ${step.again.fuse.point}` : `${step.again.afterMs} ms into its start`}`;
    case 'server':
      return `the event database after ${step.afterMs} ms, for ${step.awayMs} ms`;
  }
}
