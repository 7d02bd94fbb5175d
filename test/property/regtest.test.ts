/** Laws of the in-process chain: whatever is paid, mined and reorganised, no coin is lost or made, and the blocks alone say all. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { subsidyAt } from '../../src/adapters/chain/blocks.ts';
import { outPointKey, parseOutPointKey } from '../../src/adapters/chain/coins.ts';
import { ConfirmedChain } from '../../src/adapters/chain/confirmed-chain.ts';
import { createRegtestChain, type RegtestChain } from '../../src/adapters/chain/regtest.ts';
import { parseTx } from '../../src/bolt/03-transactions/tx-parse.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { sat } from '../../src/bolt/primitives.ts';
import type { ChainEvent } from '../../src/domain/ports.ts';
import { type Key, type KeyCoin, keyNumber, pays, spend } from '../support/coins.ts';
import { runs } from '../support/property.ts';

beforeAll(() => chooseCryptoBackend());

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('fund' as const), value: fc.integer({ min: 10_000, max: 1_000_000 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('spend' as const), which: fc.nat(), fee: fc.integer({ min: 300, max: 5000 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('mine' as const), blocks: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('reorg' as const), depth: fc.integer({ min: 1, max: 6 }), drop: fc.nat(), mine: fc.integer({ min: 0, max: 7 }) }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** Does one step; `coins` are all that Alice ever got, spent or not: what is refused is refused. */
async function take(chain: RegtestChain, alice: Key, coins: KeyCoin[], next: Step): Promise<void> {
  switch (next.do) {
    case 'fund': {
      const { txid, output_index } = chain.fund(alice.script, sat(next.value));
      coins.push({ txid, index: output_index, value: sat(next.value), key: alice });
      return;
    }
    case 'spend': {
      const coin = coins[next.which % Math.max(1, coins.length)];
      if (coin === undefined || coin.value < 10_000n) return;
      const value = coin.value - BigInt(next.fee);
      const raw = spend([coin], [pays(alice.script, value)]);
      if ((await chain.broadcast(raw)).ok) coins.push({ txid: parseTx(raw).txid, index: 0, value: sat(value), key: alice });
      return;
    }
    case 'mine':
      chain.mineBlocks(next.blocks);
      return;
    case 'reorg': {
      const coin = coins[next.drop % Math.max(1, coins.length)];
      chain.reorg(next.depth, coin === undefined ? {} : { drop: [coin.txid] });
      if (next.mine > 0) chain.mineBlocks(next.mine);
    }
  }
}

describe('the regtest chain', () => {
  it('law: its coins are what its blocks created, to the sat, and a listener that heard all knows the same blocks', async () => {
    const alice = keyNumber(1);
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      // Higher than all reorganisations together are deep.
      const chain = createRegtestChain({ initial_blocks: 260 });
      const heard: string[] = [];
      chain.follow(0, (event) => listen(heard, event));
      const coins: KeyCoin[] = [];
      for (const next of steps) await take(chain, alice, coins, next);
      await chain.settled();

      const { height } = await chain.tip();
      const again = new ConfirmedChain();
      for (let at = 1; at <= height; at++) again.connect(chain.blockAt(at)!);
      expect(heard).toEqual(Array.from({ length: height + 1 }, (_, at) => chain.blockAt(at)!.block_hash));
      const total = [...again.coins()].reduce((sum, [, coin]) => sum + coin.value, 0n);
      expect(total).toBe(Array.from({ length: height }, (_, at) => subsidyAt(at + 1)).reduce((sum, value) => sum + value, 0n));

      const waiting = new Set(chain.mempool().flatMap(({ tx }) => tx.inputs.map(({ txid, index }) => outPointKey(txid, index))));
      for (const [key, { value, script_pubkey, block_height }] of again.coins()) {
        expect(await chain.unspentOutput(parseOutPointKey(key))).toEqual(waiting.has(key) ? undefined : { value, script_pubkey, block_height });
      }
      for (const coin of coins) {
        const unspent = await chain.unspentOutput(coin);
        if (unspent?.block_height !== undefined) expect(again.coin(outPointKey(coin.txid, coin.index))).toBeDefined();
      }
    }), { numRuns: runs(30) });
  });
});

function listen(heard: string[], event: ChainEvent): void {
  if (event.type === 'rolled_back') {
    heard.length = event.tip.height + 1;
    expect(heard.at(-1)).toBe(event.tip.block_hash);
    return;
  }
  expect(event.block.previous_block_hash).toBe(heard.at(-1) ?? '0'.repeat(64));
  heard.push(event.block.block_hash);
}
