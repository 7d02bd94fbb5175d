/** A payment of ours: each attempt is owed to its first channel, and what becomes of it goes back to the payment. */
import { NOTHING, type Reaction, type Saga, type Told } from './saga.ts';

export const payment: Saga = { name: 'payment', react };

function react({ stream, event }: Told): readonly Reaction[] {
  switch (event.type) {
    case 'AttemptPlanned': {
      const { attempt, channel, amount_msat, payment_hash, cltv_expiry, onion_hash } = event;
      const origin = { kind: 'payment', payment: stream, attempt } as const;
      return [{ to: channel, intent: { type: 'OfferHtlc', origin, amount_msat, payment_hash, cltv_expiry, onion_hash } }];
    }
    case 'OutgoingHtlcFulfilled': {
      if (event.origin.kind !== 'payment') return NOTHING;
      const end = { kind: 'fulfilled', payment_preimage: event.payment_preimage } as const;
      return [{ to: event.origin.payment, intent: { type: 'ResolveAttempt', attempt: event.origin.attempt, end } }];
    }
    case 'OutgoingHtlcFailed': {
      if (event.origin.kind !== 'payment') return NOTHING;
      const end = { kind: 'failed', failure: event.failure } as const;
      return [{ to: event.origin.payment, intent: { type: 'ResolveAttempt', attempt: event.origin.attempt, end } }];
    }
    case 'HtlcOfferDeclined': {
      if (event.origin.kind !== 'payment') return NOTHING;
      const { code, detail, failure_code } = event;
      return [{ to: event.origin.payment, intent: { type: 'ResolveAttempt', attempt: event.origin.attempt, end: { kind: 'declined', code, detail, failure_code } } }];
    }
    default:
      return NOTHING;
  }
}
