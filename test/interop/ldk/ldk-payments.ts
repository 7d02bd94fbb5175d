/** Invoices and payments of an LDK node: many at a time, each to its end. */
import * as ldk from 'lightningdevkit';
import { type Hex32, type Msat, toHex, toHex32 } from '../../../src/bolt/primitives.ts';
import { DEFAULT_FORWARDING } from '../../../src/node-defaults.ts';
import type { LdkNode } from './ldk-node.ts';
import type { LdkFailure, LdkPayments } from './ldk-process.ts';
import { none, ok, scidOf, some } from './wasm.ts';

export interface LdkTill {
  invoices(count: number, amount_msat: Msat): readonly string[];
  /** Its payment waits until it is released. `final_cltv`, blocks: LDK lets go of what it has not claimed 21 before. */
  heldInvoice(amount_msat: Msat, final_cltv: number): string;
  refuse(bolt11: string): void;
  /** Claims or fails what came in for an invoice that was held. */
  release(bolt11: string, how: 'claim' | 'fail'): void;
  /** Hashes of held invoices whose payment is here. */
  readonly held: ReadonlySet<Hex32>;
  /** Begins a payment; its end is in the notes. */
  begin(bolt11: string): void;
  payAll(bolt11s: readonly string[], inFlight: number): Promise<LdkPayments>;
  /** True when the event was about payments, and is dealt with. */
  take(event: ldk.Event): boolean;
}

interface Ready {
  readonly hash: Uint8Array;
  readonly onion: ldk.RecipientOnionFields;
  readonly route: ldk.RouteParameters;
  readonly secret: Uint8Array;
  readonly final_cltv: bigint;
}

const EXPIRY_SECONDS = 86_400;
/** Blocks that a payment which may run out has for one hop on its way: LDK would add up to three days, so that nobody can tell who is paid. */
const ONE_HOP = DEFAULT_FORWARDING.cltv_expiry_delta;

