/** A user's wish to pay a BOLT 11 invoice, and how it ended. */
import { InvoiceError, type Invoice } from '../bolt/11-payment-encoding/invoice.ts';
import { msat, toHex32, type Hex32, type Msat, type NodeId } from '../bolt/primitives.ts';
import type { ChainTrouble } from '../domain/chain-contact.ts';
import type { PaymentState } from '../domain/payment/state.ts';
import { refuse, type Refusal } from '../domain/decider.ts';
import type { StreamId } from '../events/store.ts';
import { paymentId, paymentStream } from './payment-facts.ts';
import type { QuietStreams } from './quiet-streams.ts';

export interface PayRequest {
  readonly bolt11: string;
  /** Needed where the invoice leaves the amount open, refused where it says another. */
  readonly amount_msat?: Msat;
  /** Default: 1 % of the amount, at least 5 sat. */
  readonly fee_limit_msat?: Msat;
  readonly max_attempts?: number;
  /** The same one again asks for the same payment: nothing is paid twice. */
  readonly command_id?: Hex32;
}

interface Named {
  readonly payment_id: Hex32;
  readonly payment_hash: Hex32;
}

export type PaymentResult =
  | ({ readonly status: 'succeeded'; readonly payment_preimage: Hex32; readonly amount_msat: Msat; readonly fee_msat: Msat; readonly attempts: number } & Named)
  | ({ readonly status: 'failed'; readonly code: string; readonly reason: string; readonly failure_code?: number; readonly failure_name?: string; readonly erring_node?: NodeId; readonly attempts: number } & Named)
  /** Nothing was started. */
  | { readonly status: 'refused'; readonly refusal: Refusal };

export type PaymentStart = ({ readonly status: 'started' } & Named) | Extract<PaymentResult, { status: 'refused' }>;

export interface Payments {
  /** Resolves at the payment's end, however long that takes. */
  pay(request: PayRequest): Promise<PaymentResult>;
  /** Resolves once the payment is durable. */
  start(request: PayRequest): Promise<PaymentStart>;
  /** The end of a payment that was started, now or before. Undefined when there is none of this id. */
  ended(payment_id: Hex32): Promise<PaymentResult | undefined>;
}

export interface PaymentsOptions {
  readonly quiet: Pick<QuietStreams, 'payments' | 'readInvoice'>;
  /** Why no deadline could be kept now: nothing is paid then. */
  readonly chainTrouble?: () => ChainTrouble | undefined;
  /** Cryptographic randomness, bytes. */
  readonly entropy: (length: number) => Uint8Array;
}

const MAX_ATTEMPTS = 10;
const FEE_LIMIT_MILLIONTHS = 10_000n;
const FEE_LIMIT_FLOOR = 5_000n;

export const defaultFeeLimit = (amount_msat: Msat): Msat => {
  const share = (amount_msat * FEE_LIMIT_MILLIONTHS) / 1_000_000n;
  return msat(share > FEE_LIMIT_FLOOR ? share : FEE_LIMIT_FLOOR);
};

export function createPayments({ quiet, entropy, chainTrouble }: PaymentsOptions): Payments {
  const waiting = new Map<StreamId, (() => void)[]>();
  quiet.payments.onChanged((stream, state) => {
    if (!hasEnded(state)) return;
    for (const tell of waiting.get(stream) ?? []) tell();
    waiting.delete(stream);
  });

  async function start(request: PayRequest): Promise<PaymentStart> {
    const checked = check(request, quiet.readInvoice);
    if ('refused' in checked) return { status: 'refused', refusal: checked.refused };
    // A wish with a name may have been granted before: there the channel says no, if it is a new one.
    const { code, ...detail } = chainTrouble?.() ?? {};
    if (code !== undefined && request.command_id === undefined) return { status: 'refused', refusal: { code, answer: 'to_caller', detail } };
    const { payment_hash } = checked.invoice;
    const payment_id = paymentId(payment_hash);
    const { fee_limit_msat = defaultFeeLimit(checked.amount_msat), max_attempts = MAX_ATTEMPTS, command_id = toHex32(entropy(32)) } = request;
    const intent = { type: 'StartPayment', bolt11: request.bolt11, amount_msat: checked.amount_msat, fee_limit_msat, max_attempts } as const;
    const fresh = request.command_id === undefined;
    const outcome = await quiet.payments.execute(paymentStream(payment_id), intent, { command_id, correlation_id: command_id }, { fresh });
    return 'refused' in outcome ? { status: 'refused', refusal: outcome.refused } : { status: 'started', payment_id, payment_hash };
  }

  async function ended(payment_id: Hex32): Promise<PaymentResult | undefined> {
    const stream = paymentStream(payment_id);
    for (;;) {
      const state = await quiet.payments.state(stream);
      if (state.phase === 'none') return undefined;
      const result = resultOf(state);
      if (result !== undefined) return result;
      // Listening begins before a second look, so no end is missed between the two.
      const told = new Promise<void>((resolve) => waiting.set(stream, [...(waiting.get(stream) ?? []), resolve]));
      if (!hasEnded(await quiet.payments.state(stream))) await told;
    }
  }

  return {
    start,
    ended,
    async pay(request) {
      const started = await start(request);
      return started.status === 'refused' ? started : (await ended(started.payment_id))!;
    },
  };
}

const hasEnded = (state: PaymentState): boolean => state.phase === 'succeeded' || state.phase === 'failed';



type Checked = { readonly invoice: Invoice; readonly amount_msat: Msat } | { readonly refused: Refusal };

/** What can be said without the log. */
function check({ bolt11, amount_msat, max_attempts }: PayRequest, readInvoice: (bolt11: string) => Invoice): Checked {
  const invoice = read(bolt11, readInvoice);
  if ('refused' in invoice) return invoice;
  const asked = invoice.amount_msat;
  if (asked === undefined && amount_msat === undefined) return refuse('amount_missing', { payment_hash: invoice.payment_hash });
  if (asked !== undefined && amount_msat !== undefined && asked !== amount_msat) {
    return refuse('amount_differs', { asked_msat: asked, given_msat: amount_msat });
  }
  if (max_attempts !== undefined && (!Number.isInteger(max_attempts) || max_attempts < 1)) return refuse('invalid_max_attempts', { max_attempts });
  return { invoice, amount_msat: (asked ?? amount_msat)! };
}

function read(bolt11: string, readInvoice: (bolt11: string) => Invoice): Invoice | { readonly refused: Refusal } {
  try {
    return readInvoice(bolt11);
  } catch (error) {
    if (error instanceof InvoiceError) return refuse(error.code, { reason: error.message });
    throw error;
  }
}

/** Undefined while the payment is under way. */
function resultOf(state: PaymentState): PaymentResult | undefined {
  if (state.phase === 'none' || state.phase === 'in_flight') return undefined;
  const { payment_id, payment_hash, amount_msat } = state.terms;
  const attempts = state.attempts.length - state.firstAttempt;
  if (state.phase === 'failed') return { status: 'failed', payment_id, payment_hash, attempts, ...state.failure };
  const { payment_preimage, fee_msat } = state;
  return { status: 'succeeded', payment_id, payment_hash, payment_preimage, amount_msat, fee_msat, attempts };
}
