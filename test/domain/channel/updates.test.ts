/** BOLT 2, "Adding an HTLC", "Removing an HTLC" and "Updating Fees": what may be proposed and what is taken, to the last msat. */
import { describe, expect, it } from 'vitest';
import type { MessageOf } from '../../../src/bolt/messages.ts';
import { msat, sat, ZERO_32, type Hex32 } from '../../../src/bolt/primitives.ts';
import { worstView } from '../../../src/domain/channel/commitment-spec.ts';
import { dustExposureMsat, openerCostMsat, reserveMsat, sendableMsat } from '../../../src/domain/channel/limits.ts';
import { sealEvents, ZERO_HASH } from '../../../src/events/envelope.ts';
import { codeOf, hashOf, HEIGHT, opened, Pair, preimageOf, type PairOptions, type Peer } from '../../support/channel-pair.ts';

type Add = MessageOf<'update_add_htlc'>;

/** alice's first update_add_htlc on its way, changed. */
function addFromAlice(pair: Pair, change: Partial<Add> = {}): Add {
  pair.alice.offer();
  return { ...(pair.alice.saying[0] as Add), ...change };
}

const receive = (peer: Peer, message: Parameters<Peer['gather']>[0]) => peer.decide(peer.gather(message)!);

/** An HTLC of alice's that both sides hold for good. */
function locked(options: PairOptions = {}): Pair {
  const pair = opened(options);
  pair.alice.offer();
  return pair.settle();
}

