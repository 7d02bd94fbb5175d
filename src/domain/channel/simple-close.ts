/** BOLT 2, "Closing Negotiation: closing_complete and closing_sig" (option_simple_close): each side is the closer of a transaction of its own. */
import { closingWeight, verifyClosing } from '../../bolt/03-transactions/closing-tx.ts';
import { FEERATE_FLOOR, feeOf } from '../../bolt/03-transactions/fees.ts';
import { dustLimitOf, scriptKind } from '../../bolt/03-transactions/shutdown-script.ts';
import { msatToSat, type Hex, type Sat, type Signature } from '../../bolt/primitives.ts';
import type { ChannelEvent } from '../../events/channel/index.ts';
import { closingOutputs, type ClosingOutputs, type SimpleCloseEvent } from '../../events/channel/simple-close.ts';
import { accept, refuse, type Decision } from '../decider.ts';
import type { ClosingState } from './closing-fee.ts';
import type { ChannelCommand, CloseFeatures } from './commands.ts';
import { simpleClosing } from './closing-transactions.ts';
import { bestClose, theirs } from './mutual-closes.ts';
import { scriptBreach } from './shutdown-scripts.ts';
import type { ChannelState, ClosingProposal, ClosingTerms, MutualCloses, SignedClose } from './state.ts';

type Command<T extends ChannelCommand['type']> = Extract<ChannelCommand, { type: T }>;
type Event<T extends SimpleCloseEvent['type']> = Extract<SimpleCloseEvent, { type: T }>;

/** Closes of the peer's that we sign for one channel: each one more is another transaction to know for ever. */
const MAX_CLOSES_OF_PEER = 100;
const OUTPUTS = closingOutputs.options;
const NO_FEATURES: CloseFeatures = { anysegwit: true, simple_close: false };

// ---- decide: closing_complete of ours

/** A closing_complete of ours is owed: the first on this connection. */
export const proposalIsDue = (state: ChannelState): state is ClosingState => state.phase === 'closing' && state.proposal === 'due';

/** Without a wish: the close that is due, or nothing when we have too little to pay for one. With one: a higher fee, or another script. */
export function proposeClosing(command: Command<'ProposeClosing'>, state: ChannelState): Decision<ChannelEvent> {
  if (state.phase !== 'closing') return refuse('channel_not_closing', { phase: state.phase });
  if (!command.common.simple_close) return refuse('simple_close_not_negotiated', { expected: 'option_simple_close', got: 'a peer without it' });
  const { wish } = command;
  if (wish === undefined) return proposalIsDue(state) ? accept<ChannelEvent>(...proposalAgain(state, command)) : accept<ChannelEvent>();
  // BOLT 2: "MUST wait until it has received closing_sig first."
  if (state.proposal !== 'done' && state.proposal !== 'due') return refuse('closing_sig_awaited', { expected: state.proposal === 'sent' ? 'closing_sig' : 'shutdown', got: 'nothing from the peer yet' });
  const script = wish.scriptpubkey ?? state.scripts.local;
  const breach = scriptBreach(script, state.terms.local.upfront_shutdown_script, { ...command.common, legacy: wish.scriptpubkey === undefined });
  if (breach !== undefined) return breach;
  if (script !== state.scripts.local && state.closes.legacy_fees.length > 0) return refuse('shutdown_script_differs', { expected: state.scripts.local, got: script });
  return bump(state, command, script);
}

/** What was said before a disconnection is said again as it was: the same transaction. */
function proposalAgain(state: ClosingState, command: Command<'ProposeClosing'>): ChannelEvent[] {
  const said = state.closes.proposed.findLast((own) => own.closer_scriptpubkey === state.scripts.local && own.closee_scriptpubkey === state.scripts.remote);
  if (said !== undefined) return [completeSent(said)];
  const weight = closingWeight(state.scripts.local, state.scripts.remote);
  const [wanted, most] = [firstFee(state, command, weight), affordable(state, state.scripts.local)];
  const fee_satoshis = wanted < most ? wanted : most;
  if (fee_satoshis < feeOf(FEERATE_FLOOR, weight)) return [];
  const proposal = proposalOf(state, state.scripts.local, fee_satoshis, command.locktime);
  return proposal === undefined ? [] : [completeSent(proposal)];
}

