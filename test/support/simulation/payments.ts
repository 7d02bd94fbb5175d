/** Payments of a simulated run: some that can succeed, some that must not, each asked for by a user who asks again when no answer comes. */
import { decodeInvoice, encodeInvoice } from '../../../src/bolt/11-payment-encoding/invoice.ts';
import { msat, type Hex32, type Msat } from '../../../src/bolt/primitives.ts';
import { hash } from '../words.ts';
import { signerOf } from './identities.ts';
import type { SimulatedNetwork } from './network.ts';

export const PAYMENT_KINDS = ['sound', 'wrong_secret', 'expired', 'too_little', 'unknown_hash', 'no_capacity'] as const;
/**
 * `sound` may succeed. The others must fail: the payer has a wrong payment_secret; the payee holds the invoice for expired;
 * the payer was told half the amount; the payee knows no such hash; no channel on the way has so much.
 */
export type PaymentKind = (typeof PAYMENT_KINDS)[number];

export interface PlannedPayment {
  readonly from: string;
  readonly to: string;
  readonly amount_msat: Msat;
  readonly kind: PaymentKind;
  /** ms after the run began. */
  readonly delay: number;
}

export interface AskedPayment extends PlannedPayment {
  readonly bolt11: string;
  readonly payment_hash: Hex32;
  readonly command_id: Hex32;
}

/** More than any channel of a row has. */
const TOO_MUCH = msat(3_000_000_000n);
const SECONDS = 1_000;

/** The payees make their invoices; what must go wrong with them is done to the text on its way to the payer. */
export async function invoicesFor(network: SimulatedNetwork, planned: readonly PlannedPayment[]): Promise<readonly AskedPayment[]> {
  const asked: AskedPayment[] = [];
  for (const [number, payment] of planned.entries()) {
    const { kind, to } = payment;
    const amount_msat = kind === 'no_capacity' ? TOO_MUCH : payment.amount_msat;
    const request = { amount_msat, description: kind, ...(kind === 'expired' ? { expiry: 1 } : {}) };
    const made = await network.meanwhile(network.machine(to).node.createInvoice(request));
    if (made.status !== 'created') throw new Error(`no invoice: ${made.refusal.code}`);
    const bolt11 = spoil(made.bolt11, kind, to);
    asked.push({ ...payment, amount_msat, bolt11, payment_hash: decodeInvoice(bolt11).payment_hash, command_id: hash(`payment ${number}`) });
  }
  await network.pass(2 * SECONDS);
  return asked;
}

function spoil(bolt11: string, kind: PaymentKind, payee: string): string {
  const invoice = decodeInvoice(bolt11);
  const change = {
    sound: {},
    no_capacity: {},
    wrong_secret: { payment_secret: hash('another secret') },
    expired: { expiry: 3_600 },
    too_little: { amount_msat: msat(invoice.amount_msat! / 2n) },
    unknown_hash: { payment_hash: hash(`unknown ${invoice.payment_hash}`) },
  }[kind];
  return encodeInvoice({ ...invoice, ...change }, (digest) => signerOf(payee).signInvoice(digest));
}

/** Every user asks at the planned time; whenever all has come to rest, those who got no answer ask again. */
export async function payAll(network: SimulatedNetwork, asked: readonly AskedPayment[]): Promise<void> {
  const unanswered = new Set(asked);
  for (const payment of asked) setTimeout(() => ask(network, payment, unanswered), payment.delay);
  await network.rest();
  for (let round = 0; unanswered.size > 0; round++) {
    if (round === MOST_ROUNDS) throw new Error(`${unanswered.size} users never get an answer`);
    for (const payment of unanswered) ask(network, payment, unanswered);
    await network.rest();
  }
}

/** More than a plan has faults. */
const MOST_ROUNDS = 10;

function ask(network: SimulatedNetwork, payment: AskedPayment, unanswered: Set<AskedPayment>): void {
  const { bolt11, command_id, from } = payment;
  // A machine that is off gives no answer; one whose store fails gives an error, and is asked again too.
  void network.machine(from).life?.node.payments.start({ bolt11, command_id }).then(
    () => unanswered.delete(payment),
    () => undefined,
  );
}