describe('offering', () => {
  it('ids count up from 0, whatever became of the ones before', () => {
    const pair = locked();
    pair.bob.fail(0n);
    pair.settle();
    pair.alice.offer();
    pair.alice.offer();
    expect(pair.alice.has('UpdateAddHtlcSent').map(({ id }) => id)).toEqual([0n, 1n, 2n]);
  });

  it.each([
    ['nothing', { amount_msat: msat(0) }, 'htlc_value_too_small', 'amount_msat 0, htlc_minimum_msat 1000'],
    ['less than the peer takes', { amount_msat: msat(999) }, 'htlc_value_too_small', 'amount_msat 999, htlc_minimum_msat 1000'],
    ['an expiry that is a time', { cltv_expiry: 500_000_000 }, 'cltv_expiry_too_large', 'cltv_expiry 500000000, limit 500000000'],
    ['an expiry that is over', { cltv_expiry: HEIGHT }, 'expiry_too_soon', `cltv_expiry ${HEIGHT}, height ${HEIGHT}`],
    ['more than may be in flight', { amount_msat: msat(500_000_001n) }, 'max_htlc_value_in_flight_exceeded', 'max_htlc_value_in_flight_msat 500000000, in_flight_msat 500000001'],
    ['without a connection', { connected: false }, 'peer_not_connected', 'peer_id'],
  ] as const)('%s is declined for good, with both values', (_what, offer, code, detail) => {
    const { alice } = opened({ policies: { bob: { htlc_minimum_msat: msat(1_000), max_htlc_value_in_flight_msat: msat(500_000_000n) } } });
    const decision = alice.offer(offer);
    expect(codeOf(decision)).toBe(code);
    expect(alice.has('HtlcOfferDeclined')).toMatchObject([{ code, detail: expect.stringContaining(detail), origin: { kind: 'payment' } }]);
    expect(alice.outbox).toEqual([]);
  });

  it.each([
    ['the least the peer takes', { amount_msat: msat(1_000) }],
    ['the most that may be in flight', { amount_msat: msat(500_000_000n) }],
    ['the last height', { cltv_expiry: 499_999_999 }],
    ['the next block as expiry', { cltv_expiry: HEIGHT + 1 }],
  ] as const)('%s is taken by both', (_what, offer) => {
    const pair = opened({ policies: { bob: { htlc_minimum_msat: msat(1_000), max_htlc_value_in_flight_msat: msat(500_000_000n) } } });
    pair.alice.offer(offer);
    pair.settle();
    expect(pair.bob.has('IncomingHtlcCommitted')).toHaveLength(1);
  });

  it('one HTLC more than the peer accepts is declined, and no sooner', () => {
    const pair = opened({ policies: { bob: { max_accepted_htlcs: 2 } } });
    expect([1, 2, 3].map((payment) => codeOf(pair.alice.offer({ payment })))).toEqual([undefined, undefined, 'too_many_htlcs']);
    pair.settle();
    pair.bob.fulfill(0n);
    expect(codeOf(pair.alice.offer({ payment: 4 }))).toBe('too_many_htlcs');
    pair.settle();
    expect(codeOf(pair.alice.offer({ payment: 4 }))).toBeUndefined();
  });

  it('however many both sides would take, all their signatures fit into one entry of the log', () => {
    const roomy = { max_accepted_htlcs: 483 };
    const pair = opened({ policies: { alice: roomy, bob: roomy } });
    const offers = pair.peers.map((peer) => Array.from({ length: 241 }, (_, payment) => codeOf(peer.offer({ payment, amount_msat: msat(400_000n) }))));
    expect(offers.map((codes) => codes.indexOf('too_many_htlcs'))).toEqual([240, 240]);
    pair.settle();
    for (const peer of pair.peers) {
      expect(peer.has('CommitmentSignedReceived').at(-1)!.htlc_signatures).toHaveLength(480);
      const facts = { stream: 'channel-x', firstRevision: 0n, previousHash: ZERO_HASH, cause: { command_id: ZERO_32, correlation_id: ZERO_32 }, recorded_at: '2026-01-01T00:00:00.000Z' };
      expect(() => sealEvents({ ...facts, events: peer.events })).not.toThrow();
    }
  });

  it.each(['alice', 'bob'] as const)('safety 13: %s can offer what sendableMsat says, and not one msat more', (name) => {
    const peer = opened()[name];
    const most = sendableMsat(peer.established.terms, worstView(peer.established.commitments));
    // The opener: reserve 10,000 sat, anchors 660 sat, 2 x 1,000 sat per 1000 weight for 1,124 + 172.
    expect(most).toBe(name === 'alice' ? 600_000_000n - 10_000_000n - 660_000n - 2_592_000n : 400_000_000n - 10_000_000n);
    expect(codeOf(peer.offer({ amount_msat: msat(most + 1n) }))).toBe('insufficient_balance');
    expect(codeOf(peer.offer({ amount_msat: most }))).toBeUndefined();
  });

  it('safety 13: who did not open does not push the opener below fee and reserve', () => {
    // alice holds 10,000 sat of reserve, 1,124 + 660 sat of fee and anchors, and 171 or 172 sat for one HTLC's weight.
    const alone = (alice_msat: bigint) => opened({ push_msat: msat(1_000_000_000n - alice_msat) }).bob.offer({ amount_msat: msat(1_000_000n) });
    expect(alone(11_956_000n - 1_000n)).toMatchObject({ accepted: [{ code: 'opener_cannot_pay_fee', detail: 'opener_msat 11955000, needed_msat 11956000' }] });
    expect(codeOf(alone(11_956_000n))).toBeUndefined();
  });

  it('safety 13: an HTLC too small for an output costs the opener no fee', () => {
    const { bob } = opened({ push_msat: msat(1_000_000_000n - 11_784_000n) });
    expect(codeOf(bob.offer({ amount_msat: msat(353_999) }))).toBeUndefined();
    expect(codeOf(bob.offer({ amount_msat: msat(354_000) }))).toBe('opener_cannot_pay_fee');
  });

  it('safety 13: without anchors the lower feerate can be the dearer one, and counts', () => {
    const roomy = { max_dust_exposure_msat: msat(900_000_000n), max_accepted_htlcs: 50 };
    const pair = opened({ format: 'static_remotekey', push_msat: msat(940_000_000n), feerate_per_kw: 5_000, policies: { alice: roomy, bob: roomy } });
    for (let payment = 1; payment <= 40; payment++) pair.bob.offer({ amount_msat: msat(4_000_000n), payment });
    pair.settle();
    // At 10,000 sat per 1000 weight the 40 HTLCs are trimmed; at 5,000 each has its output: 5 x (724 + 41 x 172) = 38,880 sat.
    const most = 60_000_000n - 10_000_000n - 38_880_000n;
    const { terms, commitments } = pair.alice.established;
    expect(sendableMsat(terms, worstView(commitments))).toBe(most);
    expect(codeOf(pair.alice.offer({ amount_msat: msat(most + 1n) }))).toBe('insufficient_balance');
    expect(codeOf(pair.alice.offer({ amount_msat: msat(most) }))).toBeUndefined();
  });

  it('after every settled update both sides can pay fee and reserve', () => {
    const pair = opened({ push_msat: msat(900_000_000n) });
    for (let payment = 1; payment <= 8; payment++) {
      pair.peers[payment % 2]!.offer({ amount_msat: msat(BigInt(payment) * 9_000_000n), payment });
      pair.settle();
      for (const { established: { terms, commitments } } of pair.peers) {
        const view = worstView(commitments);
        const cost = openerCostMsat(terms, view, 'local');
        expect(view.local_msat).toBeGreaterThanOrEqual(reserveMsat(terms, 'local') + (terms.role === 'opener' ? cost : 0n));
        expect(view.remote_msat).toBeGreaterThanOrEqual(reserveMsat(terms, 'remote') + (terms.role === 'opener' ? 0n : cost));
      }
    }
  });
});

