/** The relay stream (`relay-<incoming channel>-<htlc id>`): one forward from its arrival to its end. Stored for ever: add a new type, never change one. */
import { z } from 'zod';
import { htlcFailure, offeredFailure } from './channel/updates.ts';
import { fact, hex32, msat, short_channel_id, stream, u32, u64 } from './words.ts';

const incoming = z.strictObject({ channel: stream, htlc_id: u64, amount_msat: msat, cltv_expiry: u32 });
const outgoing = z.strictObject({
  channel: stream,
  short_channel_id,
  amount_msat: msat,
  cltv_expiry: u32,
  onion_hash: hex32,
});

export const relayEvents = [
  /** An HTLC is owed to the outgoing channel, once. */
  fact('RelayStarted', { payment_hash: hex32, incoming, outgoing, fee_msat: msat }),
  /** The forward breaks our policy or its channel is not there: the incoming HTLC is owed this failure. */
  fact('RelayRefused', { payment_hash: hex32, incoming, failure: htlcFailure }),
  fact('RelayFulfilled', { payment_preimage: hex32, outgoing_htlc_id: u64, incoming }),
  /** `outgoing`: how the outgoing half ended; `failure`: what the incoming half is owed for it. */
  fact('RelayFailed', { outgoing: offeredFailure.optional(), failure: htlcFailure, incoming }),
] as const;

export type RelayEvent = z.output<(typeof relayEvents)[number]>;
