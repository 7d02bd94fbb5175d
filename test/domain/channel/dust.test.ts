/** BOLT 2, "Bounding exposure to trimmed in-flight HTLCs", at its edges: both formats, both directions, both commitments, and room for a rise. */
import { describe, expect, it } from 'vitest';
import { buildCommitment } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { msat, sat } from '../../../src/bolt/primitives.ts';
import { commitmentParams, commitmentSpec } from '../../../src/domain/channel/commitment-spec.ts';
import { dustExposureMsat, dustFeerate } from '../../../src/domain/channel/limits.ts';
import { codeOf, opened, type Pair, type PairOptions } from '../../support/channel-pair.ts';

const FORMATS = ['anchors_zero_fee_htlc_tx', 'static_remotekey'] as const;
const DUST = { alice: 1_000n, bob: 600n };
const limits: PairOptions['policies'] = { alice: { dust_limit_satoshis: sat(DUST.alice) }, bob: { dust_limit_satoshis: sat(DUST.bob) } };

/** What the second stage costs at 1,000 sat per 1000 weight: the owner's timeout of what it offers, its success of what it gets. */
const stage = (format: (typeof FORMATS)[number], offered: boolean): bigint => (format === 'anchors_zero_fee_htlc_tx' ? 0n : offered ? 663n : 703n);

describe.each(FORMATS)('safety 25: %s: an HTLC exactly at the limit', (format) => {
  describe.each(['alice', 'bob'] as const)('that %s offers', (offerer) => {
    it.each(['alice', 'bob'] as const)('has an output on the commitment of %s, and one msat less is dust', (owner) => {
      const limit = (DUST[owner] + stage(format, owner === offerer)) * 1000n;
      for (const [amount, isDust] of [[limit - 1n, true], [limit, false], [limit + 999n, false]] as const) {
        const pair = opened({ format, policies: limits });
        pair[offerer].offer({ amount_msat: msat(amount) });
        pair.settle();
        const { established } = pair[owner];
        const { trimmed, htlcs } = buildCommitment(commitmentParams(established, 'local'), commitmentSpec(established, 'local'));
        expect([trimmed.length, htlcs.length]).toEqual(isDust ? [1, 0] : [0, 1]);
        expect(dustExposureMsat(established.terms, established.commitments.htlcs, 1_000, 'local'), 'the limits and BOLT 3 agree').toBe(isDust ? amount : 0n);
      }
    });
  });
});

describe.each(FORMATS)('safety 14: %s: the sum of dust', (format) => {
  const capped = (max: bigint): Pair => opened({ format, policies: { alice: { max_dust_exposure_msat: msat(max) }, bob: { max_dust_exposure_msat: msat(max) } } });

  it.each([['alice', 'bob'], ['bob', 'alice']] as const)('of what %s and then %s offer may reach its bound, to the msat', (first, second) => {
    for (const [more, code] of [[0n, undefined], [1n, 'dust_exposure_exceeded']] as const) {
      const pair = capped(500_000n);
      pair[first].offer({ amount_msat: msat(300_000n), payment: 1 });
      pair.settle();
      expect(codeOf(pair[second].offer({ amount_msat: msat(200_000n + more), payment: 2 }))).toBe(code);
    }
  });

  it('counts the dearer of both commitments: a limit of one side\'s is enough', () => {
    const pair = opened({ format, policies: { alice: { max_dust_exposure_msat: msat(800_000n), dust_limit_satoshis: sat(1_000) }, bob: {} } });
    expect(codeOf(pair.alice.offer({ amount_msat: msat(800_000n), payment: 1 }))).toBeUndefined();
    expect(codeOf(pair.alice.offer({ amount_msat: msat(999_000n), payment: 2 }))).toBe('dust_exposure_exceeded');
  });
});

describe('safety 14: room for a rise', () => {
  it('is a quarter or 10 sat a virtual byte, whichever is more; with anchors a rise trims nothing', () => {
    expect([1_000, 10_000, 20_000].map((feerate) => dustFeerate({ format: 'static_remotekey' }, feerate))).toEqual([3_500, 12_500, 25_000]);
    expect(dustFeerate({ format: 'anchors_zero_fee_htlc_tx' }, 20_000)).toBe(20_000);
  });

  // At 1,000 + 2,500 sat per 1000 weight a timeout costs 2,320 sat, a success 2,460: below 354 + 2,460 an HTLC would be dust.
  it.each([
    ['2,813 sat and 999 msat would be dust on the payee\'s commitment', 2_813_999n, 'dust_exposure_exceeded'],
    ['2,814 sat would have its outputs', 2_814_000n, undefined],
  ])('without anchors: %s', (_what, amount, code) => {
    const pair = opened({ format: 'static_remotekey', policies: { alice: { max_dust_exposure_msat: msat(1_000_000n) }, bob: { max_dust_exposure_msat: msat(1_000_000n) } } });
    expect(codeOf(pair.alice.offer({ amount_msat: msat(amount) }))).toBe(code);
    expect(codeOf(pair.bob.offer({ amount_msat: msat(amount) }))).toBe(code);
  });

  it('makes a rise within it harmless: no update_fee fails the channel', () => {
    const bound = { max_dust_exposure_msat: msat(5_000_000n) };
    const pair = opened({ format: 'static_remotekey', policies: { alice: bound, bob: bound } });
    for (let payment = 1; payment <= 6; payment++) pair.alice.offer({ amount_msat: msat(2_000_000n), payment });
    pair.settle();
    expect(pair.alice.has('HtlcOfferDeclined')).toHaveLength(4);
    for (const feerate of [2_000, 3_500]) {
      expect(codeOf(pair.alice.setFee(feerate))).toBeUndefined();
      pair.settle();
    }
    expect(pair.peers.map(({ state }) => state.phase)).toEqual(['normal', 'normal']);
  });

  it('a peer\'s HTLC above the bound is taken and failed, never taken up', () => {
    const pair = opened({ format: 'static_remotekey', policies: { bob: { max_dust_exposure_msat: msat(1_000_000n) } } });
    pair.alice.offer({ amount_msat: msat(2_813_999n) });
    pair.settle();
    expect(pair.bob.has('IncomingHtlcCommitted').map(({ hop }) => hop.kind)).toEqual(['invalid']);
  });
});
