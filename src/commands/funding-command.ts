/** The funding of an opening that both sides agreed on: the wallet makes the transaction, or the opening ends. */
import { fundingScript, p2wsh } from '../bolt/03-transactions/scripts.ts';
import type { ChannelCommand } from '../domain/channel/commands.ts';
import type { Terms } from '../domain/channel/state.ts';
import type { StreamId } from '../events/store.ts';
import type { ChannelContext } from './channel-context.ts';

/** Answers how the opening goes on. */
export async function fundingCommand(stream: StreamId, terms: Terms, context: Pick<ChannelContext, 'fund' | 'feerate'>): Promise<ChannelCommand> {
  const script_pubkey = p2wsh(fundingScript(terms.local.keys.funding_pubkey, terms.remote.keys.funding_pubkey));
  try {
    const { txid, output_index, transaction } = await context.fund({ stream, script_pubkey, amount_sat: terms.funding_satoshis, feerate_per_kw: context.feerate() });
    return { type: 'CreateFunding', funding_txid: txid, funding_output_index: output_index, funding_transaction: transaction };
  } catch (error) {
    return { type: 'AbandonOpening', code: 'funding_failed', reason: (error as Error).message };
  }
}
