/** The wallet stream: addresses handed out, coins that came and went. Stored for ever: add a new type, never change one. */
import { z } from 'zod';
import { count, fact, hex, hex32, sat, text, u16, u32 } from './words.ts';

const branch = z.enum(['receive', 'change']);
const coin = z.strictObject({ txid: hex32, output_index: u16 });

export const walletEvents = [
  /** BIP 84 path m/84'/coin'/0'/branch/index. */
  fact('AddressIssued', { branch, index: count, script_pubkey: hex, purpose: text }),
  /** A block that held something of ours, or one in a hundred: where a restarted wallet finds its place, and sees a reorganisation. */
  fact('BlockScanned', { block_height: u32, block_hash: hex32 }),
  /** `coinbase`: it cannot be spent until 100 blocks deep. */
  fact('CoinReceived', {
    ...coin.shape,
    value: sat,
    script_pubkey: hex,
    branch,
    index: count,
    block_height: u32,
    coinbase: z.boolean(),
  }),
  /** A transaction of ours is owed to the chain; its coins are spoken for. `fee_satoshis` is what it pays. */
  fact('TransactionCreated', {
    txid: hex32,
    purpose: text,
    transaction: hex,
    fee_satoshis: sat,
    inputs: z.array(coin),
  }),
  /**
   * Coins of ours pay for a transaction that is not ours alone; they are spoken for. `transaction` is without any witness,
   * `fee_satoshis` what all of it pays, sat. `replaces`: an earlier one of the same purpose; either may confirm.
   */
  fact('CoinsContributed', {
    txid: hex32,
    purpose: text,
    transaction: hex,
    fee_satoshis: sat,
    feerate_per_kw: u32,
    inputs: z.array(coin),
    replaces: hex32.optional(),
  }),
  /** A transaction that will never be sent gives its coins back. */
  fact('TransactionAbandoned', { txid: hex32, reason: text }),
  fact('CoinSpent', { ...coin.shape, spending_txid: hex32, block_height: u32 }),
  /** A reorganisation took these blocks away: coins and spends above this height are undone. */
  fact('WalletRolledBack', { to_height: u32 }),
] as const;

export type WalletEvent = z.output<(typeof walletEvents)[number]>;