export function createTill(node: LdkNode): LdkTill {
  const underWay = new Map<Hex32, (end: { readonly fee_msat: bigint } | 'failed') => void>();
  const failures: LdkFailure[] = [];
  const unwanted = new Set<Hex32>();
  const wishedToHold = new Set<Hex32>();
  const held = new Set<Hex32>();

  /** LDK may see by itself that there is no way: then no event follows. */
  function send({ hash, onion, route }: Ready): void {
    const sent = node.manager.send_payment(hash, onion, hash, route, ldk.Retry.constructor_attempts(0));
    if (sent.is_ok()) return;
    const { err } = sent as ldk.Result_NoneRetryableSendFailureZ_Err;
    failures.push({ payment_hash: toHex32(hash), permanent: false, refused: ldk.RetryableSendFailure[err] });
    end(hash, 'failed');
  }

  function end(hash: Uint8Array, how: { readonly fee_msat: bigint } | 'failed'): void {
    const key = toHex32(hash);
    node.notes.paymentIs(key, how === 'failed' ? 'failed' : 'sent');
    underWay.get(key)?.(how);
    underWay.delete(key);
  }

  function receive({ payment_hash, purpose }: ldk.Event_PaymentClaimable): void {
    const key = toHex32(payment_hash);
    if (wishedToHold.has(key)) held.add(key);
    else if (unwanted.has(key)) node.manager.fail_htlc_backwards(payment_hash);
    else node.manager.claim_funds(some<Uint8Array>(purpose.preimage())!);
  }

  function invoice(amount_msat: Msat, finalCltv: ldk.Option_u16Z): string {
    const description = ldk.Bolt11InvoiceDescription.constructor_direct(ok<ldk.Description>(ldk.Description.constructor_new('test'), 'a description'));
    const [amount, expiry] = [ldk.Option_u64Z.constructor_some(amount_msat), ldk.Option_u32Z.constructor_some(EXPIRY_SECONDS)];
    return ok<ldk.Bolt11Invoice>(node.manager.create_bolt11_invoice(amount, description, expiry, finalCltv, none.bytes32()), 'an invoice').to_str();
  }

  return {
    held,
    invoices: (count, amount_msat) => Array.from({ length: count }, () => invoice(amount_msat, none.u16())),
    heldInvoice(amount_msat, final_cltv) {
      const bolt11 = invoice(amount_msat, ldk.Option_u16Z.constructor_some(final_cltv));
      wishedToHold.add(toHex32(readInvoice(bolt11).hash));
      return bolt11;
    },
    // LDK makes the preimage again from the secret in the invoice: nothing is lost with a restart.
    release(bolt11, how) {
      const { hash, secret } = readInvoice(bolt11);
      held.delete(toHex32(hash));
      if (how === 'fail') node.manager.fail_htlc_backwards(hash);
      else node.manager.claim_funds(ok<Uint8Array>(node.manager.get_payment_preimage(hash, secret), 'a preimage'));
      node.settle();
    },
    begin(bolt11) {
      const payment = readInvoice(bolt11);
      const parameters = payment.route.get_payment_params();
      parameters.set_max_total_cltv_expiry_delta(Number(payment.final_cltv) + ONE_HOP);
      payment.route.set_payment_params(parameters);
      node.notes.paymentIs(toHex32(payment.hash), 'pending');
      send(payment);
      node.poll();
    },
    refuse: (bolt11) => void unwanted.add(toHex32(readInvoice(bolt11).hash)),
    async payAll(bolt11s, inFlight) {
      // Read before the clock starts: the onlooker measures payments.
      const payments = bolt11s.map(readInvoice);
      const latencies: number[] = [];
      const fees_msat: bigint[] = [];
      const before = failures.length;
      let [next, ended] = [0, 0];
      const started = performance.now();
      await new Promise<void>((resolve) => {
        const startOne = (payment: Ready): void => {
          const from = performance.now();
          underWay.set(toHex32(payment.hash), (how) => {
            ended++;
            if (how !== 'failed') latencies.push(performance.now() - from);
            if (how !== 'failed') fees_msat.push(how.fee_msat);
            if (ended === payments.length) resolve();
          });
          send(payment);
        };
        node.onIdle = () => {
          const from = next;
          while (next < payments.length && underWay.size < inFlight) startOne(payments[next++]!);
          return next > from;
        };
        node.poll();
      });
      node.onIdle = () => false;
      return { milliseconds: performance.now() - started, latencies, fees_msat, failures: failures.slice(before) };
    },
    take(event) {
      if (event instanceof ldk.Event_PendingHTLCsForwardable) node.manager.process_pending_htlc_forwards();
      else if (event instanceof ldk.Event_PaymentClaimable) receive(event);
      else if (event instanceof ldk.Event_PaymentSent) end(event.payment_hash, { fee_msat: some<bigint>(event.fee_paid_msat) ?? 0n });
      else if (event instanceof ldk.Event_PaymentPathFailed) failures.push(failureOf(event));
      else if (event instanceof ldk.Event_PaymentFailed) end(event.payment_id, 'failed');
      else return false;
      return true;
    },
  };
}

function readInvoice(bolt11: string): Ready {
  const invoice = ok<ldk.Bolt11Invoice>(ldk.Bolt11Invoice.constructor_from_str(bolt11), 'an invoice');
  const parts = ok<ldk.ThreeTuple_ThirtyTwoBytesRecipientOnionFieldsRouteParametersZ>(ldk.UtilMethods.constructor_payment_parameters_from_invoice(invoice), 'what an invoice asks for');
  return { hash: parts.get_a(), onion: parts.get_b(), route: parts.get_c(), secret: invoice.payment_secret(), final_cltv: invoice.min_final_cltv_expiry_delta() };
}

function failureOf({ payment_hash, payment_failed_permanently, short_channel_id, failure }: ldk.Event_PaymentPathFailed): LdkFailure {
  const scid = some<bigint>(short_channel_id);
  const update = failure instanceof ldk.PathFailure_OnPath ? some<ldk.NetworkUpdate>(failure.network_update) : undefined;
  return { payment_hash: toHex32(payment_hash), permanent: Boolean(payment_failed_permanently), ...(scid === undefined ? {} : { short_channel_id: scidOf(scid) }), ...(update === undefined ? {} : { blamed: blamed(update) }) };
}

function blamed(update: ldk.NetworkUpdate): NonNullable<LdkFailure['blamed']> {
  if (update instanceof ldk.NetworkUpdate_ChannelFailure) return { kind: 'channel', id: scidOf(update.short_channel_id), permanent: Boolean(update.is_permanent) };
  const { node_id, is_permanent } = update as ldk.NetworkUpdate_NodeFailure;
  return { kind: 'node', id: toHex(node_id), permanent: Boolean(is_permanent) };
}
