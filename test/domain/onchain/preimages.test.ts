/** BOLT 5: preimages find their way upstream from wherever the chain shows them, and no HTLC is failed that could still be claimed. */
import { describe, expect, it } from 'vitest';
import type { CommitmentFormat } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { serialize, txidOf, type UnsignedTx } from '../../../src/bolt/03-transactions/tx.ts';
import { hex32, sat, type Hex, type Hex32 } from '../../../src/bolt/primitives.ts';
import { SETTLED_DEPTH } from '../../../src/domain/channel/depths.ts';
import { preimageOf, scriptOf, type Peer } from '../../support/channel-pair.ts';
import { claimsOf, Stage } from '../../support/onchain-stage.ts';

const FORMATS: readonly CommitmentFormat[] = ['anchors_zero_fee_htlc_tx', 'static_remotekey'];

async function open(format: CommitmentFormat = 'anchors_zero_fee_htlc_tx') {
  const stage = await Stage.open({ format });
  const { alice, bob } = stage.pair;
  return { stage, alice, bob };
}

const fulfilled = (peer: Peer) => peer.has('OutgoingHtlcFulfilled').map(({ htlc_id }) => htlc_id);
const failed = (peer: Peer) => peer.has('OutgoingHtlcFailed').map(({ htlc_id }) => htlc_id);

/** Bob holds a commitment without alice's HTLC, and her signature on one with it, which he never answers. */
async function signedButNotRevoked(format: CommitmentFormat) {
  const here = await open(format);
  const { stage, alice, bob } = here;
  const older = stage.commitmentOf(bob).raw;
  stage.propose(alice, { payment: 1 });
  alice.followUp();
  alice.outbox.length = 0;
  return { ...here, older };
}

describe.each(FORMATS)('%s', (format) => {
  it('safety 03: an HTLC missing from the confirmed commitment is failed only when that is deep, and never once its preimage is known', async () => {
    const { stage, alice, older } = await signedButNotRevoked(format);
    await stage.publish(older);
    stage.awake = ['alice'];
    await stage.mine(1);
    expect(alice.has('FundingSpent')).toMatchObject([{ kind: 'remote' }]);
    await stage.mine(SETTLED_DEPTH - 2);
    expect(failed(alice)).toEqual([]);
    const knows = alice.fork();
    // The twin restarts, and is shown the preimage by another transaction of the peer's.
    knows.restart();
    knows.decide({ type: 'ReceiveMempoolTransaction', ...showing(preimageOf(1)) });
    expect(fulfilled(knows)).toEqual([0n]);
    await stage.mine(1);
    expect(failed(alice)).toEqual([0n]);
    for (let height = stage.height; height < stage.height + 200; height += 10) knows.block(height);
    expect(failed(knows)).toEqual([]);
    expect(fulfilled(knows)).toEqual([0n]);
  });

  it.each(['local', 'remote', 'remote_pending'] as const)('safety 04: the same on a %s commitment that does not hold the HTLC', async (which) => {
    const { stage, alice, bob } = await open(format);
    // Trimmed: it is on no commitment's outputs, whichever comes.
    stage.offer(alice, { amount: 200n, payment: 1 });
    if (which === 'remote_pending') {
      stage.propose(alice, { payment: 2 });
      alice.followUp();
      stage.pair.deliver(bob);
      stage.pair.deliver(bob);
    }
    await stage.publish(stage.commitmentOf(which === 'local' ? alice : bob).raw);
    stage.awake = ['alice'];
    await stage.mine(1);
    expect(alice.has('FundingSpent')).toMatchObject([{ kind: which }]);
    const knows = alice.fork();
    knows.restart();
    knows.decide({ type: 'ReceiveMempoolTransaction', ...showing(preimageOf(1)) });
    await stage.mine(SETTLED_DEPTH - 2);
    expect(failed(alice)).toEqual([]);
    await stage.mine(1);
    expect(failed(alice)).toEqual([0n]);
    knows.block(stage.height + 50);
    expect([failed(knows), fulfilled(knows)]).toEqual([[], [0n]]);
  });

  it('safety 05: a preimage shown on an older, still valid commitment of the peer is found', async () => {
    const { stage, alice, bob } = await open(format);
    stage.offer(alice, { payment: 1, blocks: 40 });
    // We sign the next state; bob keeps quiet and publishes the one before, which holds the HTLC as well.
    const older = stage.commitmentOf(bob);
    stage.propose(alice, { payment: 2 });
    alice.followUp();
    await stage.publish(older.raw);
    await stage.mine(1);
    expect(alice.has('FundingSpent')).toMatchObject([{ kind: 'remote' }]);
    bob.fulfill(0n, 1);
    await stage.act(bob);
    stage.showMempool(alice);
    // Already on its way to a block it serves: other streams hear at once.
    expect(alice.has('PreimageFound')).toMatchObject([{ htlc_id: 0n, source: 'mempool', payment_preimage: preimageOf(1) }]);
    expect(fulfilled(alice)).toEqual([0n]);
    await stage.mine(1);
    expect(alice.has('OutputSpent').filter(({ payment_preimage }) => payment_preimage !== undefined)).toMatchObject([{ by: 'remote', payment_preimage: preimageOf(1) }]);
    await stage.mine(SETTLED_DEPTH);
    expect([fulfilled(alice), failed(alice)]).toEqual([[0n], [1n]]);
  });

  it.each(['before the commitment', 'with it in a block', 'when its other HTLCs are claimed', 'a block before it expires'] as const)('safety 10: a preimage learned %s leads to a claim that confirms', async (stageOfIt) => {
    const { stage, alice, bob } = await open(format);
    stage.offer(bob, { payment: 1, blocks: 20, amount: 25_000n });
    stage.offer(bob, { payment: 2, blocks: 20, amount: 26_000n });
    const expiry = stage.height + 20;
    stage.awake = ['alice'];
    const learn = () => alice.fulfill(0n, 1);
    alice.decide({ type: 'ForceClose', reason: 'test' });
    if (stageOfIt === 'before the commitment') learn();
    await stage.act(alice);
    await stage.mine(1);
    if (stageOfIt === 'with it in a block') learn();
    await stage.act(alice);
    alice.fulfill(1n, 2);
    await stage.act(alice);
    await stage.mine(2);
    if (stageOfIt === 'when its other HTLCs are claimed') learn();
    if (stageOfIt === 'a block before it expires') {
      await stage.mineTo(expiry - 1);
      learn();
    }
    await stage.act(alice);
    await stage.mine(2);
    expect(alice.has('IncomingPreimageLearned').map(({ htlc_id }) => htlc_id).toSorted()).toEqual([0n, 1n]);
    const claimed = alice.has('OutputSpent').filter(({ by, second_stage }) => by === 'local' && second_stage !== undefined);
    expect(claimed).toHaveLength(2);
    expect(alice.fulfill(0n, 1)).toEqual({ accepted: [] });
    await stage.mine(30);
    expect(alice.state.phase).toBe('closed');
    expect(alice.replayed()).toEqual(alice.state);
  });
});

