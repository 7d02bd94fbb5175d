/** The channel stream: BOLT 2's transcript, fact by fact. */
import type { ClosingEvent } from './closing.ts';
import { closingEvents } from './closing.ts';
import type { OnchainEvent } from './onchain.ts';
import { onchainEvents } from './onchain.ts';
import type { OpeningEvent } from './opening.ts';
import { openingEvents } from './opening.ts';
import type { RecoveryEvent } from './recovery.ts';
import { recoveryEvents } from './recovery.ts';
import type { SimpleCloseEvent } from './simple-close.ts';
import { simpleCloseEvents } from './simple-close.ts';
import type { UpdateEvent } from './updates.ts';
import { updateEvents } from './updates.ts';

export type ChannelEvent = OpeningEvent | UpdateEvent | ClosingEvent | SimpleCloseEvent | OnchainEvent | RecoveryEvent;
export const channelEvents = [...openingEvents, ...updateEvents, ...closingEvents, ...simpleCloseEvents, ...onchainEvents, ...recoveryEvents] as const;
