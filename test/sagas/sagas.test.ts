/** The stories between streams: which fact makes which stream hear what. */
import { describe, expect, it } from 'vitest';
import type { Intent } from '../../src/commands/intents.ts';
import type { EventEnvelope } from '../../src/events/envelope.ts';
import type { Event } from '../../src/events/registry.ts';
import { allSagas } from '../../src/sagas/index.ts';
import { relayStream } from '../../src/sagas/relay-htlc.ts';
import { sampleEvents } from '../support/sample-events.ts';
import { amount, hash, nodeOf, paymentHashOf, preimageOf, scid } from '../support/words.ts';

const on = (stream: string, event: Event) => allSagas.react({ stream, event } as EventEnvelope);
const payment_hash = paymentHashOf('x');
const payment_preimage = preimageOf('x');
const committed = (hop: Extract<Event, { type: 'IncomingHtlcCommitted' }>['hop']): Event => ({ type: 'IncomingHtlcCommitted', htlc_id: 3n, amount_msat: amount(10), payment_hash, cltv_expiry: 99, hop });
const told = (to: string, intent: Intent) => [{ to, intent }];

describe('an HTLC that came in', () => {
  it('for us goes to its invoice', () => {
    const said = { amt_to_forward: amount(10), outgoing_cltv_value: 99, payment_secret_hash: hash('s'), total_msat: amount(10) };
    expect(on('channel-a', committed({ kind: 'final', ...said }))).toEqual(
      told(`invoice-${payment_hash}`, { type: 'AcceptInvoiceHtlc', htlc: { channel: 'channel-a', htlc_id: 3n, amount_msat: amount(10), cltv_expiry: 99, ...said } }),
    );
  });

  it('for another goes to a relay of its own', () => {
    const request = { short_channel_id: scid('1x1x1'), amt_to_forward: amount(9), outgoing_cltv_value: 50, next_onion_hash: hash('n') };
    expect(on('channel-a', committed({ kind: 'forward', ...request }))).toEqual(
      told('relay-channel-a-3', { type: 'StartRelay', payment_hash, incoming: { channel: 'channel-a', htlc_id: 3n, amount_msat: amount(10), cltv_expiry: 99 }, request }),
    );
    expect(relayStream('channel-a', 3n)).not.toBe(relayStream('channel-a', 4n));
  });

  it('that cannot be read goes straight back', () => {
    expect(on('channel-a', committed({ kind: 'malformed', failure_code: 0xc005, sha256_of_onion: hash('o') }))).toEqual(told('channel-a', { type: 'FailMalformedHtlc', htlc_id: 3n, failure_code: 0xc005, sha256_of_onion: hash('o') }));
    expect(on('channel-a', committed({ kind: 'invalid', failure_code: 0x4016, failure_data: '02' }))).toEqual(told('channel-a', { type: 'FailHtlc', htlc_id: 3n, failure: { kind: 'local', failure_code: 0x4016, failure_data: '02' } }));
  });
});

describe('an invoice', () => {
  it('that is settled fulfils every HTLC of its set', () => {
    const htlcs = [{ channel: 'channel-a', htlc_id: 1n }, { channel: 'channel-b', htlc_id: 1n }];
    expect(on('invoice-x', { type: 'InvoiceSettled', payment_preimage, received_msat: amount(10), htlcs })).toEqual(
      htlcs.map(({ channel, htlc_id }) => ({ to: channel, intent: { type: 'FulfillHtlc', htlc_id, payment_preimage } })),
    );
  });

  it('that refuses one fails that one', () => {
    expect(on('invoice-x', { type: 'InvoiceHtlcRefused', channel: 'channel-a', htlc_id: 1n, amount_msat: amount(1), failure_code: 23, failure_data: '' })).toEqual(
      told('channel-a', { type: 'FailHtlc', htlc_id: 1n, failure: { kind: 'local', failure_code: 23, failure_data: '' } }),
    );
  });
});

