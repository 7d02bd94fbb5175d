/** Power cuts while channels close and resolve: story after story, until so many nodes were killed; and what was lost. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chooseCryptoBackend } from '../../../src/bolt/crypto-native.ts';
import { Losses, RunBroken, type Loss } from '../losses.ts';
import { compileProgram } from '../program.ts';
import { judge } from './laws.ts';
import { drawStories, nameOf, type Story } from './plan.ts';
import { Telling, type TellingOptions } from './story.ts';

export interface EndingsOptions {
  readonly seed: number;
  readonly kills: number;
  /** One story of the plan alone. */
  readonly only?: number | undefined;
  readonly say?: (line: string) => void;
}

export interface EndingsReport {
  readonly kills: number;
  /** Channels that came to their end. */
  readonly resolved: number;
  readonly stories: number;
  /** Claims that were paid for better. */
  readonly replaced: number;
  readonly events: number;
  readonly signatures: number;
  readonly losses: readonly Loss[];
  /** Kept when something was lost. */
  readonly folder: string | undefined;
}

/** Tells the stories of a seed. One that breaks does not hold up the others. */
export async function runEndings({ seed, kills, only, say = () => undefined }: EndingsOptions): Promise<EndingsReport> {
  await chooseCryptoBackend();
  const program = compileProgram();
  const folder = mkdtempSync(join(tmpdir(), 'fulgurite-endings-'));
  const losses = new Losses(({ kind, what }) => say(`  LOST (${kind}): ${what}`));
  const sum = { kills: 0, resolved: 0, stories: 0, replaced: 0, events: 0, signatures: 0 };
  try {
    for (const story of drawStories(seed, kills)) {
      if (only !== undefined && story.number !== only) continue;
      sum.stories += 1;
      say(`story ${story.number}: ${nameOf(story)}`);
      await tell(story, { folder: join(folder, String(story.number)), program, losses, say, onKill: (count) => void (sum.kills += count) });
    }
  } finally {
    program.remove();
    if (losses.found.length === 0) rmSync(folder, { recursive: true, force: true });
  }
  return { ...sum, losses: losses.found, folder: losses.found.length === 0 ? undefined : folder };

  async function tell(story: Story, options: TellingOptions): Promise<void> {
    const telling = new Telling(story, options);
    const started = performance.now();
    const before = losses.found.length;
    try {
      const { events, signatures, replaced, followers } = await judge(story, await telling.tell(), losses);
      sum.resolved += 1;
      sum.events += events;
      sum.signatures += signatures;
      sum.replaced += replaced;
      const found = losses.found.length - before;
      say(`  resolved: ${followers} transactions after the end, ${replaced} claims replaced, ${events} events and ${signatures} signatures audited, ${Math.round((performance.now() - started) / 1000)} s: ${found === 0 ? 'clean' : `${found} losses`}`);
    } catch (error) {
      if (!(error instanceof RunBroken)) losses.add('resumed', `${nameOf(story)}: ${(error as Error).stack ?? String(error)}`);
    } finally {
      await telling.stage.destroy();
    }
  }
}
