/** BOLT 5: which claims are started, and which are left out because they no longer fit; what a channel with a thousand HTLCs costs. */
import { describe, expect, it } from 'vitest';
import { serialize } from '../../../src/bolt/03-transactions/tx.ts';
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import { sat } from '../../../src/bolt/primitives.ts';
import { claimTransaction, findClaim, liveClaims, outstandingSat } from '../../../src/domain/onchain/claims.ts';
import { plannedClaims } from '../../../src/domain/onchain/planning.ts';
import type { ResolvingState } from '../../../src/domain/channel/spending.ts';
import type { FundedClaim, PlannedClaim } from '../../../src/domain/onchain/types.ts';
import { scriptOf, type Peer } from '../../support/channel-pair.ts';
import { claimsOf, Stage } from '../../support/onchain-stage.ts';

const destination_script = scriptOf('wallet');
const withScript = (claim: PlannedClaim): FundedClaim => ({ ...claim, destination_script });
const resolving = ({ state }: Peer): ResolvingState => {
  if (state.phase !== 'resolving') throw new Error(state.phase);
  return state;
};

/** Bob's commitment is in a block, with an HTLC of each side; alice has started nothing yet. */
async function published(format: 'anchors_zero_fee_htlc_tx' | 'static_remotekey' = 'static_remotekey') {
  const stage = await Stage.open({ format });
  const { alice, bob } = stage.pair;
  stage.offer(alice, { payment: 1, blocks: 20 });
  stage.offer(bob, { payment: 2, blocks: 40 });
  await stage.publish(stage.commitmentOf(bob).raw);
  stage.chain.mineBlocks(1);
  stage.takeBlock(alice, stage.height);
  const plan = (height = stage.height, feerate = 1_000) => plannedClaims(alice.state, { height, feerates: { urgent: feerate, normal: feerate, economic: feerate } });
  const start = (...claims: FundedClaim[]) => alice.block(stage.height, { claims });
  return { stage, alice, bob, plan, start };
}

describe('a plan', () => {
  it('asks for what is ripe, and once', async () => {
    const { alice, plan, start } = await published();
    expect(plan()).toMatchObject([{ kind: 'sweep', needs: 'destination_script' }]);
    alice.fulfill(0n, 2);
    expect(plan().map(({ kind }) => kind)).toEqual(['htlc_claim', 'sweep']);
    start(...plan().map(withScript));
    expect(plan()).toEqual([]);
    expect(liveClaims(alice.state)).toHaveLength(2);
  });

  it('asks for a timeout from the block of its cltv_expiry on', async () => {
    const { alice, plan } = await published();
    const { cltv_expiry } = alice.htlc('offered', 0n)!;
    expect(plan(cltv_expiry - 1).map(({ kind }) => kind)).toEqual(['sweep']);
    expect(plan(cltv_expiry).map(({ kind, deadline }) => [kind, deadline])).toEqual([['htlc_claim', cltv_expiry + 12], ['sweep', undefined]]);
  });
});

describe('a claim that does not fit is left out', () => {
  it('without a destination, with unripe or unknown outputs, or of another kind', async () => {
    const { alice, plan, start } = await published();
    const [sweep] = plan() as [PlannedClaim];
    const timeout = plan(alice.htlc('offered', 0n)!.cltv_expiry)[0]!;
    expect(start(sweep)).toEqual({ accepted: [] });
    expect(start(withScript(timeout))).toEqual({ accepted: [] });
    expect(start({ ...withScript(sweep), kind: 'penalty' })).toEqual({ accepted: [] });
    expect(start({ ...withScript(sweep), inputs: [{ ...sweep.inputs[0]!, output_index: 77 }] })).toEqual({ accepted: [] });
  });

  it('when it was started already, or pays no more than what it replaces', async () => {
    const { alice, plan, start } = await published();
    const claim = withScript(plan()[0]!);
    start(claim);
    const { claim_txid } = claimsOf(alice)[0]!;
    expect(start(claim)).toEqual({ accepted: [] });
    expect(start({ ...claim, feerate_per_kw: 900, replaces: claim_txid })).toEqual({ accepted: [] });
    start({ ...claim, feerate_per_kw: 2_000, replaces: claim_txid });
    expect(claimsOf(alice).map(({ feerate_per_kw }) => feerate_per_kw)).toEqual([1_000, 2_000]);
    expect(liveClaims(alice.state).map(({ replaces }) => replaces)).toEqual([claim_txid]);
  });

  it('when a block has spent its output', async () => {
    const { stage, alice, plan, start } = await published();
    const claim = withScript(plan()[0]!);
    start(claim);
    await stage.act(alice);
    stage.chain.mineBlocks(1);
    stage.takeBlock(alice, stage.height);
    expect(start({ ...claim, feerate_per_kw: 5_000, replaces: claimsOf(alice)[0]!.claim_txid })).toEqual({ accepted: [] });
  });
});

