/** The channel stream: BOLT 2's transcript, fact by fact. */
import type { ClosingEvent } from './closing.ts';
import { closingEvents } from './closing.ts';
import type { OpeningEvent } from './opening.ts';
import { openingEvents } from './opening.ts';
import type { UpdateEvent } from './updates.ts';
import { updateEvents } from './updates.ts';

export type ChannelEvent = OpeningEvent | UpdateEvent | ClosingEvent;
export const channelEvents = [...openingEvents, ...updateEvents, ...closingEvents] as const;
