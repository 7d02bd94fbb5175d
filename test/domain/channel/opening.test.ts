/** BOLT 2, "Channel Establishment v1": both roles from open_channel to channel_ready, and every reason to turn back. */
import { describe, expect, it } from 'vitest';
import { CHANNEL_TYPES } from '../../../src/bolt/09-features/features.ts';
import { serialize } from '../../../src/bolt/03-transactions/tx.ts';
import type { MessageOf } from '../../../src/bolt/messages.ts';
import { msat, sat, type Hex32, type Point, type Signature } from '../../../src/bolt/primitives.ts';
import type { ChannelCommand } from '../../../src/domain/channel/commands.ts';
import { accepted, codeOf, confirm, createFunding, funded, fundingTransaction, FUNDING_BLOCK, HEIGHT, openCommand, opened, POLICY, REGTEST_CHAIN_HASH, strangers, type Pair, type PairOptions } from '../../support/channel-pair.ts';

type OpenMessage = MessageOf<'open_channel'>;
type AcceptMessage = MessageOf<'accept_channel'>;

const NO_POINT = `02${'00'.repeat(32)}` as Point;
const OTHER_HASH = '66'.repeat(32) as Hex32;
const WRONG_SIGNATURE = '01'.repeat(64) as Signature;

describe('an opening that goes well', () => {
  it.each(['anchors_zero_fee_htlc_tx', 'static_remotekey'] as const)('with %s ends in phase normal on both sides, alike', (format) => {
    const { alice, bob } = opened({ format });
    expect([alice.state.phase, bob.state.phase]).toEqual(['normal', 'normal']);
    expect(alice.established.commitments).toMatchObject({ local_msat: 600_000_000n, remote_msat: 400_000_000n });
    expect(bob.established.commitments).toMatchObject({ local_msat: 400_000_000n, remote_msat: 600_000_000n });
    expect(alice.established.funding.channel_id).toBe(bob.established.funding.channel_id);
    expect(alice.established.funding.confirmed!.short_channel_id).toBe(`${FUNDING_BLOCK}x4x1`);
    expect(alice.refusals).toEqual([]);
  });

  it('the funding transaction is owed to the chain once funding_signed has come, and not before', () => {
    const pair = accepted();
    createFunding(pair);
    expect(pair.alice.broadcasts).toEqual([]);
    pair.deliverAll();
    expect(pair.alice.broadcasts).toEqual([{ what: 'funding', raw: fundingTransaction(pair).raw }]);
    expect(pair.bob.broadcasts).toEqual([]);
  });

  it('both sides name an upfront_shutdown_script, an empty one unless told: peers refuse an opening that says nothing of it', () => {
    const { alice, bob } = accepted();
    const opening = { phase: 'opening', step: 'accepted', terms: { local: { upfront_shutdown_script: '' }, remote: { upfront_shutdown_script: '' } } };
    expect(alice.state).toMatchObject(opening);
    expect(bob.state).toMatchObject(opening);
  });

  it('either side may be the first to see the confirmation', () => {
    const pair = funded();
    confirm(pair, pair.bob);
    pair.deliverAll();
    expect([pair.alice.state.phase, pair.bob.state.phase]).toEqual(['opening', 'opening']);
    confirm(pair, pair.alice);
    pair.deliverAll();
    expect([pair.alice.state.phase, pair.bob.state.phase]).toEqual(['normal', 'normal']);
  });

  it('a second channel_ready changes nothing', () => {
    const pair = funded();
    confirm(pair, pair.alice);
    const [ready] = pair.alice.outbox;
    pair.deliverAll();
    const { state } = pair.bob;
    expect(pair.bob.receive(ready!)).toEqual({ accepted: [] });
    expect(pair.bob.state).toBe(state);
  });

  it('an announced channel owes announcement_signatures once both are ready and six blocks deep, whichever comes last', () => {
    const told = (peer: Pair['alice']) => peer.saying.map(({ type }) => type);
    const pair = funded({ announce: true });
    confirm(pair, pair.alice);
    pair.alice.block(FUNDING_BLOCK + 5);
    expect(told(pair.alice)).toEqual(['channel_ready']);
    confirm(pair, pair.bob);
    // The harness stands at a height where the funding is deep: bob hears channel_ready there, alice a block.
    pair.deliver(pair.bob);
    expect(told(pair.bob)).toEqual(['channel_ready', 'announcement_signatures']);
    const shallow = funded({ announce: true });
    for (const peer of shallow.peers) confirm(shallow, peer);
    const [ready] = shallow.bob.saying as readonly MessageOf<'channel_ready'>[];
    shallow.alice.outbox.length = 0;
    shallow.alice.decide({ type: 'ReceiveChannelReady', message: ready!, height: FUNDING_BLOCK + 4 });
    shallow.alice.block(FUNDING_BLOCK + 4);
    expect(told(shallow.alice)).toEqual([]);
    shallow.alice.block(FUNDING_BLOCK + 5);
    shallow.alice.block(FUNDING_BLOCK + 6);
    expect(told(shallow.alice)).toEqual(['announcement_signatures']);
  });

  it('a peer that repeats its announcement_signatures hears ours again', () => {
    const { alice, bob } = opened({ announce: true });
    const message = { type: 'announcement_signatures', channel_id: alice.established.funding.channel_id, ...bob.established.announcement.received!, tlvs: {} } as MessageOf<'announcement_signatures'>;
    expect(bob.decide(bob.gather(message)!)).toMatchObject({ accepted: [{ type: 'AnnouncementSignaturesSent', short_channel_id: `${FUNDING_BLOCK}x4x1` }] });
    expect(bob.saying.map(({ type }) => type)).toEqual(['announcement_signatures']);
  });

  it('announcement_signatures for another short_channel_id are refused with both', () => {
    const { bob, alice } = opened({ announce: true });
    const { node_signature, bitcoin_signature } = bob.established.announcement.received!;
    expect(bob.established.announcement.received!.short_channel_id).toBe(`${FUNDING_BLOCK}x4x1`);
    const pair = funded({ announce: true });
    confirm(pair, pair.alice);
    const message = { type: 'announcement_signatures', channel_id: alice.established.funding.channel_id, short_channel_id: '1x1x1', node_signature, bitcoin_signature, tlvs: {} } as MessageOf<'announcement_signatures'>;
    expect(pair.alice.decide(pair.alice.gather(message)!)).toMatchObject({ refused: { code: 'short_channel_id_differs', detail: { expected: `${FUNDING_BLOCK}x4x1`, got: '1x1x1' } } });
  });
});

