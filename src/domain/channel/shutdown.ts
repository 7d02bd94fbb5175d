/** BOLT 2, "Closing Initiation" and "Legacy Closing Negotiation": shutdown and closing_signed. */
import { verifyClosing } from '../../bolt/03-transactions/closing-tx.ts';
import { dustLimitOf } from '../../bolt/03-transactions/shutdown-script.ts';
import type { Hex } from '../../bolt/primitives.ts';
import type { ClosingEvent } from '../../events/channel/closing.ts';
import type { ChannelEvent } from '../../events/channel/index.ts';
import { accept, refuse, type Decision } from '../decider.ts';
import { answerFee, lastOffer, ourFees, type ClosingState } from './closing-fee.ts';
import { closingVariants } from './closing-transactions.ts';
import type { ChannelCommand, CloseFeatures } from './commands.ts';
import { isIrrevocablyAdded, waitsFor } from './htlc-lifecycle.ts';
import { hasTimelyClose, NO_CLOSES } from './mutual-closes.ts';
import { boundTo, scriptBreach } from './shutdown-scripts.ts';
import { isLive, type ChannelState, type ClosingOffer, type LiveState, type ShutdownScripts } from './state.ts';

type Command<T extends ChannelCommand['type']> = Extract<ChannelCommand, { type: T }>;
type Event<T extends ClosingEvent['type']> = Extract<ClosingEvent, { type: T }>;
export { closingOf, closingVariants, ourClosing } from './closing-transactions.ts';
export type { ClosingState } from './closing-fee.ts';

/** Of a connection that nothing else is known of. */
const NO_FEATURES: CloseFeatures = { anysegwit: true, simple_close: false };

// ---- decide: shutdown

export function closeChannel({ scriptpubkey, chosen = false, common = NO_FEATURES }: Command<'CloseChannel'>, state: ChannelState): Decision<ChannelEvent> {
  if (!isLive(state)) return refuse('channel_not_open', { phase: state.phase });
  const said = scriptsOf(state).local;
  const wish = chosen ? scriptpubkey : (boundTo(state.terms.local.upfront_shutdown_script) ?? scriptpubkey);
  if (said !== undefined) return chosen && said !== wish ? refuse('shutdown_script_differs', { expected: said, got: wish }) : accept<ChannelEvent>();
  const breach = scriptBreach(wish, state.terms.local.upfront_shutdown_script, { ...common, legacy: !chosen });
  if (breach !== undefined) return breach;
  if (updatesPending(state)) return refuse('updates_pending', { commitment_number: state.commitments.remote.number });
  return accept<ChannelEvent>({ type: 'ShutdownSent', scriptpubkey: wish });
}

/** BOLT 2: no shutdown while updates of ours wait for the peer's commitment. */
export const updatesPending = ({ commitments }: LiveState): boolean =>
  commitments.remote.awaiting_revocation || commitments.htlcs.some((htlc) => waitsFor(htlc.state, 'SENT_COMMIT')) || commitments.fees.some((fee) => waitsFor(fee.state, 'SENT_COMMIT'));

/** The peer's shutdown is not answered yet, and may be now. */
export const shutdownIsDue = (state: ChannelState): boolean =>
  state.phase === 'shutdown' && state.scripts.remote !== undefined && state.scripts.local === undefined && !updatesPending(state);

export function receiveShutdown({ message, common = NO_FEATURES }: Command<'ReceiveShutdown'>, state: ChannelState): Decision<ChannelEvent> {
  const { scriptpubkey } = message;
  if (!isLive(state) && state.phase !== 'closing') return refuse('unexpected_message', { message: message.type, phase: state.phase }, 'warning');
  const breach = scriptBreach(scriptpubkey, state.terms.remote.upfront_shutdown_script, common, 'disconnect');
  if (breach !== undefined) return breach;
  const known = scriptsOf(state).remote;
  const fixed = !common.simple_close || (state.phase === 'closing' && state.closes.legacy_fees.length > 0);
  if (known !== undefined && known !== scriptpubkey && fixed) return refuse('shutdown_script_differs', { expected: known, got: scriptpubkey }, 'disconnect');
  // Repeated after a reconnection. With option_simple_close it begins the negotiation anew.
  const again = known === scriptpubkey && (state.phase !== 'closing' || !common.simple_close);
  return again ? accept<ChannelEvent>() : accept<ChannelEvent>({ type: 'ShutdownReceived', scriptpubkey });
}

const scriptsOf = (state: LiveState | ClosingState): ShutdownScripts => (state.phase === 'normal' ? {} : state.scripts);

// ---- decide: closing_signed

/** BOLT 2: the opener speaks first, and again after each reconnection. */
export const negotiationIsDue = (state: ChannelState): state is ClosingState =>
  state.phase === 'closing' && state.terms.role === 'opener' && state.offers.length === 0;

export function negotiateClosing({ feerate_per_kw }: Command<'NegotiateClosing'>, state: ChannelState): Decision<ChannelEvent> {
  if (!negotiationIsDue(state)) return accept<ChannelEvent>();
  const { ideal, fee_range } = ourFees(state, feerate_per_kw);
  return accept<ChannelEvent>({ type: 'ClosingSignedSent', fee_satoshis: ideal, fee_range });
}

