/** BOLT 2, "Normal Operation" and "Message Retransmission": the facts of a channel at work. Stored for ever: add a new type, never change one. */
import { z } from 'zod';
import {
  count,
  fact,
  hex,
  hex32,
  msat,
  point,
  short_channel_id,
  signature,
  stream,
  text,
  u16,
  u32,
  u64,
} from '../words.ts';

/** Whose HTLC an offered one is: a payment of ours, or the outgoing half of a forward. */
export const origin = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('payment'), payment: stream, attempt: count }),
  z.strictObject({ kind: z.literal('relay'), relay: stream }),
]);
export type Origin = z.output<typeof origin>;

/** What our layer of an incoming onion said, read once when the HTLC arrived (BOLT 4, "Packet Structure"). */
export const hop = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('forward'),
    short_channel_id,
    amt_to_forward: msat,
    outgoing_cltv_value: u32,
    next_onion_hash: hex32,
  }),
  z.strictObject({
    kind: z.literal('final'),
    amt_to_forward: msat,
    outgoing_cltv_value: u32,
    payment_secret_hash: hex32,
    total_msat: msat,
  }),
  /** BADONION: answered by update_fail_malformed_htlc. */
  z.strictObject({ kind: z.literal('malformed'), failure_code: u16, sha256_of_onion: hex32 }),
  z.strictObject({ kind: z.literal('invalid'), failure_code: u16, failure_data: hex }),
]);
export type Hop = z.output<typeof hop>;

/** Why we fail an incoming HTLC: our own words, or the (encrypted) words of a node further on, kept as an attachment. */
export const htlcFailure = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('local'), failure_code: u16, failure_data: hex }),
  z.strictObject({ kind: z.literal('relayed'), reason_hash: hex32 }),
]);
export type HtlcFailure = z.output<typeof htlcFailure>;

/** How an HTLC we offered failed. `reason_hash` names an attachment. */
export const offeredFailure = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('reason'), reason_hash: hex32 }),
  z.strictObject({ kind: z.literal('malformed'), failure_code: u16, sha256_of_onion: hex32 }),
  z.strictObject({ kind: z.literal('on_chain') }),
]);
export type OfferedFailure = z.output<typeof offeredFailure>;

const add = { id: u64, amount_msat: msat, payment_hash: hex32, cltv_expiry: u32, onion_hash: hex32 };

export const updateEvents = [
  fact('UpdateAddHtlcSent', { ...add, origin }),
  fact('UpdateAddHtlcReceived', { ...add, onion_ephemeral_key: point.optional(), hop }),
  fact('UpdateFulfillHtlcSent', { id: u64, payment_preimage: hex32 }),
  fact('UpdateFulfillHtlcReceived', { id: u64, payment_preimage: hex32 }),
  fact('UpdateFailHtlcSent', { id: u64, failure: htlcFailure }),
  fact('UpdateFailHtlcReceived', { id: u64, reason_hash: hex32 }),
  fact('UpdateFailMalformedHtlcSent', { id: u64, sha256_of_onion: hex32, failure_code: u16 }),
  fact('UpdateFailMalformedHtlcReceived', { id: u64, sha256_of_onion: hex32, failure_code: u16 }),
  fact('UpdateFeeSent', { feerate_per_kw: u32 }),
  fact('UpdateFeeReceived', { feerate_per_kw: u32 }),
  /** `commitment_number` is that of the peer's commitment which our signature makes valid. */
  fact('CommitmentSignedSent', { commitment_number: u64 }),
  /** `commitment_number` is that of our commitment which these signatures make valid. */
  fact('CommitmentSignedReceived', { commitment_number: u64, signature, htlc_signatures: z.array(signature).max(966) }),
  /** We give up our commitment `commitment_number`; the secret derives from the seed. `next_per_commitment_point` is that of commitment_number + 2. */
  fact('RevokeAndAckSent', { commitment_number: u64, next_per_commitment_point: point }),
  fact('RevokeAndAckReceived', {
    commitment_number: u64,
    per_commitment_secret: hex32,
    next_per_commitment_point: point,
  }),
  /** The peer lost the connection's unsigned updates, as BOLT 2 asks; what it says here decides what is sent again. */
  fact('ChannelReestablishReceived', { next_commitment_number: u64, next_revocation_number: u64 }),

  /** Derived, for other streams: an incoming HTLC can no longer be taken back by the peer. */
  fact('IncomingHtlcCommitted', { htlc_id: u64, amount_msat: msat, payment_hash: hex32, cltv_expiry: u32, hop }),
  fact('OutgoingHtlcFulfilled', { htlc_id: u64, payment_hash: hex32, payment_preimage: hex32, origin }),
  /** The peer can no longer take the failure back: it is safe to fail upstream. */
  fact('OutgoingHtlcFailed', { htlc_id: u64, payment_hash: hex32, origin, failure: offeredFailure }),
  /** A wish to offer an HTLC that the channel turned down, for good: the story goes on without it. */
  fact('HtlcOfferDeclined', {
    origin,
    payment_hash: hex32,
    amount_msat: msat,
    code: text,
    detail: text,
    failure_code: u16,
  }),
] as const;

export type UpdateEvent = z.output<(typeof updateEvents)[number]>;
