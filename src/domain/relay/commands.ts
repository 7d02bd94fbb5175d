/** What a relay can be asked, every fact of the world a field. */
import type { BlockHeight, Hex32, Msat, ShortChannelId } from '../../bolt/primitives.ts';
import type { HtlcFailure, OfferedFailure } from '../../events/channel/updates.ts';
import type { StreamId } from '../../events/store.ts';

/** What we ask of those who forward through us: what our channel_update says (BOLT 7). */
export interface ForwardingPolicy {
  /** msat. */
  readonly fee_base_msat: number;
  readonly fee_proportional_millionths: number;
  /** Blocks between the incoming and the outgoing expiry. */
  readonly cltv_expiry_delta: number;
  readonly htlc_minimum_msat: Msat;
}

/** The HTLC that came in. */
export interface IncomingHtlc {
  readonly channel: StreamId;
  readonly htlc_id: bigint;
  readonly amount_msat: Msat;
  readonly cltv_expiry: number;
}

/** What the onion asks us to offer, and where. */
export interface ForwardRequest {
  readonly short_channel_id: ShortChannelId;
  readonly amt_to_forward: Msat;
  readonly outgoing_cltv_value: number;
  readonly next_onion_hash: Hex32;
}

/** The channel that a short_channel_id names, if it is one of ours. */
export interface OutgoingChannel {
  readonly channel: StreamId;
  /** It can take an HTLC now: live, its peer connected. */
  readonly usable: boolean;
}

export type RelayCommand =
  | {
      readonly type: 'StartRelay';
      readonly payment_hash: Hex32;
      readonly incoming: IncomingHtlc;
      readonly request: ForwardRequest;
      readonly outgoing?: OutgoingChannel;
      readonly policy: ForwardingPolicy;
      readonly height: BlockHeight;
    }
  | { readonly type: 'FulfillRelay'; readonly payment_preimage: Hex32; readonly outgoing_htlc_id: bigint }
  /** `outgoing`: how the outgoing half ended, if there was one. `failure`: what the incoming half is owed for it. */
  | { readonly type: 'FailRelay'; readonly outgoing?: OfferedFailure; readonly failure: HtlcFailure };
