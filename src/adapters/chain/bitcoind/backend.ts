/** Which chain is behind the RPC, and how far it has come: asked before anything it says is believed. */
import type { Network } from '../../../bolt/networks.ts';
import type { Hex32 } from '../../../bolt/primitives.ts';
import type { ChainTip } from '../../../domain/ports.ts';
import { chainInfo, type ChainInfo, hash, indexInfo } from './answers.ts';
import { ChainError, isRefusal } from './errors.ts';
import type { Rpc } from './rpc.ts';

/** `stand-in`: another regtest's blocks under this network's name. */
export type Genesis = 'own' | 'stand-in';

export interface Backend {
  /** The tip of a backend that is ours and has all its blocks. Throws ChainError `chain_wrong_network` or `chain_behind`. */
  tip(): Promise<ChainTip>;
  /** The connection was lost: whoever answers next has to say again which chain it is. */
  doubt(): void;
  /** The oldest block that a pruned backend still has; 0 for one that keeps all. */
  readonly oldestHeight: number;
  readonly hasTxIndex: boolean;
}

/** A backend this much behind the headers it knows of is still downloading, blocks. */
const BEHIND_BLOCKS = 12;
/** RPC_METHOD_NOT_FOUND: before version 0.21. */
const METHOD_NOT_FOUND = -32601;

export function createBackend(rpc: Rpc, network: Network, genesis: Genesis): Backend {
  let standIn: Hex32 | undefined;
  let trusted = false;
  let oldestHeight = 0;
  let hasTxIndex = false;

  async function identify(info: ChainInfo): Promise<void> {
    const found = await rpc.call('getblockhash', [0], hash);
    const expected = genesis === 'own' ? network.genesis_hash : expectedStandIn(info, found);
    if (found !== expected) {
      throw new ChainError('chain_wrong_network', `${rpc.host} is on another chain: expected the genesis block ${expected} of ${network.name}, got ${found} (it calls itself "${info.chain}")`);
    }
    hasTxIndex = await findTxIndex(rpc);
    trusted = true;
  }

  /** The first answer names the stand-in; from then on it must be the same. */
  function expectedStandIn({ chain }: ChainInfo, found: Hex32): Hex32 {
    if (chain !== 'regtest') throw new ChainError('chain_wrong_network', `only a regtest may stand in for ${network.name}: expected "regtest", got "${chain}"`);
    return (standIn ??= found);
  }

  return {
    get oldestHeight() { return oldestHeight; },
    get hasTxIndex() { return hasTxIndex; },
    doubt: () => void (trusted = false),
    async tip() {
      const info = await rpc.call('getblockchaininfo', [], chainInfo);
      if (!trusted) await identify(info);
      oldestHeight = info.pruned ? info.pruneheight ?? 0 : 0;
      if (!isRegtest(network)) checkCaughtUp(info, rpc.host);
      return { height: info.blocks, block_hash: info.bestblockhash };
    },
  };
}

/** Throws ChainError `chain_settings` where a stand-in would put money on a chain that is not the announced one. */
export function checkGenesisSetting(network: Network, genesis: Genesis): void {
  if (genesis === 'stand-in' && !isRegtest(network)) {
    throw new ChainError('chain_settings', `genesis: expected "own" on ${network.name}, got "stand-in": another chain may stand in for a regtest only`);
  }
}

export const isRegtest = ({ name }: Network): boolean => name.endsWith('-regtest');

/** On a regtest blocks are old, and headers of taken-back blocks stay known: neither says anything there. */
function checkCaughtUp({ blocks, headers, initialblockdownload }: ChainInfo, host: string): void {
  if (!initialblockdownload && headers - blocks <= BEHIND_BLOCKS) return;
  const why = initialblockdownload ? 'it is in its initial block download' : `at most ${BEHIND_BLOCKS} may be missing`;
  throw new ChainError('chain_behind', `${host} is behind: it has ${blocks} blocks of ${headers}; ${why}`);
}

async function findTxIndex(rpc: Rpc): Promise<boolean> {
  try {
    return (await rpc.call('getindexinfo', ['txindex'], indexInfo)).txindex?.synced === true;
  } catch (error) {
    if (isRefusal(error, METHOD_NOT_FOUND)) return false;
    throw error;
  }
}
