/** BOLT 2, "Legacy Closing Negotiation": both sides come to one fee, or say why not. */
import { describe, expect, it } from 'vitest';
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import type { MessageOf } from '../../../src/bolt/messages.ts';
import { msat, sat, type Sat } from '../../../src/bolt/primitives.ts';
import { ourClosing } from '../../../src/domain/channel/closing-transactions.ts';
import { mutualCloseTxids } from '../../../src/domain/channel/mutual-closes.ts';
import { codeOf, opened, scriptOf, type Pair, type Peer } from '../../support/channel-pair.ts';

type ClosingSigned = MessageOf<'closing_signed'>;
type FeeRange = NonNullable<ClosingSigned['tlvs']['fee_range']>;

const agreedOf = ({ state }: Peer) => (state.phase === 'closing' ? state.agreed : undefined);

/** Both are in phase closing; nobody has said a fee. */
function quiet(options: Parameters<typeof opened>[0] = {}): Pair {
  const pair = opened(options);
  for (const peer of pair.peers) peer.close();
  pair.deliverAll();
  expect(pair.peers.map(({ state }) => state.phase)).toEqual(['closing', 'closing']);
  return pair;
}

/** What `peer` would sign for this fee, as a message. */
function closingSigned(peer: Peer, fee: bigint, fee_range?: FeeRange): ClosingSigned {
  const { state } = peer;
  if (state.phase !== 'closing') throw new Error(`phase ${state.phase}`);
  const signature = peer.signer.signClosing(state.terms.key_index, ourClosing(state, sat(fee))!);
  return { type: 'closing_signed', channel_id: state.funding.channel_id, fee_satoshis: sat(fee), signature, tlvs: fee_range === undefined ? {} : { fee_range } };
}

const range = (min: bigint, max: bigint): FeeRange => ({ min_fee_satoshis: sat(min), max_fee_satoshis: sat(max) });
const answered = (peer: Peer, message: ClosingSigned) => peer.decide(peer.gather(message)!);
const offered = (peer: Peer): Sat | undefined => peer.has('ClosingSignedSent').at(-1)?.fee_satoshis;

