/** What ties streams together: payments, invoices and relays agree with the channels' HTLCs, and nothing is paid out that was not paid in. */
import { decodeInvoice } from '../../bolt/11-payment-encoding/invoice.ts';
import { crypto } from '../../bolt/crypto.ts';
import { fromHex, type Hex32, type Msat } from '../../bolt/primitives.ts';
import type { Origin, UpdateEvent } from '../../events/channel/updates.ts';
import type { EventEnvelope } from '../../events/envelope.ts';
import type { InvoiceEvent } from '../../events/invoice.ts';
import type { PaymentEvent } from '../../events/payment.ts';
import type { Event } from '../../events/registry.ts';
import type { RelayEvent } from '../../events/relay.ts';
import type { StreamId } from '../../events/store.ts';
import { CheckFailed, mustEqual, type Tally } from './report.ts';

type PaymentOf<T extends PaymentEvent['type']> = Extract<PaymentEvent, { type: T }>;
type InvoiceOf<T extends InvoiceEvent['type']> = Extract<InvoiceEvent, { type: T }>;
type RelayOf<T extends RelayEvent['type']> = Extract<RelayEvent, { type: T }>;
type UpdateOf<T extends UpdateEvent['type']> = Extract<UpdateEvent, { type: T }>;

interface PaymentStory {
  readonly started: PaymentOf<'PaymentStarted'>;
  readonly attempts: Map<number, PaymentOf<'AttemptPlanned'>>;
  readonly succeeded: Set<number>;
  done: boolean;
}

interface InvoiceStory {
  readonly payment_hash: Hex32;
  readonly accepted: Map<string, Msat>;
}

interface RelayStory {
  readonly started: RelayOf<'RelayStarted'>;
  paidOut: boolean;
  refunded: boolean;
}

interface IncomingHtlc {
  readonly amount_msat: Msat;
  readonly payment_hash: Hex32;
  readonly cltv_expiry: number;
}

export interface StoryAudit {
  /** Takes each event of the log in order. Throws CheckFailed. */
  take(envelope: EventEnvelope): void;
}

/** Memory: a few hundred bytes for each payment, invoice and relay, and each incoming HTLC until it is removed. */
export function auditStories(tally: Tally, cryptography: boolean): StoryAudit {
  const payments = new Map<StreamId, PaymentStory>();
  const invoices = new Map<StreamId, InvoiceStory>();
  const relays = new Map<StreamId, RelayStory>();
  const relayByIncoming = new Map<string, RelayStory>();
  const incoming = new Map<string, IncomingHtlc>();

  const rules: { readonly [T in Event['type']]?: (event: Extract<Event, { type: T }>, stream: StreamId) => void } = {
    IncomingHtlcCommitted: (event, stream) => void incoming.set(htlcKey(stream, event.htlc_id), event),
    UpdateAddHtlcSent: (event) => checkOffer(event, payments, relays),
    HtlcOfferDeclined: (event) => {
      const asked = askedBy(event.origin, payments, relays);
      mustEqual('offer_amount', 'amount of the declined offer, msat', asked.amount_msat, event.amount_msat);
      mustEqual('offer_hash', 'payment_hash of the declined offer', asked.payment_hash, event.payment_hash);
    },
    UpdateFailHtlcSent: (event, stream) => refund(htlcKey(stream, event.id)),
    UpdateFailMalformedHtlcSent: (event, stream) => refund(htlcKey(stream, event.id)),
    UpdateFulfillHtlcSent: (event, stream) => void incoming.delete(htlcKey(stream, event.id)),
    OutgoingHtlcFulfilled: ({ origin }) => {
      if (origin.kind === 'relay') payOut(known(relays, origin.relay, 'relay'));
    },

    PaymentStarted: (event, stream) => {
      if (cryptography && event.bolt11 !== '') checkInvoice(event, tally);
      // A payment tried again goes on in its stream: an earlier attempt may still succeed.
      const before = payments.get(stream) ?? { attempts: new Map(), succeeded: new Set(), done: false };
      payments.set(stream, { ...before, started: event });
    },
    AttemptPlanned: (event, stream) => planAttempt(known(payments, stream, 'payment'), event),
    AttemptSucceeded: (event, stream) => {
      const story = known(payments, stream, 'payment');
      mustHash(story.started.payment_hash, event.payment_preimage);
      known(story.attempts, event.attempt, 'attempt');
      story.succeeded.add(event.attempt);
    },
    PaymentSucceeded: (event, stream) => checkPaid(known(payments, stream, 'payment'), event, tally),

    InvoiceCreated: (event, stream) => void invoices.set(stream, { payment_hash: event.payment_hash, accepted: new Map() }),
    InvoiceHtlcAccepted: (event, stream) => {
      const story = known(invoices, stream, 'invoice');
      checkIncoming(incoming, event.channel, event.htlc_id, { amount_msat: event.amount_msat, payment_hash: story.payment_hash });
      story.accepted.set(htlcKey(event.channel, event.htlc_id), event.amount_msat);
    },
    InvoiceHtlcRefused: (event, stream) => {
      // What was accepted before was checked then; a refusal may also be of an invoice that is not there.
      const said = { amount_msat: event.amount_msat, payment_hash: invoices.get(stream)?.payment_hash };
      if (!invoices.get(stream)?.accepted.has(htlcKey(event.channel, event.htlc_id))) checkIncoming(incoming, event.channel, event.htlc_id, said);
    },
    InvoiceSettled: (event, stream) => checkSettled(known(invoices, stream, 'invoice'), event),

    RelayStarted: (event, stream) => {
      checkRelay(event, incoming);
      const story = { started: event, paidOut: false, refunded: false };
      relays.set(stream, story);
      relayByIncoming.set(htlcKey(event.incoming.channel, event.incoming.htlc_id), story);
    },
    RelayRefused: (event) => checkHalf(event.incoming, event.payment_hash, incoming),
    RelayFailed: (event, stream) => sameHalf(known(relays, stream, 'relay').started.incoming, event.incoming),
    RelayFulfilled: (event, stream) => {
      const { payment_hash, incoming: half } = known(relays, stream, 'relay').started;
      mustHash(payment_hash, event.payment_preimage);
      sameHalf(half, event.incoming);
      tally.relays_verified += 1;
    },
  };

  /** The incoming half goes back to the peer: only right while the outgoing half was not paid. */
  function refund(key: string): void {
    incoming.delete(key);
    const story = relayByIncoming.get(key);
    if (story === undefined) return;
    story.refunded = true;
    mustEqual('paid_out_not_in', `relay of HTLC ${key}: incoming half failed after the outgoing half was paid`, false, story.paidOut);
  }

  return {
    take({ event, stream }) {
      (rules[event.type] as ((event: Event, stream: StreamId) => void) | undefined)?.(event, stream);
    },
  };
}

