/** BOLT 5 against a peer that spends what we claim: the rest is claimed again at once, fees only rise, deadlines are met. */
import { describe, expect, it } from 'vitest';
import type { CommitmentFormat } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import { TIMEOUT_ROOM } from '../../../src/domain/onchain/output-lifecycle.ts';
import type { ChainOutput } from '../../../src/domain/onchain/types.ts';
import type { Peer } from '../../support/channel-pair.ts';
import { claimsOf, Stage } from '../../support/onchain-stage.ts';

const FORMATS: readonly CommitmentFormat[] = ['anchors_zero_fee_htlc_tx', 'static_remotekey'];
const MANY = 40;
const manyHtlcs = { max_accepted_htlcs: 100 };

const htlcsOf = ({ state }: Peer): readonly ChainOutput[] => ('onchain' in state ? (state.onchain?.outputs ?? []) : []).filter(({ kind }) => kind === 'htlc');

/** No output is ever bid for at less than before, alone or with others; what each replacement pays, beside what it replaces. */
function expectRisingFees(peer: Peer): void {
  const claims = claimsOf(peer);
  for (const { txid, output_index } of htlcsOf(peer)) {
    const bids = claims.filter(({ inputs }) => inputs.some((input) => input.txid === txid && input.output_index === output_index)).map(({ feerate_per_kw }) => feerate_per_kw);
    expect(bids).toEqual(bids.toSorted((a, b) => a - b));
  }
  for (const { replaces, feerate_per_kw, fee_satoshis } of claims) {
    const older = claims.find(({ claim_txid }) => claim_txid === replaces);
    if (older === undefined) continue;
    expect(feerate_per_kw).toBeGreaterThan(older.feerate_per_kw);
    expect(fee_satoshis).toBeGreaterThan(older.fee_satoshis);
  }
}

/** The peer's claim of one HTLC, in a block whatever waits in the mempool. */
async function doubleSpend(stage: Stage, bob: Peer, id: bigint): Promise<void> {
  bob.fulfill(id, Number(id) + 1);
  await stage.act(bob);
  await stage.mine(1, [bob.broadcasts.at(-1)!.raw]);
}

