/** BOLT 4, "Failure Messages", and BOLT 7, "HTLC Fees": what a forwarding node checks, in the order in which it says so. */
import { encodeFailure, type FailureToEncode } from '../../bolt/04-onion-routing/failure-codes.ts';
import { msat, type BlockHeight, type Msat } from '../../bolt/primitives.ts';
import type { HtlcFailure } from '../../events/channel/updates.ts';
import type { ForwardingPolicy, ForwardRequest, IncomingHtlc, OutgoingChannel } from './commands.ts';

/** An outgoing HTLC nearer than this to its expiry is not offered, blocks: the peer must have time to answer. */
export const EXPIRY_TOO_SOON_BLOCKS = 3;
/** BOLT 4, "max_htlc_cltv Selection": nobody locks our money for longer, blocks. */
export const MAX_HTLC_CLTV_BLOCKS = 2016;

/** BOLT 7, "HTLC Fees": fee_base_msat + (amount_to_forward * fee_proportional_millionths / 1000000), msat, rounded down. */
export function forwardingFee(policy: Pick<ForwardingPolicy, 'fee_base_msat' | 'fee_proportional_millionths'>, amt_to_forward: Msat): Msat {
  return msat(BigInt(policy.fee_base_msat) + (amt_to_forward * BigInt(policy.fee_proportional_millionths)) / 1_000_000n);
}

/** A failure in our own words, as its HTLC is owed it. */
export function localFailure(failure: FailureToEncode): HtlcFailure {
  const failuremsg = encodeFailure(failure);
  return { kind: 'local', failure_code: Number.parseInt(failuremsg.slice(0, 4), 16), failure_data: failuremsg.slice(4) };
}

/** BOLT 4 (2024): an UPDATE failure may carry an empty channel_update, which tells the sender nothing about who asked. */
const channel_update = '';

/** The first reason not to forward, or undefined. BOLT 4: "SHOULD select the first error it encounters from the list above". */
export function forwardingFailure(
  incoming: IncomingHtlc,
  request: ForwardRequest,
  outgoing: OutgoingChannel | undefined,
  policy: ForwardingPolicy,
  height: BlockHeight,
): HtlcFailure | undefined {
  const { amt_to_forward, outgoing_cltv_value } = request;
  if (outgoing === undefined) return localFailure({ name: 'unknown_next_peer' });
  if (amt_to_forward < policy.htlc_minimum_msat) {
    return localFailure({ name: 'amount_below_minimum', data: { htlc_msat: amt_to_forward, channel_update } });
  }
  if (incoming.amount_msat < amt_to_forward + forwardingFee(policy, amt_to_forward)) {
    return localFailure({ name: 'fee_insufficient', data: { htlc_msat: incoming.amount_msat, channel_update } });
  }
  if (incoming.cltv_expiry < outgoing_cltv_value + policy.cltv_expiry_delta) {
    return localFailure({ name: 'incorrect_cltv_expiry', data: { cltv_expiry: outgoing_cltv_value, channel_update } });
  }
  if (outgoing_cltv_value <= height + EXPIRY_TOO_SOON_BLOCKS) return localFailure({ name: 'expiry_too_soon', data: { channel_update } });
  if (outgoing_cltv_value > height + MAX_HTLC_CLTV_BLOCKS) return localFailure({ name: 'expiry_too_far' });
  if (!outgoing.usable) return localFailure({ name: 'temporary_channel_failure', data: { channel_update } });
  return undefined;
}
