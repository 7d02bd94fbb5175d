/** The rules of a forward: offered onward once, and its two halves end alike (BOLT 2, "Forwarding HTLCs"). */
import { crypto } from '../../bolt/crypto.ts';
import { fromHex, msat, type Hex32 } from '../../bolt/primitives.ts';
import type { RelayEvent } from '../../events/relay.ts';
import { accept, never, refuse, type Decider, type Decision } from '../decider.ts';
import type { RelayCommand } from './commands.ts';
import { evolveRelay } from './evolve.ts';
import { forwardingFailure } from './policy.ts';
import { initialRelay, type RelayState } from './state.ts';

type CommandOf<T extends RelayCommand['type']> = Extract<RelayCommand, { type: T }>;

export function decideRelay(command: RelayCommand, state: RelayState): Decision<RelayEvent> {
  switch (command.type) {
    case 'StartRelay':
      return start(command, state);
    case 'FulfillRelay':
      return fulfill(command, state);
    case 'FailRelay':
      return fail(command, state);
    default:
      return never(command);
  }
}

export const relayDecider: Decider<RelayState, RelayCommand, RelayEvent> = { initial: initialRelay, decide: decideRelay, evolve: evolveRelay };

/** A second start of the same forward changes nothing: whatever was decided first stands. */
function start({ payment_hash, incoming, request, outgoing, policy, height }: CommandOf<'StartRelay'>, state: RelayState): Decision<RelayEvent> {
  if (state.phase !== 'none') return accept();
  const failure = forwardingFailure(incoming, request, outgoing, policy, height);
  if (outgoing === undefined || failure !== undefined) {
    return accept({ type: 'RelayRefused', payment_hash, incoming, failure: failure! });
  }
  return accept({
    type: 'RelayStarted',
    payment_hash,
    incoming,
    outgoing: {
      channel: outgoing.channel,
      short_channel_id: request.short_channel_id,
      amount_msat: request.amt_to_forward,
      cltv_expiry: request.outgoing_cltv_value,
      onion_hash: request.next_onion_hash,
    },
    fee_msat: msat(incoming.amount_msat - request.amt_to_forward),
  });
}

/** A preimage wins over everything that was said before it: what was paid out must be claimed if it still can be. */
function fulfill({ payment_preimage, outgoing_htlc_id }: CommandOf<'FulfillRelay'>, state: RelayState): Decision<RelayEvent> {
  switch (state.phase) {
    case 'none':
    case 'refused':
      return refuse('relay_not_started', { phase: state.phase });
    case 'fulfilled':
      return accept();
    case 'started':
    case 'failed': {
      const hash = sha256(payment_preimage);
      if (hash !== state.payment_hash) return refuse('wrong_preimage', { payment_hash: state.payment_hash, hash_of_preimage: hash });
      return accept({ type: 'RelayFulfilled', payment_preimage, outgoing_htlc_id, incoming: state.incoming });
    }
    default:
      return never(state);
  }
}

/** Safety register 03: nothing fails once its preimage is known. */
function fail({ outgoing, failure }: CommandOf<'FailRelay'>, state: RelayState): Decision<RelayEvent> {
  switch (state.phase) {
    case 'none':
      return refuse('relay_not_started', { phase: state.phase });
    case 'refused':
    case 'failed':
    case 'fulfilled':
      return accept();
    case 'started':
      return accept({ type: 'RelayFailed', ...(outgoing === undefined ? {} : { outgoing }), failure, incoming: state.incoming });
    default:
      return never(state);
  }
}

const sha256 = (preimage: Hex32): string => crypto().sha256Hex(fromHex(preimage));
