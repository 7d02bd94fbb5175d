/** BOLT 2, "Message Retransmission": numbers and secrets that do not fit. Whoever is behind publishes nothing; nobody crashes. */
import { describe, expect, it } from 'vitest';
import type { CommitmentFormat } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import type { Message } from '../../../src/bolt/messages.ts';
import { ZERO_32, type Hex32 } from '../../../src/bolt/primitives.ts';
import { plannedClaims } from '../../../src/domain/onchain/planning.ts';
import { accepted, codeOf, createFunding, funded, HEIGHT, opened, Pair, type Peer } from '../../support/channel-pair.ts';

const types = (peer: Peer) => peer.saying.map(({ type }) => type);
const published = (peer: Peer) => peer.broadcasts.map(({ what }) => what).filter((what) => what !== 'funding');
const paid = (pair: Pair, payments: number): Pair => {
  for (let payment = 1; payment <= payments; payment++) {
    pair.alice.offer({ payment });
    pair.settle();
  }
  return pair;
};

/** alice's and bob's channel after some payments, with what `change` makes of bob's channel_reestablish heard by alice. */
function said(change: object, payments = 1) {
  const pair = paid(opened(), payments).disconnect().reconnect();
  const decision = pair.alice.decide(pair.alice.gather({ ...pair.bob.reestablishMessage(), ...change } as Message)!);
  return { code: codeOf(decision), alice: pair.alice };
}

describe('what the peer says in channel_reestablish', () => {
  it.each([
    ['ahead in revocations, without proof', { next_revocation_number: 2n }, 'peer_ahead'],
    ['ahead in commitments', { next_commitment_number: 3n }, 'peer_ahead'],
    ['behind in commitments', { next_commitment_number: 1n }, 'peer_behind'],
    ['at commitment 0, which no peer can be', { next_commitment_number: 0n }, 'peer_behind'],
    ['at 0 in everything', { next_commitment_number: 0n, next_revocation_number: 0n, your_last_per_commitment_secret: ZERO_32 }, 'peer_behind'],
    ['missing our last revocation, which is repaired', { next_revocation_number: 0n, your_last_per_commitment_secret: ZERO_32 }, undefined],
    ['missing it, with a secret all the same', { next_revocation_number: 0n }, 'wrong_last_secret'],
    ['without our last secret', { your_last_per_commitment_secret: '11'.repeat(32) as Hex32 }, 'wrong_last_secret'],
    ['with zeros for our last secret', { your_last_per_commitment_secret: ZERO_32 }, 'wrong_last_secret'],
    ['with a secret that is no private key', { your_last_per_commitment_secret: 'ff'.repeat(32) as Hex32 }, 'wrong_last_secret'],
  ] as const)('%s', (_what, change, code) => {
    const { code: got, alice } = said(change);
    expect(got).toBe(code);
    expect(published(alice)).toEqual(code === undefined ? [] : ['commitment']);
  });

  it('two revocations behind is beyond repair', () => {
    expect(said({ next_revocation_number: 0n, your_last_per_commitment_secret: ZERO_32 }, 2).code).toBe('peer_behind');
  });

  it.each([2n ** 47n, 2n ** 48n - 1n, 2n ** 48n, 2n ** 48n + 1n, 2n ** 63n, 2n ** 64n - 1n])('a number of %i fails the channel, with both values, and nothing else', (huge) => {
    for (const field of ['next_commitment_number', 'next_revocation_number'] as const) {
      const { code, alice } = said({ [field]: huge });
      expect(code).toBe('peer_ahead');
      expect(alice.state).toMatchObject({ phase: 'resolving', failure: { reason: expect.stringContaining(`expected at most ${field === 'next_commitment_number' ? 2 : 1}, got ${huge}`) } });
    }
    expect(said({ next_commitment_number: huge, next_revocation_number: huge }).code).toBe('peer_ahead');
  });

  it('the secret is that of the number it goes with, not just any of ours', () => {
    const pair = paid(opened(), 2).disconnect().reconnect();
    const { your_last_per_commitment_secret } = pair.bob.reestablishMessage() as Extract<Message, { type: 'channel_reestablish' }>;
    expect(codeOf(pair.alice.decide(pair.alice.gather({ ...pair.bob.reestablishMessage(), next_revocation_number: 1n, your_last_per_commitment_secret } as Message)!))).toBe('wrong_last_secret');
  });

  it('my_current_per_commitment_point is ignored: with static_remotekey nothing depends on it', () => {
    const pair = opened();
    const point = pair.alice.signer.nodeId;
    expect(said({ my_current_per_commitment_point: point }).code).toBeUndefined();
  });

  it('a failed channel answers it with a refusal', () => {
    const { alice, bob } = opened();
    alice.decide({ type: 'ForceClose', reason: 'enough' });
    expect(alice.decide(alice.gather(bob.reestablishMessage())!)).toMatchObject({ refused: { code: 'channel_failed', answer: 'warning' } });
  });

  it('a failed channel says its error with each new connection (BOLT 2: "SHOULD retransmit the error packet")', () => {
    const { alice } = opened();
    alice.decide({ type: 'ForceClose', reason: 'enough' });
    alice.disconnect();
    alice.reconnect();
    expect(types(alice)).toEqual(['error']);
  });
});

