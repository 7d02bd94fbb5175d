/** BOLT 2, "Closing Initiation" and "Legacy Closing Negotiation": both sides stop, empty the channel and agree on one transaction. */
import { describe, expect, it } from 'vitest';
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import type { MessageOf } from '../../../src/bolt/messages.ts';
import { msat, sat, type Hex, type Sat } from '../../../src/bolt/primitives.ts';
import { ourClosing } from '../../../src/domain/channel/shutdown.ts';
import { codeOf, opened, scriptOf, type Pair, type Peer } from '../../support/channel-pair.ts';

type ClosingSigned = MessageOf<'closing_signed'>;
type FeeRange = NonNullable<ClosingSigned['tlvs']['fee_range']>;

const agreedOf = ({ state }: Peer) => (state.phase === 'closing' ? state.agreed : undefined);
const shutdownFrom = (peer: Peer, scriptpubkey: Hex): MessageOf<'shutdown'> => ({ type: 'shutdown', channel_id: peer.established.funding.channel_id, scriptpubkey, tlvs: {} });

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

describe('shutdown', () => {
  it.each(['alice', 'bob'] as const)('wished for by %s closes the idle channel: one transaction, signed by both', (name) => {
    const pair = opened();
    pair[name].wantsToClose = true;
    pair.settle();
    const [a, b] = pair.peers.map(agreedOf);
    expect(a).toBeDefined();
    expect(a).toMatchObject({ closing_txid: b!.closing_txid, fee_satoshis: b!.fee_satoshis });
    const closings = pair.peers.map(({ broadcasts }) => broadcasts.find(({ what }) => what === 'closing')!.raw);
    expect(closings[0]).toBe(closings[1]);
    const { outputs, txid } = parseTx(closings[0]!);
    expect(txid).toBe(a!.closing_txid);
    expect(outputs).toEqual([
      { value: 400_000n, script_pubkey: scriptOf('bob') },
      { value: 600_000n - a!.fee_satoshis, script_pubkey: scriptOf('alice') },
    ]);
  });

  it('waits until no update of ours is pending', () => {
    const pair = opened();
    pair.alice.offer();
    expect(codeOf(pair.alice.close())).toBe('updates_pending');
    pair.alice.followUp();
    expect(codeOf(pair.alice.close())).toBe('updates_pending');
    pair.settle();
    expect(codeOf(pair.alice.close())).toBeUndefined();
    expect(pair.alice.close()).toEqual({ accepted: [] });
  });

  it('with HTLCs in flight waits for their end, and takes no new ones', () => {
    const pair = opened();
    pair.alice.offer({ payment: 1 });
    pair.bob.offer({ payment: 2 });
    pair.settle();
    pair.alice.wantsToClose = true;
    pair.settle();
    expect(pair.peers.map(({ state }) => state.phase)).toEqual(['shutdown', 'shutdown']);
    expect(pair.peers.map((peer) => codeOf(peer.offer({ payment: 3 })))).toEqual(['channel_not_open', 'channel_not_open']);
    pair.bob.fulfill(0n, 1);
    pair.settle();
    expect(pair.peers.map(({ state }) => state.phase)).toEqual(['shutdown', 'shutdown']);
    pair.alice.fail(0n);
    pair.settle();
    expect(agreedOf(pair.alice)!.closing_txid).toBe(agreedOf(pair.bob)!.closing_txid);
    expect(pair.bob.established.commitments.local_msat).toBe(410_000_000n);
  });

  it('that crosses with an update_add_htlc lets it in', () => {
    const pair = opened();
    pair.alice.offer();
    pair.bob.close();
    pair.settle();
    expect(pair.bob.htlc('received', 0n)).toMatchObject({ state: 'RCVD_ADD_ACK_REVOCATION' });
    expect(pair.peers.map(({ state }) => state.phase)).toEqual(['shutdown', 'shutdown']);
    pair.bob.fail(0n);
    pair.settle();
    expect(agreedOf(pair.alice)).toBeDefined();
  });

  it('the feerate may still change while HTLCs stand, and not once the peer may be quiet', () => {
    const pair = opened();
    pair.alice.offer();
    pair.settle();
    pair.alice.close();
    expect(codeOf(pair.alice.setFee(2_000))).toBeUndefined();
    pair.settle();
    pair.bob.fail(0n);
    pair.bob.followUp();
    while (pair.bob.outbox.length > 0) pair.deliver(pair.alice);
    expect(codeOf(pair.alice.setFee(3_000))).toBeUndefined();
    pair.alice.followUp();
    expect(pair.alice.setFee(4_000)).toMatchObject({ refused: { code: 'channel_is_closing' } });
    pair.settle();
    expect(pair.alice.established.commitments.fees).toMatchObject([{ feerate_per_kw: 3_000 }]);
  });

  it('a second one with another script is refused, with both', () => {
    const pair = opened();
    pair.alice.offer();
    pair.settle();
    pair.alice.close();
    pair.deliver(pair.bob);
    expect(pair.bob.decide(pair.bob.gather(shutdownFrom(pair.alice, scriptOf('alice')))!)).toEqual({ accepted: [] });
    expect(pair.bob.decide(pair.bob.gather(shutdownFrom(pair.alice, scriptOf('mallory')))!)).toMatchObject({ refused: { code: 'shutdown_script_differs', detail: { expected: scriptOf('alice'), got: scriptOf('mallory') } } });
  });

  it.each([['empty', ''], ['not standard', '51'], ['a short OP_RETURN', '6a0100'], ['a witness program of 1 byte', '510101']])('to a script that is %s is refused', (_what, script) => {
    const { alice, bob } = opened();
    expect(bob.decide(bob.gather(shutdownFrom(alice, script))!)).toMatchObject({ refused: { code: 'invalid_shutdown_script', detail: { scriptpubkey: script } } });
  });

  it('before the channel is open is refused', () => {
    const { alice, bob } = opened();
    bob.state = { ...bob.established, phase: 'opening', step: 'funded' };
    expect(codeOf(bob.decide(bob.gather(shutdownFrom(alice, scriptOf('alice')))!))).toBe('unexpected_message');
    expect(codeOf(bob.close())).toBe('channel_not_open');
  });
});

describe('an upfront shutdown script', () => {
  const upfront = { alice: scriptOf('cold storage') };

  it('is the only one that its owner names, whatever was wished', () => {
    const { alice } = opened({ upfront });
    alice.close(scriptOf('somewhere else'));
    expect(alice.has('ShutdownSent')).toMatchObject([{ scriptpubkey: scriptOf('cold storage') }]);
  });

  it('is the only one that the peer takes', () => {
    const { alice, bob } = opened({ upfront });
    expect(bob.decide(bob.gather(shutdownFrom(alice, scriptOf('mallory')))!)).toMatchObject({
      refused: { code: 'upfront_shutdown_script_differs', answer: 'disconnect', detail: { expected: scriptOf('cold storage'), got: scriptOf('mallory') } },
    });
    expect(codeOf(bob.decide(bob.gather(shutdownFrom(alice, scriptOf('cold storage')))!))).toBeUndefined();
  });

  it('of zero length binds nobody', () => {
    const pair = opened({ upfront: { alice: '' } });
    pair.alice.wantsToClose = true;
    pair.settle();
    expect(pair.bob.has('ShutdownReceived')).toMatchObject([{ scriptpubkey: scriptOf('alice') }]);
    expect(agreedOf(pair.bob)).toBeDefined();
  });
});

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
