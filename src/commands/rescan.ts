/** Spends that came before we knew of a channel: the chain is read again from the node's first block, for restored channels alone. */
import type { BlockHeight } from '../bolt/primitives.ts';
import { hasLostData } from '../domain/channel/recovery.ts';
import { isEstablished, type EstablishedState } from '../domain/channel/state.ts';
import type { OutPoint } from '../domain/outpoint.ts';
import type { Chain } from '../domain/ports.ts';
import type { ChannelLoop } from './channel-loop.ts';
import type { Channels } from './channels.ts';
import { spendsIn } from './onchain/block-spends.ts';

export interface RescanOptions {
  readonly chain: Pick<Chain, 'follow' | 'tip' | 'unspentOutput'>;
  readonly channels: Channels;
  /** First block that can concern the node. */
  readonly fromHeight: BlockHeight;
  readonly log: (line: string) => void;
}

/** Resolves when each channel that waits for its peer's close has been told of one that is in a block already. */
export async function findEarlierSpends({ chain, channels, fromHeight, log }: RescanOptions): Promise<void> {
  const lost = new Map<ChannelLoop, OutPoint>();
  for (const loop of channels.all()) {
    const { state } = loop;
    if (!waitsForClose(state)) continue;
    const { txid, output_index } = state.funding;
    if ((await chain.unspentOutput({ txid, index: output_index })) === undefined) lost.set(loop, { txid, output_index });
  }
  if (lost.size === 0) return;
  const { height: tip } = await chain.tip();
  log(`reading blocks ${fromHeight} to ${tip} again for the ends of ${lost.size} channels`);
  await readBlocks(chain, fromHeight, tip, lost);
}

const waitsForClose = (state: ChannelLoop['state']): state is EstablishedState =>
  isEstablished(state) && state.phase === 'resolving' && hasLostData(state) && state.spend === undefined;

function readBlocks(chain: RescanOptions['chain'], fromHeight: BlockHeight, tip: BlockHeight, lost: Map<ChannelLoop, OutPoint>): Promise<void> {
  if (fromHeight > tip) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const unfollow = chain.follow(fromHeight, async (event) => {
      if (event.type !== 'block_connected') return;
      const { height } = event.block;
      try {
        const { of } = spendsIn(event.block);
        for (const [loop, funding] of lost) {
          const spend = of(funding);
          if (spend === undefined) continue;
          lost.delete(loop);
          await loop.run({ type: 'ReceiveBlock', height: tip, funding_spend: { txid: spend.txid, transaction: spend.transaction, block_height: height } });
        }
      } catch (error) {
        unfollow();
        return reject(error as Error);
      }
      if (height < tip && lost.size > 0) return;
      unfollow();
      resolve();
    });
  });
}
