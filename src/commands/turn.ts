/** What a batch of inputs has decided so far, not durable yet: events with their causes, effects with the state right after them. */
import { bounded } from '../bolt/bounded.ts';
import { crypto } from '../bolt/crypto.ts';
import type { Message } from '../bolt/messages.ts';
import type { Hex32 } from '../bolt/primitives.ts';
import { effectsOf, type Effect } from '../domain/channel/effects.ts';
import { evolveChannel } from '../domain/channel/evolve.ts';
import type { ChannelState } from '../domain/channel/state.ts';
import type { ChannelEvent } from '../events/channel/index.ts';
import type { Attachment, Cause, StreamId } from '../events/store.ts';
import type { Session } from './channel-context.ts';
import type { Outcome } from './dispatch.ts';
import type { Gathered } from './gather.ts';

/** What a channel's mailbox takes. */
export type Input =
  | { readonly kind: 'message'; readonly message: Message; readonly session: Session }
  | { readonly kind: 'command'; readonly gather: () => Gathered | Promise<Gathered>; readonly cause?: Cause; readonly once?: boolean; readonly done: (outcome: Outcome) => void; readonly failed: (error: unknown) => void }
  | { readonly kind: 'connected'; readonly session: Session; readonly fresh: boolean }
  | { readonly kind: 'disconnected'; readonly session: Session };

/** A connection as it stood when a step was decided. `open`: channel_reestablish had passed. */
export interface Line {
  readonly session: Session;
  readonly open: boolean;
}

/** On which connection a step's messages leave, and who waits for its outcome. */
export interface StepDetails {
  readonly line?: Line | undefined;
  readonly done?: (outcome: Outcome) => void;
  readonly failed?: (error: unknown) => void;
}

/** What one input became: its events, and its effects on the state right after it. */
export interface Step extends StepDetails {
  readonly events: readonly ChannelEvent[];
  readonly effects: readonly { readonly effect: Effect; readonly state: ChannelState }[];
  readonly cause: Cause;
}

/** What a batch has decided so far, not durable yet. */
export class Turn {
  state: ChannelState;
  readonly events: ChannelEvent[] = [];
  readonly causes: Cause[] = [];
  readonly attachments: Attachment[] = [];
  readonly steps: Step[] = [];

  constructor(state: ChannelState) {
    this.state = state;
  }

  add(events: readonly ChannelEvent[], cause: Cause, attachments: readonly Attachment[], details: StepDetails = {}): void {
    for (const event of events) {
      this.state = evolveChannel(this.state, event);
      this.events.push(event);
      this.causes.push({ ...cause, correlation_id: correlationOf(event) ?? cause.correlation_id });
    }
    if (events.length > 0) this.attachments.push(...attachments);
    const { state } = this;
    this.steps.push({ events, cause, effects: effectsOf(events, state).map((effect) => ({ effect, state })), ...details });
  }

  /** Owes a message for which no event stands. */
  say(message: Message, cause: Cause, line: Line | undefined): void {
    this.steps.push({ events: [], cause, effects: [{ effect: { kind: 'send', message }, state: this.state }], line });
  }
}

/** Events of an HTLC belong to the story of its payment, on whatever stream they stand. */
const correlationOf = (event: ChannelEvent): Hex32 | undefined => ('payment_hash' in event ? event.payment_hash : undefined);

/** What is of no payment belongs to the story of its channel. */
export const streamCorrelation = bounded(1024, (stream: StreamId): Hex32 => crypto().sha256Hex(new TextEncoder().encode(stream)) as Hex32);
