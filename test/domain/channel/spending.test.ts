/** BOLT 5: failing a channel, telling what spent the funding output, sweeping what is plainly ours when it is ripe, and being done. */
import { describe, expect, it } from 'vitest';
import { buildCommitment, type Commitment } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { fundingScript } from '../../../src/bolt/03-transactions/scripts.ts';
import { serialize, txidOf, type UnsignedTx } from '../../../src/bolt/03-transactions/tx.ts';
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import { hex32, msat, sat, type Hex, type Hex32 } from '../../../src/bolt/primitives.ts';
import { commitmentParams, commitmentSpec } from '../../../src/domain/channel/commitment-spec.ts';
import { owedToChain } from '../../../src/domain/channel/effects.ts';
import { decideChannel } from '../../../src/domain/channel/decide.ts';
import { evolveChannel } from '../../../src/domain/channel/evolve.ts';
import { DEADLINE_GRACE, SETTLED_DEPTH } from '../../../src/domain/channel/depths.ts';
import { ourOutput } from '../../../src/domain/channel/old-sweeps.ts';
import { initialChannel } from '../../../src/domain/channel/state.ts';
import { plannedClaims } from '../../../src/domain/onchain/planning.ts';
import type { ChannelEvent } from '../../../src/events/channel/index.ts';
import { runScript } from '../../support/script-interpreter.ts';
import { accepted, codeOf, HEIGHT, opened, scriptOf, type Pair, type PairOptions, type Peer } from '../../support/channel-pair.ts';

const FORMATS = ['anchors_zero_fee_htlc_tx', 'static_remotekey'] as const;
const destination_script = scriptOf('wallet');

/** The newest commitment of `owner` as `peer` knows it. */
function commitmentOf(peer: Peer, owner: 'local' | 'remote'): Commitment {
  return buildCommitment(commitmentParams(peer.established, owner), commitmentSpec(peer.established, owner));
}

const rawOf = ({ tx }: { readonly tx: UnsignedTx }): { txid: Hex32; transaction: Hex } => ({ txid: txidOf(tx), transaction: serialize(tx) });

/** The funding output is spent by `transaction` in block HEIGHT, as the chain has it: its witness shows the channel's script. */
function spend(peer: Peer, { txid, transaction: unsigned }: { txid: Hex32; transaction: Hex }, block_height = HEIGHT) {
  const { local, remote } = peer.established.terms;
  const transaction = serialize(parseTx(unsigned), [[fundingScript(local.keys.funding_pubkey, remote.keys.funding_pubkey)]]);
  return peer.block(block_height, { funding_spend: { txid, transaction, block_height } });
}

const kindOf = (peer: Peer) => peer.has('FundingSpent').map(({ kind, commitment_number }) => [kind, commitment_number]);

/** A channel with one settled payment of 100,000 sat from alice to bob: 500,000 sat each, commitments above 0. */
function used(options: PairOptions = {}): Pair {
  const pair = opened(options);
  pair.alice.offer({ amount_msat: msat(100_000_000n) });
  pair.settle();
  pair.bob.fulfill(0n);
  return pair.settle();
}

