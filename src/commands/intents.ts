/** What may be asked of a stream by a saga or a user, before the facts of the world are gathered. */
import type { Hex32, Msat } from '../bolt/primitives.ts';
import type { HtlcFailure, OfferedFailure, Origin } from '../events/channel/updates.ts';
import type { FinalHtlc, InvoiceCommand } from '../domain/invoice/commands.ts';
import type { ForwardRequest, IncomingHtlc } from '../domain/relay/commands.ts';

/** Asked of a channel stream: the channel loop gathers height, policy and connection. */
export type ChannelIntent =
  | { readonly type: 'OfferHtlc'; readonly origin: Origin; readonly amount_msat: Msat; readonly payment_hash: Hex32; readonly cltv_expiry: number; readonly onion_hash: Hex32 }
  | { readonly type: 'FulfillHtlc'; readonly htlc_id: bigint; readonly payment_preimage: Hex32 }
  | { readonly type: 'FailHtlc'; readonly htlc_id: bigint; readonly failure: HtlcFailure }
  | { readonly type: 'FailMalformedHtlc'; readonly htlc_id: bigint; readonly failure_code: number; readonly sha256_of_onion: Hex32 };

/** How the HTLC of an attempt ended, in the channel's words; the gatherer reads the onion of a failure. */
export type AttemptEnd =
  | { readonly kind: 'fulfilled'; readonly payment_preimage: Hex32 }
  | { readonly kind: 'failed'; readonly failure: OfferedFailure }
  | { readonly kind: 'declined'; readonly code: string; readonly detail: string; readonly failure_code: number };

/** Asked of a payment stream. */
export type PaymentIntent =
  | { readonly type: 'StartPayment'; readonly bolt11: string; readonly amount_msat: Msat; readonly fee_limit_msat: Msat; readonly max_attempts: number }
  | { readonly type: 'ResolveAttempt'; readonly attempt: number; readonly end: AttemptEnd };

/** Asked of an invoice stream. */
export type InvoiceIntent =
  /** Its facts are the wish itself: nothing is gathered. */
  | Extract<InvoiceCommand, { type: 'CreateInvoice' }>
  | { readonly type: 'AcceptInvoiceHtlc'; readonly htlc: FinalHtlc }
  | { readonly type: 'TimeoutInvoiceHtlcs' };

/** Asked of a relay stream. */
export type RelayIntent =
  | { readonly type: 'StartRelay'; readonly payment_hash: Hex32; readonly incoming: IncomingHtlc; readonly request: ForwardRequest }
  | { readonly type: 'FulfillRelay'; readonly payment_preimage: Hex32; readonly outgoing_htlc_id: bigint }
  | { readonly type: 'FailRelay'; readonly outgoing?: OfferedFailure; readonly failure: HtlcFailure };

export type QuietIntent = PaymentIntent | InvoiceIntent | RelayIntent;
export type Intent = ChannelIntent | QuietIntent;
export type IntentType = Intent['type'];

const channelIntents: ReadonlySet<IntentType> = new Set<IntentType>(['OfferHtlc', 'FulfillHtlc', 'FailHtlc', 'FailMalformedHtlc']);

export const isChannelIntent = (intent: Intent): intent is ChannelIntent => channelIntents.has(intent.type);
