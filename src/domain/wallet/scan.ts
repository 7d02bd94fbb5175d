/** Reads a block for the wallet: what it pays to our scripts, and which of our coins it spends. */
import { parseTx, type ParsedTx } from '../../bolt/03-transactions/tx-parse.ts';
import type { Hex } from '../../bolt/primitives.ts';
import type { Block } from '../ports.ts';
import type { ReceiveBlock } from './decide.ts';
import { type Branch, type OutPointKey, outPointKey, type WalletState } from './state.ts';

/** Where our keys have a script, or undefined for a stranger's. */
export type PathOf = (script_pubkey: Hex) => { readonly branch: Branch; readonly index: number } | undefined;

/** The command that tells the wallet of a block. */
export function scanBlock(block: Block, state: WalletState, pathOf: PathOf): ReceiveBlock {
  const transactions = block.transactions.map(({ transaction }) => parseTx(transaction));
  const received = transactions.flatMap((tx, position) => paidToUs(tx, position === 0, pathOf));
  const fresh = new Set<OutPointKey>(received.map(outPointKey));
  const ours = (key: OutPointKey) => state.coins.has(key) || fresh.has(key);
  const spent = transactions.flatMap((tx) => spentBy(tx, ours));
  return { type: 'ReceiveBlock', block_height: block.height, block_hash: block.block_hash, received, spent };
}

function paidToUs({ txid, outputs }: ParsedTx, coinbase: boolean, pathOf: PathOf): ReceiveBlock['received'] {
  return outputs.flatMap(({ value, script_pubkey }, output_index) => {
    const path = pathOf(script_pubkey);
    return path === undefined ? [] : [{ txid, output_index, value, script_pubkey, branch: path.branch, index: path.index, coinbase }];
  });
}

function spentBy({ txid, inputs }: ParsedTx, ours: (key: OutPointKey) => boolean): ReceiveBlock['spent'] {
  return inputs.map((input) => ({ txid: input.txid, output_index: input.index, spending_txid: txid })).filter((input) => ours(outPointKey(input)));
}
