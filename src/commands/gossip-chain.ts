/** BOLT 7 and the chain: what stands where a short_channel_id points, and when it is spent. */
import { parseTx } from '../bolt/03-transactions/tx-parse.ts';
import type { BlockHeight, Hex32, ShortChannelId } from '../bolt/primitives.ts';
import type { FundingFact } from '../domain/gossip/commands.ts';
import type { Block, Chain, ChainEvent, OutPoint } from '../domain/ports.ts';

export type GossipChain = Pick<Chain, 'tip' | 'follow' | 'unspentOutput' | 'chain_hash'>;

export interface FundingWatch {
  /** Looks it up, and watches it from then on if it is unspent. */
  look(short_channel_id: ShortChannelId): Promise<FundingFact>;
  stop(): void;
}

/** `onSpent` is called once the spend is in a block. */
export async function createFundingWatch(chain: GossipChain, onSpent: (short_channel_id: ShortChannelId, height: BlockHeight) => void): Promise<FundingWatch> {
  const watched = new Map<string, ShortChannelId>();
  const { height } = await chain.tip();
  const stop = chain.follow(height + 1, (event) => {
    if (event.type === 'block_connected') findSpends(event.block);
  });

  function findSpends({ height, transactions }: Block): void {
    if (watched.size === 0) return;
    for (const { transaction } of transactions) {
      for (const { txid, index } of parseTx(transaction).inputs) {
        const scid = watched.get(`${txid}:${index}`);
        if (scid === undefined) continue;
        watched.delete(`${txid}:${index}`);
        onSpent(scid, height);
      }
    }
  }

  return {
    stop,
    async look(short_channel_id) {
      const outpoint = await outpointOf(chain, short_channel_id);
      const output = outpoint === undefined ? undefined : await chain.unspentOutput(outpoint);
      if (outpoint === undefined || output?.block_height === undefined) return { kind: 'missing' };
      watched.set(`${outpoint.txid}:${outpoint.index}`, short_channel_id);
      const { height } = await chain.tip();
      return { kind: 'unspent', script_pubkey: output.script_pubkey, value: output.value, confirmations: height - output.block_height + 1 };
    },
  };
}

async function outpointOf(chain: GossipChain, scid: ShortChannelId): Promise<OutPoint | undefined> {
  const [height, transaction, index] = scid.split('x').map(Number) as [number, number, number];
  const block = await blockAt(chain, height);
  const txid: Hex32 | undefined = block?.transactions[transaction]?.txid;
  return txid === undefined ? undefined : { txid, index };
}

/** The block of a height, or undefined while there is none. */
async function blockAt(chain: GossipChain, height: BlockHeight): Promise<Block | undefined> {
  if (height > (await chain.tip()).height) return undefined;
  return new Promise((resolve) => {
    const stop = chain.follow(height, (event: ChainEvent) => {
      // Also right when `follow` calls back before it returns.
      queueMicrotask(() => stop());
      resolve(event.type === 'block_connected' && event.block.height === height ? event.block : undefined);
    });
  });
}
