/** BOLT 5 on a real chain: every way that a channel can end, with every load of HTLCs, in both formats; wallets to the sat, and a table at the end. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CELLS, isRevoked, nameOf, type Outcome, runMatrix } from '../support/onchain/matrix.ts';
import { tableOf } from '../support/onchain/table.ts';
import { startWorld, type World } from '../support/onchain/world.ts';
import { describeWithLitecoind } from './with-litecoind.ts';

const only = process.env['MATRIX_CELLS'];
const cells = CELLS.filter((cell) => only === undefined || new RegExp(only).test(nameOf(cell)));

describeWithLitecoind('the matrix on litecoind', () => {
  let world: World;
  let outcomes: readonly Outcome[] = [];

  beforeAll(async () => {
    const began = performance.now();
    const say = (line: string) => process.env['MATRIX_TALKS'] && console.log(`${((performance.now() - began) / 1000).toFixed(1)} s ${line}`);
    world = await startWorld();
    outcomes = await runMatrix(world, cells, say);
    console.log(`${tableOf(outcomes)}\n${cells.length} cells in ${((performance.now() - began) / 1000).toFixed(0)} s`);
  }, 600_000);
  afterAll(() => world?.stop());

  it.each(cells.map((cell) => [nameOf(cell), cell] as const))('%s', (_name, cell) => {
    const outcome = outcomes.find((one) => one.cell === cell)!;
    expect(outcome.error).toBeUndefined();
    expect(outcome.gained, 'each wallet grew by what the books say').toEqual(outcome.expected);
    for (const { node, chain } of Object.values(outcome.wallets!)) expect(node, 'the wallet has what the chain has for it').toBe(chain);
    expect(outcome.phases).toEqual({ ours: 'closed', theirs: isRevoked(cell) ? 'off' : 'closed' });
    expect(outcome.astray, 'payments ended as their HTLCs').toEqual([]);
    expect(outcome.refused, 'the mempool took everything').toEqual([]);
  });
});