describe('a funding that a reorganisation moved', () => {
  it('gives the channel its new short_channel_id and asks both sides to sign the announcement again', () => {
    const { alice } = opened({ announce: true });
    const { funding } = alice.established;
    const decision = alice.decide({ type: 'ConfirmFunding', funding_txid: funding.txid, funding_transaction: funding.transaction!, block_height: FUNDING_BLOCK + 2, transaction_index: 7, next_per_commitment_point: alice.point(1n) });
    expect(decision).toMatchObject({ accepted: [{ type: 'FundingConfirmed', short_channel_id: `${FUNDING_BLOCK + 2}x7x1` }] });
    expect(alice.established.announcement).toEqual({ sent: false });
    expect(alice.block(FUNDING_BLOCK + 2 + 5)).toMatchObject({ accepted: [{ type: 'AnnouncementSignaturesSent', short_channel_id: `${FUNDING_BLOCK + 2}x7x1` }] });
    expect(alice.state.phase).toBe('normal');
  });

  it('says nothing where it came back to its place', () => {
    const { alice } = opened({ announce: true });
    const { funding } = alice.established;
    expect(alice.decide({ type: 'ConfirmFunding', funding_txid: funding.txid, funding_transaction: funding.transaction!, block_height: FUNDING_BLOCK, transaction_index: 4, next_per_commitment_point: alice.point(1n) })).toEqual({ accepted: [] });
  });
});

