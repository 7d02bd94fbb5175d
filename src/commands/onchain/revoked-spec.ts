/** BOLT 5, "Revoked Transaction Close Handling": what an old commitment of the peer held, told again by the channel's own log. */
import type { CommitmentSpec } from '../../bolt/03-transactions/commitment-tx.ts';
import { commitmentSpec } from '../../domain/channel/commitment-spec.ts';
import { evolveChannel } from '../../domain/channel/evolve.ts';
import { initialChannel, isEstablished, type ChannelState } from '../../domain/channel/state.ts';
import type { ChannelEvent } from '../../events/channel/index.ts';
import type { EventStore, StreamId } from '../../events/store.ts';

/**
 * The peer's commitment `commitment_number` as we signed it. Folds the stream up to that signature and keeps nothing but
 * one state. Undefined when the log never signed such a number.
 */
export async function revokedSpec(store: Pick<EventStore, 'read'>, stream: StreamId, commitment_number: bigint): Promise<CommitmentSpec | undefined> {
  let state: ChannelState = initialChannel;
  for await (const { event } of store.read(stream)) {
    state = evolveChannel(state, event as ChannelEvent);
    if (isEstablished(state) && state.commitments.remote.number === commitment_number) return commitmentSpec(state, 'remote');
  }
  return undefined;
}
