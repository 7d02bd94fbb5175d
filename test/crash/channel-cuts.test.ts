/** Power cuts while a channel opens and while it closes: at each append of either end, one after the other. No coin is lost, and no end is left alone with money in a channel. */
import { describe, expect, it } from 'vitest';
import { COIN, CUT_POINTS, FUNDING, Pair, PAIR, type Cut } from './pair.ts';

const LONG = 180_000;
/** What two transactions may cost together, sat. */
const FEES = 10_000n;

interface Story {
  /** What happens before anything is cut. */
  prepare(pair: Pair): Promise<void>;
  begin(pair: Pair): Promise<void>;
  /** How it ends when nothing disturbs it: both ends alike. */
  readonly end: string;
  check(pair: Pair): Promise<void>;
}

const opening: Story = {
  prepare: async () => undefined,
  begin: (pair) => pair.open(),
  end: 'normal',
  async check(pair) {
    const { alice, bob } = pair.ends();
    // Who accepted and has signed waits for a transaction that never comes, or closes in vain; nothing of its own is in it.
    if (alice !== bob) expect({ alice, bob: ['opening', 'resolving'].includes(bob) }).toEqual({ alice: 'none', bob: true });
    const spent = COIN - (await pair.wealth());
    if (alice === 'none') expect(spent).toBe(0n);
    else expect({ alice, fees: spent - FUNDING.funding_satoshis < FEES }).toEqual({ alice: 'normal', fees: true });
  },
};

const closing: Story = {
  async prepare(pair) {
    await pair.open();
    await pair.confirm();
  },
  begin: (pair) => pair.close(),
  end: 'closed',
  async check(pair) {
    const { alice, bob } = pair.ends();
    expect(bob).toBe(alice);
    // A wish that died with its node before it was durable was never heard.
    expect(['closed', 'normal']).toContain(alice);
    const spent = COIN - (await pair.wealth());
    if (alice === 'closed') expect(spent < FEES, `${spent} sat of fees`).toBe(true);
  },
};

describe.each([['opens', opening], ['closes', closing]] as const)('safety 20: a channel %s and the power is cut', (_what, story) => {
  it.each(PAIR)('at any append of %s', async (victim) => {
    const appends = await countAppends(story, victim);
    expect(appends).toBeGreaterThan(4);
    const found = new Map<string, number>();
    for (let append = 1; append <= appends; append += 1) {
      for (const point of CUT_POINTS) {
        const end = await cutStory(story, { victim, append, point });
        found.set(end, (found.get(end) ?? 0) + 1);
      }
    }
    console.log(`cut at ${victim}: ${[...found].map(([end, count]) => `${count} x ${end}`).join('; ')}`);
    expect([...found.keys()]).toContain(`alice ${story.end}, bob ${story.end}`);
  }, LONG);
});

/** The story without a cut. */
async function countAppends(story: Story, victim: Cut['victim']): Promise<number> {
  const pair = await Pair.start();
  try {
    await story.prepare(pair);
    pair.count();
    await story.begin(pair);
    await pair.confirm();
    expect(pair.ends()).toEqual({ alice: story.end, bob: story.end });
    await story.check(pair);
    return pair.counted[victim];
  } finally {
    await pair.stop();
  }
}

/** Answers how it ended. */
async function cutStory(story: Story, cut: Cut): Promise<string> {
  const pair = await Pair.start(cut);
  try {
    await story.prepare(pair);
    pair.count();
    await story.begin(pair);
    await pair.untilCut();
    await pair.restart(cut.victim);
    await pair.confirm();
    await story.check(pair);
    const { alice, bob } = pair.ends();
    return `alice ${alice}, bob ${bob}`;
  } catch (error) {
    throw new Error(`${cut.victim} ${cut.point} its append ${cut.append}: ${(error as Error).message}\n${pair.log.join('\n')}`, { cause: error });
  } finally {
    await pair.stop();
  }
}