describe.each(FORMATS)('%s', (format) => {
  it.each(['local', 'remote'] as const)('safety 06: 40 timeouts on a %s commitment while the peer double-spends one every 2 blocks: deadlines met, fees only rise', async (which) => {
    const stage = await Stage.open({ format, policies: { alice: manyHtlcs, bob: manyHtlcs } });
    const { alice, bob } = stage.pair;
    for (let n = 0; n < MANY; n++) stage.propose(alice, { amount: 11_000n, payment: n + 1, blocks: 20 });
    stage.pair.settle();
    const expiry = stage.height + 20;
    await stage.publish(stage.commitmentOf(which === 'local' ? alice : bob).raw);
    await stage.mineTo(expiry);
    expect(htlcsOf(alice)).toHaveLength(MANY);
    let stolen = 0;
    for (let round = 0; round < 6; round++) {
      const next = htlcsOf(alice).find(({ spent }) => spent === undefined);
      if (next === undefined) break;
      await doubleSpend(stage, bob, next.htlc!.htlc_id);
      stolen += 1;
      await stage.mine(1);
    }
    const heights = htlcsOf(alice).map(({ spent }) => spent?.block_height ?? Infinity);
    expect(Math.max(...heights)).toBeLessThanOrEqual(expiry + TIMEOUT_ROOM);
    expect(htlcsOf(alice).filter(({ spent }) => spent?.by === 'remote')).toHaveLength(stolen);
    expect(stolen).toBeLessThan(4);
    expectRisingFees(alice);
    expect(alice.replayed()).toEqual(alice.state);
  });

  it('safety 09: one transaction of the thief spends inputs of our aggregated penalty: the rest is claimed in the same block, and its spoils too', async () => {
    const stage = await Stage.open({ format });
    const { alice, bob } = stage.pair;
    for (let n = 0; n < 5; n++) stage.offer(alice, { amount: 20_000n + BigInt(n), payment: n + 1, blocks: 60 });
    const thief = stage.commitmentOf(bob);
    stage.offer(bob, { payment: 9 });
    await stage.publish(thief.raw, 'bob');
    stage.awake = ['alice'];
    await stage.mine(1);
    const htlcs = claimsOf(alice).find(({ kind, inputs }) => kind === 'penalty' && inputs.length === 5);
    expect(htlcs).toBeDefined();
    Object.assign(bob, { state: thief.twin.state, events: thief.twin.events, signer: thief.twin.signer });
    stage.takeBlock(bob, stage.height);
    bob.fulfill(1n, 2);
    bob.fulfill(3n, 4);
    await stage.act(bob);
    const spoils = bob.broadcasts.filter(({ what }) => what === 'claim').map(({ raw }) => raw);
    expect(spoils).toHaveLength(format === 'static_remotekey' ? 2 : 1);
    await stage.mine(1, spoils);
    const after = claimsOf(alice).filter(({ block_height }) => block_height === stage.height);
    expect(after.map(({ kind, inputs }) => [kind, inputs.length]).toSorted()).toEqual([['penalty', 2], ['penalty', 3]]);
    await stage.mine(1);
    expect(alice.has('OutputSpent').filter(({ by, spending_txid }) => by === 'local' && after.some(({ claim_txid }) => claim_txid === spending_txid))).toHaveLength(5);
    await stage.mine(10);
    expect(alice.state.phase).toBe('closed');
  });

  it('safety 15: an HTLC-timeout that is replaced in the mempool each block: its preimage is read there, and it is owed again with each block', async () => {
    const stage = await Stage.open({ format });
    const { alice, bob } = stage.pair;
    stage.offer(alice, { payment: 1, blocks: 20 });
    const expiry = stage.height + 20;
    await stage.publish(stage.commitmentOf(bob).raw);
    await stage.mineTo(expiry);
    const claim = claimsOf(alice).find(({ kind }) => kind === 'htlc_claim');
    stage.feerates = { urgent: 9_000, normal: 9_000, economic: 9_000 };
    bob.fulfill(0n, 1);
    await stage.act(bob);
    // Seen on its way, whether it takes the place of ours or not.
    const { raw } = bob.broadcasts.at(-1)!;
    alice.decide({ type: 'ReceiveMempoolTransaction', txid: parseTx(raw).txid, transaction: raw });
    expect(alice.has('PreimageFound')).toMatchObject([{ source: 'mempool', htlc_id: 0n }]);
    expect(alice.has('OutgoingHtlcFulfilled')).toHaveLength(1);
    // The cycle: neither is mined, and ours is broadcast again.
    const before = stage.refused.length;
    stage.chain.mineBlocks(1, { include: () => false });
    await stage.hear(alice, stage.height);
    const sent = stage.refused.slice(before).map(({ txid }) => txid);
    const waiting = stage.chain.mempool().map(({ txid }) => txid);
    const owed = claimsOf(alice).findLast(({ kind }) => kind === 'htlc_claim')!;
    expect([...sent, ...waiting]).toContain(owed.claim_txid);
    expect(owed.feerate_per_kw).toBeGreaterThanOrEqual(claim!.feerate_per_kw);
    await stage.mine(20);
    expect(alice.has('OutgoingHtlcFailed')).toEqual([]);
    expect(alice.state.phase).toBe('closed');
  });
});

describe('an HTLC that no block takes', () => {
  it.each(['local', 'remote'] as const)('safety 06: on a %s commitment is bid for with each block of its last ones, alone and with others, and never for less', async (which) => {
    const stage = await Stage.open({ format: 'anchors_zero_fee_htlc_tx' });
    const { alice, bob } = stage.pair;
    for (let n = 0; n < 4; n++) stage.offer(alice, { amount: 40_000n, payment: n + 1, blocks: 20 });
    const expiry = stage.height + 20;
    await stage.publish(stage.commitmentOf(which === 'local' ? alice : bob).raw);
    stage.awake = ['alice'];
    await stage.mineTo(expiry);
    const first = claimsOf(alice).find(({ kind }) => kind.startsWith('htlc'));
    expect(first!.inputs).toHaveLength(4);
    for (let block = 0; block < TIMEOUT_ROOM - 1; block++) {
      // The estimates fall meanwhile: that is no reason to bid less.
      stage.feerates = { urgent: 2_000 - 100 * block, normal: 700, economic: 300 };
      stage.chain.mineBlocks(1, { include: () => false });
      await stage.hear(alice, stage.height);
    }
    expectRisingFees(alice);
    const alone = claimsOf(alice).filter(({ kind, inputs }) => kind.startsWith('htlc') && inputs.length === 1);
    expect(new Set(alone.map(({ inputs }) => inputs[0]!.output_index)).size).toBe(4);
    await stage.mine(1);
    expect(htlcsOf(alice).every(({ spent }) => spent?.by === 'local')).toBe(true);
  });
});
