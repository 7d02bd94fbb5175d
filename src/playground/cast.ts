/** Who plays, and over which channels: four nodes in a row, so that payments take one, two and three hops. */
import { CHANNEL_TYPES } from '../bolt/09-features/features.ts';
import { msat, sat, type Hex, type Msat, type Sat } from '../bolt/primitives.ts';
import type { ChannelPolicy } from '../domain/channel/commands.ts';

export const NAMES = ['alice', 'bob', 'carol', 'dave'] as const;
export type Name = (typeof NAMES)[number];

/** A channel to be opened: `from` pays for it and gives `push_msat` of it away. */
export interface PlannedChannel {
  readonly from: Name;
  readonly to: Name;
  readonly funding_satoshis: Sat;
  readonly push_msat: Msat;
  readonly channel_type: Hex;
}

const { anchors_zero_fee_htlc_tx, static_remotekey } = CHANNEL_TYPES;

/** alice = bob - carol - dave: two channels between alice and bob, one of the older format. */
export const CHANNELS: readonly PlannedChannel[] = [
  { from: 'alice', to: 'bob', funding_satoshis: sat(1_800_000), push_msat: msat(700_000_000), channel_type: anchors_zero_fee_htlc_tx },
  { from: 'bob', to: 'carol', funding_satoshis: sat(3_000_000), push_msat: msat(1_400_000_000), channel_type: anchors_zero_fee_htlc_tx },
  { from: 'carol', to: 'dave', funding_satoshis: sat(1_600_000), push_msat: msat(900_000_000), channel_type: anchors_zero_fee_htlc_tx },
  { from: 'alice', to: 'bob', funding_satoshis: sat(1_200_000), push_msat: msat(500_000_000), channel_type: static_remotekey },
];

/** Who dials whom: the opener its peer, once per pair. */
export const LINKS: readonly (readonly [Name, Name])[] = [['alice', 'bob'], ['bob', 'carol'], ['carol', 'dave']];

/** What each node gets from the faucet before the first channel, sat. */
export const POCKET_MONEY: Sat = sat(5_000_000);

/** Short delays: the world here is a few hundred blocks old when it ends. */
export const POLICY: Partial<ChannelPolicy> = { to_self_delay: 12, minimum_depth: 3 };

/** Confirmations after which a channel may be announced (BOLT 7, "The announcement_signatures Message"). */
export const ANNOUNCEMENT_DEPTH = 6;
