/** BOLT 2, "Closing Negotiation", and BOLT 5 for the auditor: each ending pays what the last state says. */
import { buildSweep, NO_DELAY } from '../../bolt/03-transactions/claim-tx.ts';
import { verifyClosing } from '../../bolt/03-transactions/closing-tx.ts';
import { fundingScript } from '../../bolt/03-transactions/scripts.ts';
import { parseTx, type ParsedTx } from '../../bolt/03-transactions/tx-parse.ts';
import { fromDer, SIGHASH_ALL, witnessSighash } from '../../bolt/03-transactions/tx.ts';
import { crypto } from '../../bolt/crypto.ts';
import { fromHex, type Hex32, type Signature } from '../../bolt/primitives.ts';
import { closingVariants, simpleClosing } from '../../domain/channel/closing-transactions.ts';
import type { ClosingState } from '../../domain/channel/closing-fee.ts';
import { mutualCloseTxids } from '../../domain/channel/mutual-closes.ts';
import { ourOutput } from '../../domain/channel/old-sweeps.ts';
import type { ClosingTerms, EstablishedState, ShutdownScripts } from '../../domain/channel/state.ts';
import type { ClosingEvent } from '../../events/channel/closing.ts';
import type { SimpleCloseEvent } from '../../events/channel/simple-close.ts';
import { CheckFailed, mustEqual, type Tally } from './report.ts';

type EventOf<T extends (ClosingEvent | SimpleCloseEvent)['type']> = Extract<ClosingEvent | SimpleCloseEvent, { type: T }>;
type Closing = EstablishedState & { readonly scripts: ShutdownScripts };

/** The peer's signature is on a close at the fee it names. */
export function checkClosingSignature(state: Closing, { fee_satoshis, signature }: EventOf<'ClosingSignedReceived'>, tally: Tally): void {
  if (!closingVariants(state, fee_satoshis).some((closing) => verifyClosing(closing, signature))) {
    throw new CheckFailed('wrong_closing_signature', `signature on the close at a fee of ${fee_satoshis} sat`, 'the peer\'s signature', signature);
  }
  tally.signatures_verified += 1;
}

/** The agreed transaction is a close at the agreed fee. */
export function checkAgreement(state: Closing, { fee_satoshis, closing_txid }: EventOf<'ClosingAgreed'>): void {
  const txids = closingVariants(state, fee_satoshis).map(({ txid }) => txid);
  if (!txids.includes(closing_txid)) throw new CheckFailed('closing_txid', `txid of the close at a fee of ${fee_satoshis} sat`, txids[0] ?? 'none', closing_txid);
}

/** option_simple_close: the variant that we signed is a close on the peer's terms, and the peer's signature is on it. */
export function checkClosingSigSent(state: ClosingState, { outputs, closing_txid }: EventOf<'ClosingSigSent'>, tally: Tally): void {
  const { received } = state;
  if (received === undefined) throw new CheckFailed('out_of_place', 'a closing_complete that closing_sig answers', 'one', 'none');
  checkSimpleClose(state, received, { outputs, closing_txid, signature: received.signatures[outputs] }, tally);
}

/** The peer has signed a variant that we proposed. */
export function checkClosingSigReceived(state: ClosingState, { outputs, closing_txid, signature }: EventOf<'ClosingSigReceived'>, tally: Tally): void {
  const proposal = state.closes.proposed.at(-1);
  if (proposal === undefined || !proposal.outputs.includes(outputs)) throw new CheckFailed('closing_outputs', 'outputs of the close that the peer signed', proposal?.outputs.join(' or ') ?? 'a closing_complete of ours', outputs);
  checkSimpleClose(state, proposal, { outputs, closing_txid, signature }, tally);
}

function checkSimpleClose(state: ClosingState, terms: ClosingTerms, { outputs, closing_txid, signature }: Pick<EventOf<'ClosingSigReceived'>, 'outputs' | 'closing_txid'> & { readonly signature: Signature | undefined }, tally: Tally): void {
  const closing = simpleClosing(state, terms, outputs);
  mustEqual('closing_txid', `txid of the close with ${outputs} at a fee of ${terms.fee_satoshis} sat`, closing?.txid, closing_txid);
  if (signature === undefined || !verifyClosing(closing!, signature)) throw new CheckFailed('wrong_closing_signature', `signature on the close ${closing_txid}`, "the peer's signature", signature ?? 'none');
  tally.signatures_verified += 1;
}

/** Commitments the auditor derived before, by owner and number. */
export type KnownCommitments = (owner: 'local' | 'remote', commitment_number: bigint) => Hex32 | undefined;

