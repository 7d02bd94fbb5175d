/** Invoices: which HTLCs a payee keeps (BOLT 4, "Failure Messages", final node), and when a set is whole. */
import { describe, expect, it } from 'vitest';
import { decodeFailure, failureCode } from '../../src/bolt/04-onion-routing/failure-codes.ts';
import type { FinalHtlc, InvoiceCommand } from '../../src/domain/invoice/commands.ts';
import { invoiceDecider, MPP_TIMEOUT_SECONDS } from '../../src/domain/invoice/decide.ts';
import { given } from '../support/story.ts';
import { amount, hash, paymentHashOf, preimageOf } from '../support/words.ts';

const NOW = 1_700_000_000;
const HEIGHT = 1_000;
const payment_hash = paymentHashOf('coffee');
const payment_preimage = preimageOf('coffee');
const created = {
  type: 'InvoiceCreated',
  payment_hash,
  payment_secret_hash: hash('secret'),
  nonce: hash('nonce'),
  amount_msat: amount(10_000),
  description: 'coffee',
  created_at: NOW,
  expiry: 3_600,
  min_final_cltv_expiry_delta: 18,
} as const;

const htlcOf = (change: Partial<FinalHtlc> = {}): FinalHtlc => ({
  channel: 'channel-a',
  htlc_id: 0n,
  amount_msat: amount(10_000),
  cltv_expiry: HEIGHT + 18,
  amt_to_forward: amount(10_000),
  outgoing_cltv_value: HEIGHT + 18,
  payment_secret_hash: hash('secret'),
  total_msat: amount(10_000),
  ...change,
});

type Accept = Extract<InvoiceCommand, { type: 'AcceptInvoiceHtlc' }>;
const acceptHtlc = (change: Partial<FinalHtlc> = {}, facts: Partial<Accept> = {}): Accept => ({
  type: 'AcceptInvoiceHtlc',
  htlc: htlcOf(change),
  now: NOW + 60,
  height: HEIGHT,
  payment_preimage,
  ...facts,
});
const part = (htlc_id: bigint, value: number, channel = 'channel-a') => ({ htlc_id, channel, amount_msat: amount(value), amt_to_forward: amount(value) });

describe('an HTLC that pays the invoice', () => {
  it('is settled at once, and a second delivery is silent', () => {
    given(invoiceDecider, created)
      .when(acceptHtlc())
      .then(
        { type: 'InvoiceHtlcAccepted', channel: 'channel-a', htlc_id: 0n, amount_msat: amount(10_000), total_msat: amount(10_000), accepted_at: NOW + 60 },
        { type: 'InvoiceSettled', payment_preimage, received_msat: amount(10_000), htlcs: [{ channel: 'channel-a', htlc_id: 0n }] },
      )
      .when(acceptHtlc())
      .thenNothing();
  });

  it('may bring up to twice the amount', () => {
    given(invoiceDecider, created).when(acceptHtlc({ ...part(0n, 20_000), total_msat: amount(20_000) })).thenTypes('InvoiceHtlcAccepted', 'InvoiceSettled');
  });

  it('may bring anything where the amount was left open', () => {
    const { amount_msat: _, ...open } = created;
    given(invoiceDecider, open).when(acceptHtlc({ ...part(0n, 1), total_msat: amount(1) })).thenTypes('InvoiceHtlcAccepted', 'InvoiceSettled');
  });
});

