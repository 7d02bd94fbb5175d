/** Brings an intent to the stream it is for: a channel's mailbox, or a quiet stream's queue. */
import { failureCode } from '../bolt/04-onion-routing/failure-codes.ts';
import { crypto } from '../bolt/crypto.ts';
import { toHex32, type Hex32 } from '../bolt/primitives.ts';
import type { Refusal } from '../domain/decider.ts';
import type { Origin } from '../events/channel/updates.ts';
import type { Cause, StreamId } from '../events/store.ts';
import { isChannelIntent, type ChannelIntent, type Intent, type QuietIntent } from './intents.ts';

/** `accepted`: how many events it became, durable by now; 0 = it had been done before. */
export type Outcome = { readonly accepted: number } | { readonly refused: Refusal };

/** A channel's mailbox. Promises: intents are taken in the order of the calls; one with a known command_id changes nothing. */
export interface ChannelPort {
  submit(intent: ChannelIntent, cause: Cause): Promise<Outcome>;
}

/** Rejects only when the store failed: the same call may be made again. */
export type Dispatch = (to: StreamId, intent: Intent, cause: Cause) => Promise<Outcome>;

export interface DispatchTargets {
  readonly channels: (stream: StreamId) => ChannelPort | undefined;
  /** Payment, invoice and relay streams (quiet-streams.ts). */
  readonly quiet: (stream: StreamId, intent: QuietIntent, cause: Cause) => Promise<Outcome>;
}

/** The order of calls is kept per stream: nothing is awaited before an intent stands in its queue. */
export function createDispatch({ channels, quiet }: DispatchTargets): Dispatch {
  return (to, intent, cause) => {
    if (!isChannelIntent(intent)) return quiet(to, intent, cause);
    const channel = channels(to);
    if (channel !== undefined) return channel.submit(intent, cause);
    if (intent.type === 'OfferHtlc') return declineForMissingChannel(to, intent.origin, cause, quiet);
    return Promise.resolve({ refused: { code: 'unknown_channel', answer: 'to_caller', detail: { channel: to, intent: intent.type } } });
  };
}

/** A channel that is not there cannot decline; its story hears of it all the same, or it would wait for ever. */
function declineForMissingChannel(channel: StreamId, origin: Origin, cause: Cause, quiet: DispatchTargets['quiet']): Promise<Outcome> {
  const answer: Cause = { command_id: commandId(cause.command_id, 0), correlation_id: cause.correlation_id };
  if (origin.kind === 'relay') return quiet(origin.relay, { type: 'FailRelay', failure: { kind: 'local', failure_code: UNKNOWN_NEXT_PEER, failure_data: '' } }, answer);
  const end = { kind: 'declined', code: 'unknown_channel', detail: `there is no channel ${channel}`, failure_code: UNKNOWN_NEXT_PEER } as const;
  return quiet(origin.payment, { type: 'ResolveAttempt', attempt: origin.attempt, end }, answer);
}

const UNKNOWN_NEXT_PEER = failureCode('unknown_next_peer');

/** The `n`-th command that follows from an event (or a command): the same whenever it is derived again. */
export function commandId(from: string, n: number): Hex32 {
  return toHex32(crypto().sha256(encoder.encode(`${from}/${n}`)));
}

const encoder = new TextEncoder();
