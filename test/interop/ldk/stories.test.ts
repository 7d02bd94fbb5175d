/** LDK as a real peer, in short: `npm run interop:ldk` tells all the stories. Skipped, with the reason, where there is no litecoind or no LDK. */
import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLitecoind } from '../../support/litecoind.ts';
import { fewStories, startWorld } from './stories.ts';
import { whyNoLdk } from './wasm.ts';
import type { World } from './world.ts';

const missing = whyNoLitecoind() ?? whyNoLdk();
if (missing !== undefined) console.warn(`the stories with LDK are skipped: ${missing}`);

describe.skipIf(missing !== undefined)('with LDK', () => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld();
  }, 60_000);
  afterAll(() => world?.stop());

  const seed = Number(process.env['INTEROP_SEED'] ?? randomInt(1_000_000));
  it.each(fewStories({ seed }))(`$name, seed ${seed}`, async ({ tell }) => expect(await tell(world)).toBeInstanceOf(Array), 120_000);
});