/** Who did not ask for the close offers the least that is relayed: it is there in case the peer's own, which pays for its haste, never comes. */
function firstFee({ begun_by, commitments }: ClosingState, { feerate_per_kw, chosen = false }: Command<'ProposeClosing'>, weight: number): Sat {
  const fee = feeAt(feerate_per_kw, weight);
  const peerPays = begun_by === 'remote' && !chosen && msatToSat(commitments.remote_msat) >= fee;
  return peerPays ? feeOf(FEERATE_FLOOR, weight) : fee;
}

/** BIP 125: a replacement pays more than what it replaces, and for its own relay. */
function bump(state: ClosingState, { wish, feerate_per_kw, locktime }: Command<'ProposeClosing'>, script: Hex): Decision<ChannelEvent> {
  const weight = closingWeight(script, state.scripts.remote);
  const best = bestClose(state);
  const least = best === undefined ? feeOf(FEERATE_FLOOR, weight) : ((best.pays + feeOf(FEERATE_FLOOR, weight)) as Sat);
  const wanted = feeAt(wish?.feerate_per_kw ?? feerate_per_kw, weight);
  if (wish?.feerate_per_kw !== undefined && wanted < least) return refuse('closing_fee_too_low', { fee_satoshis: wanted, min_fee_satoshis: least, feerate_per_kw: wish.feerate_per_kw });
  const fee_satoshis = wanted < least ? least : wanted;
  const most = affordable(state, script);
  const proposal = fee_satoshis > most ? undefined : proposalOf(state, script, fee_satoshis, locktime);
  return proposal === undefined ? refuse('closing_fee_unaffordable', { fee_satoshis, max_fee_satoshis: most }) : accept<ChannelEvent>(completeSent(proposal));
}

const feeAt = (feerate_per_kw: number, weight: number): Sat => feeOf(Math.max(feerate_per_kw, FEERATE_FLOOR), weight);

/** The side with less may give its whole output for the fee; the other keeps one that is relayed. */
function affordable(state: ClosingState, script: Hex): Sat {
  const { local_msat, remote_msat } = state.commitments;
  const kept = local_msat < remote_msat ? 0n : (dustLimitOf(script) ?? 0n);
  const most = msatToSat(local_msat) - kept;
  return (most > 0n ? most : 0n) as Sat;
}

function proposalOf(state: ClosingState, closer_scriptpubkey: Hex, fee_satoshis: Sat, locktime: number): ClosingProposal | undefined {
  const said: ClosingTerms = { closer: 'local', closer_scriptpubkey, closee_scriptpubkey: state.scripts.remote, fee_satoshis, locktime };
  const outputs = outputsToSign(state, said);
  return outputs.length === 0 ? undefined : { ...said, outputs };
}

/** BOLT 2: which variants the closer signs. None when no output would be relayed. */
function outputsToSign({ commitments }: ClosingState, { closer_scriptpubkey, closee_scriptpubkey, fee_satoshis }: ClosingTerms): readonly ClosingOutputs[] {
  const { local_msat, remote_msat } = commitments;
  const ours = isDust(closer_scriptpubkey, msatToSat(local_msat) - fee_satoshis);
  const peers = isDust(closee_scriptpubkey, msatToSat(remote_msat));
  if (ours && peers) return [];
  if (local_msat < remote_msat) return peers ? [] : [ours ? 'closee_output_only' : 'closer_and_closee_outputs'];
  if (ours) return [];
  return peers ? ['closer_output_only'] : ['closer_output_only', 'closer_and_closee_outputs'];
}

/** An OP_RETURN output holds nothing, and is relayed all the same. */
const isDust = (script: Hex, value: bigint): boolean => scriptKind(script) !== 'op_return' && value < (dustLimitOf(script) ?? 0n);