describe('what is owed', () => {
  it('is derived again from the log alone, byte for byte', async () => {
    const { alice, plan, start } = await published('anchors_zero_fee_htlc_tx');
    start(...plan().map(withScript));
    const [claim] = liveClaims(alice.state);
    const again = alice.replayed() as ResolvingState;
    const built = claimTransaction(again, findClaim(again, claim!.claim_txid)!)!;
    expect(built.txid).toBe(claim!.claim_txid);
    expect(serialize(built.tx)).toBe(serialize(claimTransaction(resolving(alice), claim!)!.tx));
    expect(built.fee_satoshis).toBe(claim!.fee_satoshis);
  });

  it('counts what is ours on chain until a block gives it to us', async () => {
    const { stage, alice } = await published();
    const main = resolving(alice).onchain!.outputs.find(({ kind }) => kind === 'to_remote')!.value;
    expect(outstandingSat(resolving(alice))).toBe(main + 20_000n);
    alice.fulfill(0n, 2);
    expect(outstandingSat(resolving(alice))).toBe(main + 40_000n);
    stage.awake = ['alice'];
    await stage.act(alice);
    await stage.mine(1);
    expect(outstandingSat(resolving(alice))).toBe(20_000n);
  });
});

describe('a spend of the funding that nobody can explain', () => {
  it('gives up no output that pays our main script', async () => {
    const stage = await Stage.open({ format: 'static_remotekey' });
    const { alice, bob } = stage.pair;
    const tx = parseTx(stage.commitmentOf(bob).raw);
    const strange = { ...tx, locktime: 0, inputs: [{ ...tx.inputs[0]!, sequence: 0xffffffff }] };
    const transaction = serialize(strange, tx.witnesses);
    alice.block(stage.height, { funding_spend: { txid: parseTx(transaction).txid, transaction, block_height: stage.height } });
    expect(alice.has('FundingSpent')).toMatchObject([{ kind: 'unknown' }]);
    expect(plannedClaims(alice.state, { height: stage.height, feerates: stage.feerates })).toMatchObject([{ kind: 'sweep', inputs: [{ txid: parseTx(transaction).txid }] }]);
  });
});

describe('a channel full of HTLCs', () => {
  it.each(['local', 'remote', 'revoked'] as const)('200 each way on a %s commitment: planned and started within seconds, in parts', { timeout: 60_000 }, async (which) => {
    const many = { max_accepted_htlcs: 483, max_dust_exposure_msat: 5_000_000_000n as never };
    const stage = await Stage.open({ funding_satoshis: sat(4_000_000), push_msat: 2_000_000_000n as never, policies: { alice: { ...many, max_htlc_value_in_flight_msat: 2_000_000_000n as never }, bob: { ...many, max_htlc_value_in_flight_msat: 2_000_000_000n as never } } });
    const { alice, bob } = stage.pair;
    for (let n = 0; n < 200; n++) {
      stage.propose(alice, { payment: n + 1, amount: 2_000n, blocks: 40 });
      stage.propose(bob, { payment: 1_000 + n, amount: 2_500n, blocks: 60 });
    }
    stage.pair.settle();
    const { raw } = stage.commitmentOf(which === 'local' ? alice : bob);
    if (which === 'revoked') stage.offer(bob, { payment: 5_000, blocks: 60 });
    stage.awake = [];
    await stage.publish(raw);
    await stage.mine(1);
    const from = performance.now();
    stage.takeBlock(alice, stage.height);
    for (let id = 0n; id < 200n; id++) alice.fulfill(id, 1_000 + Number(id));
    const planned = plannedClaims(alice.state, { height: stage.height, feerates: stage.feerates });
    alice.block(stage.height, { claims: planned.filter(({ needs }) => needs === 'destination_script').map(withScript) });
    expect(performance.now() - from).toBeLessThan(20_000);
    expect(alice.has('CommitmentOutputsFound').map(({ outputs }) => outputs.length)).toEqual([100, 100, 100, 100, 4]);
    expect(Math.max(...planned.map(({ inputs }) => inputs.length))).toBe(30);
    expect(planned.reduce((sum, { inputs }) => sum + inputs.length, 0)).toBe({ local: 200, remote: 201, revoked: 402 }[which]);
    expect(alice.replayed()).toEqual(alice.state);
  });
});