/** What is paid is what the payee signed (safety: amount binding). */
function checkInvoice({ bolt11, payment_hash, destination, amount_msat }: PaymentOf<'PaymentStarted'>, tally: Tally): void {
  const invoice = decodeInvoice(bolt11);
  mustEqual('invoice_hash', 'payment_hash of the invoice', invoice.payment_hash, payment_hash);
  mustEqual('invoice_payee', 'payee of the invoice', invoice.payee, destination);
  const asked = invoice.amount_msat ?? 0n;
  if (amount_msat < asked) throw new CheckFailed('invoice_amount', 'amount of the payment, msat', `at least the ${asked} of the invoice`, amount_msat);
  tally.signatures_verified += 1;
}

function payOut(story: RelayStory): void {
  story.paidOut = true;
  const { channel, htlc_id } = story.started.incoming;
  mustEqual('paid_out_not_in', `relay of HTLC ${htlcKey(channel, htlc_id)}: outgoing half paid after the incoming half failed`, false, story.refunded);
}

/** An HTLC we offer is the one that a payment or a relay asked for. */
function checkOffer(event: UpdateOf<'UpdateAddHtlcSent'>, payments: ReadonlyMap<StreamId, PaymentStory>, relays: ReadonlyMap<StreamId, RelayStory>): void {
  const asked = askedBy(event.origin, payments, relays);
  mustEqual('offer_amount', `amount of offered HTLC ${event.id}, msat`, asked.amount_msat, event.amount_msat);
  mustEqual('offer_hash', `payment_hash of offered HTLC ${event.id}`, asked.payment_hash, event.payment_hash);
  mustEqual('offer_expiry', `cltv_expiry of offered HTLC ${event.id}`, asked.cltv_expiry, event.cltv_expiry);
  mustEqual('offer_onion', `onion of offered HTLC ${event.id}`, asked.onion_hash, event.onion_hash);
}

function askedBy(origin: Origin, payments: ReadonlyMap<StreamId, PaymentStory>, relays: ReadonlyMap<StreamId, RelayStory>) {
  return origin.kind === 'relay' ? relayed(known(relays, origin.relay, 'relay')) : planned(known(payments, origin.payment, 'payment'), origin.attempt);
}

