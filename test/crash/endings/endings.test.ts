/** Channels that end under power cuts, in short: what `npm run test:crash` does at length. The seed is in the title; CRASH_SEED makes a plan again. */
import { describe, expect, it } from 'vitest';
import { runEndings } from './endings.ts';
import { drawStories, ENDINGS, killsOf } from './plan.ts';

const seed = process.env['CRASH_SEED'] === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(process.env['CRASH_SEED']);

describe('a plan of endings', () => {
  it('is the same for the same seed, kills exactly as often as asked, and has every ending in both formats', () => {
    expect(drawStories(1, 50)).toEqual(drawStories(1, 50));
    for (const kills of [1, 2, 5, 50]) expect(drawStories(seed, kills).flatMap(({ blows }) => blows).reduce((sum, blow) => sum + killsOf(blow), 0)).toBe(kills);
    const kinds = new Set(drawStories(seed, 60).map(({ ending, format }) => `${ending} ${format}`));
    expect(kinds.size).toBe(2 * ENDINGS.length);
  });
});

describe(`safety 03, 11, 23: channels close and resolve while their nodes are killed (CRASH_SEED=${seed})`, () => {
  it('and nothing is lost', async () => {
    const lines: string[] = [];
    const report = await runEndings({ seed, kills: 5, say: (line) => lines.push(line) });
    if (report.losses.length > 0) throw new Error(lines.join('\n'));
    expect(report).toMatchObject({ kills: 5, resolved: report.stories });
  }, 180_000);
});
