/** How a channel's messages leave: on the connection on which they were decided, or not at all. */
import type { Message } from '../bolt/messages.ts';
import type { Line } from './turn.ts';

/** A message or a transaction made ready while the append is under way. */
export interface Prepared {
  readonly ready?: Promise<Message>;
  readonly send: (ready?: Message) => void;
}

/** A message goes to the connection on which it was decided, or nowhere: what is owed stays in the state, and is sent again from there. */
export function send(message: Message, line: Line | undefined): void {
  if (line !== undefined && (line.open || mayComeFirst(message))) line.session.send(message);
}

/** BOLT 2: before channel_reestablish only it, or an error, may come on a channel that exists. */
export const mayComeFirst = ({ type }: Message): boolean => type === 'channel_reestablish' || type === 'error';
