/** What a channel can be asked: imperatives of ours, and `Receive<Message>` for the peer's. Every fact of the world they need is a field. */
import type { CommitmentSpec } from '../../bolt/03-transactions/commitment-tx.ts';
import type { Message } from '../../bolt/messages.ts';
import type { ChannelPublicKeys } from '../../bolt/03-transactions/keys.ts';
import type { BlockHeight, Hex, Hex32, Msat, NodeId, Point, Sat, ShortChannelId } from '../../bolt/primitives.ts';
import type { Hop, HtlcFailure, Origin } from '../../events/channel/updates.ts';
import type { ChainTrouble } from '../chain-contact.ts';
import type { Feerates } from '../feerates.ts';
import type { StaticChannel } from './recovery.ts';
import type { FundedClaim, WatchedSpend } from '../onchain/types.ts';

type MessageOf<T extends Message['type']> = Extract<Message, { type: T }>;

/** Our side of the terms, and what we bear from the peer's. */
export interface ChannelPolicy {
  readonly dust_limit_satoshis: Sat;
  readonly max_htlc_value_in_flight_msat: Msat;
  /** Reserve asked of the peer, in millionths of the funding. */
  readonly reserve_millionths: number;
  readonly htlc_minimum_msat: Msat;
  readonly to_self_delay: number;
  readonly max_accepted_htlcs: number;
  readonly minimum_depth: number;
  readonly min_funding_satoshis: Sat;
  readonly max_funding_satoshis: Sat;
  /** The longest delay for our own funds that we accept, blocks. */
  readonly max_to_self_delay: number;
  readonly min_feerate_per_kw: number;
  readonly max_feerate_per_kw: number;
  /** Sum of dust HTLCs we bear on either commitment, msat (BOLT 2, "Bounding exposure to trimmed in-flight HTLCs"). */
  readonly max_dust_exposure_msat: Msat;
}

/** Our public keys for a channel attempt, gathered from the signer. */
export interface LocalKeys {
  readonly key_index: number;
  readonly keys: ChannelPublicKeys;
  readonly first_per_commitment_point: Point;
}

/** What our channel_ready says: the point of our commitment 1, and a name for the channel that no other channel has. */
export interface ReadyFacts {
  readonly next_per_commitment_point: Point;
  readonly short_channel_id_alias?: ShortChannelId;
}

/** What both peers offer on this connection (BOLT 9) and a close depends on. */
export interface CloseFeatures {
  readonly anysegwit: boolean;
  readonly simple_close: boolean;
}

/** What a user may ask of a mutual close: where our share goes, and the feerate in sat per 1000 weight. */
export interface CloseWish {
  readonly scriptpubkey?: Hex;
  readonly feerate_per_kw?: number;
}

