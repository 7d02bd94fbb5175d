/** Every event type the log can hold: name -> schema (zod) -> upcasters. An unknown type stops the reader. */
import type { z } from 'zod';
import { channelEvents, type ChannelEvent } from './channel/index.ts';
import { gossipEvents, type GossipEvent } from './gossip.ts';
import { invoiceEvents, type InvoiceEvent } from './invoice.ts';
import { nodeEvents, type NodeEvent } from './node.ts';
import { paymentEvents, type PaymentEvent } from './payment.ts';
import { relayEvents, type RelayEvent } from './relay.ts';
import { StoreError } from './store.ts';
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

type Schema = z.ZodObject<z.ZodRawShape & { type: z.ZodLiteral<string> }>;

/** Turns an event as it was once written into its successor. Pure, on reading only: the stored bytes and their hash never change. */
export type Upcaster = (data: Readonly<Record<string, unknown>>) => {
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
};

export interface Registry<E> {
  /** Reads an event of today from stored data, through the upcasters. Throws UnknownEventType or InvalidEvent. */
  decode(type: string, data: unknown): E;
  /** True for today's types and for those an upcaster can read. */
  knows(type: string): boolean;
  readonly types: readonly string[];
}

/** A type this version has no schema for: written by a newer one, or by somebody else. */
export class UnknownEventType extends StoreError {
  constructor(type: string) {
    super('unknown_event_type', `no schema and no upcaster for event type ${type}`, {
      got: type,
      expected: 'a type of this version',
    });
  }
}

/** Data that does not fit its type's schema; every misfit is named. */
export class InvalidEvent extends StoreError {
  constructor(type: string, expected: string, got: unknown) {
    super(
      'invalid_event',
      `event ${type} does not fit its schema: expected ${expected}, got ${String(got).slice(0, 400)}`,
      { type, expected, got },
    );
  }
}

/** A registry of some schemas and upcasters: the log's own is below; tests make others. */
export function createRegistry<E>(
  schemas: readonly unknown[],
  upcasters: Readonly<Record<string, Upcaster>> = {},
): Registry<E> {
  const byType = new Map((schemas as readonly Schema[]).map((schema) => [schema.shape.type.value, schema]));
  const successors = new Map(Object.entries(upcasters));
  for (const old of successors.keys()) {
    if (byType.has(old)) throw new Error(`event type ${old} has both a schema and an upcaster`);
  }
  return {
    knows: (type) => byType.has(type) || successors.has(type),
    types: [...byType.keys()],
    decode(type, data) {
      const today = upcast(successors, type, record(type, data));
      const schema = byType.get(today.type);
      if (schema === undefined) throw new UnknownEventType(today.type);
      const result = schema.safeParse({ ...today.data, type: today.type });
      if (!result.success) throw new InvalidEvent(today.type, describe(result.error), JSON.stringify(today.data));
      return result.data as E;
    },
  };
}

/** Every version between the oldest and today's is one step. */
function upcast(successors: ReadonlyMap<string, Upcaster>, type: string, data: Readonly<Record<string, unknown>>) {
  let current = { type, data };
  for (let steps = 0; steps <= successors.size; steps += 1) {
    const upcaster = successors.get(current.type);
    if (upcaster === undefined) return current;
    current = upcaster(current.data);
  }
  throw new Error(`the upcasters of event type ${type} run in a circle`);
}

function record(type: string, data: unknown): Readonly<Record<string, unknown>> {
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    throw new InvalidEvent(type, 'an object', JSON.stringify(data));
  if ('type' in data) throw new InvalidEvent(type, 'data without a type of its own', JSON.stringify(data));
  return data as Readonly<Record<string, unknown>>;
}

const describe = (error: z.ZodError): string =>
  error.issues.map((issue) => `${issue.path.join('.') || 'data'}: ${issue.message}`).join('; ');

/** Old type -> how to read it today. Empty as long as no type was ever replaced. */
const upcasters: Readonly<Record<string, Upcaster>> = {};

/** The log's own registry. */
export const registry: Registry<Event> = createRegistry<Event>(allEvents, upcasters);

/** Reads an event from stored data. Throws UnknownEventType or InvalidEvent, with what was expected and what stands there. */
export const decodeEvent = (type: string, data: unknown): Event => registry.decode(type, data);
