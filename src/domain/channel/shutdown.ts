/** BOLT 2, "Closing Initiation" and "Legacy Closing Negotiation": shutdown and closing_signed. */
import { buildClosing, verifyClosing, type ClosingTransaction } from '../../bolt/03-transactions/closing-tx.ts';
import { dustLimitOf, isValidShutdownScript } from '../../bolt/03-transactions/shutdown-script.ts';
import { msatToSat, type Hex, type Hex32, type Sat } from '../../bolt/primitives.ts';
import type { ClosingEvent } from '../../events/channel/closing.ts';
import type { ChannelEvent } from '../../events/channel/index.ts';
import { accept, refuse, type Decision } from '../decider.ts';
import { answerFee, lastOffer, ourFees, type ClosingState } from './closing-fee.ts';
import type { ChannelCommand } from './commands.ts';
import { isIrrevocablyAdded, waitsFor } from './htlc-lifecycle.ts';
import { isLive, type ChannelState, type ClosingOffer, type Established, type LiveState, type ShutdownScripts } from './state.ts';

type Command<T extends ChannelCommand['type']> = Extract<ChannelCommand, { type: T }>;
type Event<T extends ClosingEvent['type']> = Extract<ClosingEvent, { type: T }>;
export type { ClosingState } from './closing-fee.ts';

// ---- decide: shutdown

export function closeChannel({ scriptpubkey }: Command<'CloseChannel'>, state: ChannelState): Decision<ChannelEvent> {
  if (!isLive(state)) return refuse('channel_not_open', { phase: state.phase });
  if (scriptsOf(state).local !== undefined) return accept<ChannelEvent>();
  if (updatesPending(state)) return refuse('updates_pending', { commitment_number: state.commitments.remote.number });
  const upfront = state.terms.local.upfront_shutdown_script;
  return accept<ChannelEvent>({ type: 'ShutdownSent', scriptpubkey: upfront === undefined || upfront === '' ? scriptpubkey : upfront });
}

/** BOLT 2: no shutdown while updates of ours wait for the peer's commitment. */
export const updatesPending = ({ commitments }: LiveState): boolean =>
  commitments.remote.awaiting_revocation || commitments.htlcs.some((htlc) => waitsFor(htlc.state, 'SENT_COMMIT')) || commitments.fees.some((fee) => waitsFor(fee.state, 'SENT_COMMIT'));

/** The peer's shutdown is not answered yet, and may be now. */
export const shutdownIsDue = (state: ChannelState): boolean =>
  state.phase === 'shutdown' && state.scripts.remote !== undefined && state.scripts.local === undefined && !updatesPending(state);

export function receiveShutdown({ message }: Command<'ReceiveShutdown'>, state: ChannelState): Decision<ChannelEvent> {
  const { scriptpubkey } = message;
  if (state.phase === 'closing') return accept<ChannelEvent>(); // Repeated after a reconnection.
  if (!isLive(state)) return refuse('unexpected_message', { message: message.type, phase: state.phase }, 'warning');
  const upfront = state.terms.remote.upfront_shutdown_script;
  if (upfront !== undefined && upfront !== '' && upfront !== scriptpubkey) return refuse('upfront_shutdown_script_differs', { expected: upfront, got: scriptpubkey }, 'disconnect');
  if (!isValidShutdownScript(scriptpubkey, { anysegwit: true })) return refuse('invalid_shutdown_script', { scriptpubkey }, 'disconnect');
  const known = scriptsOf(state).remote;
  if (known !== undefined && known !== scriptpubkey) return refuse('shutdown_script_differs', { expected: known, got: scriptpubkey }, 'disconnect');
  return known === undefined ? accept<ChannelEvent>({ type: 'ShutdownReceived', scriptpubkey }) : accept<ChannelEvent>();
}

const scriptsOf = (state: LiveState): ShutdownScripts => (state.phase === 'shutdown' ? state.scripts : {});

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
  if (state.phase !== 'closing') return refuse('unexpected_message', { message: message.type, phase: state.phase }, 'warning');
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

