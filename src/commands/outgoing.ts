/** How a channel's messages leave: on the connection on which they were decided, or not at all. */
import type { Message } from '../bolt/messages.ts';
import type { Effect } from '../domain/channel/effects.ts';
import type { ChannelState } from '../domain/channel/state.ts';
import type { StreamId } from '../events/store.ts';
import type { ChannelContext } from './channel-context.ts';
import { messageFor, transactionFor } from './perform.ts';
import { publish } from './publish.ts';
import type { Line, Step } from './turn.ts';

/** A message or a transaction made ready while the append is under way. */
export interface Prepared {
  readonly ready?: Promise<Message>;
  readonly send: (ready?: Message) => void;
}

/** Everything but a secret is made ready before the append answers. */
export function prepare({ effect, state }: Step['effects'][number], line: Line | undefined, stream: StreamId, context: ChannelContext): Prepared {
  if (effect.kind === 'broadcast') return { send: () => broadcast(effect, state, stream, context) };
  if (effect.kind === 'send_revoke_and_ack') return { send: () => send(messageFor(effect, state, context) as Message, line) };
  const message = messageFor(effect, state, context);
  // It may fail before the append has answered: whoever sends it hears of that then.
  if (message instanceof Promise) message.catch(() => undefined);
  return message instanceof Promise ? { ready: message, send: (ready) => send(ready!, line) } : { send: () => send(message, line) };
}

/** In order, and together: what is sent with nothing awaited in between leaves in one write. */
export async function sendAll(prepared: readonly Prepared[]): Promise<void> {
  const messages: (Message | undefined)[] = [];
  for (const { ready } of prepared) messages.push(ready === undefined ? undefined : await ready);
  for (const [index, { send }] of prepared.entries()) send(messages[index]);
}

/** What the chain refuses is owed all the same, and tried again with each block. */
export function broadcast(effect: Effect, state: ChannelState, stream: StreamId, context: ChannelContext): void {
  if (effect.kind !== 'broadcast') return;
  const tell = (sentence: string): void => context.log(`${stream}: the ${effect.what} transaction ${sentence}; it is tried again with each block`);
  void publish(effect.what, transactionFor(effect, state, context), context.chain, tell);
}

/** A message goes to the connection on which it was decided, or nowhere: what is owed stays in the state, and is sent again from there. */
function send(message: Message, line: Line | undefined): void {
  if (line !== undefined && (line.open || mayComeFirst(message))) line.session.send(message);
}

/** BOLT 2: before channel_reestablish only it, or an error, may come on a channel that exists. */
export const mayComeFirst = ({ type }: Message): boolean => type === 'channel_reestablish' || type === 'error';
