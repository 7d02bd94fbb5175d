/** Every event type the log can hold: name -> schema (zod) -> upcasters. An unknown type stops the reader. */
import { channelEvents, type ChannelEvent } from './channel/index.ts';
import { gossipEvents, type GossipEvent } from './gossip.ts';
import { invoiceEvents, type InvoiceEvent } from './invoice.ts';
import { nodeEvents, type NodeEvent } from './node.ts';
import { paymentEvents, type PaymentEvent } from './payment.ts';
import { relayEvents, type RelayEvent } from './relay.ts';
import { walletEvents, type WalletEvent } from './wallet.ts';

export type Event = ChannelEvent | PaymentEvent | InvoiceEvent | RelayEvent | NodeEvent | GossipEvent | WalletEvent;
export type EventType = Event['type'];

export const allEvents = [
  ...channelEvents,
  ...paymentEvents,
  ...invoiceEvents,
  ...relayEvents,
  ...nodeEvents,
  ...gossipEvents,
  ...walletEvents,
] as const;
