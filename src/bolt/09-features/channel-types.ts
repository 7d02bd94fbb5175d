/** BOLT 2, "Defined Channel Types": a basic type, and its two variations. */
import type { CommitmentFormat } from '../03-transactions/fees.ts';
import type { Hex } from '../primitives.ts';
import { CHANNEL_TYPES, FEATURES, featureBits, featuresFromBits } from './features.ts';

export interface ChannelType {
  readonly format: CommitmentFormat;
  /** The channel is known to the world by aliases alone, and never announced. */
  readonly scid_alias: boolean;
  /** It is used before its funding is in a block. */
  readonly zero_conf: boolean;
}

const SCID_ALIAS = FEATURES.option_scid_alias.bit;
const ZERO_CONF = FEATURES.option_zeroconf.bit;
const FORMATS: readonly CommitmentFormat[] = ['anchors_zero_fee_htlc_tx', 'static_remotekey'];

/** The smallest bitmap that says it. */
export function encodeChannelType({ format, scid_alias, zero_conf }: ChannelType): Hex {
  return featuresFromBits([...featureBits(CHANNEL_TYPES[format]), ...(scid_alias ? [SCID_ALIAS] : []), ...(zero_conf ? [ZERO_CONF] : [])]);
}

/** Undefined for what is not one of the defined types in its smallest form: types are an enumeration, not a set of bits. */
export function decodeChannelType(channel_type: Hex | undefined): ChannelType | undefined {
  if (channel_type === undefined || channel_type.length > 2 * (ZERO_CONF / 8 + 1)) return undefined;
  const bits = featureBits(channel_type);
  const variation = { scid_alias: bits.has(SCID_ALIAS), zero_conf: bits.has(ZERO_CONF) };
  return FORMATS.map((format) => ({ format, ...variation })).find((type) => encodeChannelType(type) === channel_type);
}
