/** Keys of the commitments to come, derived while nothing waits for them: what a turn needs next is then at hand. */
import { commitmentKeys } from '../bolt/03-transactions/commitment-tx.ts';
import { commitmentParams } from '../domain/channel/commitment-spec.ts';
import type { Signer } from '../domain/ports.ts';
import { isEstablished, type ChannelState } from '../domain/channel/state.ts';

/** Changes nothing but how soon the same answers come (BOLT 3, "Key Derivation" and "Per-commitment Secret Requirements"). */
export function deriveAhead(state: ChannelState, signer: Signer): void {
  if (!isEstablished(state)) return;
  const { commitments, terms } = state;
  for (const owner of ['local', 'remote'] as const) {
    const { next_point } = commitments[owner];
    if (next_point !== undefined) commitmentKeys(commitmentParams(state, owner), next_point);
  }
  signer.perCommitmentPoint(terms.key_index, commitments.local.number + 2n);
}
