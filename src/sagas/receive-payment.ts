/** An HTLC that ends with us: asks its invoice, and brings the answer back to the channel (BOLT 2, "Removing an HTLC"). */
import type { EventEnvelope } from '../events/envelope.ts';
import { NOTHING, type Reaction, type Saga, type Told } from './saga.ts';

export const receivePayment: Saga = { name: 'receive-payment', react };

function react({ stream, event }: Told): readonly Reaction[] {
  switch (event.type) {
    case 'IncomingHtlcCommitted':
      return event.hop.kind === 'forward' ? NOTHING : [answer(stream, event)];
    case 'InvoiceHtlcRefused': {
      const { channel, htlc_id, failure_code, failure_data } = event;
      return [{ to: channel, intent: { type: 'FailHtlc', htlc_id, failure: { kind: 'local', failure_code, failure_data } } }];
    }
    case 'InvoiceSettled': {
      const { payment_preimage } = event;
      return event.htlcs.map(({ channel, htlc_id }) => ({ to: channel, intent: { type: 'FulfillHtlc', htlc_id, payment_preimage } }));
    }
    default:
      return NOTHING;
  }
}

type Committed = Extract<EventEnvelope['event'], { type: 'IncomingHtlcCommitted' }>;

/** What our layer of the onion asks for; a layer that could not be read goes straight back. */
function answer(channel: string, { hop, htlc_id, payment_hash, amount_msat, cltv_expiry }: Committed): Reaction {
  switch (hop.kind) {
    case 'final': {
      const { kind: _, ...said } = hop;
      return { to: `invoice-${payment_hash}`, intent: { type: 'AcceptInvoiceHtlc', htlc: { channel, htlc_id, amount_msat, cltv_expiry, ...said } } };
    }
    case 'malformed':
      return { to: channel, intent: { type: 'FailMalformedHtlc', htlc_id, failure_code: hop.failure_code, sha256_of_onion: hop.sha256_of_onion } };
    case 'invalid':
      return { to: channel, intent: { type: 'FailHtlc', htlc_id, failure: { kind: 'local', failure_code: hop.failure_code, failure_data: hop.failure_data } } };
    case 'forward':
      throw new Error('a forward is for the relay saga');
  }
}
