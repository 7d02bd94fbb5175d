/** Both chains under the same stories: the one inside the process, and a real daemon with and without its transaction index. */
import { openBitcoindChain } from '../../src/adapters/chain/bitcoind/chain.ts';
import { createRegtestChain } from '../../src/adapters/chain/regtest.ts';
import { startLitecoind } from '../support/litecoind.ts';
import { type ChainWorld, describeChain } from './contract.ts';
import { describeWithLitecoind } from './with-litecoind.ts';

describeChain('the chain inside the process', async () => {
  const chain = createRegtestChain({ onListenerError: () => undefined });
  return {
    chain,
    knowsAll: true,
    mine: async (blocks) => void chain.mineBlocks(blocks),
    pay: async (script, value) => chain.fund(script, value).txid,
    reorg: async (depth) => void chain.reorg(depth),
    settled: () => chain.settled(),
    stop: () => chain.close(),
  };
});

describeWithLitecoind('litecoind', () => {
  describeChain('with txindex', () => worldOfLitecoind(['-txindex=1']));
  describeChain('without txindex', () => worldOfLitecoind(['-txindex=0']));
});

async function worldOfLitecoind(flags: readonly string[]): Promise<ChainWorld> {
  const daemon = await startLitecoind({ flags });
  const { url, cookieFile } = daemon;
  const chain = await openBitcoindChain({ url, cookieFile, network: 'litecoin-regtest', pollMs: 100_000, onListenerError: () => undefined });
  // As a node does: without an index, transactions are found in the blocks that pass by.
  chain.follow((await chain.tip()).height, () => undefined);
  return {
    chain,
    knowsAll: flags.includes('-txindex=1'),
    mine: async (blocks) => void (await daemon.mine(blocks)),
    pay: daemon.pay,
    reorg: async (depth) => daemon.invalidate(await daemon.hashAt((await daemon.height()) - depth + 1)),
    settled: () => chain.refresh(),
    async stop() {
      await chain.close();
      await daemon.stop();
    },
  };
}
