/** Payments of the story: many at once that come through, and two that must fail, each for its own reason. */
import { msat, type Msat } from '../bolt/primitives.ts';
import type { PaymentResult } from '../commands/pay.ts';
import { describeRefusal } from '../domain/decider.ts';
import { routeTaken } from './books.ts';
import { NAMES, type Name } from './cast.ts';
import type { Network } from './network.ts';
import type { Stage } from './story.ts';
import { countPayment, type FailureSummary } from './summary.ts';
import { mustBe, PlaygroundError, within } from './waiting.ts';

export interface Wish {
  readonly from: Name;
  readonly to: Name;
  readonly amount_msat: Msat;
}

/** Every ordered pair of the cast: six of one hop, four of two, two of three. */
export const ROUTES: readonly (readonly [Name, Name])[] = NAMES.flatMap((from) => NAMES.filter((to) => to !== from).map((to) => [from, to] as const));

/** The cast stands in a row. */
export const hopsBetween = (from: Name, to: Name): number => Math.abs(NAMES.indexOf(from) - NAMES.indexOf(to));

/** An invoice of `to`. Throws PlaygroundError when it is refused. */
export async function invoiceOf(network: Network, { from, to, amount_msat }: Wish): Promise<string> {
  const invoice = await network.node(to).createInvoice({ amount_msat, description: `${from} owes ${to}` });
  if (invoice.status === 'created') return invoice.bolt11;
  throw new PlaygroundError('invoice_refused', `an invoice of ${to} over ${amount_msat} msat: expected it to be created, got ${describeRefusal(invoice.refusal)}`);
}

/** Makes all payments at once, then compares every balance with the books. */
export async function payAll(stage: Stage, wishes: readonly Wish[]): Promise<void> {
  await Promise.all(wishes.map((wish) => payOne(stage, wish)));
  await stage.network.quiet();
  stage.books.compare(stage.network);
}

async function payOne(stage: Stage, wish: Wish): Promise<void> {
  const { network } = stage;
  const paying = network.node(wish.from).pay({ bolt11: await invoiceOf(network, wish) });
  await enter(stage, wish, await within(describe(wish), paying));
}

/** A payment that had to come through goes into the books and the tally. */
export async function enter({ network, books, tally }: Stage, wish: Wish, result: PaymentResult): Promise<void> {
  if (result.status !== 'succeeded') throw new PlaygroundError('payment_failed', `${describe(wish)}: expected succeeded, got ${reasonOf(result)}`);
  const hops = books.enter(wish.from, await routeTaken(network, wish.from, result.payment_id));
  mustBe(`the hops of ${describe(wish)}`, hopsBetween(wish.from, wish.to), hops);
  countPayment(tally, hops, wish.amount_msat, result.fee_msat);
}

/** An invoice is paid once: to everybody else the payee says incorrect_or_unknown_payment_details. */
export async function failAtPayee(stage: Stage): Promise<void> {
  const { network } = stage;
  const wish = { from: 'carol', to: 'dave', amount_msat: msat(2_500_000) } as const;
  const bolt11 = await invoiceOf(network, wish);
  await enter(stage, wish, await within(describe(wish), network.node('carol').pay({ bolt11 })));
  await expectFailure(stage, { ...wish, from: 'alice' }, bolt11, 'incorrect_or_unknown_payment_details', 'dave');
}

/** More than carol has towards dave, though less than the channel's size: she alone can know, and says so. */
export async function failAtMiddle(stage: Stage): Promise<void> {
  const wish = { from: 'alice', to: 'dave', amount_msat: msat(900_000_000) } as const;
  await expectFailure(stage, wish, await invoiceOf(stage.network, wish), 'temporary_channel_failure', 'carol');
}

async function expectFailure(stage: Stage, wish: Wish, bolt11: string, failure_name: string, by: Name): Promise<void> {
  const { network, books, tally, say } = stage;
  const result = await within(describe(wish), network.node(wish.from).pay({ bolt11 }));
  if (result.status !== 'failed') throw new PlaygroundError('payment_not_failed', `${describe(wish)}: expected ${failure_name}, got ${result.status}`);
  mustBe(`why ${describe(wish)} failed`, failure_name, result.failure_name ?? result.code);
  mustBe(`who failed ${describe(wish)}`, by, network.nameOf(result.erring_node ?? '') ?? 'nobody');
  const failure: FailureSummary = { from: wish.from, to: wish.to, failure_code: result.failure_code!, failure_name, erring_node: by, reason: result.reason };
  tally.failures.push(failure);
  say(`${describe(wish)} failed at ${by}, as it must: ${failure_name} (0x${failure.failure_code.toString(16)})`);
  await network.quiet();
  books.compare(network);
}

export const describe = ({ from, to, amount_msat }: Wish): string => `${from} to ${to}, ${amount_msat} msat`;

function reasonOf(result: Exclude<PaymentResult, { status: 'succeeded' }>): string {
  return result.status === 'failed' ? `${result.code}: ${result.reason}` : describeRefusal(result.refusal);
}
