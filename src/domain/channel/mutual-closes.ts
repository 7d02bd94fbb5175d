/** BOLT 2, "Channel Close": every transaction by which both sides may end a channel together. What was signed once may confirm for ever after. */
import type { ClosingTransaction } from '../../bolt/03-transactions/closing-tx.ts';
import type { Hex32, Sat } from '../../bolt/primitives.ts';
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
