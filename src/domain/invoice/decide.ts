/** BOLT 4, "Failure Messages" (final node) and "Basic Multi-Part Payments": which HTLCs we keep, and when a set is whole. */
import { encodeFailure, type FailureToEncode } from '../../bolt/04-onion-routing/failure-codes.ts';
import { crypto } from '../../bolt/crypto.ts';
import { fromHex, msat, type BlockHeight, type Msat } from '../../bolt/primitives.ts';
import type { InvoiceEvent } from '../../events/invoice.ts';
import { accept, never, refuse, type Decider, type Decision } from '../decider.ts';
import type { FinalHtlc, InvoiceCommand } from './commands.ts';
import { evolveInvoice } from './evolve.ts';
import { initialInvoice, isSameHtlc, type AcceptedHtlc, type InvoiceState, type InvoiceTerms } from './state.ts';

/** BOLT 4: "SHOULD wait for at least 60 seconds after the initial HTLC". */
export const MPP_TIMEOUT_SECONDS = 60;

type CommandOf<T extends InvoiceCommand['type']> = Extract<InvoiceCommand, { type: T }>;
type Open = Extract<InvoiceState, { phase: 'open' }>;

export function decideInvoice(command: InvoiceCommand, state: InvoiceState): Decision<InvoiceEvent> {
  switch (command.type) {
    case 'CreateInvoice':
      return create(command, state);
    case 'AcceptInvoiceHtlc':
      return receive(command, state);
    case 'TimeoutInvoiceHtlcs':
      return timeOut(command.now, state);
    default:
      return never(command);
  }
}

export const invoiceDecider: Decider<InvoiceState, InvoiceCommand, InvoiceEvent> = {
  initial: initialInvoice,
  decide: decideInvoice,
  evolve: evolveInvoice,
};

function create(command: CommandOf<'CreateInvoice'>, state: InvoiceState): Decision<InvoiceEvent> {
  const { type: _, ...terms } = command;
  if (state.phase !== 'none') return refuse('invoice_exists', { payment_hash: terms.payment_hash, phase: state.phase });
  if (terms.amount_msat === 0n) return refuse('amount_is_zero', { amount_msat: terms.amount_msat });
  return accept({ type: 'InvoiceCreated', ...terms });
}

function receive(command: CommandOf<'AcceptInvoiceHtlc'>, state: InvoiceState): Decision<InvoiceEvent> {
  const { htlc, now, height, payment_preimage } = command;
  if (knows(state, htlc)) return accept();
  // What we take in we might have to claim on a chain that we cannot see.
  if (command.chain_trouble !== undefined) return accept(refused(htlc, { name: 'temporary_node_failure', data: {} }));
  const failure = finalNodeFailure(htlc, state, now, height);
  if (failure !== undefined || state.phase !== 'open') return accept(refused(htlc, failure ?? unknownDetails(htlc, height)));
  return accept(...join(htlc, state, now, payment_preimage));
}

/** Redelivery: the answer already stands in the log. */
function knows(state: InvoiceState, htlc: FinalHtlc): boolean {
  if (state.phase === 'open') return state.accepted.some((other) => isSameHtlc(other, htlc));
  return state.phase === 'settled' && state.htlcs.some((other) => isSameHtlc(other, htlc));
}