/** The transaction spends the funding output with both sides' signatures, and is the one its kind names. */
export function checkFundingSpend(state: EstablishedState, event: EventOf<'FundingSpent'>, known: KnownCommitments, tally: Tally): void {
  const tx = parseTx(event.transaction);
  mustEqual('spend_txid', 'txid of the funding spend', event.txid, tx.txid);
  const index = tx.inputs.findIndex((input) => input.txid === state.funding.txid && input.index === state.funding.output_index);
  if (index < 0) throw new CheckFailed('spend_input', 'the spend takes the funding output', `${state.funding.txid}:${state.funding.output_index}`, 'no such input');
  checkBothSigned(state, tx, index, tally);
  const expected = expectedTxid(state, event, known);
  if (expected !== undefined) mustEqual('spend_kind', `txid of a ${event.kind} spend`, expected, event.txid);
  tally.transactions_verified += 1;
}

/** The witness is `0 <sig1> <sig2> <funding script>`, keys in lexicographical order. */
function checkBothSigned({ terms }: EstablishedState, tx: ParsedTx, index: number, tally: Tally): void {
  const keys = [terms.local.keys.funding_pubkey, terms.remote.keys.funding_pubkey].sort();
  const script = fundingScript(keys[0]!, keys[1]!);
  const [, first = '', second = '', given = ''] = tx.witnesses[index] ?? [];
  mustEqual('spend_witness', 'witness script of the funding spend', script, given);
  const sighash = witnessSighash(tx, index, script, terms.funding_satoshis);
  for (const [n, der] of [first, second].entries()) {
    const parsed = fromDer(der);
    const valid = parsed?.sighashType === SIGHASH_ALL && crypto().verify(fromHex(parsed.signature), sighash, fromHex(keys[n]!));
    if (!valid) throw new CheckFailed('wrong_spend_signature', `signature ${n + 1} on the funding spend`, `a signature by ${keys[n]}`, der);
  }
  tally.signatures_verified += 2;
}

function expectedTxid(state: EstablishedState, event: EventOf<'FundingSpent'>, known: KnownCommitments): Hex32 | undefined {
  const number = event.commitment_number;
  switch (event.kind) {
    case 'mutual': {
      const signed = mutualCloseTxids(state);
      return signed.includes(event.txid) ? event.txid : signed[0];
    }
    case 'local':
      return number === undefined ? undefined : known('local', number);
    case 'remote':
    case 'remote_pending':
      return number === undefined ? undefined : known('remote', number);
    // An old number alone cannot tell whose: after a restore it may be one of our own.
    case 'revoked':
      return number === undefined || known('local', number) === event.txid ? undefined : known('remote', number);
    case 'future':
    case 'unknown':
      return undefined;
  }
}

/** A sweep takes the output that is ours, for what it is worth, and pays all but its fee. */
export function checkSweep(state: EstablishedState, event: EventOf<'SweepStarted'>, tally: Tally): void {
  const own = 'spend' in state && state.spend !== undefined ? ourOutput(state, state.spend) : undefined;
  if (own === undefined) throw new CheckFailed('sweep_input', 'a sweep takes an output of ours', 'a commitment on chain with one', 'none');
  for (const input of event.inputs) {
    mustEqual('sweep_input', 'output that the sweep takes', `${own.kind} ${own.input.txid}:${own.input.index}`, `${input.kind} ${input.txid}:${input.output_index}`);
    mustEqual('sweep_value', 'value of the swept output, sat', own.input.value, input.value);
  }
  const { destination_script, feerate_per_kw } = event;
  const sweep = buildSweep({ inputs: [own.input], destination_script, feerate_per_kw });
  mustEqual('sweep_fee', 'fee of the sweep, sat', sweep?.fee_satoshis, event.fee_satoshis);
  mustEqual('sweep_txid', 'txid of the sweep', sweep?.txid, event.sweep_txid);
  tally.transactions_verified += 1;
}

/** BOLT 3: no sweep confirms before its output's delay is over. */
export function checkSweepConfirmed(state: EstablishedState, event: EventOf<'SweepConfirmed'>): void {
  const started = 'sweeps' in state && state.sweeps.some(({ sweep_txid }) => sweep_txid === event.sweep_txid);
  if (!started || state.spend === undefined) throw new CheckFailed('sweep_unknown', 'a sweep of this channel', 'one that was started', event.sweep_txid);
  const { sequence } = ourOutput(state, state.spend)!.input;
  const ripe = state.spend.block_height + (sequence === NO_DELAY ? 0 : sequence);
  if (event.block_height < ripe) throw new CheckFailed('sweep_too_early', 'height of the sweep', `${ripe} or more`, event.block_height);
}
