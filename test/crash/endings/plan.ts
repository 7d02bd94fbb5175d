/** How a channel ends while its nodes are killed: stories drawn from a seed, each with its blows. */
import type { CommitmentFormat } from '../../../src/bolt/03-transactions/fees.ts';
import { FUSE_POINTS, type Fuse } from '../../support/doomed-store.ts';
import { FORMATS } from '../../support/onchain/matrix.ts';
import type { Side } from '../../support/onchain/books.ts';
import { pick, seededChance, type Chance } from '../plan.ts';

export const SIDES = ['ours', 'theirs'] as const satisfies readonly Side[];
/** Both ends of the channel, and whoever pays through ours. */
export const CAST = [...SIDES, 'payer'] as const;
export type Who = (typeof CAST)[number];

export const ENDINGS = ['closing_complete', 'closing_signed', 'force close', 'both force close', 'theft', 'relay'] as const;
export type Ending = (typeof ENDINGS)[number];

/** What the chain does while the dead are dead. */
export interface Meanwhile {
  /** Blocks that come, after a reorganisation on top of as many as were taken off. */
  readonly blocks: number;
  /** Blocks that are taken off; as many come again. */
  readonly depth: number;
  /** Whether what was in them is forgotten, and has to be sent again. */
  readonly forgets: boolean;
}

export type Blow = { readonly meanwhile: Meanwhile } & (
  /** All of these, so long after something began. */
  | { readonly kind: 'moment'; readonly victims: readonly Who[]; readonly afterMs: number }
  | { readonly kind: 'append'; readonly victim: Who; readonly fuse: Fuse }
  /** Killed, and again at one of the first appends of its next life. */
  | { readonly kind: 'waking'; readonly victim: Who; readonly fuse: Fuse }
);

export interface Story {
  readonly number: number;
  readonly ending: Ending;
  readonly format: CommitmentFormat;
  readonly opener: Side;
  /** Who wishes the end. */
  readonly closer: Side;
  readonly blows: readonly Blow[];
  /** For the weather. */
  readonly seed: number;
}

export const killsOf = (blow: Blow): number => (blow.kind === 'moment' ? blow.victims.length : blow.kind === 'waking' ? 2 : 1);

export const nameOf = ({ ending, format, opener, closer }: Story): string =>
  `${ending}, ${format === 'static_remotekey' ? format : 'anchors'}, opened by ${opener}${ending === 'theft' ? '' : `, closed by ${closer}`}`;

/** Kills in one story: fewer leave no room, more come when all is over. */
const PER_STORY = 5;

/** Stories that kill exactly so often; every ending in both formats, round after round. */
export function drawStories(seed: number, kills: number): readonly Story[] {
  const chance = seededChance(seed);
  const stories: Story[] = [];
  const first = chance(ENDINGS.length);
  for (let left = kills; left > 0; ) {
    const number = stories.length;
    const ending = ENDINGS[(first + number) % ENDINGS.length]!;
    const blows = drawBlows(chance, Math.min(left, PER_STORY), VICTIMS[ending] ?? SIDES);
    left -= blows.reduce((sum, blow) => sum + killsOf(blow), 0);
    const format = FORMATS[(number + Math.floor(number / ENDINGS.length)) % FORMATS.length]!;
    stories.push({ number, ending, format, opener: pick(chance, SIDES), closer: pick(chance, SIDES), blows, seed: chance(2 ** 31) });
  }
  return stories;
}

/** A thief is off; and who relays has most to lose. */
const VICTIMS: Partial<Record<Ending, readonly Who[]>> = { theft: ['ours'], relay: ['ours', 'ours', 'theirs', 'payer'] };

function drawBlows(chance: Chance, kills: number, victims: readonly Who[]): readonly Blow[] {
  const blows: Blow[] = [];
  for (let left = kills; left > 0; left -= killsOf(blows.at(-1)!)) blows.push(drawBlow(chance, left, victims));
  return blows;
}

function drawBlow(chance: Chance, left: number, victims: readonly Who[]): Blow {
  const victim = pick(chance, victims);
  const depth = chance(3) === 0 ? 1 + chance(5) : 0;
  const meanwhile = { blocks: chance(3), depth, forgets: chance(2) === 0 };
  const fuse = (most: number): Fuse => ({ appends: 1 + chance(most), point: pick(chance, FUSE_POINTS) });
  switch (chance(8)) {
    case 0:
    case 1:
    case 2:
      return { kind: 'append', victim, fuse: fuse(5), meanwhile };
    case 3:
    case 4:
      if (left >= 2) return { kind: 'waking', victim, fuse: fuse(3), meanwhile };
      break;
    case 5:
      if (left >= new Set(victims).size) return { kind: 'moment', victims: [...new Set(victims)], afterMs: chance(150), meanwhile };
      break;
  }
  return { kind: 'moment', victims: [victim], afterMs: chance(150), meanwhile };
}

/** A blow in a line of progress. */
export function describeBlow(blow: Blow): string {
  const { blocks, depth, forgets } = blow.meanwhile;
  const chain = [depth > 0 ? `${depth} blocks redone${forgets ? ' and forgotten' : ''}` : '', blocks > 0 ? `${blocks} blocks missed` : ''].filter((words) => words !== '');
  return [describeDeath(blow), ...chain].join('; ');
}

function describeDeath(blow: Blow): string {
  switch (blow.kind) {
    case 'moment':
      return `${blow.victims.join(' and ')} after ${blow.afterMs} ms`;
    case 'append':
      return `${blow.victim} at append ${blow.fuse.appends}, ${blow.fuse.point}`;
    case 'waking':
      return `${blow.victim}, and again at append ${blow.fuse.appends}, ${blow.fuse.point}`;
  }
}
