/** What stays in the wallet for claims: with anchors a forced close costs coins that are there, or HTLCs that expire. */
import type { CommitmentFormat } from '../../bolt/03-transactions/fees.ts';
import { type Sat, sat } from '../../bolt/primitives.ts';
import type { ChannelState } from '../../domain/channel/state.ts';
import type { Refusal } from '../../domain/decider.ts';
import type { WalletBalance } from '../../domain/wallet/state.ts';

/** Per channel with anchors that is not over, in sat; for more than ten of them no more is kept. */
export const DEFAULT_ANCHOR_RESERVE = sat(10_000);
const MOST_CHANNELS = 10;

/** The reserve for the channels there are, in sat. `more`: channels with anchors that are to come. */
export function anchorReserve(states: readonly ChannelState[], per_channel: Sat = DEFAULT_ANCHOR_RESERVE, more = 0): Sat {
  const channels = Math.min(states.filter(mayNeedCoins).length + more, MOST_CHANNELS);
  return sat(per_channel * BigInt(channels));
}

const mayNeedCoins = (state: ChannelState): boolean =>
  'terms' in state && state.phase !== 'closed' && state.terms.format === 'anchors_zero_fee_htlc_tx';

/** Said before the peer hears of the channel. What the wallet cannot pay at all it says itself. */
export function reserveBreach(
  { confirmed_sat, pending_sat }: WalletBalance, wish: { readonly funding_satoshis: Sat; readonly format: CommitmentFormat }, states: readonly ChannelState[], per_channel?: Sat,
): { readonly refused: Refusal } | undefined {
  const { funding_satoshis, format } = wish;
  const reserve_sat = anchorReserve(states, per_channel, format === 'anchors_zero_fee_htlc_tx' ? 1 : 0);
  const left_sat = confirmed_sat + pending_sat - funding_satoshis;
  if (left_sat < 0n || left_sat >= reserve_sat) return undefined;
  return { refused: { code: 'anchor_reserve', answer: 'to_caller', detail: { funding_satoshis, left_sat, reserve_sat } } };
}
