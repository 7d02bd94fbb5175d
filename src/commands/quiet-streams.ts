/** Payments, invoices and relays: the quiet streams, each with its rules and the facts they need. */
import { decodeInvoice, type Currency, type Invoice } from '../bolt/11-payment-encoding/invoice.ts';
import type { ShortChannelId } from '../bolt/primitives.ts';
import type { ChainTrouble } from '../domain/chain-contact.ts';
import { invoiceDecider } from '../domain/invoice/decide.ts';
import type { InvoiceCommand } from '../domain/invoice/commands.ts';
import type { InvoiceState } from '../domain/invoice/state.ts';
import { paymentDecider } from '../domain/payment/decide.ts';
import type { PaymentState } from '../domain/payment/state.ts';
import type { Signer } from '../domain/ports.ts';
import { relayDecider } from '../domain/relay/decide.ts';
import type { ForwardingPolicy, OutgoingChannel, RelayCommand } from '../domain/relay/commands.ts';
import type { RelayState } from '../domain/relay/state.ts';
import type { Cause, EventStore, StreamId } from '../events/store.ts';
import type { Outcome } from './dispatch.ts';
import { createExecutor, type Executor, type Gathered } from './execute.ts';
import type { InvoiceIntent, PaymentIntent, QuietIntent, RelayIntent } from './intents.ts';
import { gatherPayment, type PaymentWorld } from './payment-facts.ts';

export interface QuietWorld extends Omit<PaymentWorld, 'store' | 'signer' | 'readInvoice'> {
  readonly store: EventStore;
  readonly signer: Pick<Signer, 'nodeId' | 'sessionKey' | 'invoiceSecrets'>;
  /** Invoices of other chains are refused. */
  readonly currency: Currency;
  readonly policy: ForwardingPolicy;
  /** The channel of ours that a short_channel_id (or an alias) names. */
  readonly outgoingChannel: (short_channel_id: ShortChannelId) => OutgoingChannel | undefined;
  /** Why no deadline could be kept now; undefined while all is well. */
  readonly chainTrouble?: () => ChainTrouble | undefined;
  /** States of resting streams kept in memory, per kind. */
  readonly cached?: number;
}

export interface QuietStreams {
  /** For dispatch: by the stream's name. */
  readonly execute: (stream: StreamId, intent: QuietIntent, cause: Cause) => Promise<Outcome>;
  readonly payments: Executor<PaymentState, PaymentIntent>;
  readonly invoices: Executor<InvoiceState, InvoiceIntent>;
  readonly relays: Executor<RelayState, RelayIntent>;
  /** Throws InvoiceError. */
  readonly readInvoice: (bolt11: string) => Invoice;
}

export function createQuietStreams(world: QuietWorld): QuietStreams {
  const readInvoice = createInvoiceReader(world.currency);
  const payments = createExecutor({ decider: paymentDecider, gather: gatherPayment({ ...world, readInvoice }) }, world);
  const invoices = createExecutor({ decider: invoiceDecider, gather: gatherInvoice(world) }, world);
  const relays = createExecutor({ decider: relayDecider, gather: gatherRelay(world) }, world);
  return {
    payments,
    invoices,
    relays,
    readInvoice,
    execute(stream, intent, cause) {
      switch (intent.type) {
        case 'StartPayment':
        case 'ResolveAttempt':
          return payments.execute(stream, intent, cause);
        case 'CreateInvoice':
        case 'AcceptInvoiceHtlc':
        case 'TimeoutInvoiceHtlcs':
          return invoices.execute(stream, intent, cause);
        case 'StartRelay':
        case 'FulfillRelay':
        case 'FailRelay':
          return relays.execute(stream, intent, cause);
      }
    },
  };
}

/** Only an invoice that is still open is told its preimage: nothing secret is gathered in vain. */
function gatherInvoice({ signer, now, height, chainTrouble }: QuietWorld): (intent: InvoiceIntent, state: InvoiceState) => Gathered<InvoiceCommand> {
  return (intent, state) => {
    switch (intent.type) {
      case 'CreateInvoice':
        return { command: intent };
      case 'TimeoutInvoiceHtlcs':
        return { command: { type: 'TimeoutInvoiceHtlcs', now: now() } };
      case 'AcceptInvoiceHtlc': {
        const known = state.phase === 'open' ? { payment_preimage: signer.invoiceSecrets(state.terms.nonce).payment_preimage } : {};
        return { command: { type: 'AcceptInvoiceHtlc', htlc: intent.htlc, now: now(), height: height(), chain_trouble: chainTrouble?.(), ...known } };
      }
    }
  };
}

function gatherRelay({ outgoingChannel, policy, height }: QuietWorld): (intent: RelayIntent) => Gathered<RelayCommand> {
  return (intent) => {
    if (intent.type !== 'StartRelay') return { command: intent };
    const outgoing = outgoingChannel(intent.request.short_channel_id);
    return { command: { ...intent, policy, height: height(), ...(outgoing === undefined ? {} : { outgoing }) } };
  };
}

const REMEMBERED_INVOICES = 256;

/** Reads each invoice once: its signature is the dearest part of a payment's start. */
function createInvoiceReader(currency: Currency): (bolt11: string) => Invoice {
  const remembered = new Map<string, Invoice>();
  return (bolt11) => {
    const known = remembered.get(bolt11);
    if (known !== undefined) return known;
    const invoice = decodeInvoice(bolt11, { networks: [currency] });
    if (remembered.size >= REMEMBERED_INVOICES) remembered.delete(remembered.keys().next().value!);
    remembered.set(bolt11, invoice);
    return invoice;
  };
}
