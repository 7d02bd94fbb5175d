/** A forward: the incoming HTLC starts a relay, the relay offers it onward once, and what becomes of it goes back (BOLT 2, "Forwarding HTLCs"). */
import { failureFromDownstream, failureOfDeclined } from '../domain/relay/downstream.ts';
import type { EventEnvelope } from '../events/envelope.ts';
import { NOTHING, type Reaction, type Saga, type Told } from './saga.ts';

export const relayHtlc: Saga = { name: 'relay-htlc', react };

/** The relay's stream: an HTLC is (channel, id), so a forward has one name for ever. */
export const relayStream = (channel: string, htlc_id: bigint): string => `relay-${channel}-${htlc_id}`;

function react({ stream, event }: Told): readonly Reaction[] {
  switch (event.type) {
    case 'IncomingHtlcCommitted':
      return start(stream, event);
    case 'RelayStarted': {
      const { channel, amount_msat, cltv_expiry, onion_hash } = event.outgoing;
      const origin = { kind: 'relay', relay: stream } as const;
      return [{ to: channel, intent: { type: 'OfferHtlc', origin, amount_msat, payment_hash: event.payment_hash, cltv_expiry, onion_hash } }];
    }
    case 'OutgoingHtlcFulfilled': {
      if (event.origin.kind !== 'relay') return NOTHING;
      const { payment_preimage, htlc_id } = event;
      return [{ to: event.origin.relay, intent: { type: 'FulfillRelay', payment_preimage, outgoing_htlc_id: htlc_id } }];
    }
    case 'OutgoingHtlcFailed': {
      if (event.origin.kind !== 'relay') return NOTHING;
      return [{ to: event.origin.relay, intent: { type: 'FailRelay', outgoing: event.failure, failure: failureFromDownstream(event.failure) } }];
    }
    case 'HtlcOfferDeclined': {
      if (event.origin.kind !== 'relay') return NOTHING;
      return [{ to: event.origin.relay, intent: { type: 'FailRelay', failure: failureOfDeclined(event) } }];
    }
    case 'RelayFulfilled': {
      const { incoming, payment_preimage } = event;
      return [{ to: incoming.channel, intent: { type: 'FulfillHtlc', htlc_id: incoming.htlc_id, payment_preimage } }];
    }
    case 'RelayRefused':
    case 'RelayFailed':
      return [{ to: event.incoming.channel, intent: { type: 'FailHtlc', htlc_id: event.incoming.htlc_id, failure: event.failure } }];
    default:
      return NOTHING;
  }
}

type Committed = Extract<EventEnvelope['event'], { type: 'IncomingHtlcCommitted' }>;

function start(channel: string, { hop, htlc_id, payment_hash, amount_msat, cltv_expiry }: Committed): readonly Reaction[] {
  if (hop.kind !== 'forward') return NOTHING;
  const { kind: _, ...request } = hop;
  return [{ to: relayStream(channel, htlc_id), intent: { type: 'StartRelay', payment_hash, incoming: { channel, htlc_id, amount_msat, cltv_expiry }, request } }];
}
