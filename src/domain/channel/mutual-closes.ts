/** BOLT 2, "Channel Close": every transaction by which both sides may end a channel together. What was signed once may confirm for ever after. */
import { closingWeight, type ClosingTransaction } from '../../bolt/03-transactions/closing-tx.ts';
import { FEERATE_FLOOR, feeOf } from '../../bolt/03-transactions/fees.ts';
import type { BlockHeight, Hex32, Sat } from '../../bolt/primitives.ts';
import { closingOf, closingVariants, simpleClosing } from './closing-transactions.ts';
import type { Established, MutualCloses, ShutdownScripts, SignedClose } from './state.ts';

/** A state that remembers closes. */
export type Mutual = Established & {
  readonly scripts?: ShutdownScripts;
  readonly closes?: MutualCloses;
  readonly agreed?: { readonly fee_satoshis: Sat; readonly closing_txid: Hex32; readonly signature: SignedClose['signature'] };
};

export const NO_CLOSES: MutualCloses = { legacy_fees: [], proposed: [], signed: [] };

/** A close that both have signed, ready for our signature. */
export interface CompleteClose {
  readonly closing: ClosingTransaction;
  readonly closing_txid: Hex32;
  /** Of the peer. */
  readonly signature: SignedClose['signature'];
  /** What the transaction pays in all, sat. */
  readonly pays: Sat;
}

export const theirs = ({ signed }: MutualCloses): readonly SignedClose[] => signed.filter(({ closer }) => closer === 'remote');

/** Every close that both have signed: what pays most stands first, so that both sides publish the same. */
export function completeCloses(state: Mutual): readonly CompleteClose[] {
  return [...legacyClose(state), ...simpleCloses(state)].sort((a, b) => (a.pays === b.pays ? (a.closing_txid < b.closing_txid ? -1 : 1) : a.pays > b.pays ? -1 : 1));
}

/** Blocks for which a close may be kept from the chain by its locktime, or by us for want of another: about a day. */
export const CLOSE_PATIENCE = 144;

/** Both have signed a close that the chain may take: the peer chooses fee and locktime of its own, and may choose them so that no block ever holds it. */
export function hasTimelyClose(state: Mutual, height: BlockHeight): boolean {
  const { local, remote } = state.scripts ?? {};
  const least = local === undefined || remote === undefined ? 0n : feeOf(FEERATE_FLOOR, closingWeight(local, remote));
  return completeCloses(state).some(({ closing, pays }) => closing.tx.locktime <= height + CLOSE_PATIENCE && pays >= least);
}

/** The order in which they are published: those that the next block may hold come before those that wait for a locktime. */
export function closesToPublish(state: Mutual, height: BlockHeight): readonly CompleteClose[] {
  const waits = ({ closing }: CompleteClose): boolean => closing.tx.locktime > height;
  const all = completeCloses(state);
  return [...all.filter((close) => !waits(close)), ...all.filter(waits)];
}

export const hasCompleteClose = ({ agreed, closes }: Mutual): boolean => agreed !== undefined || (closes?.signed.length ?? 0) > 0;

/** Throws when this txid was never signed by both. */
export function signedCloseOf({ closes }: Mutual, closing_txid: Hex32): SignedClose {
  const found = closes?.signed.find((close) => close.closing_txid === closing_txid);
  if (found === undefined) throw new Error(`both sides have signed no close ${closing_txid}`);
  return found;
}

export const bestClose = (state: Mutual): CompleteClose | undefined => completeCloses(state)[0];

function legacyClose(state: Mutual): CompleteClose[] {
  const { agreed, scripts } = state;
  const closing = agreed === undefined || scripts === undefined ? undefined : closingOf({ ...state, scripts }, agreed);
  return closing === undefined ? [] : [complete(closing, agreed!.signature)];
}

function simpleCloses(state: Mutual): CompleteClose[] {
  return (state.closes?.signed ?? []).flatMap((close) => {
    const closing = simpleClosing(state, close, close.outputs);
    return closing === undefined ? [] : [complete(closing, close.signature)];
  });
}

const complete = (closing: ClosingTransaction, signature: SignedClose['signature']): CompleteClose => ({ closing, closing_txid: closing.txid, signature, pays: closing.fee_satoshis });

/** Every transaction that carries, or may carry, both signatures: also those to whose offer we never heard an answer. */
export function mutualCloseTxids(state: Mutual): readonly Hex32[] {
  const { scripts, closes = NO_CLOSES, agreed } = state;
  const offered = scripts?.local === undefined || scripts.remote === undefined ? [] : closes.legacy_fees.flatMap((fee) => closingVariants({ ...state, scripts }, fee).map(({ txid }) => txid));
  const proposed = closes.proposed.flatMap((own) => own.outputs.map((outputs) => simpleClosing(state, own, outputs)?.txid));
  const known = [...(agreed === undefined ? [] : [agreed.closing_txid]), ...offered, ...proposed, ...closes.signed.map(({ closing_txid }) => closing_txid)];
  return [...new Set(known.filter((txid) => txid !== undefined))];
}

/** Who pays the fee of a mutual close that is on chain: the channel's opener, or the closer of option_simple_close. Undefined when it is none that we signed. */
export function payerOf(state: Mutual, closing_txid: Hex32): 'local' | 'remote' | undefined {
  const { closes = NO_CLOSES, terms } = state;
  const signed = closes.signed.find((close) => close.closing_txid === closing_txid);
  if (signed !== undefined) return signed.closer;
  if (closes.proposed.some((own) => own.outputs.some((outputs) => simpleClosing(state, own, outputs)?.txid === closing_txid))) return 'local';
  if (!mutualCloseTxids(state).includes(closing_txid)) return undefined;
  return terms.role === 'opener' ? 'local' : 'remote';
}
