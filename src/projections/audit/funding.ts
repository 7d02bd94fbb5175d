/** BOLT 2 and 3 for the auditor: the funding output is where, and worth what, both sides agreed. */
import { channelId } from '../../bolt/02-peer-protocol/opening.ts';
import { fundingScript, p2wsh } from '../../bolt/03-transactions/scripts.ts';
import { parseTx } from '../../bolt/03-transactions/tx-parse.ts';
import { shortChannelId, type Hex, type Hex32 } from '../../bolt/primitives.ts';
import type { EstablishedState } from '../../domain/channel/state.ts';
import type { OpeningEvent } from '../../events/channel/opening.ts';
import { CheckFailed, mustEqual, type Tally } from './report.ts';

type EventOf<T extends OpeningEvent['type']> = Extract<OpeningEvent, { type: T }>;

export function checkChannelId(event: EventOf<'FundingCreatedSent' | 'FundingCreatedReceived'>): void {
  mustEqual('channel_id', 'channel_id', channelId(event.funding_txid, event.funding_output_index), event.channel_id);
}

/** The raw transaction has the txid that is named, and its output pays exactly the negotiated script and amount (safety: no phantom channel). */
export function checkFundingTransaction({ terms }: Pick<EstablishedState, 'terms'>, at: { funding_txid: Hex32; funding_output_index: number; funding_transaction: Hex }, tally: Tally): void {
  const tx = parseTx(at.funding_transaction);
  mustEqual('funding_txid', 'txid of the funding transaction', at.funding_txid, tx.txid);
  const output = tx.outputs[at.funding_output_index];
  if (output === undefined) throw new CheckFailed('funding_output', 'outputs of the funding transaction', `more than ${at.funding_output_index}`, tx.outputs.length);
  mustEqual('funding_amount', 'amount of the funding output, sat', terms.funding_satoshis, output.value);
  mustEqual('funding_script', 'script of the funding output', p2wsh(fundingScript(terms.local.keys.funding_pubkey, terms.remote.keys.funding_pubkey)), output.script_pubkey);
  tally.transactions_verified += 1;
}

/** What the chain confirmed is what was negotiated. */
export function checkConfirmation(state: EstablishedState, event: EventOf<'FundingConfirmed'>, tally: Tally): void {
  mustEqual('funding_txid', 'txid of the confirmed funding', state.funding.txid, event.funding_txid);
  mustEqual('funding_output', 'index of the funding output', state.funding.output_index, event.funding_output_index);
  mustEqual('short_channel_id', 'short_channel_id of the funding output',
    shortChannelId(event.block_height, event.transaction_index, event.funding_output_index), event.short_channel_id);
  checkFundingTransaction(state, event, tally);
}