describe('an HTLC that does not', () => {
  const refusedWith = (command: Accept, ...facts: Parameters<typeof given>[1][]) => {
    const { events } = given(invoiceDecider, ...(facts as never[])).when(command);
    expect(events.map((event) => event.type)).toEqual(['InvoiceHtlcRefused']);
    const event = events[0] as { failure_code: number; failure_data: string };
    return decodeFailure(event.failure_code.toString(16).padStart(4, '0') + event.failure_data);
  };
  const unknown = { name: 'incorrect_or_unknown_payment_details', data: { htlc_msat: 10_000n, height: HEIGHT } };

  it('pays an invoice we never made', () => {
    expect(refusedWith(acceptHtlc({}, { payment_preimage: undefined }))).toMatchObject(unknown);
  });

  it('carries another payment_secret', () => {
    expect(refusedWith(acceptHtlc({ payment_secret_hash: hash('guess') }), created as never)).toMatchObject(unknown);
  });

  it('comes when the invoice has expired', () => {
    expect(refusedWith(acceptHtlc({}, { now: NOW + 3_601 }), created as never)).toMatchObject(unknown);
    given(invoiceDecider, created).when(acceptHtlc({}, { now: NOW + 3_600 })).thenTypes('InvoiceHtlcAccepted', 'InvoiceSettled');
  });

  it('pays less than asked, or more than twice', () => {
    expect(refusedWith(acceptHtlc({ total_msat: amount(9_999) }), created as never)).toMatchObject(unknown);
    expect(refusedWith(acceptHtlc({ total_msat: amount(20_001) }), created as never)).toMatchObject(unknown);
  });

  it('expires too near the present', () => {
    expect(refusedWith(acceptHtlc({}, { height: HEIGHT + 1 }), created as never)).toMatchObject({ ...unknown, data: { htlc_msat: 10_000n, height: HEIGHT + 1 } });
  });

  it('expires before the onion says', () => {
    expect(refusedWith(acceptHtlc({ outgoing_cltv_value: HEIGHT + 19 }), created as never)).toMatchObject({ name: 'final_incorrect_cltv_expiry', data: { cltv_expiry: HEIGHT + 18 } });
  });

  it('brings less than the onion says', () => {
    expect(refusedWith(acceptHtlc({ amount_msat: amount(9_999) }), created as never)).toMatchObject({ name: 'final_incorrect_htlc_amount', data: { incoming_htlc_amt: 9_999n } });
  });

  it('pays a second time', () => {
    const paid = given(invoiceDecider, created).when(acceptHtlc()).thenTypes('InvoiceHtlcAccepted', 'InvoiceSettled');
    paid.when(acceptHtlc({ htlc_id: 1n })).thenTypes('InvoiceHtlcRefused');
  });
});

describe('a set of HTLCs', () => {
  const one = acceptHtlc(part(0n, 4_000));
  const two = acceptHtlc(part(0n, 6_000, 'channel-b'));

  it('is settled as a whole when the last part is there', () => {
    given(invoiceDecider, created)
      .when(one)
      .thenTypes('InvoiceHtlcAccepted')
      .when(one)
      .thenNothing()
      .when(two)
      .then(
        { type: 'InvoiceHtlcAccepted', channel: 'channel-b', htlc_id: 0n, amount_msat: amount(6_000), total_msat: amount(10_000), accepted_at: NOW + 60 },
        { type: 'InvoiceSettled', payment_preimage, received_msat: amount(10_000), htlcs: [{ channel: 'channel-a', htlc_id: 0n }, { channel: 'channel-b', htlc_id: 0n }] },
      );
  });

  it('takes no part that speaks of another total', () => {
    given(invoiceDecider, created).when(one).thenTypes('InvoiceHtlcAccepted').when(acceptHtlc({ ...part(1n, 6_000), total_msat: amount(11_000) })).thenTypes('InvoiceHtlcRefused');
  });

  it('is failed when it stays incomplete for a minute, and not before', () => {
    const due = NOW + 60 + MPP_TIMEOUT_SECONDS;
    given(invoiceDecider, created)
      .when(one)
      .thenTypes('InvoiceHtlcAccepted')
      .when({ type: 'TimeoutInvoiceHtlcs', now: due - 1 })
      .thenNothing()
      .when({ type: 'TimeoutInvoiceHtlcs', now: due })
      .then({ type: 'InvoiceHtlcRefused', channel: 'channel-a', htlc_id: 0n, amount_msat: amount(4_000), failure_code: failureCode('mpp_timeout'), failure_data: '' })
      .when({ type: 'TimeoutInvoiceHtlcs', now: due })
      .thenNothing()
      // The payer may try again.
      .when(acceptHtlc(part(5n, 10_000)))
      .thenTypes('InvoiceHtlcAccepted', 'InvoiceSettled');
  });
});

describe('making an invoice', () => {
  const { type: _, ...terms } = created;
  it('is done once for a payment_hash', () => {
    given(invoiceDecider).when({ type: 'CreateInvoice', ...terms }).then(created).when({ type: 'CreateInvoice', ...terms }).thenRefused('invoice_exists');
  });

  it('for nothing is refused', () => {
    given(invoiceDecider).when({ type: 'CreateInvoice', ...terms, amount_msat: amount(0) }).thenRefused('amount_is_zero');
  });

  it('with a preimage of something else is a bug of ours, and says nothing aloud', () => {
    const settle = () => given(invoiceDecider, created).when(acceptHtlc({}, { payment_preimage: preimageOf('tea') }));
    expect(settle).toThrow(payment_hash);
    expect(settle).not.toThrow(preimageOf('tea'));
  });
});