describe('safety 20: channel_reestablish while a channel opens', () => {
  const words: Message = {
    type: 'channel_reestablish', channel_id: ZERO_32, next_commitment_number: 0n, next_revocation_number: 0n, your_last_per_commitment_secret: ZERO_32,
    my_current_per_commitment_point: opened().bob.point(0n), tlvs: {},
  };

  it.each([['accepted', accepted()], ['funding_created', created()]] as const)('at step %s it is refused, and nothing is owed to the chain', (step, { alice }) => {
    expect(alice.state).toMatchObject({ phase: 'opening', step });
    for (const next_commitment_number of [0n, 1n, 2n ** 64n - 1n]) {
      expect(alice.decide(alice.gather({ ...words, next_commitment_number } as Message)!)).toMatchObject({ refused: { code: 'unexpected_message', answer: 'warning' } });
    }
    expect(alice.broadcasts).toEqual([]);
  });

  it('at step funded, zeros fail the channel: both sides hold a signed way out', () => {
    for (const peer of funded().peers) {
      expect(codeOf(peer.decide(peer.gather(words)!))).toBe('peer_behind');
      expect(published(peer)).toEqual(['commitment']);
    }
  });

  function created(): Pair {
    const pair = accepted();
    createFunding(pair);
    return pair;
  }
});

describe('whoever has lost data', () => {
  /** bob has lost the last payments: his log ends before them. alice's does not. */
  function bobFellBehind(payments = 1, format: CommitmentFormat = 'anchors_zero_fee_htlc_tx'): Pair {
    const pair = opened({ format });
    const stale = pair.bob.fork();
    paid(pair, payments).disconnect();
    stale.disconnect();
    return new Pair(pair.alice, stale);
  }

  it('safety 29: whom the peer proves to be behind publishes nothing, and asks the peer to close', () => {
    const pair = bobFellBehind().reconnect();
    pair.deliver(pair.bob);
    expect(pair.bob.state).toMatchObject({ phase: 'resolving', failure: { code: 'data_loss', reason: expect.stringContaining('expected at most 0, got 1') } });
    expect(pair.bob.broadcasts).toEqual([]);
    expect(types(pair.bob).at(-1)).toBe('error');
  });

  it('safety 29: it publishes nothing whatever else stands in the proof', () => {
    for (const next_commitment_number of [0n, 1n, 2n, 3n, 2n ** 64n - 1n]) {
      const pair = bobFellBehind(3).reconnect();
      pair.bob.decide(pair.bob.gather({ ...pair.alice.reestablishMessage(), next_commitment_number } as Message)!);
      expect(pair.bob.state).toMatchObject({ phase: 'resolving', failure: { code: 'data_loss' } });
      expect(pair.bob.broadcasts).toEqual([]);
    }
  });

  it('safety 29: it waits: no block, no error, no user and no restart makes it publish; each connection asks again', () => {
    const pair = bobFellBehind().reconnect();
    const { bob } = pair;
    pair.deliver(bob);
    bob.block(HEIGHT + 10);
    bob.block(HEIGHT + 10_000);
    bob.decide({ type: 'ReceiveError', data: 'go away' });
    expect(bob.decide({ type: 'ForceClose', reason: 'I want my money' })).toMatchObject({ refused: { code: 'already_closing' } });
    bob.restart();
    bob.reconnect();
    expect(types(bob)).toEqual(['channel_reestablish', 'error']);
    expect(bob.broadcasts).toEqual([]);
    expect(bob.state).toMatchObject({ phase: 'resolving', failure: { code: 'data_loss' } });
  });

  it('is helped: the peer, one step ahead, closes by our error', () => {
    const pair = bobFellBehind(1).reconnect().settle();
    expect(pair.alice.state).toMatchObject({ phase: 'resolving' });
    expect(published(pair.alice)).toEqual(['commitment']);
    expect(published(pair.bob)).toEqual([]);
  });

  it('is known by its numbers: who sees that the peer is behind fails the channel and publishes its newest commitment', () => {
    const pair = bobFellBehind(2).reconnect();
    pair.deliver(pair.alice);
    expect(pair.alice.state).toMatchObject({ phase: 'resolving', failure: { code: 'peer_behind', reason: expect.stringContaining('next_commitment_number') } });
    expect(published(pair.alice)).toEqual(['commitment']);
  });

  it.each(['anchors_zero_fee_htlc_tx', 'static_remotekey'] as const)('safety 29: is paid in the end (%s): the peer\'s commitment, of a number it does not know, is one of the future, and to_remote is its own', (format) => {
    const pair = bobFellBehind(3, format).reconnect().settle();
    const { bob } = pair;
    const facts = { height: HEIGHT + 2, feerates: { urgent: 3_000, normal: 1_000, economic: 500 } };
    expect(plannedClaims(bob.state, facts)).toEqual([]);
    const { raw } = pair.alice.broadcasts.at(-1)!;
    bob.block(HEIGHT + 1, { funding_spend: { txid: parseTx(raw).txid, transaction: raw, block_height: HEIGHT + 1 } });
    expect(bob.has('FundingSpent')).toMatchObject([{ kind: 'future', commitment_number: 3n }]);
    expect(plannedClaims(bob.state, facts)).toMatchObject([{ kind: 'sweep', inputs: [{ txid: parseTx(raw).txid, value: 400_000n }] }]);
    expect(published(bob)).toEqual([]);
  });
});
