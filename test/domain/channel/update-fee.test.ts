/** BOLT 2, "Updating Fees": who sets the feerate, within which bounds, and what becomes of proposals. */
import { describe, expect, it } from 'vitest';
import type { MessageOf } from '../../../src/bolt/messages.ts';
import { msat } from '../../../src/bolt/primitives.ts';
import { codeOf, opened, type Peer } from '../../support/channel-pair.ts';

const receive = (peer: Peer, message: Parameters<Peer['gather']>[0]) => peer.decide(peer.gather(message)!);

describe('the feerate', () => {
  it('goes from the opener to both commitments', () => {
    const pair = opened();
    pair.alice.setFee(2_000);
    pair.settle();
    for (const { established } of pair.peers) expect(established.commitments.fees).toMatchObject([{ feerate_per_kw: 2_000 }]);
  });

  it('is the opener\'s alone', () => {
    const pair = opened();
    expect(codeOf(pair.bob.setFee(2_000))).toBe('only_the_opener_sets_the_fee');
    const message: MessageOf<'update_fee'> = { type: 'update_fee', channel_id: pair.bob.established.funding.channel_id, feerate_per_kw: 2_000, tlvs: {} };
    expect(receive(pair.alice, message)).toMatchObject({ refused: { code: 'only_the_opener_sets_the_fee', answer: 'disconnect' } });
  });

  it.each([252, 100_001])('of %i is refused by the peer, with its bounds', (feerate_per_kw) => {
    const { bob } = opened();
    const message: MessageOf<'update_fee'> = { type: 'update_fee', channel_id: bob.established.funding.channel_id, feerate_per_kw, tlvs: {} };
    expect(receive(bob, message)).toMatchObject({ refused: { code: 'feerate_out_of_range', answer: 'disconnect', detail: { feerate_per_kw, min: 253, max: 100_000 } } });
  });

  it('safety 13: never takes the opener below its reserve; to the sat per 1000 weight', () => {
    // alice has 20,000 sat: 9,340 beside reserve and anchors, for a weight of 1,124.
    const pair = opened({ push_msat: msat(980_000_000n) });
    expect(pair.alice.setFee(8_311)).toMatchObject({ refused: { code: 'cannot_afford_feerate', detail: { balance_msat: 20_000_000n, needed_msat: 20_001_000n } } });
    const message: MessageOf<'update_fee'> = { type: 'update_fee', channel_id: pair.bob.established.funding.channel_id, feerate_per_kw: 8_311, tlvs: {} };
    expect(receive(pair.bob, message)).toMatchObject({ refused: { code: 'cannot_afford_feerate', answer: 'disconnect' } });
    expect(codeOf(pair.alice.setFee(8_310))).toBeUndefined();
    expect(codeOf(pair.deliver(pair.bob))).toBeUndefined();
  });

  it('that is in force already is not proposed', () => {
    const { alice } = opened();
    expect(alice.setFee(1_000)).toEqual({ accepted: [] });
  });

  it('taken back before it was signed is signed by both all the same', () => {
    const pair = opened();
    pair.alice.setFee(2_000);
    pair.disconnect();
    pair.alice.setFee(1_000);
    pair.reconnect().settle();
    for (const { established } of pair.peers) expect(established.commitments.fees).toMatchObject([{ feerate_per_kw: 1_000 }]);
  });

  it('of many proposals only the last is remembered', () => {
    const pair = opened();
    for (let feerate = 2_000; feerate < 2_020; feerate++) pair.alice.setFee(feerate);
    while (pair.alice.outbox.length > 0) pair.deliver(pair.bob);
    for (const { established } of pair.peers) expect(established.commitments.fees.map(({ feerate_per_kw }) => feerate_per_kw)).toEqual([1_000, 2_019]);
    pair.settle();
    for (const { established } of pair.peers) expect(established.commitments.fees.map(({ feerate_per_kw }) => feerate_per_kw)).toEqual([2_019]);
  });
});
