/** BOLT 2, "Updating Fees": the opener's wish reaches both commitments; anybody else's is refused with a reason. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRegtestChain } from '../../src/adapters/chain/regtest.ts';
import { isEstablished } from '../../src/domain/channel/state.ts';
import type { RunningNode } from '../../src/main.ts';
import { openChannelBetween, payMany, startPair, until } from '../support/node-pair.ts';

describe('a feerate', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'fulgurite-feerate-'));
  const chain = createRegtestChain();
  let [alice, bob]: [RunningNode, RunningNode] = [undefined!, undefined!];
  let stream = '';
  beforeAll(async () => {
    ({ alice, bob } = await startPair(chain, dataDir));
    stream = await openChannelBetween(chain, alice, bob);
  });
  afterAll(async () => {
    await Promise.all([alice.stop(), bob.stop()]);
    await chain.close();
    rmSync(dataDir, { recursive: true, force: true });
  });

  const feeratesOf = (node: RunningNode) => node.channels().flatMap(({ state }) => (isEstablished(state) ? state.commitments.fees.map(({ feerate_per_kw }) => feerate_per_kw) : []));

  it('that the opener sets is soon the only one on both sides, and payments go on', async () => {
    await alice.setFeerate(stream, 4_321);
    await until('both at the new feerate', () => [alice, bob].every((node) => feeratesOf(node).join() === '4321'));
    await payMany(alice, bob, 3, 1);
  });

  it('is for the opener of a channel alone', async () => {
    const [theirs] = bob.channels();
    await expect(bob.setFeerate(theirs!.stream, 1_000)).rejects.toMatchObject({ code: 'only_the_opener_sets_the_fee' });
    await expect(alice.setFeerate('channel-nowhere-0', 1_000)).rejects.toMatchObject({ code: 'unknown_channel' });
  });
});
