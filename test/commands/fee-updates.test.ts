/** With each block, a channel that we opened follows the chain's feerate: within a band, not too often, and never against the user. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRegtestChain, type RegtestChain } from '../../src/adapters/chain/regtest.ts';
import { isEstablished } from '../../src/domain/channel/state.ts';
import type { RunningNode } from '../../src/main.ts';
import { openChannelBetween, payMany, startPair, until, type PairNodeOptions } from '../support/node-pair.ts';

describe('a channel\'s feerate', () => {
  let dataDir: string;
  let chain: RegtestChain;
  let nodes: readonly RunningNode[] = [];
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'fulgurite-fees-'));
    chain = createRegtestChain();
  });
  afterEach(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await chain.close();
    rmSync(dataDir, { recursive: true, force: true });
  });

  async function pair(options: PairNodeOptions = {}) {
    const { alice, bob } = await startPair(chain, dataDir, options);
    nodes = [alice, bob];
    const stream = await openChannelBetween(chain, alice, bob);
    return { alice, bob, stream };
  }
  const feerates = () => nodes.flatMap((node) => node.channels().flatMap(({ state }) => (isEstablished(state) ? state.commitments.fees.map(({ feerate_per_kw }) => feerate_per_kw) : []))).join();
  async function mine(blocks: number): Promise<void> {
    chain.mineBlocks(blocks);
    const { height } = await chain.tip();
    await Promise.all(nodes.map((node) => node.reached(height)));
    await Promise.all(nodes.map((node) => node.settled()));
  }

  it('rises and falls with the chain\'s, on both sides, and payments go on', async () => {
    const { alice, bob } = await pair();
    chain.setFeerate(3_000);
    await mine(1);
    await until('both at 3,000', () => feerates() === '3000,3000');
    await payMany(alice, bob, 3, 2);
    chain.setFeerate(300);
    await mine(6);
    await until('both lower', () => nodes.length === 2 && feerates().split(',').every((feerate) => Number(feerate) < 1_000));
    await payMany(alice, bob, 1, 1);
  });

  it('does not change more often than it may', async () => {
    await pair({ fees: { min_blocks_between: 4 } });
    chain.setFeerate(2_000);
    await mine(1);
    await until('both at 2,000', () => feerates() === '2000,2000');
    chain.setFeerate(4_000);
    await mine(3);
    expect(feerates()).toBe('2000,2000');
    await mine(1);
    await until('both at 4,000', () => feerates() === '4000,4000');
  });

  it('is the user\'s where the user set it, and always where it is switched off', async () => {
    const { alice, stream } = await pair();
    await alice.setFeerate(stream, 2_500);
    await until('both at 2,500', () => feerates() === '2500,2500');
    await mine(7);
    expect(feerates()).toBe('2500,2500');
  });

  it('is left alone where that is switched off', async () => {
    await pair({ fees: { automatic: false } });
    chain.setFeerate(9_000);
    await mine(7);
    expect(feerates()).toBe('1000,1000');
  });
});
