/** The fee ledger against a chain that runs every script: each row is a transaction of the chain, its fee what the chain's own books say, to the sat. */
import { describe, expect, it } from 'vitest';
import { msat, sat, type Hex32 } from '../../src/bolt/primitives.ts';
import { serialize } from '../../src/bolt/03-transactions/tx.ts';
import { parseTx } from '../../src/bolt/03-transactions/tx-parse.ts';
import type { Event } from '../../src/events/registry.ts';
import { feeLedger, type FeeLedger } from '../../src/projections/fee-ledger.ts';
import { foldUntil } from '../../src/projections/projection.ts';
import type { Peer } from '../support/channel-pair.ts';
import { booksOf, Stage } from '../support/onchain-stage.ts';
import { PEER_STREAM, told } from '../support/peer-log.ts';

const ledgerOf = async (peer: Peer): Promise<FeeLedger> => (await foldUntil(feeLedger, told(PEER_STREAM, peer.events))).rows;

/** HTLCs of every kind both ways: claimed by preimage, run out, and too small for an output. */
async function busy(format: 'anchors_zero_fee_htlc_tx' | 'static_remotekey'): Promise<Stage> {
  const stage = await Stage.open({ format, push_msat: msat(400_000_777n) });
  const { alice, bob } = stage.pair;
  [21_000n, 22_000n, 200n].forEach((amount, n) => stage.offer(alice, { amount, payment: n + 1 }));
  [23_000n, 24_000n, 210n].forEach((amount, n) => stage.offer(bob, { amount, payment: n + 4 }));
  return stage;
}

async function untilOver(stage: Stage, ...peers: Peer[]): Promise<void> {
  for (let blocks = 0; blocks < 150 && peers.some(({ state }) => state.phase !== 'closed'); blocks++) await stage.mine(1);
  expect(peers.map(({ state }) => state.phase)).toEqual(peers.map(() => 'closed'));
}

/** Each row by the chain's books; no transaction of ours that the chain has is left out. */
function mustFitTheChain(stage: Stage, peer: Peer, { rows, totals, channels }: FeeLedger): void {
  const books = booksOf(stage.chain, stage.height);
  const onChain = rows.filter(({ status }) => status === 'confirmed');
  for (const { txid, kind, fee_sat, inputs_sat, outputs_sat, parts, block_height } of onChain) {
    const booked = books.get(txid)!;
    expect({ kind, fee_sat, block_height }).toEqual({ kind, fee_sat: booked.fee, block_height: booked.height });
    expect(outputs_sat).toBe(booked.tx.outputs.reduce((sum, { value }) => sum + value, 0n));
    expect(inputs_sat - outputs_sat).toBe(fee_sat);
    expect(parts.reduce((sum, { amount_sat }) => sum + amount_sat, 0n)).toBe(fee_sat);
  }
  const claims = 'onchain' in peer.state ? (peer.state.onchain?.claims ?? []) : [];
  const confirmed = (txids: readonly Hex32[]) => txids.filter((txid) => books.has(txid)).toSorted();
  const ofClaims = onChain.filter(({ kind }) => kind !== 'commitment' && kind !== 'mutual_close');
  expect(ofClaims.map(({ txid }) => txid).toSorted()).toEqual(confirmed(claims.map(({ claim_txid }) => claim_txid)));
  expect(totals.fee_sat).toBe(onChain.reduce((sum, { txid }) => sum + books.get(txid)!.fee, 0n));
  expect(totals.local_sat + totals.remote_sat + totals.rounding_sat + totals.unknown_sat).toBe(totals.fee_sat);
  expect(totals.pending_sat, 'nothing is on its way any more').toBe(0n);
  expect(channels).toEqual([{ stream: PEER_STREAM, ...totals }]);
}

