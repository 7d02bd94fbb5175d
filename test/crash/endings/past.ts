/** What a channel's log says of its past, for those who go back to it. */
import { evolveChannel } from '../../../src/domain/channel/evolve.ts';
import { initialChannel, isEstablished, type ChannelState } from '../../../src/domain/channel/state.ts';
import type { ChannelEvent } from '../../../src/events/channel/index.ts';
import type { EventEnvelope } from '../../../src/events/envelope.ts';

const COMMITTED: ReadonlySet<string> = new Set(['SENT_ADD_ACK_REVOCATION', 'RCVD_ADD_ACK_REVOCATION']);

/** The newest of our commitments that had so many HTLCs, all of them beyond recall. Throws when there was none. */
export function newestFull(log: readonly EventEnvelope[], htlcs: number): bigint {
  let [state, newest] = [initialChannel as ChannelState, undefined as bigint | undefined];
  for (const { event } of log) {
    state = evolveChannel(state, event as ChannelEvent);
    if (!isEstablished(state)) continue;
    const { commitments } = state;
    if (commitments.htlcs.length === htlcs && commitments.htlcs.every((htlc) => COMMITTED.has(htlc.state))) newest = commitments.local.number;
  }
  if (newest === undefined) throw new Error(`no commitment had ${htlcs} HTLCs`);
  return newest;
}
