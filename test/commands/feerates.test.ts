/** One source of feerates: what the chain says, as far as it can be believed, and what is said about the rest. */
import { expect, it } from 'vitest';
import { createFeerates } from '../../src/commands/feerates.ts';

function source(answer: (blocks: number) => number) {
  const log: string[] = [];
  const world = { answer };
  const feerates = createFeerates({ chain: { estimateFeerate: async (blocks) => world.answer(blocks) }, ceiling_per_kw: 250_000, log: (line) => log.push(line) });
  return { feerates, world, log };
}
const down = (): never => { throw new Error('the daemon is down'); };

it('asks for 2, 6 and 144 blocks', async () => {
  const { feerates, log } = source((blocks) => 10_000 - blocks * 10);
  await feerates.start();
  expect(feerates.current).toEqual({ urgent: 9_980, normal: 9_940, economic: 8_560 });
  expect(log).toEqual([]);
});

it('a chain that is down or talks nonsense leaves what was good, says so once, and says when it is over', async () => {
  const { feerates, world, log } = source(() => 2_000);
  await feerates.start();
  for (const answer of [down, () => NaN, () => -1]) {
    world.answer = answer;
    for (let looks = 0; looks < 2; looks++) await feerates.refresh();
    expect(feerates.current).toEqual({ urgent: 2_000, normal: 2_000, economic: 2_000 });
  }
  expect(feerates.trouble).toContain('urgent: estimate_is_nonsense: expected a feerate above 0, got -1');
  world.answer = () => 3_000;
  await feerates.refresh();
  expect(feerates.trouble).toBeUndefined();
  expect(feerates.current.urgent).toBe(3_000);
  expect(log).toHaveLength(4);
  expect(log[0]).toBe('fee estimates: the last good ones stay: urgent: the daemon is down; normal: the daemon is down; economic: the daemon is down');
  expect(log.at(-1)).toBe('fee estimates are good again');
});

it('one target that fails leans on the others', async () => {
  const { feerates } = source((blocks) => (blocks === 2 ? down() : 1_500));
  await feerates.start();
  expect(feerates.current).toEqual({ urgent: 1_500, normal: 1_500, economic: 1_500 });
});

it('does not start on a chain that knows nothing: its words say why', async () => {
  await expect(source(down).feerates.start()).rejects.toThrow('the daemon is down');
});