export function receiveClosingSigned(command: Command<'ReceiveClosingSigned'>, state: ChannelState): Decision<ChannelEvent> {
  const { message } = command;
  // The peer's broadcast reached a block before its message reached us: the chain has said it already.
  if (state.phase === 'resolving' || state.phase === 'closed') return accept<ChannelEvent>();
  if (state.phase !== 'closing' || command.common?.simple_close === true) return refuse('unexpected_message', { message: message.type, phase: state.phase, option_simple_close: command.common?.simple_close === true }, 'warning');
  const { fee_satoshis, signature } = message;
  const variants = closingVariants(state, fee_satoshis);
  const closing = variants.find((variant) => verifyClosing(variant, signature));
  if (closing === undefined) return refuse('invalid_closing_signature', { fee_satoshis, variants: variants.length }, 'disconnect');
  const ours = lastOffer(state, 'local')?.fee_satoshis;
  if (ours === fee_satoshis && state.agreed?.fee_satoshis === fee_satoshis) return accept<ChannelEvent>(); // Heard before.
  const dust = closing.tx.outputs.find(({ value, script_pubkey }) => value < (dustLimitOf(script_pubkey) ?? 0n));
  if (dust !== undefined) return failed('closing_output_is_dust', `closing_signed: an output of ${dust.value} sat to ${dust.script_pubkey} would not be relayed`);
  const answer = answerFee(state, message, ourFees(state, command.feerate_per_kw));
  if ('refused' in answer || 'accepted' in answer) return answer;
  return accept<ChannelEvent>(
    { type: 'ClosingSignedReceived', fee_satoshis, signature, fee_range: message.tlvs.fee_range },
    ...(answer.fee_satoshis === ours ? [] : [{ type: 'ClosingSignedSent', ...answer } as const]),
    ...(answer.fee_satoshis === fee_satoshis ? [{ type: 'ClosingAgreed', fee_satoshis, closing_txid: closing.txid } as const] : []),
  );
}

/** BOLT 2: a negotiation that comes to nothing fails the channel. What both have signed already is left to the chain. */
export function failClosing({ blocks, height }: Command<'FailClosing'>, state: ChannelState): Decision<ChannelEvent> {
  if (state.phase !== 'closing' || hasTimelyClose(state, height)) return accept<ChannelEvent>();
  return failed('closing_unanswered', `the peer was connected for ${blocks} blocks, and signed no close that the chain takes`);
}

const failed = (code: string, reason: string): Decision<ChannelEvent> => accept<ChannelEvent>({ type: 'ChannelFailed', by: 'local', code, reason });

// ---- evolve

export function evolveShutdown(state: LiveState, event: Event<'ShutdownSent'> | Event<'ShutdownReceived'>): ChannelState {
  const side = event.type === 'ShutdownSent' ? 'local' : 'remote';
  const scripts: ShutdownScripts = { ...scriptsOf(state), [side]: event.scriptpubkey satisfies Hex };
  return { ...state, phase: 'shutdown', scripts, begun_by: state.phase === 'shutdown' ? state.begun_by : side };
}

/** option_simple_close: the peer's newest script; our closing_complete may pay it now. */
export function evolveShutdownAgain(state: ClosingState, { scriptpubkey }: Event<'ShutdownReceived'>): ChannelState {
  return { ...state, scripts: { ...state.scripts, remote: scriptpubkey }, proposal: state.proposal === 'sent' ? 'sent' : 'due' };
}

/** The negotiation starts again with each connection; what was signed stays known. */
export const closingReestablished = (state: ClosingState): ClosingState => ({ ...state, offers: [], proposal: 'after_shutdown' });

/** Both shutdowns have passed and nothing is pending any more: closing_signed may begin. */
export function becomeClosing(state: ChannelState): ChannelState {
  if (state.phase !== 'shutdown' || !isQuiet(state)) return state;
  const { local, remote } = state.scripts;
  if (local === undefined || remote === undefined) return state;
  return { ...state, phase: 'closing', scripts: { local, remote }, offers: [], closes: NO_CLOSES, proposal: 'due' };
}

const isQuiet = ({ commitments }: LiveState): boolean =>
  commitments.htlcs.length === 0 && commitments.fees.every((fee) => isIrrevocablyAdded(fee.state)) && !commitments.remote.awaiting_revocation;

export function evolveClosingSigned(state: ClosingState, event: Event<'ClosingSignedSent'> | Event<'ClosingSignedReceived'>): ChannelState {
  const { fee_satoshis, fee_range } = event;
  const offer: ClosingOffer = event.type === 'ClosingSignedSent' ? { by: 'local', fee_satoshis, fee_range } : { by: 'remote', fee_satoshis, fee_range, signature: event.signature };
  const { legacy_fees } = state.closes;
  const signed = event.type === 'ClosingSignedReceived' || legacy_fees.includes(fee_satoshis) ? legacy_fees : [...legacy_fees, fee_satoshis];
  return { ...state, offers: [...state.offers, offer], closes: { ...state.closes, legacy_fees: signed } };
}

export function evolveClosingAgreed(state: ClosingState, { fee_satoshis, closing_txid }: Event<'ClosingAgreed'>): ChannelState {
  const theirs = state.offers.findLast((offer) => offer.by === 'remote' && offer.fee_satoshis === fee_satoshis);
  return { ...state, agreed: { fee_satoshis, closing_txid, signature: theirs!.signature! } };
}