export type ChannelCommand =
  | {
      readonly type: 'OpenChannel';
      readonly peer_id: NodeId;
      readonly local: LocalKeys;
      readonly chain_hash: Hex32;
      readonly temporary_channel_id: Hex32;
      readonly funding_satoshis: Sat;
      readonly push_msat: Msat;
      readonly feerate_per_kw: number;
      readonly announce: boolean;
      readonly channel_type: Hex;
      readonly policy: ChannelPolicy;
      readonly upfront_shutdown_script?: Hex;
    }
  | { readonly type: 'ReceiveOpenChannel'; readonly peer_id: NodeId; readonly message: MessageOf<'open_channel'>; /** We take a channel of this peer's before its funding is in a block. */ readonly trusted?: boolean; readonly local: LocalKeys; readonly chain_hash: Hex32; readonly policy: ChannelPolicy; readonly upfront_shutdown_script?: Hex }
  | { readonly type: 'ReceiveAcceptChannel'; readonly message: MessageOf<'accept_channel'>; readonly policy: ChannelPolicy }
  /** The wallet made (and keeps back) the funding transaction. */
  | { readonly type: 'CreateFunding'; readonly funding_txid: Hex32; readonly funding_output_index: number; readonly funding_transaction: Hex }
  /** `channel_id_in_use`: by another channel with this peer. `ready`: gathered for channels that are used at once. */
  | { readonly type: 'ReceiveFundingCreated'; readonly message: MessageOf<'funding_created'>; readonly height: BlockHeight; readonly channel_id_in_use?: boolean; readonly ready?: ReadyFacts }
  | { readonly type: 'ReceiveFundingSigned'; readonly message: MessageOf<'funding_signed'>; readonly ready?: ReadyFacts }
  | { readonly type: 'AbandonOpening'; readonly code: string; readonly reason: string }
  /** The funding output has `minimum_depth` confirmations. `next_per_commitment_point` is that of our commitment 1. */
  | { readonly type: 'ConfirmFunding'; readonly funding_txid: Hex32; readonly funding_transaction: Hex; readonly block_height: BlockHeight; readonly transaction_index: number } & ReadyFacts
  /** The chain has no funding transaction, in no block up to `height`. */
  | { readonly type: 'MissFunding'; readonly height: BlockHeight }
  | { readonly type: 'ReceiveChannelReady'; readonly message: MessageOf<'channel_ready'>; readonly height: BlockHeight }
  /** `announcement_digest`: of the channel_announcement that both sides build for the message's short_channel_id (BOLT 7). */
  | { readonly type: 'ReceiveAnnouncementSignatures'; readonly message: MessageOf<'announcement_signatures'>; readonly announcement_digest: Hex32 }
  | { readonly type: 'OfferHtlc'; readonly origin: Origin; readonly amount_msat: Msat; readonly payment_hash: Hex32; readonly cltv_expiry: number; readonly onion_hash: Hex32; readonly height: BlockHeight; readonly connected: boolean; readonly policy: ChannelPolicy; /** No deadline could be kept now. */ readonly chain_trouble?: ChainTrouble | undefined }
  | { readonly type: 'FulfillHtlc'; readonly htlc_id: bigint; readonly payment_preimage: Hex32 }
  | { readonly type: 'FailHtlc'; readonly htlc_id: bigint; readonly failure: HtlcFailure }
  | { readonly type: 'FailMalformedHtlc'; readonly htlc_id: bigint; readonly failure_code: number; readonly sha256_of_onion: Hex32 }
  | { readonly type: 'UpdateFee'; readonly feerate_per_kw: number; readonly policy: ChannelPolicy }
  | { readonly type: 'ReceiveUpdateAddHtlc'; readonly message: MessageOf<'update_add_htlc'>; readonly onion_hash: Hex32; readonly onion_ephemeral_key?: Point; readonly hop: Hop; readonly policy: ChannelPolicy }
  | { readonly type: 'ReceiveUpdateFulfillHtlc'; readonly message: MessageOf<'update_fulfill_htlc'> }
  | { readonly type: 'ReceiveUpdateFailHtlc'; readonly message: MessageOf<'update_fail_htlc'>; readonly reason_hash: Hex32 }
  | { readonly type: 'ReceiveUpdateFailMalformedHtlc'; readonly message: MessageOf<'update_fail_malformed_htlc'> }
  /** `feerates`: today's, to judge the peer's by. */
  | { readonly type: 'ReceiveUpdateFee'; readonly message: MessageOf<'update_fee'>; readonly policy: ChannelPolicy; readonly feerates?: Feerates }
  /** Asked by the loop when its mailbox is empty and changes wait. */
  | { readonly type: 'SignCommitment' }
  /** `next_per_commitment_point` is that of our commitment after the one being signed. */
  | { readonly type: 'ReceiveCommitmentSigned'; readonly message: MessageOf<'commitment_signed'>; readonly next_per_commitment_point: Point }
  | { readonly type: 'ReceiveRevokeAndAck'; readonly message: MessageOf<'revoke_and_ack'> }
  /** `knows_our_secret`: your_last_per_commitment_secret is ours for next_revocation_number - 1 (checked with the signer). */
  | { readonly type: 'ReceiveChannelReestablish'; readonly message: MessageOf<'channel_reestablish'>; readonly knows_our_secret: boolean }
  /** Our shutdown: the user's wish, or the answer to the peer's. `chosen`: the user named this script, and no other will do. */
  | { readonly type: 'CloseChannel'; readonly scriptpubkey: Hex; readonly chosen?: boolean; readonly common?: CloseFeatures }
  | { readonly type: 'ReceiveShutdown'; readonly message: MessageOf<'shutdown'>; readonly common?: CloseFeatures }
  /** Asked by the loop when the opener's first closing_signed is due. */
  | { readonly type: 'NegotiateClosing'; readonly feerate_per_kw: number }
  | { readonly type: 'ReceiveClosingSigned'; readonly message: MessageOf<'closing_signed'>; readonly feerate_per_kw: number; readonly common?: CloseFeatures }
  /** Our closing_complete: asked by the loop when it is due (`chosen`: a user named the feerate), or by the user (`wish`) for a higher fee or another script. */
  | { readonly type: 'ProposeClosing'; readonly feerate_per_kw: number; readonly chosen?: boolean; readonly locktime: number; readonly common: CloseFeatures; readonly wish?: CloseWish }
  | { readonly type: 'ReceiveClosingComplete'; readonly message: MessageOf<'closing_complete'>; readonly common?: CloseFeatures }
  | { readonly type: 'ReceiveClosingSig'; readonly message: MessageOf<'closing_sig'> }
  /** A connected peer has signed no close for so many blocks. */
  | { readonly type: 'FailClosing'; readonly blocks: number; readonly height: BlockHeight }
  | { readonly type: 'ForceClose'; readonly reason: string }
  /** The peer sent `error` for this channel: BOLT 1 fails it. */
  | { readonly type: 'ReceiveError'; readonly data: string }
  /** A block with what it does to this channel. */
  | {
      readonly type: 'ReceiveBlock';
      readonly height: BlockHeight;
      /** `revoked_spec`: of a commitment of the peer that it revoked, as it was signed; rebuilt from the log for `revokedNumber(state, transaction)`. */
      readonly funding_spend?: { readonly txid: Hex32; readonly transaction: Hex; readonly block_height: BlockHeight; readonly revoked_spec?: CommitmentSpec };
      /** Of outputs that `watchedOutputs(state)` names. */
      readonly spends?: readonly WatchedSpend[];
      /** What `plannedClaims(state)` asked for, with what it needed. What no longer fits is left out. */
      readonly claims?: readonly FundedClaim[];
    }
  /** A transaction that is in no block yet: it may show a preimage, and nothing else of it counts. */
  | { readonly type: 'ReceiveMempoolTransaction'; readonly txid: Hex32; readonly transaction: Hex }
  /** Blocks above are gone, with all that they held of this channel. */
  | { readonly type: 'RollBack'; readonly to_height: BlockHeight }
  /** The log is older than what we did: nothing of ours may be published any more. */
  | { readonly type: 'EnterRecovery'; readonly reason: string }
  /** From a static backup: a channel that this log does not have. */
  | { readonly type: 'RestoreChannel'; readonly channel: StaticChannel; readonly local: LocalKeys; readonly chain_hash: Hex32; readonly reason: string };

export type ChannelCommandType = ChannelCommand['type'];
