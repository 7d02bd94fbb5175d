/** BOLT 5 on a chain that runs every script: both formats, every commitment, HTLCs of every kind; each sat of the funding ends where the last state says. */
import { describe, expect, it } from 'vitest';
import type { CommitmentFormat } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { balances } from '../../../src/domain/channel/commitment-spec.ts';
import type { EstablishedState } from '../../../src/domain/channel/state.ts';
import { booksOf, claimsOf, DELAY, Stage, walletScript } from '../../support/onchain-stage.ts';
import type { Peer } from '../../support/channel-pair.ts';

const FORMATS: readonly CommitmentFormat[] = ['anchors_zero_fee_htlc_tx', 'static_remotekey'];
const COMMITMENTS = ['local', 'remote', 'remote_pending', 'revoked', 'revoked, second stage taken'] as const;
const HTLCS = ['none', 'offered', 'received', 'both', 'dust'] as const;
type CommitmentCase = (typeof COMMITMENTS)[number];
type HtlcCase = (typeof HTLCS)[number];

/** Amounts, sat: offered by alice or received by her, claimed by preimage or timed out. */
const OFFERED = { claimed: 21_000n, timed_out: 22_000n, dust: 200n };
const RECEIVED = { claimed: 23_000n, timed_out: 24_000n, dust: 210n };

interface Cell {
  readonly stage: Stage;
  readonly alice: Peer;
  readonly bob: Peer;
}

/** HTLCs 0 of either side are to be claimed by preimage, HTLCs 1 run out. Payments 1 to 4. */
function offerAll({ stage, alice, bob }: Cell, htlcs: HtlcCase): void {
  if (htlcs === 'offered' || htlcs === 'both') {
    stage.offer(alice, { amount: OFFERED.claimed, payment: 1 });
    stage.offer(alice, { amount: OFFERED.timed_out, payment: 2 });
  }
  if (htlcs === 'received' || htlcs === 'both') {
    stage.offer(bob, { amount: RECEIVED.claimed, payment: 3 });
    stage.offer(bob, { amount: RECEIVED.timed_out, payment: 4 });
  }
  if (htlcs === 'dust') {
    stage.offer(alice, { amount: OFFERED.dust, payment: 1 });
    stage.offer(bob, { amount: RECEIVED.dust, payment: 3 });
  }
}

async function open(format: CommitmentFormat): Promise<Cell> {
  const stage = await Stage.open({ format });
  const { alice, bob } = stage.pair;
  return { stage, alice, bob };
}

/** The commitment comes to the chain, seen by alice as the case says. */
async function publish(cell: Cell, which: CommitmentCase, htlcs: HtlcCase): Promise<void> {
  const { stage, alice, bob } = cell;
  switch (which) {
    case 'local':
    case 'remote': {
      offerAll(cell, htlcs);
      await stage.publish(stage.commitmentOf(which === 'local' ? alice : bob).raw);
      break;
    }
    case 'remote_pending': {
      offerAll(cell, htlcs);
      // Our newest signature is bob's; his revocation never comes.
      stage.propose(alice, { amount: 30_000n, payment: 9 });
      alice.followUp();
      stage.pair.deliver(bob);
      stage.pair.deliver(bob);
      await stage.publish(stage.commitmentOf(bob).raw);
      break;
    }
    case 'revoked':
    case 'revoked, second stage taken': {
      offerAll(cell, htlcs);
      const thief = stage.commitmentOf(bob);
      // A payment moves on: what bob holds is worth less to him than what he gave up.
      stage.offer(bob, { amount: 40_000n, payment: 8 });
      alice.fulfill(alice.established.commitments.next_received_id - 1n, 8);
      stage.pair.settle();
      await stage.publish(thief.raw, 'bob');
      stage.awake = ['alice'];
      if (which === 'revoked') break;
      // Alice sleeps while the thief takes what it can.
      stage.awake = [];
      await stage.mine(1);
      Object.assign(bob, { state: thief.twin.state, events: thief.twin.events, signer: thief.twin.signer });
      if (withHtlcs(htlcs).offered) bob.fulfill(0n, 1);
      const from = stage.height;
      stage.takeBlock(bob, from);
      await stage.act(bob);
      stage.awake = ['bob'];
      await stage.mine(2);
      stage.awake = ['alice'];
      for (let height = from; height <= stage.height; height++) stage.takeBlock(alice, height);
      await stage.act(alice);
    }
  }
}

/** Sat that ended at a script of a wallet, by transactions that spend the channel's outputs; less what its coins paid. */
function received(stage: Stage, peer: Peer, txids: ReadonlySet<string>): bigint {
  const books = booksOf(stage.chain, stage.height);
  const claims = claimsOf(peer).filter(({ claim_txid }) => txids.has(claim_txid));
  return claims.reduce((sum, { claim_txid, wallet }) => {
    const { tx } = books.get(claim_txid)!;
    const mine = tx.outputs.filter(({ script_pubkey }) => script_pubkey === walletScript(peer.name) || script_pubkey === wallet?.change?.script_pubkey);
    return sum + mine.reduce((total, { value }) => total + value, 0n) - (wallet?.inputs ?? []).reduce((total, { value }) => total + value, 0n);
  }, 0n);
}

const confirmed = (stage: Stage): ReadonlySet<string> => new Set(booksOf(stage.chain, stage.height).keys());

/** Fees that a peer's confirmed claims paid. */
function feesOf(stage: Stage, peer: Peer): bigint {
  const books = booksOf(stage.chain, stage.height);
  return claimsOf(peer).reduce((sum, { claim_txid }) => sum + (books.get(claim_txid)?.fee ?? 0n), 0n);
}

