/** BOLT 2, "Updating Fees": when the opener proposes another feerate, how much of it it can pay, and what a peer will not hear of. */
import { describe, expect, it } from 'vitest';
import type { MessageOf } from '../../../src/bolt/messages.ts';
import { msat } from '../../../src/bolt/primitives.ts';
import { commitmentFeerate, DEFAULT_FEE_POLICY, dueFeerate } from '../../../src/domain/channel/fee-policy.ts';
import type { LiveState } from '../../../src/domain/channel/state.ts';
import { codeOf, opened, type Pair, type PairOptions } from '../../support/channel-pair.ts';

const all = (feerate: number) => ({ urgent: feerate, normal: feerate, economic: feerate });
const policy = { ...DEFAULT_FEE_POLICY, max_dust_exposure_msat: msat(50_000_000n) };
const due = (pair: Pair, feerate: number, who: 'alice' | 'bob' = 'alice') => dueFeerate(pair[who].established as LiveState, all(feerate), policy);

describe('the right feerate', () => {
  it('is an economic one with anchors, whose children pay for the hurry, and an urgent one without', () => {
    const feerates = { urgent: 5_000, normal: 2_000, economic: 400 };
    expect(commitmentFeerate('anchors_zero_fee_htlc_tx', feerates)).toBe(400);
    expect(commitmentFeerate('static_remotekey', feerates)).toBe(5_000);
  });
});

describe('a feerate of 1,000', () => {
  it.each([[800, undefined], [799, 799], [1_000, undefined], [1_250, undefined], [1_251, 1_251], [3_000, 3_000]])('where %i is right becomes %s', (right, expected) => {
    expect(due(opened(), right)).toBe(expected);
  });

  it('is the opener\'s to change, and not while another change is under way', () => {
    const pair = opened();
    expect(due(pair, 3_000, 'bob')).toBeUndefined();
    pair.alice.setFee(2_000);
    expect(due(pair, 3_000)).toBeUndefined();
    pair.settle();
    expect(due(pair, 3_000)).toBe(3_000);
  });
});

describe('what the opener cannot pay in full', () => {
  // alice has 20,000 sat: 9,340 beside reserve and anchors, for a weight of 1,124.
  const poor: PairOptions = { push_msat: msat(980_000_000n) };

  it('it pays as far as it goes, to the sat per 1000 weight', () => {
    const pair = opened(poor);
    expect(due(pair, 20_000)).toBe(8_310);
    expect(codeOf(pair.alice.setFee(8_310))).toBeUndefined();
  });

  it('and where that is hardly more than today\'s, it stays', () => {
    const pair = opened({ ...poor, feerate_per_kw: 7_000 });
    expect(due(pair, 20_000), 'within the band around 8,310').toBeUndefined();
  });

  it('safety 14: neither does it turn more than is borne into dust', () => {
    const pair = opened({ format: 'static_remotekey' });
    pair.alice.offer({ amount_msat: msat(4_000_000n) });
    pair.settle();
    const state = pair.alice.established as LiveState;
    // bob's commitment trims it first, where it costs an HTLC-success: from 354 + 0.703 x feerate > 4,000 on.
    expect(dueFeerate(state, all(20_000), { ...policy, max_dust_exposure_msat: msat(3_999_999n) })).toBe(5_187);
    expect(dueFeerate(state, all(20_000), policy)).toBe(20_000);
  });
});

describe('a peer that knows today\'s feerates', () => {
  const told = (options: PairOptions, feerate: number, today: number) => {
    const { bob } = opened(options);
    bob.feerates = all(today);
    const message: MessageOf<'update_fee'> = { type: 'update_fee', channel_id: bob.established.funding.channel_id, feerate_per_kw: feerate, tlvs: {} };
    return bob.decide(bob.gather(message)!);
  };

  it.each([[25_001, 'feerate_absurdly_high'], [25_000, undefined]])('hears %i where 1,000 is right: %s', (feerate, code) => {
    const decision = told({}, feerate, 1_000);
    expect(codeOf(decision)).toBe(code);
    if (code !== undefined) expect(decision).toMatchObject({ refused: { answer: 'disconnect', detail: { feerate_per_kw: 25_001, max_feerate_per_kw: 25_000 } } });
  });
  it('bears ten times an urgent one', () => {
    expect(codeOf(told({}, 50_000, 5_000))).toBeUndefined();
    expect(codeOf(told({}, 50_001, 5_000))).toBe('feerate_absurdly_high');
  });
  it('without anchors takes no fall below a quarter of an economic one: it would not confirm', () => {
    const legacy: PairOptions = { format: 'static_remotekey', feerate_per_kw: 1_000 };
    expect(codeOf(told(legacy, 999, 4_000))).toBe('feerate_too_low');
    expect(codeOf(told(legacy, 1_001, 8_000)), 'a rise is better than nothing').toBeUndefined();
    expect(codeOf(told({}, 253, 8_000)), 'with anchors a child pays').toBeUndefined();
  });
});
