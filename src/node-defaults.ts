/** What a node does where nobody has told it otherwise: its terms, its fees, its features. */
import { features } from './bolt/09-features/features.ts';
import { msat, sat } from './bolt/primitives.ts';
import { DEFAULT_CEILING_PER_KW } from './commands/feerates.ts';
import type { ChannelPolicy } from './domain/channel/commands.ts';
import { DEFAULT_FEE_POLICY, type FeePolicy } from './domain/channel/fee-policy.ts';
import type { ForwardingPolicy } from './domain/relay/commands.ts';

export const DEFAULT_POLICY: ChannelPolicy = {
  dust_limit_satoshis: sat(354),
  max_htlc_value_in_flight_msat: msat(2_000_000_000_000n),
  reserve_millionths: 10_000,
  htlc_minimum_msat: msat(1),
  to_self_delay: 144,
  max_accepted_htlcs: 240,
  minimum_depth: 3,
  min_funding_satoshis: sat(20_000),
  max_funding_satoshis: sat(1_000_000_000n),
  max_to_self_delay: 2016,
  min_feerate_per_kw: 253,
  max_feerate_per_kw: 100_000,
  max_dust_exposure_msat: msat(50_000_000),
};

export const DEFAULT_FORWARDING: ForwardingPolicy = {
  fee_base_msat: 1_000,
  fee_proportional_millionths: 100,
  cltv_expiry_delta: 40,
  htlc_minimum_msat: msat(1),
};

/** What is believed of the chain's estimates, and when a channel that we opened gets another feerate by itself. */
export interface FeeOptions extends FeePolicy {
  readonly automatic: boolean;
  /** The most that is ever believed, sat per 1000 weight units. */
  readonly ceiling_per_kw: number;
  readonly min_blocks_between: number;
}

export const DEFAULT_FEES: FeeOptions = { ...DEFAULT_FEE_POLICY, automatic: true, ceiling_per_kw: DEFAULT_CEILING_PER_KW, min_blocks_between: 6 };

/** What we offer and ask of every peer (BOLT 9). */
export const OUR_FEATURES = features({
  option_data_loss_protect: 'compulsory',
  option_upfront_shutdown_script: 'optional',
  gossip_queries: 'optional',
  var_onion_optin: 'compulsory',
  option_static_remotekey: 'compulsory',
  payment_secret: 'compulsory',
  basic_mpp: 'optional',
  option_support_large_channel: 'optional',
  option_anchors: 'optional',
  option_shutdown_anysegwit: 'optional',
  option_provide_storage: 'optional',
  option_channel_type: 'optional',
  option_simple_close: 'optional',
  option_scid_alias: 'optional',
  option_zeroconf: 'optional',
});