async function untilOver({ stage }: Cell, peers: readonly Peer[]): Promise<void> {
  for (let blocks = 0; blocks < 120; blocks++) {
    if (peers.every(({ state }) => state.phase === 'closed')) return;
    await stage.mine(1);
  }
  throw new Error(`not over: ${peers.map(({ name, state }) => `${name} ${JSON.stringify('onchain' in state ? state.onchain : state.phase, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v))}`).join('\n')}`);
}

const anchorsLeft = (format: CommitmentFormat): bigint => (format === 'static_remotekey' ? 0n : 660n);
const withHtlcs = (htlcs: HtlcCase) => ({ offered: htlcs === 'offered' || htlcs === 'both', received: htlcs === 'received' || htlcs === 'both' });

describe.each(FORMATS)('%s', (format) => {
  describe.each(['local', 'remote', 'remote_pending'] as const)('a %s commitment', (which) => {
    it.each(HTLCS)('with HTLCs: %s', async (htlcs) => {
      const cell = await open(format);
      const { stage, alice, bob } = cell;
      await publish(cell, which, htlcs);
      const before = balances(alice.state as EstablishedState);
      await stage.mine(1);
      expect(alice.has('FundingSpent').map(({ kind }) => kind)).toEqual([which]);
      const { offered, received: incoming } = withHtlcs(htlcs);
      if (offered) bob.fulfill(0n, 1);
      if (incoming) alice.fulfill(0n, 3);
      await untilOver(cell, [alice, bob]);

      // What each got, and what the fees of its own claims were, is what its balance and its HTLCs say.
      const txids = confirmed(stage);
      const commitmentFee = booksOf(stage.chain, stage.height).get(alice.has('FundingSpent')[0]!.txid)!.fee;
      const got = { alice: received(stage, alice, txids) + feesOf(stage, alice), bob: received(stage, bob, txids) + feesOf(stage, bob) };
      const trimmed = htlcs === 'dust' ? OFFERED.dust + RECEIVED.dust : 0n;
      expect(got.alice + got.bob + commitmentFee + anchorsLeft(format)).toBe(alice.established.terms.funding_satoshis);
      const pendingAdd = which === 'remote_pending' ? 30_000n : 0n;
      const bobs = before.remote_msat / 1000n + (offered ? OFFERED.claimed : 0n) + (incoming ? RECEIVED.timed_out : 0n);
      expect(got.bob).toBe(bobs);
      expect(got.alice).toBe(before.local_msat / 1000n + (offered ? OFFERED.timed_out : 0n) + (incoming ? RECEIVED.claimed : 0n) + pendingAdd - (commitmentFee - trimmed) - anchorsLeft(format));

      // Upstream heard of every offered HTLC, once, and the right thing.
      expect(alice.has('OutgoingHtlcFulfilled').map(({ htlc_id }) => htlc_id)).toEqual(offered ? [0n] : []);
      const failed = [...(offered ? [1n] : []), ...(htlcs === 'dust' ? [0n] : []), ...(which === 'remote_pending' ? [offered ? 2n : htlcs === 'dust' ? 1n : 0n] : [])];
      expect(alice.has('OutgoingHtlcFailed').map(({ htlc_id }) => htlc_id).toSorted()).toEqual(failed);
      expect(alice.has('OutgoingHtlcFailed').every(({ failure }) => failure.kind === 'on_chain')).toBe(true);
      expect(alice.replayed()).toEqual(alice.state);
      expect(stage.refused.filter(({ code }) => !/missingorspent|mempool-conflict|insufficient fee|known/.test(code))).toEqual([]);
    });
  });

  describe.each(['revoked', 'revoked, second stage taken'] as const)('a %s commitment', (which) => {
    it.each(HTLCS)('with HTLCs: %s', async (htlcs) => {
      const cell = await open(format);
      const { stage, alice } = cell;
      await publish(cell, which, htlcs);
      await stage.mine(1);
      expect(alice.has('FundingSpent').map(({ kind }) => kind)).toEqual(['revoked']);
      await untilOver(cell, [alice]);
      // Everything is alice's: main outputs, HTLCs and second stages. Two fees are the thief's doing.
      const books = booksOf(stage.chain, stage.height);
      const { txid } = alice.has('FundingSpent')[0]!;
      const thiefs = alice.has('OutputSpent').filter(({ by }) => by === 'remote').map(({ spending_txid }) => spending_txid);
      if (which !== 'revoked') expect(new Set(thiefs).size).toBe(htlcs === 'offered' || htlcs === 'both' ? 1 : 0);
      const thiefFees = format === 'static_remotekey' ? [...new Set(thiefs)].reduce((sum, id) => sum + books.get(id)!.fee, 0n) : 0n;
      const got = received(stage, alice, confirmed(stage)) + feesOf(stage, alice);
      expect(got).toBe(alice.established.terms.funding_satoshis - books.get(txid)!.fee - anchorsLeft(format) - thiefFees);
      expect(alice.replayed()).toEqual(alice.state);
      expect(stage.refused.filter(({ by, code }) => by === 'alice' && !/missingorspent|mempool-conflict|known/.test(code))).toEqual([]);
    });
  });
});

it('our main output waits for its delay', async () => {
  const cell = await open('anchors_zero_fee_htlc_tx');
  const { stage, alice } = cell;
  await publish(cell, 'local', 'none');
  await stage.mine(1);
  const from = stage.height;
  await stage.mineTo(from + DELAY - 2);
  expect(claimsOf(alice)).toEqual([]);
  await stage.mine(1);
  expect(claimsOf(alice)).toMatchObject([{ kind: 'sweep' }]);
  await stage.mine(1);
  expect(alice.has('OutputSpent')).toMatchObject([{ by: 'local', block_height: from + DELAY }]);
});
