/** What a log says of a node's past when the node wakes up on it: how far its channels went, and what had ended. */
import type { Hex32 } from '../../src/bolt/primitives.ts';
import type { EventEnvelope } from '../../src/events/envelope.ts';
import type { EventStore, StreamId } from '../../src/events/store.ts';

/** An end, or a promise, that the world outside relies on once it was told: `<event type> <stream>`. */
export type Fact = string;

/** How many of the peer's commitments were signed, and of our own revoked; the opening's are not counted. */
export interface Numbers {
  readonly signed: number;
  readonly revoked: number;
}

export interface Past {
  readonly events: number;
  readonly channels: ReadonlyMap<Hex32, Numbers>;
  readonly facts: ReadonlySet<Fact>;
}

const TOLD = new Set(['InvoiceCreated', 'InvoiceSettled', 'PaymentStarted', 'PaymentSucceeded', 'PaymentFailed', 'ShutdownSent', 'ChannelFailed', 'ClosingAgreed', 'ChannelResolved']);

/** Undefined for what nobody outside is told. */
export const factOf = ({ stream, event }: Pick<EventEnvelope, 'stream' | 'event'>): Fact | undefined => (TOLD.has(event.type) ? `${event.type} ${stream}` : undefined);

export async function readPast(store: Pick<EventStore, 'readAll'>): Promise<Past> {
  const reader = createPastReader();
  for await (const envelope of store.readAll()) reader.take(envelope);
  return reader.past();
}

/** Takes a log's events in order. */
export function createPastReader(): { take(envelope: Pick<EventEnvelope, 'stream' | 'event'>): void; past(): Past } {
  const ids = new Map<StreamId, Hex32>();
  const channels = new Map<Hex32, Numbers>();
  const facts = new Set<Fact>();
  let events = 0;

  function count(stream: StreamId, more: Partial<Numbers>): void {
    const channel_id = ids.get(stream)!;
    channels.set(channel_id, { ...(channels.get(channel_id) ?? { signed: 0, revoked: 0 }), ...more });
  }

  return {
    take({ stream, event }) {
      events += 1;
      const fact = factOf({ stream, event });
      if (fact !== undefined) facts.add(fact);
      if (event.type === 'FundingCreatedSent' || event.type === 'FundingCreatedReceived') ids.set(stream, event.channel_id);
      if (event.type === 'CommitmentSignedSent') count(stream, { signed: Number(event.commitment_number) });
      if (event.type === 'RevokeAndAckSent') count(stream, { revoked: Number(event.commitment_number) + 1 });
    },
    past: () => ({ events, channels, facts }),
  };
}
