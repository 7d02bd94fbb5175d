/** What the chain itself holds, added up from its blocks: every satoshi must be in a wallet, in a channel or in an anchor. */
import { FAUCET_SCRIPT } from '../adapters/chain/faucet.ts';
import { ANCHOR_SAT } from '../bolt/03-transactions/fees.ts';
import { parseTx } from '../bolt/03-transactions/tx-parse.ts';
import type { Sat } from '../bolt/primitives.ts';
import { isEstablished } from '../domain/channel/state.ts';
import { mustBe } from './waiting.ts';
import type { Network } from './network.ts';

/** Unspent outputs that are not the faucet's, sat. */
export function moneyOnChain({ chain }: Pick<Network, 'chain'>, height: number): { readonly total: bigint; readonly anchors: bigint } {
  const unspent = new Map<string, Sat>();
  for (let at = 1; at <= height; at++) {
    for (const { transaction } of chain.blockAt(at)!.transactions) take(unspent, transaction);
  }
  const values = [...unspent.values()];
  const sum = (some: readonly bigint[]): bigint => some.reduce((total, value) => total + value, 0n);
  return { total: sum(values), anchors: sum(values.filter((value) => value === ANCHOR_SAT)) };
}

function take(unspent: Map<string, Sat>, transaction: string): void {
  const { txid, inputs, outputs } = parseTx(transaction);
  for (const input of inputs) unspent.delete(`${input.txid}:${input.index}`);
  for (const [index, { value, script_pubkey }] of outputs.entries()) {
    const isPlain = script_pubkey !== FAUCET_SCRIPT && value > 0n;
    if (isPlain) unspent.set(`${txid}:${index}`, value);
  }
}

/** Throws PlaygroundError when the nodes' logs and the chain do not add up. Nothing may wait in the mempool. */
export async function compareWithChain(network: Network): Promise<void> {
  const { height } = await network.chain.tip();
  const { total, anchors } = moneyOnChain(network, height);
  const wallets = await Promise.all(network.all().map((node) => node.wallet.balance()));
  const inWallets = wallets.reduce((sum, { total_sat }) => sum + total_sat, 0n);
  mustBe('wallets, channels and anchors together, sat', total, inWallets + inChannels(network) + anchors);
}

/** Capacities of the channels whose funding output is unspent; each counted at its opener, sat. */
function inChannels(network: Network): bigint {
  const states = network.all().flatMap((node) => node.channels().map(({ state }) => state));
  const open = states.filter(isEstablished).filter((state) => state.terms.role === 'opener' && !('spend' in state && state.spend !== undefined));
  return open.reduce((sum, { terms }) => sum + terms.funding_satoshis, 0n);
}
