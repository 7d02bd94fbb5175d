/** BOLT 5, "Failing a Channel": a commitment that pays too little is paid for by a child of our anchor, dearer as its deadlines come nearer. */
import { describe, expect, it } from 'vitest';
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import type { Hex32 } from '../../../src/bolt/primitives.ts';
import { claimStatus } from '../../../src/domain/onchain/claims.ts';
import { plannedClaims } from '../../../src/domain/onchain/planning.ts';
import { unrevokedCommitments } from '../../../src/domain/onchain/unrevoked.ts';
import type { Peer } from '../../support/channel-pair.ts';
import { booksOf, claimsOf, Stage } from '../../support/onchain-stage.ts';

const LOW = 253;
const anchorsOf = (peer: Peer) => claimsOf(peer).filter(({ kind }) => kind === 'anchor');

/** A channel whose commitments pay what is just relayed, with an HTLC of alice's that runs out in 30 blocks. */
async function cheap(format: 'anchors_zero_fee_htlc_tx' | 'static_remotekey' = 'anchors_zero_fee_htlc_tx') {
  const stage = await Stage.open({ format, feerate_per_kw: LOW });
  const { alice, bob } = stage.pair;
  stage.offer(alice, { payment: 1, blocks: 30, amount: 50_000n });
  const expiry = stage.height + 30;
  stage.awake = ['alice'];
  return { stage, alice, bob, expiry };
}

/** A block without anything in it, which alice hears. */
async function emptyBlock(stage: Stage): Promise<void> {
  stage.chain.mineBlocks(1, { include: () => false });
  await stage.hear(stage.pair.alice, stage.height);
}

describe('our own commitment', () => {
  it('that pays enough needs no child', async () => {
    const { stage, alice } = await cheap();
    stage.feerates = { urgent: LOW, normal: LOW, economic: LOW };
    alice.decide({ type: 'ForceClose', reason: 'test' });
    await stage.act(alice);
    expect(anchorsOf(alice)).toEqual([]);
  });

  it('without anchors has none', async () => {
    const { stage, alice } = await cheap('static_remotekey');
    alice.decide({ type: 'ForceClose', reason: 'test' });
    await stage.act(alice);
    expect(anchorsOf(alice)).toEqual([]);
  });

  it('gets a child that lifts both to the feerate of its deadline, replaced while no block takes them', async () => {
    const { stage, alice, expiry } = await cheap();
    alice.decide({ type: 'ForceClose', reason: 'test' });
    await stage.act(alice);
    expect(anchorsOf(alice)).toHaveLength(1);
    const before = stage.chain.mempool();
    const weight = before.reduce((sum, { tx, transaction }) => sum + (transaction.length + 3 * (transaction.length - 2 * witnessBytes(tx))) / 2, 0);
    const fee = before.reduce((sum, entry) => sum + entry.fee, 0n);
    expect(before).toHaveLength(2);
    expect(Number(fee) * 1_000 / weight).toBeGreaterThanOrEqual(stage.feerates.normal);
    while (stage.height < expiry - 2) await emptyBlock(stage);
    const bids = anchorsOf(alice).map(({ fee_satoshis }) => fee_satoshis);
    expect(bids.length).toBeGreaterThan(5);
    expect(bids).toEqual(bids.toSorted((a, b) => Number(a - b)));
    await stage.mine(1);
    const confirmed = anchorsOf(alice).find((claim) => claimStatus(alice.state, claim) === 'confirmed');
    expect(booksOf(stage.chain, stage.height).has(confirmed!.claim_txid)).toBe(true);
    expect(anchorsOf(alice).filter((claim) => claimStatus(alice.state, claim) === 'live')).toEqual([]);
    expect(alice.replayed()).toEqual(alice.state);
  });

  it('that confirms without its child asks for it no longer', async () => {
    const { stage, alice } = await cheap();
    alice.decide({ type: 'ForceClose', reason: 'test' });
    await stage.act(alice);
    const commitment = unrevokedCommitments(alice.established)[0]!.commitment.txid;
    stage.chain.mineBlocks(1, { include: ({ txid }) => txid === commitment });
    await stage.hear(alice, stage.height);
    expect(anchorsOf(alice).map((claim) => claimStatus(alice.state, claim))).toEqual(['needless']);
  });
});

describe('the peer\'s commitment', () => {
  it('that waits in the mempool, where ours cannot be, is paid for by our anchor on it', async () => {
    const { stage, alice, bob } = await cheap();
    const { raw } = stage.commitmentOf(bob);
    await stage.publish(raw);
    alice.decide({ type: 'ForceClose', reason: 'test' });
    const waiting_commitment: Hex32 = parseTx(raw).txid;
    const facts = { height: stage.height, feerates: stage.feerates, waiting_commitment };
    expect(plannedClaims(alice.state, facts)).toMatchObject([{ kind: 'anchor', inputs: [{ txid: waiting_commitment, value: 330n }], needs: 'wallet' }]);
    stage.waiting_commitment = waiting_commitment;
    await stage.act(alice);
    const [child] = anchorsOf(alice);
    expect(stage.chain.mempool().map(({ txid }) => txid)).toContain(child!.claim_txid);
    await stage.mine(1);
    expect(alice.has('FundingSpent')).toMatchObject([{ kind: 'remote' }]);
    expect(claimStatus(alice.state, child!)).toBe('confirmed');
  });
});

const witnessBytes = ({ witnesses }: ReturnType<typeof parseTx>): number =>
  2 + witnesses.reduce((sum, witness) => sum + 1 + witness.reduce((size, item) => size + item.length / 2 + (item.length / 2 < 253 ? 1 : 3), 0), 0);
