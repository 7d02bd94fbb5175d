/** BOLT 2, "Removing an HTLC", and BOLT 4, "Returning Errors": what the incoming half is owed when the outgoing one failed. */
import { failureCode } from '../../bolt/04-onion-routing/failure-codes.ts';
import type { Msat } from '../../bolt/primitives.ts';
import type { HtlcFailure, OfferedFailure } from '../../events/channel/updates.ts';
import { localFailure } from './policy.ts';

/** The words of a node further on are wrapped and passed; a malformed onion is told in ours, with the hash the peer reported. */
export function failureFromDownstream(failure: OfferedFailure): HtlcFailure {
  switch (failure.kind) {
    case 'reason':
      return { kind: 'relayed', reason_hash: failure.reason_hash };
    case 'malformed':
      // BOLT 2: "MUST return an error in the update_fail_htlc ... using the failure_code given and setting the data to sha256_of_onion".
      return { kind: 'local', failure_code: failure.failure_code, failure_data: failure.sha256_of_onion };
    case 'on_chain':
      return localFailure({ name: 'permanent_channel_failure' });
  }
}

/** Our own outgoing channel turned the offer down: the code it named where its data are known here, else a temporary failure. */
export function failureOfDeclined({ failure_code, amount_msat }: { readonly failure_code: number; readonly amount_msat: Msat }): HtlcFailure {
  switch (failure_code) {
    case failureCode('unknown_next_peer'):
      return localFailure({ name: 'unknown_next_peer' });
    case failureCode('permanent_channel_failure'):
      return localFailure({ name: 'permanent_channel_failure' });
    case failureCode('temporary_node_failure'):
      return localFailure({ name: 'temporary_node_failure' });
    case failureCode('expiry_too_far'):
      return localFailure({ name: 'expiry_too_far' });
    case failureCode('expiry_too_soon'):
      return localFailure({ name: 'expiry_too_soon', data: { channel_update: '' } });
    case failureCode('amount_below_minimum'):
      return localFailure({ name: 'amount_below_minimum', data: { htlc_msat: amount_msat, channel_update: '' } });
    default:
      return localFailure({ name: 'temporary_channel_failure', data: { channel_update: '' } });
  }
}
