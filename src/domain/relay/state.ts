/** One forward as its events leave it: both halves tied to one another. */
import type { Hex32 } from '../../bolt/primitives.ts';
import type { RelayEvent } from '../../events/relay.ts';
import type { IncomingHtlc } from './commands.ts';

export type Outgoing = Extract<RelayEvent, { type: 'RelayStarted' }>['outgoing'];

export type RelayState =
  | { readonly phase: 'none' }
  | { readonly phase: 'refused' }
  /** The outgoing HTLC is owed or on its way. */
  | { readonly phase: 'started'; readonly payment_hash: Hex32; readonly incoming: IncomingHtlc; readonly outgoing: Outgoing }
  | { readonly phase: 'failed'; readonly payment_hash: Hex32; readonly incoming: IncomingHtlc; readonly outgoing: Outgoing }
  | { readonly phase: 'fulfilled'; readonly payment_preimage: Hex32 };

export const initialRelay: RelayState = { phase: 'none' };
