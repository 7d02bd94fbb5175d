/** BOLT 2, "Defined Channel Types": two basic types with two variations each, and nothing else. */
import { describe, expect, it } from 'vitest';
import { decodeChannelType, encodeChannelType } from '../../../src/bolt/09-features/channel-types.ts';
import { CHANNEL_TYPES, featuresFromBits } from '../../../src/bolt/09-features/features.ts';

describe('a channel_type', () => {
  it.each([
    ['static_remotekey', false, false, [12]],
    ['static_remotekey', true, false, [12, 46]],
    ['static_remotekey', true, true, [12, 46, 50]],
    ['anchors_zero_fee_htlc_tx', false, false, [12, 22]],
    ['anchors_zero_fee_htlc_tx', true, false, [12, 22, 46]],
    ['anchors_zero_fee_htlc_tx', false, true, [12, 22, 50]],
    ['anchors_zero_fee_htlc_tx', true, true, [12, 22, 46, 50]],
  ] as const)('%s with scid_alias %s and zero_conf %s is bits %j, both ways', (format, scid_alias, zero_conf, bits) => {
    const type = { format, scid_alias, zero_conf };
    expect(encodeChannelType(type)).toBe(featuresFromBits(bits));
    expect(decodeChannelType(featuresFromBits(bits))).toEqual(type);
  });

  it.each([
    ['nothing', ''],
    ['an odd bit', featuresFromBits([13])],
    ['anchors without static_remotekey', featuresFromBits([22])],
    ['a bit that no type has', featuresFromBits([12, 22, 24])],
    ['a longer bitmap than needed', `00${CHANNEL_TYPES.static_remotekey}`],
    ['a variation of nothing', featuresFromBits([46])],
    ['a bitmap of 64 kB', 'ff'.repeat(65_000)],
  ])('that is %s is none', (_what, channel_type) => {
    expect(decodeChannelType(channel_type)).toBeUndefined();
  });

  it('that is left out is none', () => expect(decodeChannelType(undefined)).toBeUndefined());
});
