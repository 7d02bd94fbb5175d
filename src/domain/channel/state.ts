/** A channel as its events leave it: a union by phase. */
import type { CommitmentFormat } from '../../bolt/03-transactions/commitment-tx.ts';
import type { ChannelPublicKeys } from '../../bolt/03-transactions/keys.ts';
import type { SecretStore } from '../../bolt/03-transactions/per-commitment-secret.ts';
import type { BlockHeight, Hex, Hex32, Msat, NodeId, Point, Sat, ShortChannelId, Signature } from '../../bolt/primitives.ts';
import type { SpendKind } from '../../events/channel/closing.ts';
import type { Hop, HtlcFailure, OfferedFailure, Origin } from '../../events/channel/updates.ts';
import type { AddState, HtlcState } from './htlc-lifecycle.ts';

/** What one side told the other in open_channel or accept_channel. */
export interface SideTerms {
  readonly keys: ChannelPublicKeys;
  /** Of this side's own commitment, sat. */
  readonly dust_limit_satoshis: Sat;
  /** The most this side lets the other have in flight towards it, msat. */
  readonly max_htlc_value_in_flight_msat: Msat;
  /** What this side asks the other to keep, sat. */
  readonly channel_reserve_satoshis: Sat;
  /** The smallest HTLC this side takes, msat. */
  readonly htlc_minimum_msat: Msat;
  /** Blocks this side makes the other wait for its own main output. */
  readonly to_self_delay: number;
  /** The most HTLCs this side lets the other offer. */
  readonly max_accepted_htlcs: number;
  readonly upfront_shutdown_script?: Hex;
}

/** Fixed from the opening on. */
export interface Terms {
  readonly peer_id: NodeId;
  readonly role: 'opener' | 'accepter';
  readonly key_index: number;
  readonly chain_hash: Hex32;
  readonly temporary_channel_id: Hex32;
  readonly format: CommitmentFormat;
  readonly funding_satoshis: Sat;
  readonly push_msat: Msat;
  readonly opening_feerate_per_kw: number;
  readonly announce: boolean;
  readonly minimum_depth: number;
  readonly local: SideTerms;
  readonly remote: SideTerms;
}

export interface Funding {
  readonly txid: Hex32;
  readonly output_index: number;
  readonly channel_id: Hex32;
  /** Raw; known to the opener from the start, to the accepter from the chain. */
  readonly transaction?: Hex;
  readonly confirmed?: { readonly block_height: BlockHeight; readonly short_channel_id: ShortChannelId };
}

export type Removal =
  | { readonly kind: 'fulfilled'; readonly payment_preimage: Hex32 }
  | { readonly kind: 'failed_by_us'; readonly failure: HtlcFailure }
  | { readonly kind: 'malformed_by_us'; readonly failure_code: number; readonly sha256_of_onion: Hex32 }
  | { readonly kind: 'failed_by_peer'; readonly failure: OfferedFailure };

/** An HTLC is (channel, direction, id): never its hash or its amount. */
export interface Htlc {
  readonly direction: 'offered' | 'received';
  readonly id: bigint;
  readonly amount_msat: Msat;
  readonly payment_hash: Hex32;
  readonly cltv_expiry: number;
  readonly onion_hash: Hex32;
  readonly state: HtlcState;
  /** Of offered ones. */
  readonly origin?: Origin;
  /** Of received ones. */
  readonly hop?: Hop;
  readonly onion_ephemeral_key?: Point;
  readonly removal?: Removal;
  /** Of offered ones: the peer has shown it, even if the message that did was lost with its connection. */
  readonly known_preimage?: Hex32;
}

export interface FeeUpdate {
  readonly feerate_per_kw: number;
  readonly state: AddState;
}

/** Everything a commitment of either side is derived from. */
export interface Commitments {
  /** Balances with every HTLC still alive on any side left at its offerer, msat. */
  readonly local_msat: Msat;
  readonly remote_msat: Msat;
  readonly htlcs: readonly Htlc[];
  /** Oldest first; the first is in force on both sides. */
  readonly fees: readonly FeeUpdate[];
  readonly next_offered_id: bigint;
  readonly next_received_id: bigint;
  /** Our newest commitment with the peer's signatures; the one before it is revoked. */
  readonly local: {
    readonly number: bigint;
    readonly point: Point;
    /** Absent until channel_ready. */
    readonly next_point?: Point;
    readonly signature?: Signature;
    readonly htlc_signatures: readonly Signature[];
  };
  /** The peer's newest commitment that we signed. */
  readonly remote: {
    readonly number: bigint;
    /** The one before is not revoked yet: the peer may publish either. */
    readonly awaiting_revocation: boolean;
    /** Point of the commitment before, while awaiting its revocation. */
    readonly previous_point?: Point;
    readonly point: Point;
    /** Absent until channel_ready, and while awaiting a revocation. */
    readonly next_point?: Point;
    readonly secrets: SecretStore;
  };
  /** Which of our two came last: BOLT 2 wants both repeated in their order. */
  readonly last_sent: 'commitment_signed' | 'revoke_and_ack' | 'neither';
}

