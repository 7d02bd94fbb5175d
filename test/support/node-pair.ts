/** Two whole nodes in this process on one in-process chain: the shortest way to a channel that pays. */
import type { RegtestChain } from '../../src/adapters/chain/regtest.ts';
import { msat, sat, type Msat, type Sat } from '../../src/bolt/primitives.ts';
import type { PaymentResult } from '../../src/commands/pay.ts';
import type { StreamId } from '../../src/events/store.ts';
import { startNode, type NodeOptions, type OpenChannelRequest, type RunningNode } from '../../src/main.ts';

export type PairNodeOptions = Partial<Omit<NodeOptions, 'name' | 'dataDir' | 'chain'>>;

export async function startPair(chain: RegtestChain, dataDir: string, options: PairNodeOptions = {}): Promise<{ alice: RunningNode; bob: RunningNode }> {
  const start = (name: string) => startNode({ name, dataDir, network: 'bitcoin-regtest', chain, ...options });
  const [alice, bob] = await Promise.all([start('alice'), start('bob')]);
  return { alice, bob };
}

/** Gives a node's wallet a confirmed coin. */
export async function fundWallet(chain: RegtestChain, node: RunningNode, amount: Sat = sat(300_000_000n)): Promise<void> {
  chain.fund((await node.wallet.address('test')).script_pubkey, amount);
  chain.mineBlocks(6);
  await chain.settled();
}

/** Funds the opener, connects, opens, confirms; resolves when both sides can use the channel. */
export async function openChannelBetween(chain: RegtestChain, opener: RunningNode, accepter: RunningNode, request: Partial<OpenChannelRequest> = {}): Promise<StreamId> {
  await fundWallet(chain, opener);
  if (!opener.peers().includes(accepter.node_id)) await opener.connect(accepter);
  const stream = await opener.openChannel({ peer_id: accepter.node_id, funding_satoshis: sat(200_000_000n), ...request });
  await until('the funding transaction is sent', () => chain.mempool().length > 0);
  chain.mineBlocks(6);
  await chain.settled();
  const scid = () => opener.channels().find((channel) => channel.stream === stream);
  await until('both sides can use the channel', () => scid()?.usable === true && accepter.channels().some(({ usable }) => usable));
  return stream;
}

/** Pays fresh invoices, so many at once. Throws on the first that fails. */
export async function payMany(payer: RunningNode, payee: RunningNode, count: number, inFlight: number, amount: Msat = msat(1_000_000n)): Promise<readonly PaymentResult[]> {
  const results: PaymentResult[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next++ < count) {
      const invoice = await payee.createInvoice({ amount_msat: amount, description: 'test' });
      if (invoice.status !== 'created') throw new Error(invoice.refusal.code);
      const result = await payer.pay({ bolt11: invoice.bolt11 });
      if (result.status !== 'succeeded') throw new Error(`a payment ${result.status}: ${result.status === 'failed' ? result.reason : result.refusal.code}`);
      results.push(result);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return results;
}

/** Polls every 5 ms, for 20 s at most; then throws, naming what did not come. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 4000; tries += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`within 20 s: ${what}`);
}
