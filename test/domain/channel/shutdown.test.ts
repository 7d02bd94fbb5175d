/** BOLT 2, "Closing Initiation" and "Legacy Closing Negotiation": both sides stop, empty the channel and agree on one transaction. */
import { describe, expect, it } from 'vitest';
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import type { MessageOf } from '../../../src/bolt/messages.ts';
import { msat, sat, type Hex, type Sat } from '../../../src/bolt/primitives.ts';
import { ourClosing } from '../../../src/domain/channel/closing-transactions.ts';
import { mutualCloseTxids } from '../../../src/domain/channel/mutual-closes.ts';
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

describe('the script of a shutdown', () => {
  const P2TR: Hex = `5120${'77'.repeat(32)}`;
  const features = { anysegwit: false, simple_close: false };
  const chosen = (peer: Peer, scriptpubkey: Hex, common = { ...features, anysegwit: true }) => peer.decide({ type: 'CloseChannel', scriptpubkey, chosen: true, common });

  it.each([
    ['P2WPKH', `0014${'11'.repeat(20)}`, true], ['P2WSH', `0020${'11'.repeat(32)}`, true], ['P2TR', P2TR, true], ['pay to anchor', '51024e73', true],
    ['version 16 of 2 bytes', '6002abcd', true], ['version 1 of 40 bytes', `5128${'11'.repeat(40)}`, true],
    ['P2PKH', `76a914${'11'.repeat(20)}88ac`, false], ['P2SH', `a914${'11'.repeat(20)}87`, false], ['OP_RETURN', `6a06${'11'.repeat(6)}`, false],
    ['version 0 of 30 bytes', `001e${'11'.repeat(30)}`, false], ['version 1 of 41 bytes', `5129${'11'.repeat(41)}`, false],
  ] as const)('%s may be our choice: %s is %s', (_form, script, may) => {
    const { alice } = opened();
    expect(codeOf(chosen(alice, script))).toBe(may ? undefined : 'invalid_shutdown_script');
  });

  it.each([['P2PKH', `76a914${'11'.repeat(20)}88ac`], ['P2SH', `a914${'11'.repeat(20)}87`], ['P2TR', P2TR]])('%s is taken from a peer', (_form, script) => {
    const { alice, bob } = opened();
    expect(codeOf(bob.decide(bob.gather(shutdownFrom(alice, script))!))).toBeUndefined();
    expect(bob.has('ShutdownReceived')).toMatchObject([{ scriptpubkey: script }]);
  });

  it('of a later witness version needs option_shutdown_anysegwit, on both ways', () => {
    const { alice, bob } = opened();
    expect(chosen(alice, P2TR, features)).toMatchObject({ refused: { code: 'invalid_shutdown_script', answer: 'to_caller', detail: { scriptpubkey: P2TR } } });
    bob.features = new Set();
    expect(bob.decide(bob.gather(shutdownFrom(alice, P2TR))!)).toMatchObject({ refused: { code: 'invalid_shutdown_script', answer: 'disconnect' } });
  });

  it('with an OP_RETURN needs option_simple_close', () => {
    const burn: Hex = `6a08${'66'.repeat(8)}`;
    const { alice, bob } = opened({ simple_close: true });
    expect(codeOf(bob.decide(bob.gather(shutdownFrom(alice, burn))!))).toBeUndefined();
    const legacy = opened();
    expect(codeOf(legacy.bob.decide(legacy.bob.gather(shutdownFrom(legacy.alice, burn))!))).toBe('invalid_shutdown_script');
  });

  it('once sent is not taken back', () => {
    const pair = opened();
    pair.alice.offer();
    pair.settle();
    pair.alice.close();
    expect(chosen(pair.alice, scriptOf('elsewhere'))).toMatchObject({ refused: { code: 'shutdown_script_differs', detail: { expected: scriptOf('alice'), got: scriptOf('elsewhere') } } });
    expect(chosen(pair.alice, scriptOf('alice'))).toEqual({ accepted: [] });
  });

  it('may be another after a reconnection where both know option_simple_close', () => {
    const pair = opened({ simple_close: true });
    pair.alice.offer();
    pair.settle();
    pair.bob.close();
    pair.settle();
    expect(codeOf(pair.alice.decide(pair.alice.gather(shutdownFrom(pair.bob, scriptOf('bob 2')))!))).toBeUndefined();
    expect(pair.alice.state).toMatchObject({ phase: 'shutdown', scripts: { remote: scriptOf('bob 2') } });
    expect(pair.alice.replayed()).toEqual(pair.alice.state);
  });
});

describe('an upfront shutdown script', () => {
  const upfront = { alice: scriptOf('cold storage') };

  it('is the only one that its owner names, whatever was wished', () => {
    const { alice } = opened({ upfront });
    alice.close(scriptOf('somewhere else'));
    expect(alice.has('ShutdownSent')).toMatchObject([{ scriptpubkey: scriptOf('cold storage') }]);
  });

  it('is not bent by the choice of a user: that is refused, with both', () => {
    const { alice } = opened({ upfront });
    expect(alice.decide({ type: 'CloseChannel', scriptpubkey: scriptOf('somewhere else'), chosen: true })).toMatchObject({
      refused: { code: 'upfront_shutdown_script_differs', answer: 'to_caller', detail: { expected: scriptOf('cold storage'), got: scriptOf('somewhere else') } },
    });
  });

  it('of the accepter binds it as well', () => {
    const { alice, bob } = opened({ upfront: { bob: scriptOf('vault') } });
    bob.close(scriptOf('somewhere else'));
    expect(bob.has('ShutdownSent')).toMatchObject([{ scriptpubkey: scriptOf('vault') }]);
    expect(codeOf(alice.decide(alice.gather(shutdownFrom(bob, scriptOf('mallory')))!))).toBe('upfront_shutdown_script_differs');
  });

  it('that differs ends the connection and loses nothing: the right one closes after it', () => {
    const pair = opened({ upfront });
    const { state } = pair.bob;
    expect(codeOf(pair.bob.decide(pair.bob.gather(shutdownFrom(pair.alice, scriptOf('mallory')))!))).toBe('upfront_shutdown_script_differs');
    expect(pair.bob.state).toBe(state);
    pair.disconnect().reconnect();
    pair.alice.wantsToClose = true;
    pair.settle();
    expect(agreedOf(pair.bob)!.closing_txid).toBe(agreedOf(pair.alice)!.closing_txid);
    expect(parseTx(pair.bob.broadcasts.at(-1)!.raw).outputs).toContainEqual(expect.objectContaining({ script_pubkey: scriptOf('cold storage') }));
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