describe('failing a channel', () => {
  it('by the user\'s wish owes our commitment to the chain, tells the peer, and the peer follows', () => {
    const pair = used();
    pair.alice.decide({ type: 'ForceClose', reason: 'the user wished so' });
    expect(pair.alice.broadcasts.at(-1)).toMatchObject({ what: 'commitment' });
    expect(owedToChain(pair.alice.state)).toEqual([{ kind: 'broadcast', what: 'commitment' }]);
    pair.deliverAll();
    expect(pair.bob.state).toMatchObject({ phase: 'resolving', failure: { by: 'remote', code: 'error_from_peer', reason: 'force_closed_by_user: the user wished so' } });
    expect(pair.bob.broadcasts.at(-1)).toMatchObject({ what: 'commitment' });
  });

  it.each(FORMATS)('with %s publishes a commitment that every script accepts', (format) => {
    const { alice } = used({ format });
    alice.decide({ type: 'ForceClose', reason: 'test' });
    const { raw } = alice.broadcasts.at(-1)!;
    const { terms } = alice.established;
    const funding = parseTx(alice.established.funding.transaction!).outputs[1]!;
    expect(funding.value).toBe(terms.funding_satoshis);
    expect(runScript(raw, 0, funding)).toBe('ok');
  });

  it('twice, or with nothing at stake, is refused', () => {
    const { alice } = used();
    const close = { type: 'ForceClose', reason: 'test' } as const;
    alice.decide(close);
    expect(codeOf(alice.decide(close))).toBe('already_closing');
    expect(codeOf(accepted().alice.decide(close))).toBe('nothing_to_close');
  });

  it('an HTLC of ours that timed out fails the channel at its deadline, not a block earlier', () => {
    const pair = opened();
    pair.alice.offer();
    pair.settle();
    expect(pair.alice.block(HEIGHT + 100 + DEADLINE_GRACE - 1)).toEqual({ accepted: [] });
    expect(codeOf(pair.alice.block(HEIGHT + 100 + DEADLINE_GRACE))).toBe('htlc_deadline');
  });

  it('an HTLC whose preimage we hold fails the channel before the peer could time it out', () => {
    const pair = opened();
    pair.alice.offer();
    pair.settle();
    expect(pair.bob.block(HEIGHT + 200)).toEqual({ accepted: [] }); // Without the preimage it is the peer's to time out.
    pair.bob.fulfill(0n);
    expect(pair.bob.block(HEIGHT + 100 - DEADLINE_GRACE - 1)).toEqual({ accepted: [] });
    expect(codeOf(pair.bob.block(HEIGHT + 100 - DEADLINE_GRACE))).toBe('htlc_deadline');
  });
});

describe('a spend of the funding output', () => {
  it('by our commitment is local', () => {
    const { alice } = used();
    spend(alice, rawOf(commitmentOf(alice, 'local')));
    expect(kindOf(alice)).toEqual([['local', 2n]]);
  });

  it('by the peer\'s newest commitment is remote', () => {
    const { alice, bob } = used();
    spend(alice, rawOf(commitmentOf(bob, 'local')));
    expect(kindOf(alice)).toEqual([['remote', 2n]]);
  });

  it('while a revocation is owed, either of the peer\'s two is no breach', () => {
    for (const published of ['older', 'newer'] as const) {
      const pair = used();
      const older = rawOf(commitmentOf(pair.bob, 'local'));
      pair.alice.offer({ payment: 2 });
      pair.alice.followUp();
      const newer = rawOf(commitmentOf(pair.alice, 'remote'));
      spend(pair.alice, published === 'older' ? older : newer);
      expect(kindOf(pair.alice)).toEqual([published === 'older' ? ['remote', 2n] : ['remote_pending', 3n]]);
    }
  });

  it('by a commitment that the peer has revoked is revoked, with its number', () => {
    const pair = opened();
    const old = rawOf(commitmentOf(pair.bob, 'local'));
    pair.alice.offer();
    pair.settle();
    const older = rawOf(commitmentOf(pair.bob, 'local'));
    pair.bob.fail(0n);
    pair.settle();
    const twin = pair.alice.fork();
    spend(pair.alice, old);
    spend(twin, older);
    expect(kindOf(pair.alice)).toEqual([['revoked', 0n]]);
    expect(kindOf(twin)).toEqual([['revoked', 1n]]);
  });

  it('by a commitment newer than any we know is future: our data is old', () => {
    const pair = used();
    const stale = pair.alice.fork();
    pair.alice.offer({ payment: 2 });
    pair.settle();
    pair.bob.fulfill(1n, 2);
    pair.settle();
    spend(stale, rawOf(commitmentOf(pair.bob, 'local')));
    expect(kindOf(stale)).toEqual([['future', 4n]]);
  });

  it('by the agreed close is mutual, and so is one to both shutdown scripts that we signed before', () => {
    const pair = opened();
    pair.alice.wantsToClose = true;
    pair.settle();
    const first = pair.bob.broadcasts.at(-1)!.raw;
    pair.alice.closingFeerate = 3_000;
    pair.disconnect().reconnect().settle();
    const second = pair.bob.broadcasts.at(-1)!.raw;
    expect(second).not.toBe(first);
    const twin = pair.alice.fork();
    spend(pair.alice, { txid: parseTx(first).txid, transaction: first });
    spend(twin, { txid: parseTx(second).txid, transaction: second });
    expect([kindOf(pair.alice), kindOf(twin)]).toEqual([[['mutual', undefined]], [['mutual', undefined]]]);
  });

  it('by anything else is unknown', () => {
    const { alice } = used();
    const { tx } = commitmentOf(alice, 'local');
    spend(alice, rawOf({ tx: { ...tx, locktime: 0, inputs: [{ ...tx.inputs[0]!, sequence: 0xffffffff }] } }));
    expect(kindOf(alice)).toEqual([['unknown', undefined]]);
  });

  it('is told once', () => {
    const { alice } = used();
    const transaction = rawOf(commitmentOf(alice, 'local'));
    spend(alice, transaction);
    spend(alice, transaction, HEIGHT + 1);
    expect(alice.has('FundingSpent')).toHaveLength(1);
  });

  it('taken back by a reorganisation is owed again, and told again', () => {
    const { alice } = used();
    alice.decide({ type: 'ForceClose', reason: 'test' });
    const transaction = rawOf(commitmentOf(alice, 'local'));
    spend(alice, transaction);
    expect(owedToChain(alice.state)).toEqual([]);
    expect(alice.decide({ type: 'RollBack', to_height: HEIGHT })).toEqual({ accepted: [] });
    alice.decide({ type: 'RollBack', to_height: HEIGHT - 1 });
    expect(owedToChain(alice.state)).toEqual([{ kind: 'broadcast', what: 'commitment' }]);
    spend(alice, transaction, HEIGHT + 1);
    expect(alice.has('FundingSpent').map(({ block_height }) => block_height)).toEqual([HEIGHT, HEIGHT + 1]);
  });
});

