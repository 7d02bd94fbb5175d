/** A payment: one attempt at a time, within its limits, and always an end. */
import { describe, expect, it } from 'vitest';
import { failureCode, type FailureName } from '../../src/bolt/04-onion-routing/failure-codes.ts';
import type { AttemptOutcome, PaymentCommand, Plan } from '../../src/domain/payment/commands.ts';
import { paymentDecider } from '../../src/domain/payment/decide.ts';
import type { PaymentEvent } from '../../src/events/payment.ts';
import type { PaymentState } from '../../src/domain/payment/state.ts';
import { given } from '../support/story.ts';
import { amount, hash, nodeOf, paymentHashOf, preimageOf, scid } from '../support/words.ts';

const NOW = 1_700_000_000;
const EXPIRES = NOW + 3_600;
const payment_hash = paymentHashOf('rent');
const terms = {
  payment_id: hash('payment'),
  payment_hash,
  destination: nodeOf('carol'),
  amount_msat: amount(100_000),
  fee_limit_msat: amount(1_000),
  min_final_cltv_expiry_delta: 18,
  bolt11: 'lnbcrt...',
  max_attempts: 2,
} as const;

/** us -> `via` -> carol. */
const routeOver = (via: string, fee = 100): Plan => ({
  kind: 'route',
  channel: `channel-${via}`,
  onion_hash: hash(`onion over ${via}`),
  hops: [
    { short_channel_id: scid('1x1x0'), node_id: nodeOf(via), amount_msat: amount(100_000 + fee), cltv_expiry: 158 },
    { short_channel_id: scid('2x1x0'), node_id: nodeOf('carol'), amount_msat: amount(100_000), cltv_expiry: 118 },
  ],
});
const plannedOver = (attempt: number, via: string, fee = 100): PaymentEvent => {
  const { kind: _, hops, ...plan } = routeOver(via, fee) as Extract<Plan, { kind: 'route' }>;
  return { type: 'AttemptPlanned', attempt, payment_hash, amount_msat: amount(100_000 + fee), fee_msat: amount(fee), cltv_expiry: 158, hops: [...hops], ...plan };
};
const noRoute: Plan = { kind: 'none', reason: 'no way' };

type Start = Extract<PaymentCommand, { type: 'StartPayment' }>;
const startPayment = (change: Partial<Start> = {}): Start => ({ type: 'StartPayment', ...terms, now: NOW, expires_at: EXPIRES, plan: routeOver('bob'), ...change });
const resolve = (attempt: number, outcome: AttemptOutcome, next?: Plan): PaymentCommand => ({ type: 'ResolveAttempt', attempt, outcome, now: NOW, expires_at: EXPIRES, ...(next === undefined ? {} : { next }) });
const failedAt = (erring_hop: number | undefined, name: FailureName): AttemptOutcome => ({
  kind: 'failed',
  failure_code: failureCode(name),
  failure_name: name,
  failure_data: '',
  reason: `${name} from somewhere`,
  ...(erring_hop === undefined ? {} : { erring_hop }),
});
const paid: AttemptOutcome = { kind: 'fulfilled', payment_preimage: preimageOf('rent') };

const started = { type: 'PaymentStarted', ...terms } as const;
const success = [
  { type: 'AttemptSucceeded', attempt: 0, payment_preimage: preimageOf('rent') },
  { type: 'PaymentSucceeded', payment_preimage: preimageOf('rent'), amount_msat: amount(100_000), fee_msat: amount(100) },
] as const;

describe('a payment', () => {
  it('starts with its first attempt and ends with the preimage', () => {
    given(paymentDecider).when(startPayment()).then(started, plannedOver(0, 'bob')).when(resolve(0, paid)).then(...success).when(resolve(0, paid)).thenNothing();
  });

  it('is not started twice: not while under way, not once paid', () => {
    const underWay = given(paymentDecider).when(startPayment()).thenTypes('PaymentStarted', 'AttemptPlanned');
    underWay.when(startPayment()).thenRefused('already_in_flight');
    const refusal = underWay.when(resolve(0, paid)).then(...success).when(startPayment()).thenRefused('already_paid');
    expect(refusal.detail).toMatchObject({ payment_hash, payment_preimage: preimageOf('rent') });
  });

  it('of nothing is refused', () => {
    given(paymentDecider).when(startPayment({ amount_msat: amount(0) })).thenRefused('amount_is_zero');
  });

  it('without a way ends at once', () => {
    given(paymentDecider).when(startPayment({ plan: noRoute })).then(started, { type: 'PaymentFailed', code: 'no_route', reason: 'no way' });
  });

  it('of an expired invoice ends at once', () => {
    given(paymentDecider).when(startPayment({ now: EXPIRES + 1 })).thenTypes('PaymentStarted', 'PaymentFailed');
    given(paymentDecider).when(startPayment({ now: EXPIRES })).thenTypes('PaymentStarted', 'AttemptPlanned');
  });

  it('never pays more fees than allowed', () => {
    const { events } = given(paymentDecider).when(startPayment({ plan: routeOver('bob', 1_001) }));
    expect(events[1]).toMatchObject({ type: 'PaymentFailed', code: 'fee_limit_exceeded', reason: expect.stringMatching(/1001 msat.*1000 msat/) });
  });

  it('safety 25: the fee limit is the whole payment\'s: one part at a time, each within it, to the msat', () => {
    const atLimit = given(paymentDecider).when(startPayment({ plan: routeOver('bob', 1_000) })).thenTypes('PaymentStarted', 'AttemptPlanned');
    // Only when nothing of the first is out any more does the next begin, and it has the same limit.
    atLimit.when(resolve(0, failedAt(1, 'temporary_channel_failure'), routeOver('dave', 1_000))).thenTypes('AttemptFailed', 'AttemptPlanned');
    atLimit.when(resolve(0, failedAt(1, 'temporary_channel_failure'), routeOver('dave', 1_001))).thenTypes('AttemptFailed', 'PaymentFailed');
  });

  it('that failed may be started again; its attempts go on counting', () => {
    given(paymentDecider)
      .when(startPayment())
      .thenTypes('PaymentStarted', 'AttemptPlanned')
      .when(resolve(0, failedAt(2, 'incorrect_or_unknown_payment_details')))
      .thenTypes('AttemptFailed', 'PaymentFailed')
      .when(startPayment({ plan: routeOver('dave') }))
      .then(started, plannedOver(1, 'dave'));
  });
});