const completeSent = ({ closer: _closer, ...said }: ClosingProposal): ChannelEvent => ({ type: 'ClosingCompleteSent', ...said, outputs: [...said.outputs] });

// ---- decide: closing_complete of the peer's

export function receiveClosingComplete({ message, common = NO_FEATURES }: Command<'ReceiveClosingComplete'>, state: ChannelState): Decision<ChannelEvent> {
  // The close reached a block before its message reached us: the chain has said it already.
  if (state.phase === 'resolving' || state.phase === 'closed') return accept<ChannelEvent>();
  if (state.phase !== 'closing' || !common.simple_close) return refuse('unexpected_message', { message: message.type, phase: state.phase, option_simple_close: common.simple_close }, 'warning');
  const breach = termsBreach(message, state, common);
  if (breach !== undefined) return breach;
  const { type: _type, channel_id: _id, tlvs, ...said } = message;
  const proposal: ClosingTerms = { closer: 'remote', ...said };
  const outputs = outputsToAccept(state, message);
  const signature = tlvs[outputs];
  if (signature === undefined) return refuse('closing_signature_missing', { expected: outputs, got: signaturesOf(tlvs).map(([name]) => name).join(' and ') || 'none' }, 'disconnect');
  const closing = simpleClosing(state, proposal, outputs);
  if (closing === undefined || !verifyClosing(closing, signature)) return refuse('invalid_closing_signature', { outputs, fee_satoshis: said.fee_satoshis, closing_txid: closing?.txid ?? 'none' }, 'disconnect');
  const known = theirs(state.closes);
  if (known.length >= MAX_CLOSES_OF_PEER && !known.some(({ closing_txid }) => closing_txid === closing.txid)) return refuse('too_many_closes', { signed: known.length, limit: MAX_CLOSES_OF_PEER }, 'warning');
  return accept<ChannelEvent>({ type: 'ClosingCompleteReceived', ...said, signatures: Object.fromEntries(signaturesOf(tlvs)) }, { type: 'ClosingSigSent', outputs, closing_txid: closing.txid });
}

type Refused = ReturnType<typeof refuse>;

function termsBreach({ fee_satoshis, closer_scriptpubkey, closee_scriptpubkey }: Command<'ReceiveClosingComplete'>['message'], state: ClosingState, common: CloseFeatures): Refused | undefined {
  const { scripts, commitments, terms, closes } = state;
  const balance = msatToSat(commitments.remote_msat);
  if (fee_satoshis > balance) return refuse('closing_fee_exceeds_balance', { fee_satoshis, balance_sat: balance }, 'disconnect');
  // Both changed their scripts at once: a reconnection tells each the other's newest.
  if (closee_scriptpubkey !== scripts.local) return refuse('closee_scriptpubkey_differs', { expected: scripts.local, got: closee_scriptpubkey }, 'disconnect');
  if (closer_scriptpubkey !== scripts.remote && closes.legacy_fees.length > 0) return refuse('shutdown_script_differs', { expected: scripts.remote, got: closer_scriptpubkey }, 'disconnect');
  return scriptBreach(closer_scriptpubkey, terms.remote.upfront_shutdown_script, common, 'disconnect');
}

/** BOLT 2: the variant whose signature the closee takes. Our output stays unless nobody would relay it. */
function outputsToAccept({ commitments }: ClosingState, { closee_scriptpubkey, tlvs }: Command<'ReceiveClosingComplete'>['message']): ClosingOutputs {
  if (isDust(closee_scriptpubkey, msatToSat(commitments.local_msat))) return 'closer_output_only';
  return tlvs.closer_and_closee_outputs === undefined ? 'closee_output_only' : 'closer_and_closee_outputs';
}

type Signatures = Command<'ReceiveClosingComplete'>['message']['tlvs'];