describe('a received update_add_htlc', () => {
  it.each([
    ['with an id out of order', { id: 1n }, 'htlc_id_out_of_order', { expected: 0n, got: 1n }],
    ['of nothing', { amount_msat: msat(0) }, 'htlc_value_too_small', { amount_msat: 0n }],
    ['smaller than we take', { amount_msat: msat(999) }, 'htlc_value_too_small', { amount_msat: 999n, htlc_minimum_msat: 1_000n }],
    ['with a time as expiry', { cltv_expiry: 500_000_000 }, 'cltv_expiry_too_large', { cltv_expiry: 500_000_000 }],
    ['above what we let be in flight', { amount_msat: msat(500_000_001n) }, 'max_htlc_value_in_flight_exceeded', { in_flight_msat: 500_000_001n }],
  ] as const)('%s ends the connection, with both values', (_how, change, code, detail) => {
    const pair = opened({ policies: { bob: { htlc_minimum_msat: msat(1_000), max_htlc_value_in_flight_msat: msat(500_000_000n) } } });
    expect(receive(pair.bob, addFromAlice(pair, change))).toMatchObject({ refused: { code, answer: 'disconnect', detail } });
  });

  it('safety 13: that the sender cannot afford with its reserve, fee and anchors is refused; to the msat', () => {
    // 600,000,000 less 10,000 sat of reserve, 660 sat of anchors, 1,296 sat of fee.
    const limit = 588_044_000n;
    const add = (amount: bigint) => {
      const pair = opened();
      return receive(pair.bob, addFromAlice(pair, { amount_msat: msat(amount) }));
    };
    expect(add(limit + 1n)).toMatchObject({ refused: { code: 'insufficient_balance', detail: { balance_msat: 600_000_000n - limit - 1n, needed_msat: 11_956_000n } } });
    expect(codeOf(add(limit))).toBeUndefined();
  });

  it('beyond our number of HTLCs is refused', () => {
    const pair = opened({ policies: { bob: { max_accepted_htlcs: 1 } } });
    const message = addFromAlice(pair);
    receive(pair.bob, message);
    expect(receive(pair.bob, { ...message, id: 1n })).toMatchObject({ refused: { code: 'too_many_htlcs', detail: { max_accepted_htlcs: 1, htlcs: 2 } } });
  });

  it('after the peer\'s shutdown is refused', () => {
    const pair = opened();
    pair.alice.close();
    pair.deliver(pair.bob);
    const message = addFromAlice(opened());
    expect(receive(pair.bob, message)).toMatchObject({ refused: { code: 'add_after_shutdown', answer: 'disconnect' } });
  });

  it('with the hash and the amount of another is another HTLC', () => {
    const pair = opened();
    for (const _ of [0, 1]) pair.alice.offer({ payment: 5 });
    pair.settle();
    expect(pair.bob.established.commitments.htlcs.map(({ id }) => id)).toEqual([0n, 1n]);
    pair.bob.fulfill(1n, 5);
    pair.settle();
    expect(pair.alice.established.commitments.htlcs.map(({ id }) => id)).toEqual([0n]);
  });

  it('that crossed with HTLCs of ours is taken when a reconnection repeats it after them', () => {
    const pair = opened();
    const most = sendableMsat(pair.alice.established.terms, worstView(pair.alice.established.commitments));
    pair.alice.offer({ amount_msat: most });
    for (let payment = 2; payment <= 12; payment++) pair.bob.offer({ amount_msat: msat(1_000_000n), payment });
    pair.bob.followUp();
    while (pair.bob.outbox.length > 0) pair.deliver(pair.alice);
    pair.disconnect().reconnect().settle();
    expect(pair.bob.refusals).toEqual([]);
    expect(pair.alice.established.commitments.htlcs).toHaveLength(12);
  });
});