const failed = (code: string, reason: string): Decision<ChannelEvent> => accept<ChannelEvent>({ type: 'ChannelFailed', by: 'local', code, reason });

/** The closing transactions this fee can mean: outputs below either side's dust limit, or a signer's own one, may be left out. */
export function closingVariants(state: Established & { readonly scripts: ShutdownScripts }, fee_satoshis: Sat): readonly ClosingTransaction[] {
  const { terms, funding, commitments, scripts } = state;
  const common = {
    funding_txid: funding.txid,
    funding_output_index: funding.output_index,
    funding_satoshis: terms.funding_satoshis,
    local_funding_pubkey: terms.local.keys.funding_pubkey,
    remote_funding_pubkey: terms.remote.keys.funding_pubkey,
    local_script: scripts.local!,
    remote_script: scripts.remote!,
    local_sat: msatToSat(commitments.local_msat),
    remote_sat: msatToSat(commitments.remote_msat),
    fee_satoshis,
    opener: terms.role === 'opener' ? ('local' as const) : ('remote' as const),
  };
  const built = [
    { dust_limit_satoshis: terms.local.dust_limit_satoshis },
    { dust_limit_satoshis: terms.remote.dust_limit_satoshis },
    { dust_limit_satoshis: terms.remote.dust_limit_satoshis, omit: 'remote' as const },
    { dust_limit_satoshis: terms.local.dust_limit_satoshis, omit: 'local' as const },
  ].map((variant) => buildClosing({ ...common, ...variant }));
  return built.filter((closing) => closing !== undefined);
}

/** The closing transaction of a known txid at this fee: what both sides signed. */
export function closingOf(state: Established & { readonly scripts: ShutdownScripts }, { fee_satoshis, closing_txid }: { fee_satoshis: Sat; closing_txid: Hex32 }): ClosingTransaction | undefined {
  return closingVariants(state, fee_satoshis).find(({ txid }) => txid === closing_txid);
}

/** What we sign for an offer of ours: the variant that leaves out what is dust to us. */
export function ourClosing(state: ClosingState, fee_satoshis: Sat): ClosingTransaction | undefined {
  return closingVariants(state, fee_satoshis)[0];
}

// ---- evolve

export function evolveShutdown(state: LiveState, event: Event<'ShutdownSent'> | Event<'ShutdownReceived'>): ChannelState {
  const side: keyof ShutdownScripts = event.type === 'ShutdownSent' ? 'local' : 'remote';
  const scripts: ShutdownScripts = { ...scriptsOf(state), [side]: event.scriptpubkey satisfies Hex };
  return { ...state, phase: 'shutdown', scripts };
}

/** Both shutdowns have passed and nothing is pending any more: closing_signed may begin. */
export function becomeClosing(state: ChannelState): ChannelState {
  if (state.phase !== 'shutdown' || !isQuiet(state)) return state;
  const { local, remote } = state.scripts;
  return local === undefined || remote === undefined ? state : { ...state, phase: 'closing', scripts: { local, remote }, offers: [] };
}

const isQuiet = ({ commitments }: LiveState): boolean =>
  commitments.htlcs.length === 0 && commitments.fees.every((fee) => isIrrevocablyAdded(fee.state)) && !commitments.remote.awaiting_revocation;

export function evolveClosingSigned(state: ClosingState, event: Event<'ClosingSignedSent'> | Event<'ClosingSignedReceived'>): ChannelState {
  const { fee_satoshis, fee_range } = event;
  const offer: ClosingOffer = event.type === 'ClosingSignedSent' ? { by: 'local', fee_satoshis, fee_range } : { by: 'remote', fee_satoshis, fee_range, signature: event.signature };
  return { ...state, offers: [...state.offers, offer] };
}

export function evolveClosingAgreed(state: ClosingState, { fee_satoshis, closing_txid }: Event<'ClosingAgreed'>): ChannelState {
  const theirs = state.offers.findLast((offer) => offer.by === 'remote' && offer.fee_satoshis === fee_satoshis);
  return { ...state, agreed: { fee_satoshis, closing_txid, signature: theirs!.signature! } };
}