const signaturesOf = (tlvs: Signatures): readonly (readonly [ClosingOutputs, Signature])[] =>
  OUTPUTS.flatMap((outputs) => (tlvs[outputs] === undefined ? [] : [[outputs, tlvs[outputs]] as const]));

// ---- decide: closing_sig

export function receiveClosingSig({ message }: Command<'ReceiveClosingSig'>, state: ChannelState): Decision<ChannelEvent> {
  if (state.phase === 'resolving' || state.phase === 'closed') return accept<ChannelEvent>();
  const ours = state.phase === 'closing' && state.proposal === 'sent' ? state.closes.proposed.at(-1) : undefined;
  if (state.phase !== 'closing' || ours === undefined) return refuse('unexpected_message', { message: message.type, phase: state.phase, expected: 'no closing_sig is awaited' }, 'warning');
  const differs = FIELDS.find((field) => message[field] !== ours[field]);
  if (differs !== undefined) return refuse('closing_sig_differs', { field: differs, expected: ours[differs], got: message[differs] }, 'disconnect');
  const given = signaturesOf(message.tlvs);
  const [[outputs, signature] = []] = given;
  if (given.length !== 1 || outputs === undefined || signature === undefined) return refuse('closing_sig_needs_one_signature', { expected: 1, got: given.length }, 'disconnect');
  if (!ours.outputs.includes(outputs)) return refuse('closing_outputs_not_proposed', { expected: ours.outputs.join(' or '), got: outputs }, 'disconnect');
  const closing = simpleClosing(state, ours, outputs);
  if (closing === undefined || !verifyClosing(closing, signature)) return refuse('invalid_closing_signature', { outputs, fee_satoshis: ours.fee_satoshis, closing_txid: closing?.txid ?? 'none' }, 'disconnect');
  return accept<ChannelEvent>({ type: 'ClosingSigReceived', outputs, closing_txid: closing.txid, signature });
}

// ---- evolve

export function evolveClosingCompleteSent(state: ClosingState, { type: _type, ...said }: Event<'ClosingCompleteSent'>): ChannelState {
  const proposed = [...state.closes.proposed.filter((own) => !sameTerms(own, said)), { closer: 'local', ...said } as const];
  return { ...state, scripts: { ...state.scripts, local: said.closer_scriptpubkey }, closes: { ...state.closes, proposed }, proposal: 'sent' };
}

type Said = Omit<ClosingTerms, 'closer'>;
const FIELDS = ['closer_scriptpubkey', 'closee_scriptpubkey', 'fee_satoshis', 'locktime'] as const satisfies readonly (keyof Said)[];
const sameTerms = (a: Said, b: Said): boolean => FIELDS.every((field) => a[field] === b[field]);

/** BOLT 2: the peer's newest script is the one that our own closing_complete pays from now on. */
export function evolveClosingCompleteReceived(state: ClosingState, { type: _type, ...said }: Event<'ClosingCompleteReceived'>): ChannelState {
  return { ...state, scripts: { ...state.scripts, remote: said.closer_scriptpubkey }, received: { closer: 'remote', ...said } };
}

export function evolveClosingSigSent({ received, ...state }: ClosingState, { outputs, closing_txid }: Event<'ClosingSigSent'>): ChannelState {
  const { signatures, ...said } = received!;
  return { ...state, closes: withClose(state.closes, { ...said, outputs, closing_txid, signature: signatures[outputs]! }) };
}

export function evolveClosingSigReceived(state: ClosingState, { outputs, closing_txid, signature }: Event<'ClosingSigReceived'>): ChannelState {
  const { outputs: _offered, ...said } = state.closes.proposed.at(-1)!;
  return { ...state, closes: withClose(state.closes, { ...said, outputs, closing_txid, signature }), proposal: 'done' };
}

/** The newest stands last; one heard before is not kept twice. */
const withClose = (closes: MutualCloses, close: SignedClose): MutualCloses =>
  ({ ...closes, signed: [...closes.signed.filter(({ closing_txid }) => closing_txid !== close.closing_txid), close] });
