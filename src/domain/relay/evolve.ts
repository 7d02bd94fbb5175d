/** Folds the facts of a relay stream. */
import type { RelayEvent } from '../../events/relay.ts';
import { never } from '../decider.ts';
import type { RelayState } from './state.ts';

export function evolveRelay(state: RelayState, event: RelayEvent): RelayState {
  switch (event.type) {
    case 'RelayStarted':
      return { phase: 'started', payment_hash: event.payment_hash, incoming: event.incoming, outgoing: event.outgoing };
    case 'RelayRefused':
      return { phase: 'refused' };
    case 'RelayFulfilled':
      return { phase: 'fulfilled', payment_preimage: event.payment_preimage };
    case 'RelayFailed':
      return state.phase === 'started' ? { ...state, phase: 'failed' } : state;
    default:
      return never(event);
  }
}