export interface ClosingOffer {
  readonly by: 'local' | 'remote';
  readonly fee_satoshis: Sat;
  readonly signature?: Signature;
  readonly fee_range?: { readonly min_fee_satoshis: Sat; readonly max_fee_satoshis: Sat };
}

export interface ShutdownScripts {
  readonly local?: Hex;
  readonly remote?: Hex;
}

export interface Announcement {
  readonly sent: boolean;
  readonly received?: { readonly short_channel_id: ShortChannelId; readonly node_signature: Signature; readonly bitcoin_signature: Signature };
}

export interface FundingSpend {
  readonly txid: Hex32;
  readonly kind: SpendKind;
  readonly commitment_number?: bigint;
  readonly block_height: BlockHeight;
  readonly transaction: Hex;
}

export interface Sweep {
  readonly sweep_txid: Hex32;
  readonly inputs: readonly { readonly kind: 'to_local' | 'to_remote'; readonly txid: Hex32; readonly output_index: number; readonly value: Sat }[];
  readonly destination_script: Hex;
  readonly feerate_per_kw: number;
  readonly fee_satoshis: Sat;
  readonly confirmed_height?: BlockHeight;
}

/** Why the channel is failed: our last commitment is owed to the chain. */
export interface Failure {
  readonly by: 'user' | 'local' | 'remote';
  readonly code: string;
  readonly reason: string;
}

/** Half of an opening is known: open_channel went out or came in, the answer is owed. */
export interface Proposal {
  readonly peer_id: NodeId;
  readonly role: 'opener' | 'accepter';
  readonly key_index?: number;
  readonly chain_hash: Hex32;
  readonly temporary_channel_id: Hex32;
  readonly channel_type: Hex;
  readonly funding_satoshis: Sat;
  readonly push_msat: Msat;
  readonly feerate_per_kw: number;
  readonly announce: boolean;
  readonly terms: SideTerms;
  readonly first_per_commitment_point: Point;
}

/** What every phase with a funding outpoint has. */
export interface Established {
  readonly terms: Terms;
  readonly funding: Funding;
  readonly commitments: Commitments;
  readonly ready: { readonly sent: boolean; readonly received: boolean; readonly local_alias?: ShortChannelId; readonly remote_alias?: ShortChannelId };
  readonly announcement: Announcement;
}

export type ChannelState =
  | { readonly phase: 'none' }
  | { readonly phase: 'opening'; readonly step: 'proposed'; readonly proposal: Proposal }
  /** Both sides' terms are known; the funding transaction is not. */
  | { readonly phase: 'opening'; readonly step: 'accepted'; readonly terms: Terms; readonly points: { readonly local: Point; readonly remote: Point } }
  /** `funding_created`: sent or received, funding_signed is owed. `funded`: waiting for confirmations and channel_ready. */
  | ({ readonly phase: 'opening'; readonly step: 'funding_created' } & Established)
  | ({ readonly phase: 'opening'; readonly step: 'funded' } & Established)
  | ({ readonly phase: 'normal' } & Established)
  | ({ readonly phase: 'shutdown'; readonly scripts: ShutdownScripts } & Established)
  | ({
      readonly phase: 'closing';
      readonly scripts: Required<ShutdownScripts>;
      readonly offers: readonly ClosingOffer[];
      readonly agreed?: { readonly fee_satoshis: Sat; readonly closing_txid: Hex32; readonly signature: Signature };
    } & Established)
  /** Failed, or the funding output is spent: the chain decides from here. */
  | ({
      readonly phase: 'resolving';
      readonly failure?: Failure;
      readonly scripts: ShutdownScripts;
      readonly agreed?: { readonly fee_satoshis: Sat; readonly closing_txid: Hex32; readonly signature: Signature };
      readonly spend?: FundingSpend;
      readonly sweeps: readonly Sweep[];
    } & Established)
  | ({ readonly phase: 'closed'; readonly spend?: FundingSpend; readonly sweeps: readonly Sweep[]; readonly failure?: Failure } & Established)
  /** The opening came to nothing; no money was at stake. `channel_id`: the name both sides last knew it by. */
  | { readonly phase: 'abandoned'; readonly code: string; readonly reason: string; readonly peer_id: NodeId; readonly channel_id: Hex32 };

/** Phases in which updates flow. */
export type LiveState = Extract<ChannelState, { phase: 'normal' | 'shutdown' }>;
export type EstablishedState = Extract<ChannelState, { commitments: Commitments }>;

export const isEstablished = (state: ChannelState): state is EstablishedState => 'commitments' in state;
export const isLive = (state: ChannelState): state is LiveState => state.phase === 'normal' || state.phase === 'shutdown';

export const initialChannel: ChannelState = { phase: 'none' };
