/** Power cuts in short: what `npm run test:crash` does at length. The seed is in each title; CRASH_SEED makes a plan again. */
import { describe, expect, it } from 'vitest';
import { runCrashes, type CrashOptions, type CrashReport } from './crashes.ts';
import { drawPlan, killsOf } from './plan.ts';

const seed = process.env['CRASH_SEED'] === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(process.env['CRASH_SEED']);
const LONG = 180_000;

describe('a plan', () => {
  it('is the same for the same seed, and kills exactly as often as asked', () => {
    expect(drawPlan(1, 100, 4)).toEqual(drawPlan(1, 100, 4));
    expect(drawPlan(1, 100)).not.toEqual(drawPlan(2, 100));
    for (const kills of [1, 2, 3, 10, 100]) expect(drawPlan(seed, kills).reduce((sum, step) => sum + killsOf(step), 0)).toBe(kills);
    expect(drawPlan(seed, 30, 4).filter(({ kind }) => kind === 'server')).toHaveLength(4);
  });
});

describe(`safety 23, 28: a line of four nodes that pay while they are killed (CRASH_SEED=${seed})`, () => {
  it('loses nothing on SQLite, nor on torn files', async () => {
    const report = await crash({ kills: 8, store: 'sqlite', tearEvery: 5 });
    expect(report.torn.whole + report.torn.shorter + report.torn.refused).toBeGreaterThan(0);
    expect(report.torn.refused).toBeGreaterThan(0);
  }, LONG);

  it('loses nothing on an event database that is killed, too', async () => {
    await crash({ kills: 2, serverKills: 1, store: 'server' });
  }, LONG);
});

async function crash(options: Omit<CrashOptions, 'seed'>): Promise<CrashReport> {
  const lines: string[] = [];
  const report = await runCrashes({ seed, ...options, say: (line) => lines.push(line) });
  if (report.losses.length > 0) throw new Error(lines.join('\n'));
  expect(report).toMatchObject({ kills: options.kills, serverKills: options.serverKills ?? 0 });
  expect(report.succeeded).toBeGreaterThan(0);
  return report;
}