describe('safety 12', () => {
  it('safety 12: with anchors HTLCs of the newest commitment of the peer are claimed, and their value is not spent on fees', async () => {
    const { stage, alice, bob } = await open();
    stage.feerates = { urgent: 60_000, normal: 50_000, economic: 40_000 };
    stage.offer(bob, { payment: 1, blocks: 40, amount: 30_000n });
    await stage.publish(stage.commitmentOf(bob).raw);
    stage.awake = ['alice'];
    await stage.mine(1);
    alice.fulfill(0n, 1);
    await stage.act(alice);
    const claim = claimsOf(alice).find(({ kind }) => kind === 'htlc_claim')!;
    expect(claim.fee_satoshis).toBeLessThanOrEqual(15_000n);
    await stage.mine(1);
    expect(alice.has('OutputSpent').map(({ spending_txid }) => spending_txid)).toContain(claim.claim_txid);
  });

  it('safety 12: after a reorganisation to another commitment its HTLC is claimed there', async () => {
    const { stage, alice, bob } = await open();
    stage.offer(bob, { payment: 1, blocks: 60, amount: 30_000n });
    alice.fulfill(0n, 1);
    alice.outbox.length = 0;
    const theirs = stage.commitmentOf(bob).raw;
    alice.decide({ type: 'ForceClose', reason: 'test' });
    stage.awake = ['alice'];
    await stage.act(alice);
    await stage.mine(2);
    expect(alice.has('FundingSpent')).toMatchObject([{ kind: 'local' }]);
    const ours = alice.has('FundingSpent')[0]!.txid;
    stage.reorg(2, [ours]);
    await stage.mine(1, [theirs]);
    expect(alice.has('FundingSpent').map(({ kind }) => kind)).toEqual(['local', 'remote']);
    await stage.mine(2);
    expect(claimsOf(alice).findLast(({ kind }) => kind === 'htlc_claim')).toMatchObject({ inputs: [{ txid: alice.has('FundingSpent')[1]!.txid, value: 30_000n }] });
    await stage.mine(12);
    expect(alice.state.phase).toBe('closed');
    expect(alice.replayed()).toEqual(alice.state);
  });
});

describe('an offer that no commitment ever held', () => {
  it('fails upstream in the turn that fails the channel', async () => {
    const { stage, alice } = await open();
    stage.propose(alice, { payment: 1 });
    alice.decide({ type: 'ForceClose', reason: 'test' });
    expect(alice.events.slice(-2).map(({ type }) => type)).toEqual(['ChannelFailed', 'OutgoingHtlcFailed']);
    await stage.mine(1);
    expect(failed(alice)).toEqual([0n]);
  });

  it('fails upstream when the peer\'s commitment takes the channel away', async () => {
    const { stage, alice, bob } = await open();
    const { raw } = stage.commitmentOf(bob);
    stage.propose(alice, { payment: 1 });
    await stage.publish(raw);
    await stage.mine(1);
    expect(failed(alice)).toEqual([0n]);
  });
});

describe('an offered HTLC on the chain', () => {
  it.each(FORMATS)('%s: is failed upstream when our claim of it is deep, not a block before', async (format) => {
    const { stage, alice, bob } = await open(format);
    stage.offer(alice, { payment: 1, blocks: 15 });
    const expiry = stage.height + 15;
    await stage.publish(stage.commitmentOf(bob).raw);
    await stage.mineTo(expiry);
    expect(claimsOf(alice).some(({ kind }) => kind === 'htlc_claim')).toBe(true);
    await stage.mineTo(expiry + SETTLED_DEPTH - 1);
    expect(alice.has('OutputSpent').filter(({ by }) => by === 'local').map(({ block_height }) => block_height)).toContain(expiry + 1);
    expect(failed(alice)).toEqual([]);
    await stage.mine(1);
    expect(failed(alice)).toEqual([0n]);
  });
});

/** A transaction of anyone's that shows a preimage in its witness. */
function showing(preimage: Hex32): { txid: Hex32; transaction: Hex } {
  const tx: UnsignedTx = { version: 2, locktime: 0, inputs: [{ txid: hex32('22'.repeat(32)), index: 0, sequence: 0 }], outputs: [{ value: sat(1_000), script_pubkey: scriptOf('anyone') }] };
  return { txid: txidOf(tx), transaction: serialize(tx, [['', preimage, '51']]) };
}
