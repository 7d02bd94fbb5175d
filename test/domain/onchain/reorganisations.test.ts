/** BOLT 5, "be prepared to resolve outputs multiple times": blocks that go leave nothing behind, and what they held is owed again. */
import { describe, expect, it } from 'vitest';
import type { CommitmentFormat } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import type { Hex } from '../../../src/bolt/primitives.ts';
import type { ChannelState } from '../../../src/domain/channel/state.ts';
import type { Peer } from '../../support/channel-pair.ts';
import { claimsOf, Stage } from '../../support/onchain-stage.ts';

const FORMATS: readonly CommitmentFormat[] = ['anchors_zero_fee_htlc_tx', 'static_remotekey'];

/** The state without the order in which outputs were heard of, and without claims that only the redoing asked for. */
function essence(state: ChannelState) {
  if (!('onchain' in state) || state.onchain === undefined) return state;
  const outputs = state.onchain.outputs.toSorted((a, b) => (`${a.txid}:${a.output_index}` < `${b.txid}:${b.output_index}` ? -1 : 1));
  return { ...state, onchain: { ...state.onchain, outputs } };
}

/** A force close by alice with an HTLC each way, both settled on chain, each block of it heard. */
async function underWay(format: CommitmentFormat, which: 'local' | 'remote' | 'revoked') {
  const stage = await Stage.open({ format });
  const { alice, bob } = stage.pair;
  stage.offer(alice, { payment: 1, blocks: 12 });
  stage.offer(bob, { payment: 2, blocks: 40 });
  const { raw } = stage.commitmentOf(which === 'local' ? alice : bob);
  if (which === 'revoked') stage.offer(bob, { payment: 3, blocks: 40 });
  stage.awake = ['alice'];
  await stage.publish(raw);
  await stage.mine(1);
  alice.fulfill(0n, 2);
  await stage.act(alice);
  return { stage, alice, bob };
}

/** The transactions of the newest blocks, oldest block first, without coinbases. */
const held = (stage: Stage, blocks: number): readonly (readonly Hex[])[] =>
  Array.from({ length: blocks }, (_, n) => stage.chain.blockAt(stage.height - blocks + 1 + n)!.transactions.slice(1).map(({ transaction }) => transaction));

describe.each(FORMATS)('%s', (format) => {
  describe.each(['local', 'remote', 'revoked'] as const)('a %s commitment', (which) => {
    it('undone and redone to depth 1 to 6 equals never happened, at every height', async () => {
      const { stage, alice } = await underWay(format, which);
      for (let block = 0; block < 24 && alice.state.phase !== 'closed'; block++) {
        await stage.mine(1);
        const depth = 1 + (block % 6);
        const never = alice.fork();
        const blocks = held(stage, depth);
        stage.reorg(depth);
        expect(alice.replayed()).toEqual(alice.state);
        for (const transactions of blocks) {
          stage.chain.mineBlocks(1, { include: ({ transaction }) => transactions.includes(transaction) });
          stage.takeBlock(alice, stage.height);
        }
        expect(essence(alice.state)).toEqual(essence(never.state));
        expect(alice.replayed()).toEqual(alice.state);
      }
    });

    it('what a reorganisation takes away is owed again, and ends the same', async () => {
      const { stage, alice } = await underWay(format, which);
      await stage.mine(3);
      const spent = alice.has('OutputSpent').map(({ spending_txid }) => spending_txid);
      expect(spent.length).toBeGreaterThan(0);
      stage.reorg(3);
      const undone = alice.has('OutputUnspent');
      expect(undone).toHaveLength(spent.length);
      await stage.act(alice);
      const waiting = stage.chain.mempool().map(({ txid }) => txid);
      for (const txid of spent) expect(waiting).toContain(txid);
      for (let n = 0; n < 60 && alice.state.phase !== 'closed'; n++) await stage.mine(1);
      expect(alice.state.phase).toBe('closed');
      expect(alice.has('ClaimStarted').filter(({ replaces }) => replaces === undefined).length).toBe(claimsOf(alice).filter(({ replaces }) => replaces === undefined).length);
    });
  });
});

describe('deeper than what we took for settled', () => {
  it('a resolved channel opens again, and is resolved again', async () => {
    const { stage, alice } = await underWay('anchors_zero_fee_htlc_tx', 'remote');
    for (let n = 0; n < 60 && alice.state.phase !== 'closed'; n++) await stage.mine(1);
    stage.reorg(8);
    expect(alice.state.phase).toBe('resolving');
    for (let n = 0; n < 30 && alice.state.phase !== 'closed'; n++) await stage.mine(1);
    expect(alice.state.phase).toBe('closed');
    expect(alice.has('ChannelResolved')).toHaveLength(2);
    expect(alice.replayed()).toEqual(alice.state);
  });

  it.each([1, 2, 3, 4, 5, 6])('safety 11: a cooperative close reorganised out at depth %i and replaced by a revoked commitment meets its penalty', async (depth) => {
    const stage = await Stage.open({ format: 'anchors_zero_fee_htlc_tx' });
    const { alice, bob } = stage.pair;
    stage.offer(alice, { payment: 1, blocks: 60 });
    const old = stage.commitmentOf(bob).raw;
    bob.fulfill(0n, 1);
    stage.pair.settle();
    alice.close();
    stage.pair.settle();
    const { raw } = alice.broadcasts.findLast(({ what }) => what === 'closing')!;
    await stage.publish(raw);
    stage.awake = ['alice'];
    await stage.mine(depth);
    expect(alice.has('FundingSpent')).toMatchObject([{ kind: 'mutual' }]);
    expect(alice.state.phase).toBe(depth < 6 ? 'resolving' : 'closed');
    stage.reorg(depth);
    expect(alice.state.phase).toBe('resolving');
    await stage.mine(1, [old]);
    expect(alice.has('FundingSpent').map(({ kind }) => kind)).toEqual(['mutual', 'revoked']);
    for (let n = 0; n < 40 && alice.state.phase !== 'closed'; n++) await stage.mine(1);
    expect(alice.state.phase).toBe('closed');
    const taken = alice.has('OutputSpent').filter(({ by }) => by === 'local');
    expect(taken.length).toBeGreaterThanOrEqual(3);
    expect(alice.has('OutputSpent').filter(({ by }) => by === 'remote')).toEqual([]);
  });

  it('a commitment newer than all we know keeps ours from the chain, even when its block is gone', async () => {
    const stage = await Stage.open({});
    const { alice, bob } = stage.pair;
    const outdated: Peer = alice.fork();
    stage.offer(alice, { payment: 1, blocks: 60 });
    bob.fulfill(0n, 1);
    stage.pair.settle();
    await stage.publish(stage.commitmentOf(bob).raw);
    Object.assign(alice, { state: outdated.state, events: outdated.events });
    stage.awake = ['alice'];
    await stage.mine(1);
    expect(alice.has('FundingSpent')).toMatchObject([{ kind: 'future' }]);
    stage.reorg(1);
    expect(alice.has('ChannelFailed')).toMatchObject([{ code: 'data_loss' }]);
    const before = alice.broadcasts.length;
    await stage.act(alice);
    expect(alice.broadcasts.slice(before)).toEqual([]);
    await stage.mine(30);
    expect(alice.state.phase).toBe('closed');
  });
});
