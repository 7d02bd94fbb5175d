/** Folds the facts of a payment stream. */
import type { PaymentEvent } from '../../events/payment.ts';
import { never } from '../decider.ts';
import { exclude } from './retry.ts';
import { startOf, type Attempt, type PaymentState } from './state.ts';

export function evolvePayment(state: PaymentState, event: PaymentEvent): PaymentState {
  if (event.type === 'PaymentStarted') {
    const { type: _, ...terms } = event;
    return { phase: 'in_flight', ...startOf(terms, state.phase === 'none' ? [] : state.attempts) };
  }
  if (state.phase === 'none') throw new Error(`${event.type} before PaymentStarted`);
  switch (event.type) {
    case 'AttemptPlanned': {
      const { attempt, channel, hops, fee_msat } = event;
      return { ...state, attempts: [...state.attempts, { attempt, channel, hops, fee_msat, status: 'in_flight' }] };
    }
    case 'AttemptSucceeded':
      return { ...state, attempts: withStatus(state.attempts, event.attempt, 'succeeded') };
    case 'AttemptFailed': {
      const hops = state.attempts[event.attempt]?.hops ?? [];
      const excluded = exclude(state.excluded, hops, event.failure_code, event.erring_hop);
      return { ...state, attempts: withStatus(state.attempts, event.attempt, 'failed'), excluded };
    }
    case 'PaymentSucceeded': {
      const { terms, attempts, firstAttempt, excluded } = state;
      const { payment_preimage, fee_msat } = event;
      return { phase: 'succeeded', payment_preimage, fee_msat, terms, attempts, firstAttempt, excluded };
    }
    case 'PaymentFailed': {
      const { type: _, ...failure } = event;
      const { terms, attempts, firstAttempt, excluded } = state;
      return { phase: 'failed', failure, terms, attempts, firstAttempt, excluded };
    }
    default:
      return never(event);
  }
}

const withStatus = (attempts: readonly Attempt[], attempt: number, status: Attempt['status']): readonly Attempt[] =>
  attempts.map((other) => (other.attempt === attempt ? { ...other, status } : other));