describe('our own wish to open', () => {
  const wish = (change: Partial<Extract<ChannelCommand, { type: 'OpenChannel' }>>, options: PairOptions = {}) => {
    const pair = strangers(options);
    return pair.alice.decide({ ...openCommand(pair, options), ...change });
  };

  it.each([
    ['too small', { funding_satoshis: sat(19_999) }, 'funding_out_of_range', { funding_satoshis: 19_999n, min: 20_000n }],
    ['too large', { funding_satoshis: sat(10_000_000_001n) }, 'funding_out_of_range', { funding_satoshis: 10_000_000_001n, max: 10_000_000_000n }],
    ['pushing more than there is', { push_msat: msat(1_000_000_001n) }, 'push_exceeds_funding', { push_msat: 1_000_000_001n, funding_satoshis: 1_000_000n }],
    ['of a type we do not know', { channel_type: '01' }, 'unknown_channel_type', { channel_type: '01' }],
    ['without means for its first fee', { push_msat: msat(990_000_000n) }, 'opener_cannot_pay_fee', { opener_msat: 10_000_000n, needed_msat: 11_784_000n }],
  ] as const)('%s is refused to the caller, with both values', (_how, change, code, detail) => {
    expect(wish(change)).toMatchObject({ refused: { code, answer: 'to_caller', detail } });
  });

  it('on a stream that has a channel already is refused', () => {
    const pair = accepted();
    expect(codeOf(pair.alice.decide(openCommand(pair)))).toBe('channel_exists');
  });
});

describe('a received open_channel', () => {
  const received = (change: Partial<OpenMessage>, options: PairOptions = {}) => {
    const pair = strangers(options);
    pair.alice.decide(openCommand(pair, options));
    const command = pair.bob.gather({ ...(pair.alice.saying[0] as OpenMessage), ...change })!;
    return { pair, decision: pair.bob.decide(command) };
  };

  it.each([
    ['for another chain', { chain_hash: OTHER_HASH }, 'unknown_chain_hash', { expected: REGTEST_CHAIN_HASH, got: OTHER_HASH }],
    ['without a channel_type', { tlvs: {} }, 'unknown_channel_type', { got: 'none' }],
    ['with a channel_type we do not take', { tlvs: { channel_type: '10' } }, 'unknown_channel_type', { got: '10' }],
    ['too small', { funding_satoshis: sat(19_999) }, 'funding_out_of_range', { funding_satoshis: 19_999n, min: 20_000n }],
    ['that pushes more than there is', { push_msat: msat(1_000_000_001n) }, 'push_exceeds_funding', { push_msat: 1_000_000_001n }],
    ['with a feerate too low', { feerate_per_kw: 252 }, 'feerate_out_of_range', { feerate_per_kw: 252, min: 253 }],
    ['with a feerate too high', { feerate_per_kw: 100_001 }, 'feerate_out_of_range', { feerate_per_kw: 100_001, max: 100_000 }],
    ['with a dust limit below 354 sat', { dust_limit_satoshis: sat(353) }, 'dust_limit_too_small', { dust_limit_satoshis: 353n, min: 354n }],
    ['with a delay of weeks', { to_self_delay: 2017 }, 'to_self_delay_too_long', { to_self_delay: 2017, max: 2016 }],
    ['with 484 HTLCs', { max_accepted_htlcs: 484 }, 'max_accepted_htlcs_out_of_range', { max_accepted_htlcs: 484, max: 483 }],
    ['with no HTLC at all', { max_accepted_htlcs: 0 }, 'max_accepted_htlcs_out_of_range', { max_accepted_htlcs: 0 }],
    ['with a funding key that is no point', { funding_pubkey: NO_POINT }, 'invalid_point', { point: NO_POINT }],
    ['with a first point that is none', { first_per_commitment_point: NO_POINT }, 'invalid_point', { point: NO_POINT }],
    ['of an opener that cannot pay the fee', { push_msat: msat(999_000_000n) }, 'opener_cannot_pay_fee', { opener_msat: 1_000_000n, needed_msat: 11_784_000n }],
  ] as const)('%s is refused by warning, with both values', (_how, change, code, detail) => {
    expect(received(change as Partial<OpenMessage>).decision).toMatchObject({ refused: { code, answer: 'warning', detail } });
  });

  it.each([
    ['a dust limit above the reserve that the opener keeps', { dust_limit_satoshis: sat(10_001) }, 'dust_limit_above_reserve', { dust_limit_satoshis: 10_001n, channel_reserve_satoshis: 10_000n }],
    ['a reserve below our dust limit', { channel_reserve_satoshis: sat(353) }, 'reserve_below_dust_limit', { channel_reserve_satoshis: 353n, dust_limit_satoshis: 354n }],
  ] as const)('safety 13: %s is refused', (_how, change, code, detail) => {
    expect(received(change).decision).toMatchObject({ refused: { code, detail } });
  });

  it.each([['dust limit equal to the reserve', { dust_limit_satoshis: sat(10_000) }], ['reserve equal to the dust limit', { channel_reserve_satoshis: sat(354) }], ['483 HTLCs', { max_accepted_htlcs: 483 }]] as const)(
    'on the boundary (%s) is taken', (_what, change) => {
      const { pair } = received(change);
      expect(pair.bob.saying.map(({ type }) => type)).toEqual(['accept_channel']);
    });

  it('is answered with our own terms', () => {
    const { pair } = received({});
    const [answer] = pair.bob.saying as [AcceptMessage];
    const { dust_limit_satoshis, htlc_minimum_msat, to_self_delay, minimum_depth } = POLICY;
    expect(answer).toMatchObject({ dust_limit_satoshis, htlc_minimum_msat, to_self_delay, minimum_depth, channel_reserve_satoshis: 10_000n, tlvs: { channel_type: CHANNEL_TYPES.anchors_zero_fee_htlc_tx } });
  });
});

