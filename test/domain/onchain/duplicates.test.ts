/** BOLT 5 with HTLCs that look alike: an HTLC is (channel, direction, id), never its hash or its amount. */
import { describe, expect, it } from 'vitest';
import type { CommitmentFormat } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import type { ChainOutput } from '../../../src/domain/onchain/types.ts';
import type { Peer } from '../../support/channel-pair.ts';
import { claimsOf, Stage } from '../../support/onchain-stage.ts';

const FORMATS: readonly CommitmentFormat[] = ['anchors_zero_fee_htlc_tx', 'static_remotekey'];
const AMOUNT = 25_000n;

const outputsOf = ({ state }: Peer): readonly ChainOutput[] => ('onchain' in state ? (state.onchain?.outputs ?? []) : []);
const outputOf = (peer: Peer, id: bigint) => outputsOf(peer).find(({ kind, htlc }) => kind === 'htlc' && htlc!.htlc_id === id)!;

async function twins(format: CommitmentFormat, offerer: 'alice' | 'bob', blocks: readonly [number, number]) {
  const stage = await Stage.open({ format });
  const { alice, bob } = stage.pair;
  for (const deadline of blocks) stage.offer(stage.pair[offerer], { amount: AMOUNT, payment: 1, blocks: deadline });
  return { stage, alice, bob };
}

async function untilClosed(stage: Stage, ...peers: Peer[]): Promise<void> {
  for (let n = 0; n < 100 && peers.some(({ state }) => state.phase !== 'closed'); n++) await stage.mine(1);
  expect(peers.map(({ state }) => state.phase)).toEqual(peers.map(() => 'closed'));
}

describe.each(FORMATS)('%s', (format) => {
  it.each([['local', 25, 35], ['remote', 25, 35], ['local', 30, 30], ['remote', 30, 30]] as const)(
    'safety 07: two HTLCs with equal hash and amount on a %s commitment, expiring in %i and %i blocks: one is claimed by the peer, the other comes back',
    async (which, first, second) => {
      const { stage, alice, bob } = await twins(format, 'alice', [first, second]);
      await stage.publish(stage.commitmentOf(which === 'local' ? alice : bob).raw);
      await stage.mine(1);
      bob.fulfill(1n, 1);
      await stage.act(bob);
      await untilClosed(stage, alice, bob);
      // The one that bob was paid for is gone, the other is ours; nobody took a sat of the other's.
      expect(outputOf(alice, 1n).spent?.by).toBe('remote');
      expect(outputOf(alice, 0n).spent?.by).toBe('local');
      expect(outputOf(bob, 1n).spent?.by).toBe('local');
      expect(claimsOf(alice).filter(({ kind }) => kind === 'htlc_timeout' || kind === 'htlc_claim').flatMap(({ inputs }) => inputs.map(({ output_index }) => output_index))).toContain(outputOf(alice, 0n).output_index);
      // Whoever shows the preimage of one could have claimed both: no upstream is refused what it may have to pay for.
      expect(alice.has('OutgoingHtlcFulfilled').map(({ htlc_id }) => htlc_id)).toEqual([0n, 1n]);
      expect(alice.has('OutgoingHtlcFailed')).toEqual([]);
    },
  );

  it.each(['local', 'remote'] as const)('safety 07: of two received twins on a %s commitment only the one that we were told the preimage for is claimed', async (which) => {
    const { stage, alice, bob } = await twins(format, 'bob', [25, 35]);
    await stage.publish(stage.commitmentOf(which === 'local' ? alice : bob).raw);
    await stage.mine(1);
    alice.fulfill(1n, 1);
    await stage.act(alice);
    await untilClosed(stage, alice, bob);
    expect(outputOf(alice, 1n).spent?.by).toBe('local');
    expect(outputOf(alice, 0n).spent?.by).toBe('remote');
  });

  it('safety 08: on a revoked commitment twins are told apart as well: one is punished at its second stage, one at once, and the channel is all that ends', async () => {
    const { stage, alice, bob } = await twins(format, 'alice', [40, 45]);
    const thief = stage.commitmentOf(bob);
    stage.offer(bob, { payment: 7 });
    await stage.publish(thief.raw, 'bob');
    stage.awake = [];
    await stage.mine(1);
    Object.assign(bob, { state: thief.twin.state, events: thief.twin.events, signer: thief.twin.signer });
    stage.takeBlock(bob, stage.height);
    bob.fulfill(1n, 1);
    await stage.act(bob);
    await stage.mine(1);
    stage.awake = ['alice'];
    for (const height of [stage.height - 1, stage.height]) stage.takeBlock(alice, height);
    await stage.act(alice);
    await untilClosed(stage, alice);
    expect(outputOf(alice, 1n).spent?.by).toBe('remote');
    expect(outputOf(alice, 0n).spent?.by).toBe('local');
    const second = outputsOf(alice).find(({ kind }) => kind === 'second_stage')!;
    expect(second).toMatchObject({ htlc: { htlc_id: 1n }, spent: { by: 'local' } });
    expect(alice.has('OutgoingHtlcFulfilled').map(({ htlc_id }) => htlc_id)).toEqual([0n, 1n]);
    expect(alice.has('ChannelFailed')).toEqual([]);
    expect(alice.replayed()).toEqual(alice.state);
  });
});
