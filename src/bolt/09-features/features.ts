/** BOLT 9: the feature bits, what they depend on, and what two peers have in common. */
import type { Hex } from '../primitives.ts';
import { fromHex, toHex } from '../primitives.ts';

/** Where a feature may be set: I init, N node_announcement, 9 BOLT 11 invoice, T channel_type. */
interface FeatureRow {
  /** The even bit, which makes the feature compulsory; the odd one above it offers it as optional. */
  readonly bit: number;
  readonly context: string;
  /** Every node has it: it is negotiated whether it is set or not. */
  readonly assumed?: true;
  readonly needs?: string;
}

export const FEATURES = {
  option_data_loss_protect: { bit: 0, context: '', assumed: true },
  option_upfront_shutdown_script: { bit: 4, context: 'IN' },
  gossip_queries: { bit: 6, context: '' },
  var_onion_optin: { bit: 8, context: '', assumed: true },
  gossip_queries_ex: { bit: 10, context: 'IN' },
  option_static_remotekey: { bit: 12, context: '', assumed: true },
  payment_secret: { bit: 14, context: '', assumed: true },
  basic_mpp: { bit: 16, context: 'IN9', needs: 'payment_secret' },
  option_support_large_channel: { bit: 18, context: 'IN' },
  option_anchors: { bit: 22, context: 'INT' },
  option_route_blinding: { bit: 24, context: 'IN9' },
  option_shutdown_anysegwit: { bit: 26, context: 'IN' },
  option_dual_fund: { bit: 28, context: 'IN' },
  option_quiesce: { bit: 34, context: 'IN' },
  option_attribution_data: { bit: 36, context: 'IN9' },
  option_onion_messages: { bit: 38, context: 'IN' },
  option_provide_storage: { bit: 42, context: 'IN' },
  option_channel_type: { bit: 44, context: '', assumed: true },
  option_scid_alias: { bit: 46, context: 'INT' },
  option_payment_metadata: { bit: 48, context: '9' },
  option_zeroconf: { bit: 50, context: 'INT', needs: 'option_scid_alias' },
  option_simple_close: { bit: 60, context: 'IN', needs: 'option_shutdown_anysegwit' },
  option_splice: { bit: 62, context: 'IN' },
} as const satisfies Readonly<Record<string, FeatureRow>>;

export type FeatureName = keyof typeof FEATURES;

const ROWS = Object.entries(FEATURES) as readonly (readonly [FeatureName, FeatureRow])[];
const KNOWN_BITS: ReadonlySet<number> = new Set(ROWS.flatMap(([, { bit }]) => [bit, bit + 1]));
const ASSUMED_BITS: ReadonlySet<number> = new Set(ROWS.flatMap(([, { bit, assumed }]) => (assumed ? [bit, bit + 1] : [])));

/** BOLT 2, "Defined Channel Types": even bits only, as the `channel_type` TLV carries them. */
export const CHANNEL_TYPES = {
  static_remotekey: featuresFromBits([12]),
  anchors_zero_fee_htlc_tx: featuresFromBits([12, 22]),
} as const;

/** The bits that are set; bit 0 is the lowest of the last byte. */
export function featureBits(features: Hex): ReadonlySet<number> {
  const bytes = fromHex(features).toReversed();
  const bits = new Set<number>();
  bytes.forEach((byte, index) => {
    for (let bit = 0; bit < 8; bit++) if ((byte >> bit) & 1) bits.add(index * 8 + bit);
  });
  return bits;
}

/** The shortest field that holds these bits. */
export function featuresFromBits(bits: Iterable<number>): Hex {
  const set = [...bits];
  const bytes = new Uint8Array(set.reduce((length, bit) => Math.max(length, (bit >> 3) + 1), 0));
  for (const bit of set) bytes[bytes.length - 1 - (bit >> 3)]! |= 1 << (bit & 7);
  return toHex(bytes);
}

/** A field of our own: `features({ basic_mpp: 'optional', option_anchors: 'compulsory' })`. */
export function features(wanted: { readonly [N in FeatureName]?: 'optional' | 'compulsory' }): Hex {
  const names = Object.keys(wanted) as FeatureName[];
  return featuresFromBits(names.map((name) => FEATURES[name].bit + (wanted[name] === 'optional' ? 1 : 0)));
}

/** BOLT 1: both fields of init mean the same and are combined bit by bit. */
export const combineFeatures = (a: Hex, b: Hex): Hex => featuresFromBits([...featureBits(a), ...featureBits(b)]);

/** How a feature is set, if it is. Both bits of a pair count as compulsory. */
export function featureSupport(features: Hex, name: FeatureName): 'compulsory' | 'optional' | undefined {
  const [bits, { bit }] = [featureBits(features), FEATURES[name]];
  if (bits.has(bit)) return 'compulsory';
  return bits.has(bit + 1) ? 'optional' : undefined;
}

/** Compulsory bits outside of `known`, in ascending order. By default all of BOLT 9 is known. */
export function unknownEvenBits(features: Hex, known: ReadonlySet<number> = KNOWN_BITS): readonly number[] {
  return [...featureBits(features)].filter((bit) => bit % 2 === 0 && !known.has(bit) && !known.has(bit + 1));
}

/** Features that are set without what they depend on. */
export function missingDependencies(features: Hex): readonly { readonly feature: FeatureName; readonly needs: FeatureName }[] {
  const bits = featureBits(features);
  return ROWS.filter(([, { bit, needs }]) => needs !== undefined && isSet(bits, bit))
    .map(([feature, { needs }]) => ({ feature, needs: needs as FeatureName }))
    .filter(({ needs }) => !isSet(bits, FEATURES[needs].bit) && !ASSUMED_BITS.has(FEATURES[needs].bit));
}

export type Negotiation =
  | { readonly ok: true; readonly features: ReadonlySet<FeatureName> }
  | { readonly ok: false; readonly code: 'unknown_even_feature'; readonly bits: readonly number[] }
  | { readonly ok: false; readonly code: 'missing_feature_dependency'; readonly feature: FeatureName; readonly needs: FeatureName };

/**
 * BOLT 1, "The init Message": what both offered, or we offered as compulsory. Refused when the peer requires a bit that we
 * do not offer, or sets a feature without its dependencies.
 */
export function negotiate(local: Hex, remote: Hex): Negotiation {
  const [ours, theirs] = [featureBits(local), featureBits(remote)];
  const bits = unknownEvenBits(remote, new Set([...ours, ...ASSUMED_BITS]));
  if (bits.length > 0) return { ok: false, code: 'unknown_even_feature', bits };
  const [missing] = missingDependencies(remote);
  if (missing !== undefined) return { ok: false, code: 'missing_feature_dependency', ...missing };
  const common = ROWS.filter(([, { bit, assumed }]) => assumed || ours.has(bit) || (isSet(ours, bit) && isSet(theirs, bit)));
  return { ok: true, features: new Set(common.map(([name]) => name)) };
}

const isSet = (bits: ReadonlySet<number>, even: number): boolean => bits.has(even) || bits.has(even + 1);
