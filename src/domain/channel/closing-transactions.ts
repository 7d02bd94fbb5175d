/** BOLT 3, "Legacy Closing Transaction" and "Closing Transaction": a channel's state and a fee to the transactions that end it together. */
import { buildClosing, buildSimpleClosing, type ClosingTransaction } from '../../bolt/03-transactions/closing-tx.ts';
import { msatToSat, type Hex, type Hex32, type Sat } from '../../bolt/primitives.ts';
import type { ClosingOutputs } from '../../events/channel/simple-close.ts';
import type { ClosingTerms, Established, ShutdownScripts } from './state.ts';

/** What every variant spends and pays. */
const common = ({ terms, funding, commitments }: Established, local_script: Hex, remote_script: Hex) => ({
  funding_txid: funding.txid,
  funding_output_index: funding.output_index,
  funding_satoshis: terms.funding_satoshis,
  local_funding_pubkey: terms.local.keys.funding_pubkey,
  remote_funding_pubkey: terms.remote.keys.funding_pubkey,
  local_script,
  remote_script,
  local_sat: msatToSat(commitments.local_msat),
  remote_sat: msatToSat(commitments.remote_msat),
});

/** The closing transactions this fee can mean: outputs below either side's dust limit, or a signer's own one, may be left out. */
export function closingVariants(state: Established & { readonly scripts: ShutdownScripts }, fee_satoshis: Sat): readonly ClosingTransaction[] {
  const { terms, scripts } = state;
  const opener = terms.role === 'opener' ? ('local' as const) : ('remote' as const);
  const built = [
    { dust_limit_satoshis: terms.local.dust_limit_satoshis },
    { dust_limit_satoshis: terms.remote.dust_limit_satoshis },
    { dust_limit_satoshis: terms.remote.dust_limit_satoshis, omit: 'remote' as const },
    { dust_limit_satoshis: terms.local.dust_limit_satoshis, omit: 'local' as const },
  ].map((variant) => buildClosing({ ...common(state, scripts.local!, scripts.remote!), fee_satoshis, opener, ...variant }));
  return built.filter((closing) => closing !== undefined);
}

/** The closing transaction of a known txid at this fee: what both sides signed. */
export function closingOf(state: Established & { readonly scripts: ShutdownScripts }, { fee_satoshis, closing_txid }: { fee_satoshis: Sat; closing_txid: Hex32 }): ClosingTransaction | undefined {
  return closingVariants(state, fee_satoshis).find(({ txid }) => txid === closing_txid);
}

/** What we sign for an offer of ours: the variant that leaves out what is dust to us. */
export function ourClosing(state: Established & { readonly scripts: ShutdownScripts }, fee_satoshis: Sat): ClosingTransaction | undefined {
  return closingVariants(state, fee_satoshis)[0];
}

/** option_simple_close: the transaction of these terms with these outputs; undefined when the closer cannot afford its fee. */
export function simpleClosing(state: Established, { closer, closer_scriptpubkey, closee_scriptpubkey, fee_satoshis, locktime }: ClosingTerms, outputs: ClosingOutputs): ClosingTransaction | undefined {
  const [local_script, remote_script] = closer === 'local' ? [closer_scriptpubkey, closee_scriptpubkey] : [closee_scriptpubkey, closer_scriptpubkey];
  return buildSimpleClosing({ ...common(state, local_script, remote_script), fee_satoshis, closer, locktime, outputs });
}