describe('a relay', () => {
  const incoming = { channel: 'channel-a', htlc_id: 3n, amount_msat: amount(10), cltv_expiry: 99 };
  const origin = { kind: 'relay', relay: 'relay-channel-a-3' } as const;

  it('offers onward what it was asked to', () => {
    const outgoing = { channel: 'channel-b', short_channel_id: scid('1x1x1'), amount_msat: amount(9), cltv_expiry: 50, onion_hash: hash('n') };
    expect(on('relay-channel-a-3', { type: 'RelayStarted', payment_hash, incoming, outgoing, fee_msat: amount(1) })).toEqual(
      told('channel-b', { type: 'OfferHtlc', origin, amount_msat: amount(9), payment_hash, cltv_expiry: 50, onion_hash: hash('n') }),
    );
  });

  it('hears how that ended', () => {
    expect(on('channel-b', { type: 'OutgoingHtlcFulfilled', htlc_id: 7n, payment_hash, payment_preimage, origin })).toEqual(told(origin.relay, { type: 'FulfillRelay', payment_preimage, outgoing_htlc_id: 7n }));
    const failure = { kind: 'reason', reason_hash: hash('r') } as const;
    expect(on('channel-b', { type: 'OutgoingHtlcFailed', htlc_id: 7n, payment_hash, origin, failure })).toEqual(told(origin.relay, { type: 'FailRelay', outgoing: failure, failure: { kind: 'relayed', reason_hash: hash('r') } }));
    expect(on('channel-b', { type: 'HtlcOfferDeclined', origin, payment_hash, amount_msat: amount(9), code: 'full', detail: '', failure_code: 0x1007 })).toEqual(
      told(origin.relay, { type: 'FailRelay', failure: { kind: 'local', failure_code: 0x1007, failure_data: '0000' } }),
    );
  });

  it('brings the end back to where the HTLC came from', () => {
    const failure = { kind: 'local', failure_code: 0x1007, failure_data: '0000' } as const;
    expect(on('relay-x', { type: 'RelayFulfilled', payment_preimage, outgoing_htlc_id: 7n, incoming })).toEqual(told('channel-a', { type: 'FulfillHtlc', htlc_id: 3n, payment_preimage }));
    expect(on('relay-x', { type: 'RelayFailed', failure, incoming })).toEqual(told('channel-a', { type: 'FailHtlc', htlc_id: 3n, failure }));
    expect(on('relay-x', { type: 'RelayRefused', payment_hash, failure, incoming })).toEqual(told('channel-a', { type: 'FailHtlc', htlc_id: 3n, failure }));
  });
});

describe('a payment', () => {
  const origin = { kind: 'payment', payment: 'payment-x', attempt: 2 } as const;
  const hops = [{ short_channel_id: scid('1x1x1'), node_id: nodeOf('bob'), amount_msat: amount(10), cltv_expiry: 99 }];

  it('offers each attempt to its first channel', () => {
    expect(on('payment-x', { type: 'AttemptPlanned', attempt: 2, payment_hash, channel: 'channel-a', amount_msat: amount(10), fee_msat: amount(0), cltv_expiry: 99, onion_hash: hash('o'), hops })).toEqual(
      told('channel-a', { type: 'OfferHtlc', origin, amount_msat: amount(10), payment_hash, cltv_expiry: 99, onion_hash: hash('o') }),
    );
  });

  it('hears how that ended', () => {
    const resolved = (end: Extract<Intent, { type: 'ResolveAttempt' }>['end']) => told('payment-x', { type: 'ResolveAttempt', attempt: 2, end });
    expect(on('channel-a', { type: 'OutgoingHtlcFulfilled', htlc_id: 7n, payment_hash, payment_preimage, origin })).toEqual(resolved({ kind: 'fulfilled', payment_preimage }));
    const failure = { kind: 'on_chain' } as const;
    expect(on('channel-a', { type: 'OutgoingHtlcFailed', htlc_id: 7n, payment_hash, origin, failure })).toEqual(resolved({ kind: 'failed', failure }));
    const why = { code: 'full', detail: 'of HTLCs', failure_code: 0x1007 };
    expect(on('channel-a', { type: 'HtlcOfferDeclined', origin, payment_hash, amount_msat: amount(9), ...why })).toEqual(resolved({ kind: 'declined', ...why }));
  });
});

describe('every fact of the log', () => {
  it('is answered the same twice, and without a throw', () => {
    for (const event of sampleEvents()) expect(on('channel-a', event)).toEqual(on('channel-a', event));
  });
});
