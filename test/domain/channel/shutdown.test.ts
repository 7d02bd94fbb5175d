/** BOLT 2, "Closing Initiation": both sides stop, empty the channel and name the scripts that they want to be paid to. */
import { describe, expect, it } from 'vitest';
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import type { MessageOf } from '../../../src/bolt/messages.ts';
import type { Hex } from '../../../src/bolt/primitives.ts';
import { accepted, codeOf, openCommand, opened, scriptOf, strangers, type PairOptions, type Peer } from '../../support/channel-pair.ts';

/** What bob says to an opening of alice's. */
function refusedOpen(upfront: NonNullable<PairOptions['upfront']>) {
  const pair = strangers();
  pair.alice.decide(openCommand(pair, { upfront }));
  return pair.deliver(pair.bob);
}

const agreedOf = ({ state }: Peer) => (state.phase === 'closing' ? state.agreed : undefined);
const shutdownFrom = (peer: Peer, scriptpubkey: Hex): MessageOf<'shutdown'> => ({ type: 'shutdown', channel_id: peer.established.funding.channel_id, scriptpubkey, tlvs: {} });

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

  it.each([['not standard', '51'], ['a witness program of 41 bytes', `5129${'11'.repeat(41)}`]])('that is %s is no promise: the channel does not come to be', (_what, script) => {
    expect(codeOf(refusedOpen({ alice: script }))).toBe('invalid_shutdown_script');
    const pair = accepted({ upfront: { bob: script } });
    expect(pair.alice.state).toMatchObject({ phase: 'abandoned', code: 'invalid_shutdown_script' });
  });

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
