/**
 * `npm run interop:ldk`: every story with LDK, one after the other on one litecoind, each with its balances. Ends with
 * `stories: N passed, N failed`; exit code 0 when all went well. `INTEROP_ONLY=<regular expression>` tells some,
 * `INTEROP_PAYMENTS` says how many make a thousand, `INTEROP_SEED` repeats the restarts of an earlier telling, `LDK_LOG=1` lets LDK speak.
 */
import { randomInt } from 'node:crypto';
import { whyNoLitecoind } from '../../support/litecoind.ts';
import { allStories, startWorld } from './stories.ts';
import type { Story } from './story.ts';
import { whyNoLdk } from './wasm.ts';
import type { World } from './world.ts';

const missing = [whyNoLitecoind(), whyNoLdk()].filter((why) => why !== undefined);
if (missing.length > 0) {
  console.error(`the stories with LDK cannot be told: ${missing.join('; ')}`);
  process.exitCode = 1;
} else {
  const wanted = new RegExp(process.env['INTEROP_ONLY'] ?? '');
  const seed = Number(process.env['INTEROP_SEED'] ?? randomInt(1_000_000));
  console.log(`seed ${seed}`);
  await tellAll(allStories({ payments: Number(process.env['INTEROP_PAYMENTS'] ?? 1000), seed }).filter(({ name }) => wanted.test(name)));
}

async function tellAll(stories: readonly Story[]): Promise<void> {
  const world = await startWorld();
  let failed = 0;
  for (const story of stories) failed += (await tellOne(story, world)) ? 0 : 1;
  await world.stop();
  console.log(`stories: ${stories.length - failed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

async function tellOne({ name, tell }: Story, world: World): Promise<boolean> {
  const started = performance.now();
  const seconds = () => ((performance.now() - started) / 1000).toFixed(1);
  try {
    const tale = await tell(world);
    console.log([`✓ ${name}, ${seconds()} s`, ...tale].join('\n    '));
    return true;
  } catch (error) {
    console.log([`✗ ${name}, ${seconds()} s`, (error as Error).stack ?? String(error), ...world.nodes.log.slice(-8)].join('\n    '));
    return false;
  }
}