describe.each(['anchors_zero_fee_htlc_tx', 'static_remotekey'] as const)('%s: the ledger of', (format) => {
  it.each(['alice', 'bob'] as const)('a commitment that %s publishes, with HTLCs of every kind, fits the chain on both sides', async (publisher) => {
    const stage = await busy(format);
    const { alice, bob } = stage.pair;
    await stage.publish(stage.commitmentOf(stage.pair[publisher]).raw);
    await stage.mine(1);
    bob.fulfill(0n, 1);
    alice.fulfill(0n, 4);
    await untilOver(stage, alice, bob);
    const [ours, theirs] = [await ledgerOf(alice), await ledgerOf(bob)];
    mustFitTheChain(stage, alice, ours);
    mustFitTheChain(stage, bob, theirs);

    // Both tell the same of the commitment: its opener paid the fee, dust was its offerer's.
    const [mine, yours] = [ours.rows.find(({ kind }) => kind === 'commitment')!, theirs.rows.find(({ kind }) => kind === 'commitment')!];
    const sums = ({ parts }: typeof mine, by: string) => parts.filter((part) => part.by === by).reduce((sum, { amount_sat }) => sum + amount_sat, 0n);
    expect([sums(mine, 'local'), sums(mine, 'remote'), sums(mine, 'both')]).toEqual([sums(yours, 'remote'), sums(yours, 'local'), sums(yours, 'both')]);
    expect(sums(mine, 'remote')).toBe(210n);
    expect(mine.anchors_sat).toBe(format === 'static_remotekey' ? 0n : 660n);
    if (format === 'anchors_zero_fee_htlc_tx') {
      const second = (publisher === 'alice' ? ours : theirs).rows.filter(({ kind, status }) => kind.startsWith('htlc_') && status === 'confirmed');
      expect(second.length).toBeGreaterThan(0);
      for (const { fee_sat, wallet_sat } of second) expect(wallet_sat, 'the wallet pays for a second stage').toBe(fee_sat);
    }
  });

  it('a revoked commitment: every penalty\'s fee is known, and the thief\'s own in one sum', async () => {
    const stage = await busy(format);
    const { alice, bob } = stage.pair;
    const thief = stage.commitmentOf(bob);
    stage.offer(bob, { amount: 40_000n, payment: 8 });
    alice.fulfill(alice.established.commitments.next_received_id - 1n, 8);
    stage.pair.settle();
    await stage.publish(thief.raw, 'bob');
    stage.awake = ['alice'];
    await stage.mine(1);
    await untilOver(stage, alice);
    const ledger = await ledgerOf(alice);
    mustFitTheChain(stage, alice, ledger);
    expect(ledger.rows.some(({ kind, status }) => kind === 'penalty' && status === 'confirmed')).toBe(true);
    expect(ledger.totals.unknown_sat).toBe(ledger.rows.find(({ kind }) => kind === 'commitment')!.fee_sat);
  });

  it('a close by agreement: the opener pays, and its peer nothing', async () => {
    const stage = await Stage.open({ format, push_msat: msat(400_000_777n) });
    const { alice, bob } = stage.pair;
    for (const peer of stage.pair.peers) peer.close();
    stage.pair.settle();
    await stage.act(alice);
    await stage.mine(8);
    await untilOver(stage, alice, bob);
    const [ours, theirs] = [await ledgerOf(alice), await ledgerOf(bob)];
    mustFitTheChain(stage, alice, ours);
    expect(ours.rows.map(({ kind }) => kind)).toEqual(['mutual_close']);
    expect([theirs.totals.local_sat, theirs.totals.remote_sat, theirs.totals.rounding_sat]).toEqual([0n, ours.totals.local_sat, 1n]);
  });
});

it('a child that pays for its commitment: its fee is the wallet\'s coins and the anchor, and only the one that confirms costs', async () => {
  const stage = await busy('anchors_zero_fee_htlc_tx');
  const { alice, bob } = stage.pair;
  stage.feerates = { urgent: 12_000, normal: 10_000, economic: 8_000 };
  alice.decide({ type: 'ForceClose', reason: 'test' });
  await stage.act(alice);
  stage.feerates = { urgent: 20_000, normal: 15_000, economic: 10_000 };
  await stage.act(alice);
  await stage.mine(1);
  stage.feerates = { urgent: 2_000, normal: 1_000, economic: 500 };
  await untilOver(stage, alice, bob);
  const ledger = await ledgerOf(alice);
  mustFitTheChain(stage, alice, ledger);
  const anchors = ledger.rows.filter(({ kind }) => kind === 'anchor');
  expect(anchors.filter(({ status }) => status === 'confirmed')).toHaveLength(1);
  const child = anchors.find(({ status }) => status === 'confirmed')!;
  expect(child.fee_sat).toBe(child.wallet_sat + 330n);
  expect(anchors.filter(({ status }) => status !== 'confirmed').every(({ status }) => status === 'given_up')).toBe(true);
});

describe('the wallet\'s own transactions', () => {
  const coin = (index: number) => ({ txid: `${index}`.repeat(64).slice(0, 64) as Hex32, output_index: 0 });
  const transaction = serialize({ version: 2, locktime: 0, inputs: [{ txid: coin(1).txid, index: 0, sequence: 0 }], outputs: [{ value: sat(70_000), script_pubkey: '0014' + '00'.repeat(20) }] });
  const { txid } = parseTx(transaction);
  const created = (purpose: string): Event => ({ type: 'TransactionCreated', txid, purpose, transaction, fee_satoshis: sat(300), inputs: [coin(1)] });
  const spent: Event = { type: 'CoinSpent', ...coin(1), spending_txid: txid, block_height: 7 };
  const rowsOf = async (...events: Event[]) => (await foldUntil(feeLedger, told('wallet', events))).rows;

  it('a funding stands with its channel, anything else alone', async () => {
    const { rows: [row], channels } = await rowsOf(created('funding channel-x-0'), spent);
    expect(row).toMatchObject({ stream: 'channel-x-0', kind: 'funding', status: 'confirmed', block_height: 7, inputs_sat: 70_300n, outputs_sat: 70_000n, fee_sat: 300n, wallet_sat: 300n });
    expect(channels).toMatchObject([{ stream: 'channel-x-0', local_sat: 300n, fee_sat: 300n }]);
    expect((await rowsOf(created('sent to somebody'))).rows).toMatchObject([{ kind: 'payment', stream: undefined, status: 'pending' }]);
  });

  it('costs nothing until a block holds it, and again when the block is gone', async () => {
    const at = async (...events: Event[]) => {
      const { rows: [row], totals } = await rowsOf(created('funding channel-x-0'), ...events);
      return [row!.status, totals.fee_sat, totals.pending_sat];
    };
    expect(await at()).toEqual(['pending', 0n, 300n]);
    expect(await at(spent)).toEqual(['confirmed', 300n, 0n]);
    expect(await at(spent, { type: 'WalletRolledBack', to_height: 6 })).toEqual(['pending', 0n, 300n]);
    expect(await at({ type: 'TransactionAbandoned', txid, reason: 'never sent' })).toEqual(['given_up', 0n, 0n]);
  });
});
