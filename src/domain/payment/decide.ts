/** The rules of a payment: one attempt at a time, within its limits, and always an end (BOLT 4, "Receiving Failure Codes"). */
import { crypto } from '../../bolt/crypto.ts';
import { fromHex, msat } from '../../bolt/primitives.ts';
import type { PaymentEvent } from '../../events/payment.ts';
import { accept, never, refuse, type Decider, type Decision } from '../decider.ts';
import type { AttemptOutcome, PaymentCommand, Plan } from './commands.ts';
import { evolvePayment } from './evolve.ts';
import { exclude, retryVerdict } from './retry.ts';
import { initialPayment, type Attempt, type PaymentState, type PaymentTerms } from './state.ts';

type CommandOf<T extends PaymentCommand['type']> = Extract<PaymentCommand, { type: T }>;
type FailedOutcome = Extract<AttemptOutcome, { kind: 'failed' }>;
type Known = Exclude<PaymentState, { phase: 'none' }>;
type EventOf<T extends PaymentEvent['type']> = Extract<PaymentEvent, { type: T }>;

export function decidePayment(command: PaymentCommand, state: PaymentState): Decision<PaymentEvent> {
  switch (command.type) {
    case 'StartPayment':
      return start(command, state);
    case 'ResolveAttempt':
      return resolve(command, state);
    default:
      return never(command);
  }
}

export const paymentDecider: Decider<PaymentState, PaymentCommand, PaymentEvent> = {
  initial: initialPayment,
  decide: decidePayment,
  evolve: evolvePayment,
};

/** What failed may be tried again: its attempts go on counting, so that no session key is used twice. */
function start(command: CommandOf<'StartPayment'>, state: PaymentState): Decision<PaymentEvent> {
  const { type: _, now, expires_at, plan, ...terms } = command;
  const { payment_hash } = terms;
  if (state.phase === 'in_flight') return refuse('already_in_flight', { payment_hash });
  if (state.phase === 'succeeded') return refuse('already_paid', { payment_hash, payment_preimage: state.payment_preimage });
  if (terms.amount_msat <= 0n) return refuse('amount_is_zero', { amount_msat: terms.amount_msat });
  const started: PaymentEvent = { type: 'PaymentStarted', ...terms };
  if (now > expires_at) return accept<PaymentEvent>(started, { type: 'PaymentFailed', code: 'invoice_expired', reason: `the invoice expired at ${expires_at}, it is ${now}` });
  const attempt = state.phase === 'none' ? 0 : state.attempts.length;
  return accept<PaymentEvent>(started, planned(terms, attempt, plan));
}

/** The next attempt, or the end where there is no way. */
function planned(terms: PaymentTerms, attempt: number, plan: Plan): EventOf<'AttemptPlanned' | 'PaymentFailed'> {
  if (plan.kind === 'none') return { type: 'PaymentFailed', code: 'no_route', reason: plan.reason };
  const { channel, onion_hash, hops } = plan;
  const first = hops[0]!;
  const fee_msat = first.amount_msat - terms.amount_msat;
  if (fee_msat > terms.fee_limit_msat) {
    return { type: 'PaymentFailed', code: 'fee_limit_exceeded', reason: `the cheapest route costs ${fee_msat} msat, the limit is ${terms.fee_limit_msat} msat` };
  }
  const { payment_hash } = terms;
  const { amount_msat, cltv_expiry } = first;
  return { type: 'AttemptPlanned', attempt, payment_hash, channel, amount_msat, fee_msat: msat(fee_msat), cltv_expiry, onion_hash, hops: [...hops] };
}

function resolve(command: CommandOf<'ResolveAttempt'>, state: PaymentState): Decision<PaymentEvent> {
  const attempt = state.phase === 'none' ? undefined : state.attempts[command.attempt];
  if (state.phase === 'none' || attempt === undefined) return refuse('unknown_attempt', { attempt: command.attempt });
  const { outcome } = command;
  return outcome.kind === 'fulfilled' ? succeed(attempt, outcome.payment_preimage, state) : fail(attempt, outcome, command, state);
}

/** A preimage is proof of payment whatever was believed before, so a late one still ends in success. */
function succeed(attempt: Attempt, payment_preimage: EventOf<'AttemptSucceeded'>['payment_preimage'], state: Known): Decision<PaymentEvent> {
  if (attempt.status === 'succeeded') return accept();
  const { payment_hash, amount_msat } = state.terms;
  const hash_of_preimage = crypto().sha256Hex(fromHex(payment_preimage));
  if (hash_of_preimage !== payment_hash) return refuse('wrong_preimage', { payment_hash, hash_of_preimage });
  const succeeded: PaymentEvent = { type: 'AttemptSucceeded', attempt: attempt.attempt, payment_preimage };
  if (state.phase === 'succeeded') return accept(succeeded);
  return accept<PaymentEvent>(succeeded, { type: 'PaymentSucceeded', payment_preimage, amount_msat, fee_msat: attempt.fee_msat });
}

function fail(attempt: Attempt, outcome: FailedOutcome, command: CommandOf<'ResolveAttempt'>, state: Known): Decision<PaymentEvent> {
  if (attempt.status !== 'in_flight') return accept();
  const failed = attemptFailed(attempt, outcome);
  if (state.phase !== 'in_flight') return accept(failed);
  return accept<PaymentEvent>(failed, afterFailure(attempt, outcome, failed, command, state));
}

function attemptFailed(attempt: Attempt, outcome: FailedOutcome): EventOf<'AttemptFailed'> {
  const { kind: _, ...said } = outcome;
  const erring_node = said.erring_hop === undefined ? undefined : attempt.hops[said.erring_hop - 1]?.node_id;
  return { type: 'AttemptFailed', attempt: attempt.attempt, ...said, ...(erring_node === undefined ? {} : { erring_node }) };
}

function afterFailure(
  attempt: Attempt,
  outcome: FailedOutcome,
  { failure_code, failure_name, erring_node }: EventOf<'AttemptFailed'>,
  { now, expires_at, next }: CommandOf<'ResolveAttempt'>,
  state: Known,
): PaymentEvent {
  const verdict = retryVerdict(state, attempt.hops, outcome, now, expires_at);
  const told = { failure_code, failure_name, ...(erring_node === undefined ? {} : { erring_node }) };
  if (!verdict.retry) return { type: 'PaymentFailed', code: verdict.code, reason: verdict.reason, ...told };
  const plan = planned(state.terms, state.attempts.length, next ?? { kind: 'none', reason: 'no other route was looked for' });
  if (plan.type === 'AttemptPlanned') return plan;
  return { ...plan, reason: `${plan.reason}; the last attempt: ${outcome.reason}`, ...told };
}

/** What the next route must avoid if this attempt ends so: for the gatherer. */
export const excludedAfter = (state: Known, attempt: Attempt, outcome: FailedOutcome) =>
  exclude(state.excluded, attempt.hops, outcome.failure_code, outcome.erring_hop);
