/** Safety 28: whatever becomes of its attempts, a payment reaches an end; and no preimage is ever lost. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { failureCode, type FailureName } from '../../src/bolt/04-onion-routing/failure-codes.ts';
import type { AttemptOutcome, PaymentCommand, Plan } from '../../src/domain/payment/commands.ts';
import { paymentDecider } from '../../src/domain/payment/decide.ts';
import type { PaymentEvent } from '../../src/events/payment.ts';
import { runs } from '../support/property.ts';
import { amount, hash, nodeOf, paymentHashOf, preimageOf, scid } from '../support/words.ts';

const EXPIRES = 1_000;
const FEE_LIMIT = 500;
const MAX_ATTEMPTS = 4;

const failureNames: readonly FailureName[] = ['temporary_channel_failure', 'unknown_next_peer', 'temporary_node_failure', 'incorrect_or_unknown_payment_details', 'mpp_timeout', 'invalid_onion_hmac', 'fee_insufficient'];
const HOPS = 3;

const plan: fc.Arbitrary<Plan> = fc.oneof(
  { weight: 4, arbitrary: fc.nat(FEE_LIMIT + 100).map(routeFor) },
  { weight: 1, arbitrary: fc.constant<Plan>({ kind: 'none', reason: 'no way' }) },
);

function routeFor(fee: number): Plan {
  const hops = Array.from({ length: HOPS }, (_, n) => ({
    short_channel_id: scid(`${n + 1}x${fee}x0`),
    node_id: nodeOf(n === HOPS - 1 ? 'payee' : `hop ${n}`),
    amount_msat: amount(n === 0 ? 10_000 + fee : 10_000),
    cltv_expiry: 200 - n,
  }));
  return { kind: 'route', channel: 'channel-a', onion_hash: hash('onion'), hops };
}

const outcome: fc.Arbitrary<AttemptOutcome> = fc.oneof(
  { weight: 1, arbitrary: fc.constant<AttemptOutcome>({ kind: 'fulfilled', payment_preimage: preimageOf('payment') }) },
  { weight: 1, arbitrary: fc.constant<AttemptOutcome>({ kind: 'fulfilled', payment_preimage: preimageOf('another') }) },
  {
    weight: 6,
    arbitrary: fc.tuple(fc.constantFrom(...failureNames), fc.option(fc.nat(HOPS), { nil: undefined })).map(
      ([name, erring_hop]): AttemptOutcome => ({ kind: 'failed', failure_code: failureCode(name), failure_name: name, failure_data: '', reason: name, ...(erring_hop === undefined ? {} : { erring_hop }) }),
    ),
  },
);

type Move = { readonly kind: 'start'; readonly plan: Plan; readonly now: number } | { readonly kind: 'resolve'; readonly newest: boolean; readonly pick: number; readonly outcome: AttemptOutcome; readonly next: Plan; readonly now: number };
const now = fc.oneof({ weight: 9, arbitrary: fc.constant(EXPIRES) }, { weight: 1, arbitrary: fc.constant(EXPIRES + 1) });
const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('start' as const), plan, now }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('resolve' as const), newest: fc.boolean(), pick: fc.nat(100), outcome, next: plan, now }) },
);

class Payment {
  readonly events: PaymentEvent[] = [];
  state = paymentDecider.initial;

  ask(command: PaymentCommand): void {
    const decision = paymentDecider.decide(command, this.state);
    if ('refused' in decision) return;
    for (const event of decision.accepted) {
      this.events.push(event);
      this.state = paymentDecider.evolve(this.state, event);
    }
  }

  move(next: Move): void {
    if (next.kind === 'start') return this.start(next.plan, next.now);
    const attempts = this.attempts();
    if (attempts.length > 0) this.resolve(next.newest ? attempts.length - 1 : next.pick % attempts.length, next.outcome, next.next, next.now);
  }

  start(plan: Plan, at: number): void {
    const terms = { payment_id: hash('id'), payment_hash: paymentHashOf('payment'), destination: nodeOf('payee'), amount_msat: amount(10_000), fee_limit_msat: amount(FEE_LIMIT) };
    this.ask({ type: 'StartPayment', ...terms, min_final_cltv_expiry_delta: 18, bolt11: '', max_attempts: MAX_ATTEMPTS, now: at, expires_at: EXPIRES, plan });
  }

  resolve(attempt: number, outcome: AttemptOutcome, next: Plan, at: number): void {
    this.ask({ type: 'ResolveAttempt', attempt, outcome, next, now: at, expires_at: EXPIRES });
  }

  attempts() {
    return this.state.phase === 'none' ? [] : this.state.attempts;
  }

  inFlight(): number {
    return this.attempts().filter((attempt) => attempt.status === 'in_flight').length;
  }
}

function invariants(payment: Payment): void {
  const { state, events } = payment;
  if (state.phase === 'none') return;
  // Under way exactly while an attempt is: no payment waits for nothing, none is over while money is out.
  expect(payment.inFlight()).toBeLessThanOrEqual(1);
  if (state.phase === 'in_flight') expect(payment.inFlight()).toBe(1);
  if (state.phase === 'failed') expect(payment.inFlight()).toBe(0);
  expect(state.attempts.map((attempt) => attempt.attempt)).toEqual(state.attempts.map((_, index) => index));
  expect(state.attempts.length - state.firstAttempt).toBeLessThanOrEqual(MAX_ATTEMPTS);
  for (const attempt of state.attempts) expect(attempt.fee_msat).toBeLessThanOrEqual(BigInt(FEE_LIMIT));
  expect(events.filter((event) => event.type === 'PaymentSucceeded').length).toBeLessThanOrEqual(1);
}

describe('safety 28: a payment', () => {
  it('is under way exactly while one attempt is, within its limits', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 40 }), (moves) => {
        const payment = new Payment();
        for (const next of moves) {
          payment.move(next);
          invariants(payment);
        }
      }),
      { numRuns: runs(500) },
    );
  });

  it('ends when each of its attempts does, after at most so many', () => {
    fc.assert(
      fc.property(plan, fc.array(fc.tuple(outcome, plan), { minLength: MAX_ATTEMPTS * 3, maxLength: MAX_ATTEMPTS * 3 }), (first, answers) => {
        const payment = new Payment();
        payment.start(first, EXPIRES);
        for (const [end, next] of answers) {
          if (payment.state.phase !== 'in_flight') break;
          const wrong = end.kind === 'fulfilled' && end.payment_preimage !== preimageOf('payment');
          if (!wrong) payment.resolve(payment.attempts().length - 1, end, next, EXPIRES);
        }
        const decided = answers.filter(([end]) => end.kind === 'failed' || end.payment_preimage === preimageOf('payment')).length;
        if (decided >= MAX_ATTEMPTS) expect(['succeeded', 'failed']).toContain(payment.state.phase);
      }),
      { numRuns: runs(500) },
    );
  });

  it('once its preimage is known it has succeeded, for ever, whatever came before or comes after', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 20 }), fc.array(move, { maxLength: 20 }), fc.nat(100), (before, after, pick) => {
        const payment = new Payment();
        for (const next of before) payment.move(next);
        const attempts = payment.attempts();
        fc.pre(attempts.length > 0);
        payment.resolve(pick % attempts.length, { kind: 'fulfilled', payment_preimage: preimageOf('payment') }, { kind: 'none', reason: '' }, EXPIRES + 1);
        for (const next of after) payment.move(next);
        expect(payment.state.phase).toBe('succeeded');
      }),
      { numRuns: runs(500) },
    );
  });

  it('is the same after a replay of its log', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 40 }), (moves) => {
        const payment = new Payment();
        for (const next of moves) payment.move(next);
        expect(payment.events.reduce(paymentDecider.evolve, paymentDecider.initial)).toEqual(payment.state);
      }),
      { numRuns: runs(200) },
    );
  });
});
