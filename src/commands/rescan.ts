/** Spends that came before we knew of a channel: the chain is read again from the node's first block, for restored channels alone. */
import { parseTx } from '../bolt/03-transactions/tx-parse.ts';
import type { BlockHeight } from '../bolt/primitives.ts';
import { hasLostData } from '../domain/channel/recovery.ts';
import { isEstablished, type EstablishedState } from '../domain/channel/state.ts';
import type { Chain } from '../domain/ports.ts';
import type { ChannelLoop } from './channel-loop.ts';
import type { Channels } from './channels.ts';

export interface RescanOptions {
  readonly chain: Pick<Chain, 'follow' | 'tip' | 'unspentOutput'>;
  readonly channels: Channels;
  /** First block that can concern the node. */
  readonly fromHeight: BlockHeight;
  readonly log: (line: string) => void;
}

const outpoint = (txid: string, index: number): string => `${txid}:${index}`;

/** Resolves when each channel that waits for its peer's close has been told of one that is in a block already. */
export async function findEarlierSpends({ chain, channels, fromHeight, log }: RescanOptions): Promise<void> {
  const lost = new Map<string, ChannelLoop>();
  for (const loop of channels.all()) {
    const { state } = loop;
    if (!waitsForClose(state)) continue;
    const { txid, output_index } = state.funding;
    if ((await chain.unspentOutput({ txid, index: output_index })) === undefined) lost.set(outpoint(txid, output_index), loop);
  }
  if (lost.size === 0) return;
  const { height: tip } = await chain.tip();
  log(`reading blocks ${fromHeight} to ${tip} again for the ends of ${lost.size} channels`);
  await readBlocks(chain, fromHeight, tip, lost);
}

const waitsForClose = (state: ChannelLoop['state']): state is EstablishedState =>
  isEstablished(state) && state.phase === 'resolving' && hasLostData(state) && state.spend === undefined;

function readBlocks(chain: RescanOptions['chain'], fromHeight: BlockHeight, tip: BlockHeight, lost: Map<string, ChannelLoop>): Promise<void> {
  if (fromHeight > tip) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const unfollow = chain.follow(fromHeight, async (event) => {
      if (event.type !== 'block_connected') return;
      const { height, transactions } = event.block;
      try {
        for (const { txid, transaction } of transactions) {
          for (const input of parseTx(transaction).inputs) {
            const loop = lost.get(outpoint(input.txid, input.index));
            if (loop === undefined) continue;
            lost.delete(outpoint(input.txid, input.index));
            await loop.run({ type: 'ReceiveBlock', height: tip, funding_spend: { txid, transaction, block_height: height } });
          }
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