const relayed = ({ started: { payment_hash, outgoing } }: RelayStory) => ({ ...outgoing, payment_hash });

function planned({ started, attempts }: PaymentStory, attempt: number) {
  return { ...known(attempts, attempt, 'attempt'), payment_hash: started.payment_hash };
}

/** What an attempt costs is what leaves us less what arrives. */
function planAttempt(story: PaymentStory, event: PaymentOf<'AttemptPlanned'>): void {
  const arrives = event.hops.at(-1)!.amount_msat;
  mustEqual('attempt_hash', `payment_hash of attempt ${event.attempt}`, story.started.payment_hash, event.payment_hash);
  if (event.fee_msat > story.started.fee_limit_msat) throw new CheckFailed('fee_limit', `fee of attempt ${event.attempt}, msat`, `at most ${story.started.fee_limit_msat}`, event.fee_msat);
  mustEqual('attempt_amount', `amount of attempt ${event.attempt} at its first hop, msat`, event.hops[0]!.amount_msat, event.amount_msat);
  mustEqual('attempt_fee', `fee of attempt ${event.attempt}, msat`, event.amount_msat - arrives, event.fee_msat as bigint);
  story.attempts.set(event.attempt, event);
}

function checkPaid(story: PaymentStory, event: PaymentOf<'PaymentSucceeded'>, tally: Tally): void {
  mustHash(story.started.payment_hash, event.payment_preimage);
  mustEqual('paid_once', 'a payment succeeds once', false, story.done);
  mustEqual('payment_amount', 'amount of the payment, msat', story.started.amount_msat, event.amount_msat);
  const fees = [...story.succeeded].reduce((sum, attempt) => sum + story.attempts.get(attempt)!.fee_msat, 0n);
  mustEqual('payment_fee', 'fee of the payment, msat', fees, event.fee_msat as bigint);
  story.done = true;
  tally.payments_verified += 1;
}

function checkSettled({ payment_hash, accepted }: InvoiceStory, event: InvoiceOf<'InvoiceSettled'>): void {
  mustHash(payment_hash, event.payment_preimage);
  const sum = event.htlcs.reduce((total, { channel, htlc_id }) => total + known(accepted, htlcKey(channel, htlc_id), 'accepted HTLC'), 0n);
  mustEqual('received_amount', 'amount received by the invoice, msat', sum, event.received_msat as bigint);
}

/** A relay forwards an HTLC that is committed, for less than it brings. */
function checkRelay({ payment_hash, incoming: half, outgoing, fee_msat }: RelayOf<'RelayStarted'>, incoming: ReadonlyMap<string, IncomingHtlc>): void {
  checkHalf(half, payment_hash, incoming);
  mustEqual('relay_fee', 'fee of the relay, msat', half.amount_msat - outgoing.amount_msat, fee_msat as bigint);
}

type Half = RelayOf<'RelayStarted'>['incoming'];

const checkHalf = ({ channel, htlc_id, amount_msat, cltv_expiry }: Half, payment_hash: Hex32, incoming: ReadonlyMap<string, IncomingHtlc>): void =>
  checkIncoming(incoming, channel, htlc_id, { amount_msat, payment_hash, cltv_expiry });

/** The incoming half stays what it was when the relay began. */
function sameHalf(before: Half, now: Half): void {
  for (const [name, value] of Object.entries(before)) mustEqual(`relay_${name}`, `${name} of the relay's incoming half`, value, now[name as keyof Half]);
}

function checkIncoming(incoming: ReadonlyMap<string, IncomingHtlc>, channel: StreamId, htlc_id: bigint, said: Partial<IncomingHtlc>): void {
  const htlc = known(incoming, htlcKey(channel, htlc_id), 'committed incoming HTLC');
  for (const [name, value] of Object.entries(said)) {
    if (value === undefined) continue;
    mustEqual(`incoming_${name}`, `${name} of incoming HTLC ${htlc_id} of ${channel}`, htlc[name as keyof IncomingHtlc], value);
  }
}

function mustHash(payment_hash: Hex32, payment_preimage: Hex32): void {
  mustEqual('wrong_preimage', `SHA-256 of the preimage ${payment_preimage}`, payment_hash, crypto().sha256Hex(fromHex(payment_preimage)) as Hex32);
}

const htlcKey = (stream: StreamId, id: bigint): string => `${stream}#${id}`;

function known<K, V>(stories: ReadonlyMap<K, V>, key: K, what: string): V {
  const found = stories.get(key);
  if (found === undefined) throw new CheckFailed('unknown_story', `a ${what} of this log`, String(key), 'none');
  return found;
}