describe('a failed attempt', () => {
  const underWay = given(paymentDecider, started, plannedOver(0, 'bob'));

  it('is followed by another one, elsewhere', () => {
    underWay
      .when(resolve(0, failedAt(1, 'temporary_channel_failure'), routeOver('dave')))
      .then(
        { type: 'AttemptFailed', attempt: 0, failure_code: failureCode('temporary_channel_failure'), failure_name: 'temporary_channel_failure', failure_data: '', erring_hop: 1, erring_node: nodeOf('bob'), reason: 'temporary_channel_failure from somewhere' },
        plannedOver(1, 'dave'),
      )
      .when(resolve(0, failedAt(1, 'temporary_channel_failure'), routeOver('eve')))
      .thenNothing();
  });

  it('ends the payment when no other way is left', () => {
    const { events } = underWay.when(resolve(0, failedAt(1, 'unknown_next_peer'), noRoute));
    expect(events[1]).toMatchObject({ type: 'PaymentFailed', code: 'no_route', failure_name: 'unknown_next_peer', erring_node: nodeOf('bob') });
  });

  it('ends the payment when the payee said no', () => {
    const { events } = underWay.when(resolve(0, failedAt(2, 'incorrect_or_unknown_payment_details'), routeOver('dave')));
    expect(events[1]).toMatchObject({ type: 'PaymentFailed', code: 'refused_by_payee', failure_code: 0x400f, erring_node: nodeOf('carol') });
  });

  it('ends the payment after so many attempts', () => {
    const { events } = underWay
      .when(resolve(0, failedAt(1, 'temporary_channel_failure'), routeOver('dave')))
      .thenTypes('AttemptFailed', 'AttemptPlanned')
      .when(resolve(1, failedAt(1, 'temporary_channel_failure'), routeOver('eve')));
    expect(events[1]).toMatchObject({ type: 'PaymentFailed', code: 'too_many_attempts' });
  });

  it('ends the payment when the invoice has expired meanwhile', () => {
    const late = { ...resolve(0, failedAt(1, 'temporary_channel_failure'), routeOver('dave')), now: EXPIRES + 1 } as PaymentCommand;
    expect(underWay.when(late).events[1]).toMatchObject({ type: 'PaymentFailed', code: 'invoice_expired' });
  });

  it('that succeeds after all is a success', () => {
    const failed = underWay.when(resolve(0, failedAt(1, 'temporary_channel_failure'), noRoute)).thenTypes('AttemptFailed', 'PaymentFailed');
    failed.when(resolve(0, paid)).then(...success).when(startPayment()).thenRefused('already_paid');
  });

  it('is not made good by a preimage of something else', () => {
    underWay.when(resolve(0, { kind: 'fulfilled', payment_preimage: preimageOf('food') })).thenRefused('wrong_preimage');
  });

  it('that nobody made is refused', () => {
    underWay.when(resolve(7, paid)).thenRefused('unknown_attempt');
    given(paymentDecider).when(resolve(0, paid)).thenRefused('unknown_attempt');
  });
});

describe('what a failure teaches', () => {
  const excludedBy = (outcome: AttemptOutcome) => {
    const facts: readonly PaymentEvent[] = [started, plannedOver(0, 'bob')];
    const { events } = given(paymentDecider, ...facts).when(resolve(0, outcome, noRoute));
    const state = [...facts, ...events].reduce(paymentDecider.evolve, paymentDecider.initial) as Exclude<PaymentState, { phase: 'none' }>;
    return { channels: [...state.excluded.channels], nodes: [...state.excluded.nodes] };
  };

  it.each([
    ['a channel failure blames the channel after the one who speaks', failedAt(1, 'temporary_channel_failure'), { channels: ['2x1x0'], nodes: [] }],
    ['our own channel, when it is we who speak', failedAt(0, 'temporary_channel_failure'), { channels: ['1x1x0'], nodes: [] }],
    ['a node failure blames the node', failedAt(1, 'temporary_node_failure'), { channels: [], nodes: [nodeOf('bob')] }],
    ['an unreadable onion blames the node that could not read it', failedAt(0, 'invalid_onion_hmac'), { channels: [], nodes: [nodeOf('bob')] }],
    ['an answer that nobody can be shown to have given blames all channels but our own', failedAt(undefined, 'temporary_channel_failure'), { channels: ['2x1x0'], nodes: [] }],
  ] as const)('%s', (_, outcome, expected) => {
    expect(excludedBy(outcome)).toEqual(expected);
  });
});
