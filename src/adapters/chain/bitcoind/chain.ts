/**
 * The Chain port over Bitcoin Core's JSON-RPC (0.19 or newer, and its relatives): blocks by polling, checked and in order. A
 * backend that fails is asked again for ever, and nothing is delivered meanwhile: the node holds on with what it knows.
 */
import { readTx } from '../../../bolt/03-transactions/tx-parse.ts';
import { NETWORKS, type NetworkName } from '../../../bolt/networks.ts';
import type { Hex } from '../../../bolt/primitives.ts';
import type { Chain, OutPoint } from '../../../domain/ports.ts';
import type { OnListenerError } from '../follow.ts';
import { txOut } from './answers.ts';
import { checkGenesisSetting, createBackend, type Genesis, isRegtest } from './backend.ts';
import { createBlockReader } from './blocks.ts';
import { createBroadcast } from './broadcast.ts';
import type { CredentialOptions } from './credentials.ts';
import { createFeerates } from './feerates.ts';
import { createTransactionFinder } from './find-transaction.ts';
import { createFollower, type Follower, type FollowSource } from './follower.ts';
import { createMempoolWatch } from './mempool-watch.ts';
import { createPoller } from './poller.ts';
import { createRpc } from './rpc.ts';

export interface BitcoindOptions extends CredentialOptions {
  /** `http://127.0.0.1:8332`. */
  readonly url: string;
  readonly network: NetworkName;
  /** `stand-in`: this regtest has blocks of its own under the network's name and chain_hash. Refused on any other network. */
  readonly genesis?: Genesis;
  /** Between two looks at the tip and the mempool, in milliseconds; 1000 unless told. */
  readonly pollMs?: number;
  /** For one call, in milliseconds; 30,000 unless told. */
  readonly timeoutMs?: number;
  /** How long to wait at the start for a backend that is down, starting or behind, in milliseconds; 60,000 unless told. */
  readonly patienceMs?: number;
  /** sat per 1000 weight units where there is no estimate; 1000 on regtest, none elsewhere. */
  readonly fallbackFeerate?: number;
  /** One line when the backend fails, and one when it is back. */
  readonly onLog?: (line: string) => void;
  /** Hears of a listener that threw; `onLog` unless told. */
  readonly onListenerError?: OnListenerError;
}

export interface BitcoindChain extends Chain {
  /** Looks at the backend now. Resolves when listeners have worked off what was there to hear. Never rejects. */
  refresh(): Promise<void>;
}

/** Throws ChainError: at once for wrong settings and another network, after `patienceMs` for what might have passed. */
export async function openBitcoindChain(options: BitcoindOptions): Promise<BitcoindChain> {
  const { genesis = 'own', pollMs = 1000, patienceMs = 60_000, onLog = () => undefined } = options;
  const network = NETWORKS[options.network];
  const onListenerError = options.onListenerError ?? ((error) => onLog(`a chain listener failed: ${error instanceof Error ? error.message : String(error)}`));
  checkGenesisSetting(network, genesis);

  const rpc = createRpc(options);
  const backend = createBackend(rpc, network, genesis);
  const blocks = createBlockReader(rpc, backend, (block) => finder.sawBlock(block));
  const finder = createTransactionFinder(rpc, backend, blocks);
  const mempool = createMempoolWatch(rpc, onListenerError, onLog);
  const poller = createPoller({ backend, pollMs, onLook: wakeAll, onLog });
  const source: FollowSource = { ...blocks, tip: poller.tip, onProblem: poller.onProblem };
  const followers = new Set<Follower>();

  async function wakeAll(): Promise<void> {
    for (const follower of followers) follower.wake();
    await mempool.look();
  }

  const gettxout = async ({ txid, index }: OutPoint, countMempool: boolean) => await rpc.call('gettxout', [txid, index, countMempool], txOut);
  const broadcast = createBroadcast(rpc, {
    isConfirmed: async (txid) => (await finder.find(txid)) !== undefined,
    knowsAll: () => backend.hasTxIndex,
    isUnspent: async (outpoint) => (await gettxout(outpoint, false)) !== null,
  });

  async function close(): Promise<void> {
    poller.stop();
    for (const follower of followers) follower.stop();
    rpc.close();
    followers.clear();
  }

  await poller.start(patienceMs).catch(async (error: unknown) => {
    await close();
    throw error;
  });

  return {
    network: network.name,
    chain_hash: network.chain_hash,
    tip: () => backend.tip(),
    follow(fromHeight, onEvent) {
      const follower = createFollower(source, fromHeight, onEvent, onListenerError);
      followers.add(follower);
      follower.wake();
      return () => {
        follower.stop();
        followers.delete(follower);
      };
    },
    onMempoolTransaction: (listener) => mempool.listen(listener),
    confirmedTransaction: (txid) => finder.find(txid),
    async unspentOutput(outpoint) {
      const output = await gettxout(outpoint, true);
      if (output === null) return undefined;
      const { bestblock, confirmations, value, scriptPubKey } = output;
      const tip = confirmations === 0 ? undefined : await blocks.header(bestblock);
      return { value, script_pubkey: scriptPubKey.hex, block_height: tip && tip.height - confirmations + 1 };
    },
    broadcast(transaction) {
      expectOwn(transaction);
      return broadcast(transaction);
    },
    estimateFeerate: createFeerates(rpc, { fallback: options.fallbackFeerate ?? (isRegtest(network) ? 1000 : undefined) }),
    async refresh() {
      await poller.look();
      await Promise.all([...followers].map((follower) => follower.idle()).concat(mempool.idle()));
    },
    close,
  };

  /** What we send we shall ask for. */
  function expectOwn(transaction: Hex): void {
    const tx = readTx(transaction);
    if (tx !== undefined) finder.expect(tx.txid);
  }
}