describe('safety 14: HTLCs too small for an output', () => {
  const dust = msat(353_999);

  it('are offered up to the bound on their sum, on either commitment', () => {
    const pair = opened({ policies: { alice: { max_dust_exposure_msat: msat(2n * 353_999n) } } });
    expect([1, 2, 3].map((payment) => codeOf(pair.alice.offer({ amount_msat: dust, payment })))).toEqual([undefined, undefined, 'dust_exposure_exceeded']);
    const { terms, commitments } = pair.alice.established;
    expect(dustExposureMsat(terms, commitments.htlcs, 1_000, 'remote')).toBe(2n * 353_999n);
  });

  it('above our own bound are taken, failed once they are committed, and never taken up', () => {
    const pair = opened({ policies: { bob: { max_dust_exposure_msat: msat(353_999n) } } });
    for (const payment of [1, 2]) pair.alice.offer({ amount_msat: dust, payment });
    pair.settle();
    expect(pair.bob.has('IncomingHtlcCommitted').map(({ hop }) => hop)).toMatchObject([{ kind: 'final' }, { kind: 'invalid', failure_code: 0x1007 }]);
  });

  it('count for both sides: what the peer has pending fills the same bound', () => {
    const pair = opened({ policies: { alice: { max_dust_exposure_msat: msat(353_999n) } } });
    pair.bob.offer({ amount_msat: dust });
    pair.settle();
    expect(codeOf(pair.alice.offer({ amount_msat: dust, payment: 2 }))).toBe('dust_exposure_exceeded');
  });

  const risen = (policies: PairOptions['policies']) => {
    const pair = opened({ format: 'static_remotekey', policies });
    pair.alice.offer({ amount_msat: msat(3_000_000n) });
    return pair.settle();
  };

  it('update_fee checks them again before it is sent', () => {
    const { alice } = risen({ alice: { max_dust_exposure_msat: msat(2_999_999n) } });
    expect(alice.setFee(5_000)).toMatchObject({ refused: { code: 'dust_exposure_exceeded', detail: { dust_msat: 3_000_000n, max_dust_exposure_msat: 2_999_999n } } });
    expect(codeOf(alice.setFee(3_000))).toBeUndefined();
  });

  it('update_fee that makes too many of them fails the channel at the feerate before', () => {
    const pair = risen({ bob: { max_dust_exposure_msat: msat(2_999_999n) } });
    pair.alice.setFee(5_000);
    const decision = pair.deliver(pair.bob);
    expect(decision).toMatchObject({ accepted: [{ type: 'ChannelFailed', code: 'dust_exposure_exceeded' }] });
    expect(pair.bob.broadcasts.map(({ what }) => what)).toEqual(['commitment']);
  });

  it('with anchors no feerate makes more of them', () => {
    const pair = opened({ policies: { bob: { max_dust_exposure_msat: msat(1n) } } });
    pair.alice.offer({ amount_msat: msat(400_000n) });
    pair.settle();
    pair.alice.setFee(20_000);
    pair.settle();
    expect(pair.bob.established.commitments.fees).toMatchObject([{ feerate_per_kw: 20_000 }]);
  });
});

describe('safety 25: an HTLC at the dust limit', () => {
  /** HTLC outputs of both commitments, as their htlc_signatures count them. */
  const outputs = (options: PairOptions, amount: bigint) => {
    const pair = opened(options);
    pair.alice.offer({ amount_msat: msat(amount) });
    pair.settle();
    return { bob: pair.bob.has('CommitmentSignedReceived').at(-1)!.htlc_signatures.length, alice: pair.alice.has('CommitmentSignedReceived').at(-1)!.htlc_signatures.length };
  };

  it.each([
    ['anchors: one msat below 354 sat', {}, 353_999n, { bob: 0, alice: 0 }],
    ['anchors: 354 sat', {}, 354_000n, { bob: 1, alice: 1 }],
    ['anchors: 354 sat and 999 msat', {}, 354_999n, { bob: 1, alice: 1 }],
    ['unequal limits: one msat below bob\'s 1,000 sat', { policies: { bob: { dust_limit_satoshis: sat(1_000) } } }, 999_999n, { bob: 0, alice: 1 }],
    ['unequal limits: bob\'s 1,000 sat', { policies: { bob: { dust_limit_satoshis: sat(1_000) } } }, 1_000_000n, { bob: 1, alice: 1 }],
    ['static_remotekey: below 354 + 663 sat, what a timeout costs alice', { format: 'static_remotekey' }, 1_016_999n, { bob: 0, alice: 0 }],
    ['static_remotekey: 354 + 663 sat', { format: 'static_remotekey' }, 1_017_000n, { bob: 0, alice: 1 }],
    ['static_remotekey: below 354 + 703 sat, what a success costs bob', { format: 'static_remotekey' }, 1_056_999n, { bob: 0, alice: 1 }],
    ['static_remotekey: 354 + 703 sat', { format: 'static_remotekey' }, 1_057_000n, { bob: 1, alice: 1 }],
  ] as const)('%s', (_where, options, amount, expected) => {
    expect(outputs(options, amount)).toEqual(expected);
  });
});

