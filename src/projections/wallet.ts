/** The node's own coins on chain, folded from the wallet stream by the wallet's own rules. */
import type { BlockHeight } from '../bolt/primitives.ts';
import { evolve, initial } from '../domain/wallet/evolve.ts';
import { balanceOf, type WalletBalance, type WalletState } from '../domain/wallet/state.ts';
import type { WalletEvent } from '../events/wallet.ts';
import type { Projection } from './projection.ts';

export type WalletRow = WalletBalance;

export interface WalletView {
  state: WalletState;
  /** The highest block that the wallet speaks of: what ripens by then is ripe. */
  height: BlockHeight;
}

export const wallet: Projection<WalletView, WalletRow> = {
  name: 'wallet',
  initial: () => ({ state: initial, height: 0 }),
  apply(view, { stream, event }) {
    if (stream !== 'wallet') return view;
    const fact = event as WalletEvent;
    view.state = evolve(view.state, fact);
    if (fact.type === 'WalletRolledBack') view.height = fact.to_height;
    else if ('block_height' in fact) view.height = Math.max(view.height, fact.block_height);
    return view;
  },
  rows: ({ state, height }) => balanceOf(state, height),
};