describe('closing_signed', () => {
  it('is first said by the opener', () => {
    const pair = quiet();
    pair.bob.followUp();
    expect(pair.bob.outbox).toEqual([]);
    pair.alice.followUp();
    expect(pair.alice.saying).toMatchObject([{ type: 'closing_signed' }]);
  });

  it('is done after two messages when the accepter can bear the fee, though it would have named another', () => {
    const pair = quiet();
    pair.bob.closingFeerate = 7_000;
    pair.settle();
    expect([offered(pair.alice), offered(pair.bob)]).toEqual([offered(pair.alice), offered(pair.alice)]);
    expect(pair.alice.has('ClosingSignedReceived')).toHaveLength(1);
  });

  it('heard twice changes nothing', () => {
    const pair = quiet();
    pair.alice.followUp();
    const message = pair.alice.saying[0] as ClosingSigned;
    pair.settle();
    const { state } = pair.bob;
    expect(answered(pair.bob, message)).toEqual({ accepted: [] });
    expect(pair.bob.state).toBe(state);
  });

  it('begins again with each connection', () => {
    const pair = quiet();
    pair.settle();
    const first = agreedOf(pair.alice)!;
    pair.alice.closingFeerate = 2_000;
    pair.disconnect().reconnect().settle();
    const second = agreedOf(pair.alice)!;
    expect(second.fee_satoshis).toBeGreaterThan(first.fee_satoshis);
    expect(agreedOf(pair.bob)!.closing_txid).toBe(second.closing_txid);
  });

  it('with a signature for another fee is refused', () => {
    const { alice, bob } = quiet();
    const message = { ...closingSigned(alice, 500n), fee_satoshis: sat(501) };
    expect(answered(bob, message)).toMatchObject({ refused: { code: 'invalid_closing_signature', answer: 'disconnect', detail: { fee_satoshis: 501n } } });
  });

  it('before both shutdowns have passed is refused', () => {
    const { alice } = quiet();
    expect(codeOf(answered(opened().bob, closingSigned(alice, 500n)))).toBe('unexpected_message');
  });

  it('an accepter with a range of its own answers once, from what both have in common', () => {
    const { alice, bob } = quiet();
    answered(bob, closingSigned(alice, 10n, range(5n, 400n)));
    expect(offered(bob)).toBeGreaterThanOrEqual(170n);
    expect(offered(bob)).toBeLessThanOrEqual(400n);
    expect(agreedOf(bob)).toBeUndefined();
    answered(alice, closingSigned(bob, offered(bob)!, range(170n, 400n)));
    answered(bob, closingSigned(alice, offered(bob)!, range(5n, 400n)));
    expect(agreedOf(bob)).toMatchObject({ fee_satoshis: offered(bob) });
  });

  it('an accepter that answered does not answer another fee outside of the ranges', () => {
    const { alice, bob } = quiet();
    answered(bob, closingSigned(alice, 10n, range(5n, 400n)));
    expect(codeOf(answered(bob, closingSigned(alice, 11n, range(5n, 400n))))).toBe('closing_fee_out_of_range');
    expect(bob.state).toMatchObject({ phase: 'resolving', failure: { code: 'closing_fee_out_of_range' } });
  });

  it('an opener fails the channel over a fee outside of both ranges', () => {
    const pair = quiet();
    pair.alice.followUp();
    const { fee_range } = pair.alice.has('ClosingSignedSent')[0]!;
    const tooMuch = fee_range!.max_fee_satoshis + 1n;
    expect(codeOf(answered(pair.alice, closingSigned(pair.bob, tooMuch, range(200n, 100_000n))))).toBe('closing_fee_out_of_range');
  });

  it('ranges that have nothing in common are refused by warning, and the channel waits', () => {
    const pair = quiet();
    pair.alice.followUp();
    const { max_fee_satoshis } = pair.alice.has('ClosingSignedSent')[0]!.fee_range!;
    expect(answered(pair.alice, closingSigned(pair.bob, max_fee_satoshis + 5n, range(max_fee_satoshis + 1n, max_fee_satoshis + 9n)))).toMatchObject({
      refused: { code: 'closing_fee_ranges_do_not_overlap', answer: 'warning' },
    });
    expect(pair.alice.state.phase).toBe('closing');
  });

  it('without ranges both meet half-way, and whoever does not move is refused', () => {
    const pair = quiet();
    pair.alice.followUp();
    const [first] = pair.alice.has('ClosingSignedSent');
    const above = first!.fee_range!.max_fee_satoshis + 1_000n;
    answered(pair.alice, closingSigned(pair.bob, above));
    expect(offered(pair.alice)).toBeGreaterThan(first!.fee_satoshis);
    expect(offered(pair.alice)).toBeLessThan(above);
    expect(answered(pair.alice, closingSigned(pair.bob, above))).toMatchObject({ refused: { code: 'closing_fee_not_between', detail: { fee_satoshis: above, before: above } } });
  });

  it('without ranges both come to one fee, each offer between the two before it', () => {
    const pair = quiet();
    pair.alice.followUp();
    const ours = offered(pair.alice)!;
    let theirs = 2_500n;
    const said: bigint[] = [ours];
    while (agreedOf(pair.alice) === undefined) {
      said.push(theirs);
      expect(codeOf(answered(pair.alice, closingSigned(pair.bob, theirs)))).toBeUndefined();
      const next = offered(pair.alice)!;
      said.push(next);
      theirs = (next + theirs) / 2n;
      expect(said.length).toBeLessThan(40);
    }
    for (let n = 2; n < said.length - 1; n++) {
      const [a, b] = [said[n - 2]!, said[n - 1]!].sort((x, y) => (x < y ? -1 : 1)) as [bigint, bigint];
      expect(said[n]! >= a && said[n]! <= b, `${said[n]} lies between ${a} and ${b}`).toBe(true);
    }
  });

  it('without ranges an offer at or beyond one of the two before it is refused, on the sat', () => {
    const pair = quiet();
    pair.alice.followUp();
    answered(pair.alice, closingSigned(pair.bob, 9_000n));
    const ours = offered(pair.alice)!;
    const { max_fee_satoshis } = pair.alice.has('ClosingSignedSent')[0]!.fee_range!;
    expect(ours).toBe(max_fee_satoshis);
    for (const fee of [9_000n, 9_001n]) expect(codeOf(answered(pair.alice, closingSigned(pair.bob, fee)))).toBe('closing_fee_not_between');
    // Between, but more than we bear: we have no other offer left, and say so instead of nothing.
    expect(answered(pair.alice, closingSigned(pair.bob, 8_999n))).toMatchObject({ refused: { code: 'closing_fee_beyond_our_range', answer: 'warning', detail: { fee_satoshis: 8_999n } } });
    expect(codeOf(answered(pair.alice, closingSigned(pair.bob, max_fee_satoshis)))).toBeUndefined();
    expect(agreedOf(pair.alice)).toMatchObject({ fee_satoshis: max_fee_satoshis });
  });

  it('the ends of a range belong to it', () => {
    const pair = quiet();
    pair.alice.followUp();
    const { min_fee_satoshis, max_fee_satoshis } = pair.alice.has('ClosingSignedSent')[0]!.fee_range!;
    for (const fee of [min_fee_satoshis, max_fee_satoshis]) {
      const twin = pair.fork();
      answered(twin.alice, closingSigned(twin.bob, fee, range(fee, fee)));
      expect(agreedOf(twin.alice)).toMatchObject({ fee_satoshis: fee });
    }
    for (const fee of [min_fee_satoshis - 1n, max_fee_satoshis + 1n]) {
      const twin = pair.fork();
      expect(codeOf(answered(twin.alice, closingSigned(twin.bob, fee, range(fee, fee))))).toBe('closing_fee_ranges_do_not_overlap');
    }
  });

  it.each([0n, 1n, 999n])('the opener alone pays, and parts of a sat go to the miner (%i msat beyond a whole sat)', (odd) => {
    const pair = opened({ push_msat: msat(400_000_000n + odd) });
    pair.bob.wantsToClose = true;
    pair.settle();
    const { fee_satoshis } = agreedOf(pair.alice)!;
    const { outputs } = parseTx(pair.alice.broadcasts.at(-1)!.raw);
    expect(outputs.map(({ value }) => value)).toEqual([400_000n, 600_000n - (odd > 0n ? 1n : 0n) - fee_satoshis]);
  });

  it('an older close that both signed is known when it confirms after a newer one', () => {
    const pair = quiet();
    pair.settle();
    const older = pair.alice.broadcasts.at(-1)!.raw;
    pair.alice.closingFeerate = 2_000;
    pair.disconnect().reconnect().settle();
    const { txid } = parseTx(older);
    expect(agreedOf(pair.alice)!.closing_txid).not.toBe(txid);
    expect(mutualCloseTxids(pair.alice.established)).toContain(txid);
    pair.alice.block(800_001, { funding_spend: { txid, transaction: older, block_height: 800_001 } });
    expect(pair.alice.state).toMatchObject({ phase: 'resolving', spend: { kind: 'mutual' } });
  });

  it('a fee above what the opener has is no transaction', () => {
    const { bob, alice } = quiet();
    const message = { ...closingSigned(alice, 1_000n), fee_satoshis: sat(600_001) };
    expect(answered(bob, message)).toMatchObject({ refused: { code: 'invalid_closing_signature', detail: { variants: 0 } } });
  });

  it('an output below the dust limit is left out, by both alike', () => {
    const pair = opened({ push_msat: msat(353_000n) });
    pair.alice.wantsToClose = true;
    pair.settle();
    expect(agreedOf(pair.alice)!.closing_txid).toBe(agreedOf(pair.bob)!.closing_txid);
    expect(parseTx(pair.bob.broadcasts.at(-1)!.raw).outputs).toMatchObject([{ script_pubkey: scriptOf('alice') }]);
  });

  it('unequal dust limits still lead to one transaction', () => {
    const pair = opened({ push_msat: msat(700_000n), policies: { alice: { dust_limit_satoshis: sat(800) } } });
    pair.alice.wantsToClose = true;
    pair.settle();
    expect(agreedOf(pair.alice)!.closing_txid).toBe(agreedOf(pair.bob)!.closing_txid);
  });

  it('an output that no node would relay is fought out on chain', () => {
    const pair = opened({ push_msat: msat(500_000n) });
    pair.alice.close();
    pair.bob.close(`76a914${'22'.repeat(20)}88ac`);
    pair.deliverAll();
    pair.alice.followUp();
    expect(codeOf(pair.deliver(pair.bob))).toBe('closing_output_is_dust');
    expect(pair.bob.broadcasts.map(({ what }) => what)).toEqual(['commitment']);
  });
});