describe('our main output', () => {
  /** Ours on chain in block HEIGHT. */
  const published = (format: PairOptions['format'], owner: 'alice' | 'bob') => {
    const pair = used({ format });
    spend(pair.alice, rawOf(commitmentOf(pair[owner], 'local')));
    return pair.alice;
  };
  const planned = (peer: Peer, height: number, economic = 1_000) => plannedClaims(peer.state, { height, feerates: { urgent: economic, normal: economic, economic } });
  const ripeAt = (alice: Peer) => Array.from({ length: 200 }, (_, blocks) => HEIGHT + blocks).find((height) => planned(alice, height).length > 0);
  /** The block as the node takes it up: what is planned gets a script of the wallet's. */
  const block = (peer: Peer, height: number, economic?: number) => peer.block(height, { claims: planned(peer, height, economic).map((claim) => ({ ...claim, destination_script })) });
  const commitmentSpend = ({ state }: Peer) => {
    if (state.phase !== 'resolving' || state.spend === undefined) throw new Error(`no spend in phase ${state.phase}`);
    return state.spend;
  };
  /** The newest claim of a peer is in a block. */
  const confirm = (peer: Peer, block_height: number) => {
    const { raw } = peer.broadcasts.at(-1)!;
    const { txid: spending_txid, inputs } = parseTx(raw);
    peer.block(block_height, { spends: inputs.map(({ txid, index }, input_index) => ({ txid, output_index: index, spending_txid, input_index, transaction: raw, block_height })) });
  };

  it.each([
    ['to_local of our commitment, after to_self_delay', 'anchors_zero_fee_htlc_tx', 'alice', HEIGHT + 144 - 1, 'to_local'],
    ['to_local without anchors, the same', 'static_remotekey', 'alice', HEIGHT + 144 - 1, 'to_local'],
    ['to_remote with anchors, in the block after', 'anchors_zero_fee_htlc_tx', 'bob', HEIGHT, 'to_remote'],
    ['to_remote without anchors, at once', 'static_remotekey', 'bob', HEIGHT, 'to_remote'],
  ] as const)('%s', (_what, format, owner, ripe, kind) => {
    const alice = published(format, owner);
    expect(ripeAt(alice)).toBe(ripe);
    block(alice, ripe);
    const own = ourOutput(alice.established, commitmentSpend(alice))!;
    expect(own.kind).toBe(kind);
    expect(alice.has('ClaimStarted')).toMatchObject([{ kind: 'sweep', inputs: [{ output_index: own.input.index, value: own.input.value }], destination_script }]);
    const { raw } = alice.broadcasts.at(-1)!;
    expect(parseTx(raw).inputs[0]!.sequence).toBe(kind === 'to_local' ? 144 : format === 'static_remotekey' ? 0xfffffffd : 1);
    expect(runScript(raw, 0, parseTx(commitmentSpend(alice).transaction).outputs[own.input.index]!)).toBe('ok');
  });

  it('is swept once, confirmed when deep, and then the channel is closed', () => {
    const alice = published('anchors_zero_fee_htlc_tx', 'bob');
    block(alice, HEIGHT);
    block(alice, HEIGHT + 1);
    const { claim_txid } = alice.has('ClaimStarted')[0]!;
    expect(owedToChain(alice.state)).toEqual([{ kind: 'broadcast', what: 'claim', claim_txid }]);
    confirm(alice, HEIGHT + 2);
    expect(owedToChain(alice.state)).toEqual([]);
    block(alice, HEIGHT + 2 + SETTLED_DEPTH - 2);
    expect(alice.state.phase).toBe('resolving');
    block(alice, HEIGHT + 2 + SETTLED_DEPTH - 1);
    expect(alice.state.phase).toBe('closed');
    expect(alice.has('ClaimStarted')).toHaveLength(1);
    expect(alice.has('ChannelResolved')).toEqual([{ type: 'ChannelResolved', block_height: HEIGHT + 2 + SETTLED_DEPTH - 1 }]);
    expect(alice.block(HEIGHT + 100)).toEqual({ accepted: [] });
  });

  it('too small to pay for its own sweep keeps no channel open', () => {
    const pair = opened({ push_msat: msat(400_000n) });
    spend(pair.bob, rawOf(commitmentOf(pair.alice, 'local')));
    for (let height = HEIGHT; height < HEIGHT + 10; height++) block(pair.bob, height);
    expect(pair.bob.has('ClaimStarted')).toEqual([]);
    expect(pair.bob.state.phase).toBe('closed');
  });

  it('worth its sweep at a lower feerate waits for one', () => {
    const pair = opened({ push_msat: msat(2_000_000n) });
    spend(pair.bob, rawOf(commitmentOf(pair.alice, 'local')));
    for (let height = HEIGHT; height < HEIGHT + 10; height++) block(pair.bob, height, 20_000);
    expect(pair.bob.state.phase).toBe('resolving');
    block(pair.bob, HEIGHT + 10);
    expect(pair.bob.has('ClaimStarted')).toHaveLength(1);
  });

  it('a side that has none is done when the spend is deep', () => {
    const pair = opened({ push_msat: msat(0) });
    spend(pair.bob, rawOf(commitmentOf(pair.alice, 'local')));
    block(pair.bob, HEIGHT + SETTLED_DEPTH - 2);
    expect(pair.bob.state.phase).toBe('resolving');
    block(pair.bob, HEIGHT + SETTLED_DEPTH - 1);
    expect(pair.bob.state.phase).toBe('closed');
  });

  it('a mutual close is done when it is deep', () => {
    const pair = opened();
    pair.alice.wantsToClose = true;
    pair.settle();
    const { raw } = pair.alice.broadcasts.at(-1)!;
    spend(pair.alice, { txid: parseTx(raw).txid, transaction: raw });
    pair.alice.block(HEIGHT + SETTLED_DEPTH - 1);
    expect(pair.alice.state.phase).toBe('closed');
  });

  it('a log that swept before outputs had facts of their own is read, and finds nothing left to claim', () => {
    const alice = published('anchors_zero_fee_htlc_tx', 'bob');
    const { txid, index: output_index, value } = ourOutput(alice.established, commitmentSpend(alice))!.input;
    const older: ChannelEvent[] = [
      ...alice.events.filter(({ type }) => type !== 'CommitmentOutputsFound'),
      { type: 'SweepStarted', inputs: [{ kind: 'to_remote', txid, output_index, value }], destination_script, feerate_per_kw: 1_000, fee_satoshis: sat(500), sweep_txid: hex32('ab'.repeat(32)) },
      { type: 'SweepConfirmed', sweep_txid: hex32('ab'.repeat(32)), block_height: HEIGHT + 1 },
    ];
    const state = older.reduce(evolveChannel, initialChannel);
    expect(decideChannel({ type: 'ReceiveBlock', height: HEIGHT + 10 }, state)).toMatchObject({ accepted: [{ type: 'CommitmentOutputsFound' }, { type: 'ChannelResolved' }] });
    expect(evolveChannel(state, { type: 'ChannelClosed', block_height: HEIGHT + 10 }).phase).toBe('closed');
  });
});
