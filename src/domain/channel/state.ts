/** A channel as its events leave it: a union by phase. */
import type { CommitmentFormat } from '../../bolt/03-transactions/commitment-tx.ts';
import type { ChannelPublicKeys } from '../../bolt/03-transactions/keys.ts';
import type { SecretStore } from '../../bolt/03-transactions/per-commitment-secret.ts';
import type { BlockHeight, Hex, Hex32, Msat, NodeId, Point, Sat, ShortChannelId, Signature } from '../../bolt/primitives.ts';
import { ZERO_32 } from '../../bolt/primitives.ts';
import type { SpendKind } from '../../events/channel/closing.ts';
import type { ClosingOutputs } from '../../events/channel/simple-close.ts';
import type { Hop, HtlcFailure, OfferedFailure, Origin } from '../../events/channel/updates.ts';
import type { Onchain } from '../onchain/types.ts';
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
  /** Others know the channel by its aliases alone (BOLT 2, `option_scid_alias` in channel_type). */
  readonly scid_alias: boolean;
  /** Used before its funding is in a block: the accepter trusts the opener. */
  readonly zero_conf: boolean;
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
  /** Of the accepter: the block at which the wait for it began. */
  readonly awaited_from?: BlockHeight;
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

/** What closer and closee agree on in closing_complete and closing_sig. The closer pays the fee, sat. */
export interface ClosingTerms {
  readonly closer: 'local' | 'remote';
  readonly closer_scriptpubkey: Hex;
  readonly closee_scriptpubkey: Hex;
  readonly fee_satoshis: Sat;
  readonly locktime: number;
}

/** Our closing_complete: the peer has our signature for each of `outputs`. */
export interface ClosingProposal extends ClosingTerms {
  readonly outputs: readonly ClosingOutputs[];
}

/** A close of option_simple_close with the peer's signature in our hands. */
export interface SignedClose extends ClosingTerms {
  readonly outputs: ClosingOutputs;
  readonly closing_txid: Hex32;
  readonly signature: Signature;
}

/** Every mutual close that may still come to the chain: all that we ever signed, whatever was said afterwards. */
export interface MutualCloses {
  /** Fees of our closing_signed, sat. */
  readonly legacy_fees: readonly Sat[];
  readonly proposed: readonly ClosingProposal[];
  readonly signed: readonly SignedClose[];
}

/** The peer's closing_complete, until our closing_sig answers it (in the same turn). */
export interface ReceivedProposal extends ClosingTerms {
  readonly signatures: { readonly [O in ClosingOutputs]?: Signature | undefined };
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

/** channel_ready both ways, and the names it gave: ours by which the peer forwards to us, the peer's by which we ask it to. Oldest first. */
export interface Readiness {
  readonly sent: boolean;
  readonly received: boolean;
  readonly local_aliases: readonly ShortChannelId[];
  readonly remote_aliases: readonly ShortChannelId[];
}

/** What every phase with a funding outpoint has. */
export interface Established {
  readonly terms: Terms;
  readonly funding: Funding;
  readonly commitments: Commitments;
  readonly ready: Readiness;
  readonly announcement: Announcement;
}

/** What is known of a channel's end. */
export interface Ending {
  readonly failure?: Failure;
  readonly scripts: ShutdownScripts;
  readonly agreed?: { readonly fee_satoshis: Sat; readonly closing_txid: Hex32; readonly signature: Signature };
  readonly closes?: MutualCloses;
  readonly spend?: FundingSpend;
  /** Of older logs: what `onchain` holds now. */
  readonly sweeps: readonly Sweep[];
  /** From the first claim on, or the commitment's outputs. */
  readonly onchain?: Onchain;
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
  /** `begun_by`: whose shutdown came first; each side's own when they crossed. */
  | ({ readonly phase: 'shutdown'; readonly scripts: ShutdownScripts; readonly begun_by: 'local' | 'remote' } & Established)
  | ({
      readonly phase: 'closing';
      readonly scripts: Required<ShutdownScripts>;
      readonly begun_by: 'local' | 'remote';
      readonly offers: readonly ClosingOffer[];
      readonly agreed?: { readonly fee_satoshis: Sat; readonly closing_txid: Hex32; readonly signature: Signature };
      readonly closes: MutualCloses;
      /** Where our closing_complete stands: `after_shutdown` = the peer must repeat its shutdown on this connection first. */
      readonly proposal: 'after_shutdown' | 'due' | 'sent' | 'done';
      readonly received?: ReceivedProposal;
    } & Established)
  /** Failed, or the funding output is spent: the chain decides from here. */
  | ({ readonly phase: 'resolving' } & Ending & Established)
  /** Over, unless a deep reorganisation opens it again: then all that resolving knew is needed. */
  | ({ readonly phase: 'closed' } & Ending & Established)
  /** The opening came to nothing; no money was at stake. `channel_id`: the name both sides last knew it by. */
  | { readonly phase: 'abandoned'; readonly code: string; readonly reason: string; readonly peer_id: NodeId; readonly channel_id: Hex32 };

/** Phases in which updates flow. */
export type LiveState = Extract<ChannelState, { phase: 'normal' | 'shutdown' }>;
export type EstablishedState = Extract<ChannelState, { commitments: Commitments }>;

export const isEstablished = (state: ChannelState): state is EstablishedState => 'commitments' in state;
export const isLive = (state: ChannelState): state is LiveState => state.phase === 'normal' || state.phase === 'shutdown';

export const initialChannel: ChannelState = { phase: 'none' };

/** The name by which both sides last knew the channel. */
export function channelIdOf(state: ChannelState): Hex32 {
  if (isEstablished(state)) return state.funding.channel_id;
  if (state.phase === 'abandoned') return state.channel_id;
  if (state.phase === 'none') return ZERO_32;
  return state.step === 'proposed' ? state.proposal.temporary_channel_id : state.terms.temporary_channel_id;
}