describe('removing', () => {
  it('waits until the HTLC is committed for good on both sides', () => {
    const pair = opened();
    pair.alice.offer();
    pair.deliver(pair.bob);
    expect(pair.bob.fulfill(0n)).toMatchObject({ refused: { code: 'htlc_not_removable', detail: { expected: 'RCVD_ADD_ACK_REVOCATION', got: 'RCVD_ADD_HTLC' } } });
    pair.settle();
    expect(codeOf(pair.bob.fulfill(0n))).toBeUndefined();
  });

  it('is refused for an HTLC that is not there, or twice', () => {
    const { bob } = locked();
    expect(bob.fail(1n)).toMatchObject({ refused: { code: 'unknown_htlc', detail: { htlc_id: 1n } } });
    bob.fail(0n);
    expect(codeOf(bob.fulfill(0n))).toBe('htlc_not_removable');
  });

  it('with a preimage that does not hash to the HTLC is refused on both ends', () => {
    const pair = locked();
    expect(pair.bob.fulfill(0n, 2)).toMatchObject({ refused: { code: 'wrong_preimage', detail: { payment_hash: hashOf(preimageOf(1)) } } });
    const message: MessageOf<'update_fulfill_htlc'> = { type: 'update_fulfill_htlc', channel_id: pair.alice.established.funding.channel_id, id: 0n, payment_preimage: preimageOf(2), tlvs: {} };
    expect(receive(pair.alice, message)).toMatchObject({ refused: { code: 'wrong_preimage', answer: 'disconnect', detail: { expected: hashOf(preimageOf(1)), got: preimageOf(2) } } });
  });

  it('a malformed onion needs a BADONION code on both ends', () => {
    const pair = locked();
    expect(codeOf(pair.bob.failMalformed(0n, 0x4005))).toBe('not_a_badonion_code');
    const message: MessageOf<'update_fail_malformed_htlc'> = { type: 'update_fail_malformed_htlc', channel_id: pair.alice.established.funding.channel_id, id: 0n, sha256_of_onion: '00'.repeat(32) as Hex32, failure_code: 0x4005, tlvs: {} };
    expect(receive(pair.alice, message)).toMatchObject({ refused: { code: 'not_a_badonion_code', answer: 'disconnect' } });
  });

  it.each([
    ['update_fulfill_htlc', (bob: Peer) => bob.fulfill(0n)],
    ['update_fail_htlc', (bob: Peer) => bob.fail(0n)],
    ['update_fail_malformed_htlc', (bob: Peer) => bob.failMalformed(0n)],
  ] as const)('safety 24: a second %s is refused and stored nowhere', (_type, remove) => {
    const pair = locked();
    remove(pair.bob);
    const [bytes] = pair.bob.outbox;
    pair.deliver(pair.alice);
    const { state } = pair.alice;
    const stored = pair.alice.log.length;
    expect(pair.alice.receive(bytes!)).toMatchObject({ refused: { code: 'htlc_not_removable', answer: 'disconnect' } });
    expect(pair.alice.state).toBe(state);
    expect(pair.alice.log).toHaveLength(stored);
  });

  it('a preimage is told to other streams at once, a failure only when it is for good', () => {
    const fulfilled = locked();
    fulfilled.bob.fulfill(0n);
    fulfilled.deliver(fulfilled.alice);
    expect(fulfilled.alice.has('OutgoingHtlcFulfilled')).toMatchObject([{ htlc_id: 0n, payment_preimage: preimageOf(1) }]);
    const failed = locked();
    failed.bob.fail(0n);
    failed.deliver(failed.alice);
    expect(failed.alice.has('OutgoingHtlcFailed')).toEqual([]);
    failed.settle();
    expect(failed.alice.has('OutgoingHtlcFailed')).toMatchObject([{ htlc_id: 0n, failure: { kind: 'reason' } }]);
  });

  it('a preimage shown before the connection broke is told once, even if the peer fails the HTLC afterwards', () => {
    const pair = locked();
    const changeOfMind = pair.bob.fork();
    pair.bob.fulfill(0n);
    pair.deliver(pair.alice);
    pair.disconnect();
    const again = new Pair(pair.alice, changeOfMind);
    changeOfMind.disconnect();
    changeOfMind.fail(0n);
    again.reconnect().settle();
    expect(pair.alice.has('OutgoingHtlcFulfilled')).toHaveLength(1);
    expect(pair.alice.has('OutgoingHtlcFailed')).toEqual([]);
    expect(pair.alice.established.commitments.local_msat).toBe(600_000_000n);
  });
});
