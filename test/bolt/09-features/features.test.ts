/** BOLT 9: the table of features, their fields, and what two peers agree on. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import {
  CHANNEL_TYPES,
  combineFeatures,
  featureBits,
  FEATURES,
  features,
  featuresFromBits,
  featureSupport,
  missingDependencies,
  negotiate,
  unknownEvenBits,
} from '../../../src/bolt/09-features/features.ts';
import assigned from '../../vectors/bolt09-feature-bits.json' with { type: 'json' };

describe('the table', () => {
  it('has every assigned feature, and none besides', () => {
    const ours = Object.entries(FEATURES).map(([name, row]) => ({
      name,
      bit: row.bit,
      assumed: 'assumed' in row,
      context: row.context,
      needs: 'needs' in row ? [row.needs] : [],
    }));
    expect(ours).toEqual(assigned.vectors);
  });

  it('spells the channel types', () => {
    expect(CHANNEL_TYPES).toEqual({ static_remotekey: '1000', anchors_zero_fee_htlc_tx: '401000' });
  });
});

describe('feature fields', () => {
  it('bits survive the field, which is as short as can be', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 500 })), (bits) => {
        const field = featuresFromBits(bits);
        expect([...featureBits(field)].toSorted()).toEqual(bits.toSorted());
        expect(field.startsWith('00')).toBe(false);
      }),
    );
  });

  it('both fields of init are combined', () => {
    expect(combineFeatures('02', '8000')).toBe('8002');
  });

  it('say how a feature is set', () => {
    const field = features({ basic_mpp: 'optional', option_anchors: 'compulsory' });
    expect([...featureBits(field)]).toEqual([17, 22]);
    expect(featureSupport(field, 'basic_mpp')).toBe('optional');
    expect(featureSupport(field, 'option_anchors')).toBe('compulsory');
    expect(featureSupport(field, 'option_splice')).toBeUndefined();
  });

  it('name compulsory bits that nobody has assigned', () => {
    expect(unknownEvenBits(featuresFromBits([22, 100, 101, 103, 254]))).toEqual([100, 254]);
  });

  it('need their dependencies, unless these are assumed', () => {
    expect(missingDependencies(features({ option_zeroconf: 'optional' }))).toEqual([
      { feature: 'option_zeroconf', needs: 'option_scid_alias' },
    ]);
    expect(missingDependencies(features({ basic_mpp: 'optional' }))).toEqual([]);
  });
});

describe('negotiation', () => {
  const local = features({ option_anchors: 'optional', option_quiesce: 'compulsory', basic_mpp: 'optional' });

  it('keeps what both offer, what we require and what is assumed', () => {
    const result = negotiate(local, features({ option_anchors: 'compulsory', option_splice: 'optional' }));
    const names = result.ok ? [...result.features] : [];
    expect(names).toContain('option_anchors');
    expect(names).toContain('option_quiesce');
    expect(names).toContain('var_onion_optin');
    expect(names).not.toContain('basic_mpp');
    expect(names).not.toContain('option_splice');
  });

  it('fails on a bit the peer requires and we do not have', () => {
    const theirs = featuresFromBits([62, 1000]);
    expect(negotiate(local, theirs)).toEqual({ ok: false, code: 'unknown_even_feature', bits: [62, 1000] });
  });

  it('fails on a missing dependency', () => {
    const theirs = features({ option_simple_close: 'optional' });
    expect(negotiate(local, theirs)).toMatchObject({ code: 'missing_feature_dependency', needs: 'option_shutdown_anysegwit' });
  });
});