describe('a received accept_channel', () => {
  const received = (change: Partial<AcceptMessage>) => {
    const pair = strangers();
    pair.alice.decide(openCommand(pair));
    pair.deliver(pair.bob);
    const command = pair.alice.gather({ ...(pair.bob.saying[0] as AcceptMessage), ...change })!;
    return { pair, decision: pair.alice.decide(command) };
  };

  it.each([
    ['with another channel_type', { tlvs: { channel_type: CHANNEL_TYPES.static_remotekey } }, 'channel_type_differs'],
    ['without one', { tlvs: {} }, 'channel_type_differs'],
    ['with a dust limit below 354 sat', { dust_limit_satoshis: sat(353) }, 'dust_limit_too_small'],
    ['with a dust limit above our reserve', { dust_limit_satoshis: sat(10_001) }, 'dust_limit_above_reserve'],
    ['with a reserve below our dust limit', { channel_reserve_satoshis: sat(353) }, 'reserve_below_dust_limit'],
    ['with a delay of weeks', { to_self_delay: 2017 }, 'to_self_delay_too_long'],
    ['with 484 HTLCs', { max_accepted_htlcs: 484 }, 'max_accepted_htlcs_out_of_range'],
    ['with a key that is no point', { htlc_basepoint: NO_POINT }, 'invalid_point'],
  ] as const)('%s ends the opening, and the peer hears why', (_how, change, code) => {
    const { pair, decision } = received(change as Partial<AcceptMessage>);
    expect(codeOf(decision)).toBe(code);
    expect(pair.alice.state).toMatchObject({ phase: 'abandoned', code });
    expect(pair.alice.saying.at(-1)).toMatchObject({ type: 'error' });
  });

  it('for another opening is refused', () => {
    expect(received({ temporary_channel_id: OTHER_HASH }).decision).toMatchObject({ refused: { code: 'temporary_channel_id_differs', detail: { got: OTHER_HASH } } });
  });

  it('a second time is refused', () => {
    const pair = accepted();
    const message = { ...(pair.bob.has('AcceptChannelSent')[0] as unknown as AcceptMessage), type: 'accept_channel', tlvs: {} } as AcceptMessage;
    expect(codeOf(pair.alice.decide({ type: 'ReceiveAcceptChannel', message, policy: POLICY }))).toBe('unexpected_message');
  });
});