/** The first reason not to keep this HTLC, in the order of BOLT 4, or undefined. */
function finalNodeFailure(htlc: FinalHtlc, state: InvoiceState, now: number, height: BlockHeight): FailureToEncode | undefined {
  // Unknown and paid already look alike from outside, and so does a wrong payment_secret: nobody probes for invoices.
  if (state.phase !== 'open') return unknownDetails(htlc, height);
  if (breaksTerms(htlc, state.terms, now, height)) return unknownDetails(htlc, height);
  if (htlc.cltv_expiry < htlc.outgoing_cltv_value) return { name: 'final_incorrect_cltv_expiry', data: { cltv_expiry: htlc.cltv_expiry } };
  if (htlc.amount_msat < htlc.amt_to_forward) return { name: 'final_incorrect_htlc_amount', data: { incoming_htlc_amt: htlc.amount_msat } };
  if (htlc.amt_to_forward > htlc.total_msat) return unknownDetails(htlc, height);
  const other = state.accepted[0];
  // BOLT 4: "SHOULD fail the entire HTLC set if total_msat is not the same for all HTLCs": the stranger goes, the set times out or completes.
  if (other !== undefined && other.total_msat !== htlc.total_msat) return unknownDetails(htlc, height);
  return undefined;
}

/** "Amount paid" is total_msat (BOLT 4, "Basic Multi-Part Payments"). */
function breaksTerms(htlc: FinalHtlc, terms: InvoiceTerms, now: number, height: BlockHeight): boolean {
  if (htlc.payment_secret_hash !== terms.payment_secret_hash) return true;
  if (now > terms.created_at + terms.expiry) return true;
  if (terms.amount_msat !== undefined && htlc.total_msat < terms.amount_msat) return true;
  if (terms.amount_msat !== undefined && htlc.total_msat > 2n * terms.amount_msat) return true;
  return htlc.cltv_expiry < height + terms.min_final_cltv_expiry_delta;
}

const unknownDetails = (htlc: FinalHtlc, height: BlockHeight): FailureToEncode => ({
  name: 'incorrect_or_unknown_payment_details',
  data: { htlc_msat: htlc.amount_msat, height },
});

function refused({ channel, htlc_id, amount_msat }: Pick<FinalHtlc, 'channel' | 'htlc_id' | 'amount_msat'>, failure: FailureToEncode): InvoiceEvent {
  const failuremsg = encodeFailure(failure);
  return { type: 'InvoiceHtlcRefused', channel, htlc_id, amount_msat, failure_code: Number.parseInt(failuremsg.slice(0, 4), 16), failure_data: failuremsg.slice(4) };
}

/** Adds the HTLC to its set; settles the set when it is whole. */
function join(htlc: FinalHtlc, state: Open, now: number, payment_preimage: string | undefined): readonly InvoiceEvent[] {
  const { channel, htlc_id, amount_msat, total_msat } = htlc;
  const accepted: AcceptedHtlc = { channel, htlc_id, amount_msat, total_msat, accepted_at: now };
  const set = [...state.accepted, accepted];
  const received_msat = sum(set);
  const joined: InvoiceEvent = { type: 'InvoiceHtlcAccepted', ...accepted };
  if (received_msat < total_msat) return [joined];
  assertPreimage(payment_preimage, state.terms);
  return [joined, { type: 'InvoiceSettled', payment_preimage, received_msat, htlcs: set.map(({ channel, htlc_id }) => ({ channel, htlc_id })) }];
}

const sum = (set: readonly AcceptedHtlc[]): Msat => msat(set.reduce((total, htlc) => total + htlc.amount_msat, 0n));

/** The signer derives preimages from nonces: a wrong one is a bug of ours (or another seed), and must never be said aloud. */
function assertPreimage(preimage: string | undefined, terms: InvoiceTerms): asserts preimage is InvoiceTerms['payment_hash'] {
  const hash = preimage === undefined ? 'none' : crypto().sha256Hex(fromHex(preimage));
  if (hash !== terms.payment_hash) throw new Error(`the preimage of invoice ${terms.payment_hash} hashes to ${hash}`);
}

function timeOut(now: number, state: InvoiceState): Decision<InvoiceEvent> {
  const first = state.phase === 'open' ? state.accepted[0] : undefined;
  if (state.phase !== 'open' || first === undefined || now < first.accepted_at + MPP_TIMEOUT_SECONDS) return accept();
  return accept(...state.accepted.map((htlc) => refused(htlc, { name: 'mpp_timeout' })));
}
