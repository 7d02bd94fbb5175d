/** Coins that the wallet set aside for a channel that never came to be: given back, after an opening that failed and after a crash. */
import type { Hex32 } from '../bolt/primitives.ts';
import type { StreamId } from '../events/store.ts';
import type { Channels } from './channels.ts';
import { WalletRefusal, type Wallet } from './wallet.ts';

/** Names the wallet's transaction for a channel. */
export const fundingPurpose = (stream: StreamId): string => `funding ${stream}`;

/** Gives back the coins of a funding transaction that was never broadcast. */
export async function reclaimFunding(wallet: Wallet, stream: StreamId, reason: string): Promise<void> {
  const lost = (await wallet.unconfirmed()).find(({ purpose }) => purpose === fundingPurpose(stream));
  if (lost !== undefined) await giveBack(wallet, lost.txid, reason);
}

/** Two may find the same one lost, and one goes with the parent whose change it spends: the second time there is nothing left to do. */
async function giveBack(wallet: Wallet, txid: Hex32, reason: string): Promise<void> {
  await wallet.abandon(txid, reason).catch((error: unknown) => {
    if (!(error instanceof WalletRefusal && error.code === 'unknown_transaction')) throw error;
  });
}

/** After a crash between the wallet's transaction and the channel's fact of it. */
export async function reclaimLost(wallet: Wallet, channels: Channels): Promise<void> {
  for (const { purpose, txid } of await wallet.unconfirmed()) {
    const stream = purpose.startsWith('funding ') ? purpose.slice('funding '.length) : undefined;
    if (stream === undefined) continue;
    const phase = channels.get(stream)?.state.phase ?? 'abandoned';
    if (phase === 'abandoned') await giveBack(wallet, txid, 'the opening it was for did not survive a restart');
  }
}