describe('the funding', () => {
  it('safety 01: is created only from an output that pays the amount to the script', () => {
    const pair = accepted();
    const { tx, raw, txid } = fundingTransaction(pair);
    const create = (change: Partial<Extract<ChannelCommand, { type: 'CreateFunding' }>>) =>
      pair.alice.decide({ type: 'CreateFunding', funding_txid: txid, funding_output_index: 1, funding_transaction: raw, ...change });
    expect(create({ funding_txid: OTHER_HASH })).toMatchObject({ refused: { code: 'funding_txid_differs', detail: { expected: OTHER_HASH, got: txid } } });
    expect(create({ funding_output_index: 0 })).toMatchObject({ refused: { code: 'funding_amount_differs', detail: { expected: 1_000_000n, got: 77_777n } } });
    expect(create({ funding_output_index: 2 })).toMatchObject({ refused: { code: 'funding_amount_differs', detail: { got: 'no output' } } });
    expect(pair.alice.state).toMatchObject({ phase: 'opening', step: 'accepted' });
    expect(serialize(tx)).toBe(raw);
  });

  it('safety 01: is confirmed only by the transaction that was negotiated', () => {
    const pair = funded();
    const other = fundingTransaction(accepted({ funding_satoshis: sat(900_000) }));
    const { txid } = fundingTransaction(pair);
    const decision = pair.bob.decide({ type: 'ConfirmFunding', funding_txid: txid, funding_transaction: other.raw, block_height: FUNDING_BLOCK, transaction_index: 1, next_per_commitment_point: pair.bob.point(1n) });
    expect(decision).toMatchObject({ refused: { code: 'funding_txid_differs', detail: { expected: txid, got: other.txid } } });
    expect(pair.bob.state).toMatchObject({ phase: 'opening', step: 'funded' });
  });

  it('with a wrong signature in funding_created is abandoned by the accepter', () => {
    const pair = accepted();
    createFunding(pair);
    const message = { ...(pair.alice.saying[0] as MessageOf<'funding_created'>), signature: WRONG_SIGNATURE };
    expect(codeOf(pair.bob.decide({ type: 'ReceiveFundingCreated', message, height: HEIGHT }))).toBe('invalid_signature');
    expect(pair.bob.state.phase).toBe('abandoned');
  });

  it('with a wrong signature in funding_signed is abandoned by the opener, and nothing is broadcast', () => {
    const pair = accepted();
    createFunding(pair);
    pair.deliver(pair.bob);
    const message = { ...(pair.bob.saying[0] as MessageOf<'funding_signed'>), signature: WRONG_SIGNATURE };
    expect(codeOf(pair.alice.decide({ type: 'ReceiveFundingSigned', message }))).toBe('invalid_signature');
    expect(pair.alice.broadcasts).toEqual([]);
  });

  it('of another opening is refused', () => {
    const pair = accepted();
    createFunding(pair);
    const message = { ...(pair.alice.saying[0] as MessageOf<'funding_created'>), temporary_channel_id: OTHER_HASH };
    expect(codeOf(pair.bob.decide({ type: 'ReceiveFundingCreated', message, height: HEIGHT }))).toBe('temporary_channel_id_differs');
  });

  it('can be abandoned until both sides have signed, and not after', () => {
    const abandon = { type: 'AbandonOpening', code: 'peer_disconnected', reason: 'the connection ended' } as const;
    expect(codeOf(accepted().alice.decide(abandon))).toBe('peer_disconnected');
    expect(codeOf(funded().alice.decide(abandon))).toBe('too_late_to_abandon');
  });

  it('an error of the peer ends an opening without money at stake', () => {
    const { alice } = accepted();
    alice.decide({ type: 'ReceiveError', data: 'no thanks' });
    expect(alice.state).toMatchObject({ phase: 'abandoned', code: 'error_from_peer', reason: 'no thanks' });
    expect(alice.saying).toEqual([]);
  });

  it('channel_ready before funding_signed is refused', () => {
    const pair = accepted();
    createFunding(pair);
    const message: MessageOf<'channel_ready'> = { type: 'channel_ready', channel_id: pair.alice.established.funding.channel_id, second_per_commitment_point: pair.bob.point(1n), tlvs: {} };
    expect(codeOf(pair.alice.decide({ type: 'ReceiveChannelReady', message, height: HEIGHT }))).toBe('unexpected_message');
  });

  it('channel_ready with a point that is none is refused', () => {
    const pair = funded();
    const message: MessageOf<'channel_ready'> = { type: 'channel_ready', channel_id: pair.alice.established.funding.channel_id, second_per_commitment_point: NO_POINT, tlvs: {} };
    expect(codeOf(pair.alice.decide({ type: 'ReceiveChannelReady', message, height: HEIGHT }))).toBe('invalid_point');
  });
});
