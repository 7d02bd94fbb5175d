/** Coins of the wallet for somebody's address: made durable, sent, and sent again with each block until one holds them. */
import { type Hex, type Hex32, type Sat, toHex32 } from '../bolt/primitives.ts';
import type { Chain } from '../domain/ports.ts';
import { SPLIT_PURPOSE, type Wallet } from './wallet.ts';

export interface SendRequest {
  readonly script_pubkey: Hex;
  readonly amount_sat: Sat;
  /** sat per 1000 weight; today's for six blocks unless told. */
  readonly feerate_per_kw?: number;
  /** The same one again sends nothing new. */
  readonly command_id?: Hex32;
}

export interface SentCoins {
  readonly txid: Hex32;
  readonly amount_sat: Sat;
  readonly fee_satoshis: Sat;
}

export interface SenderOptions {
  readonly wallet: Wallet;
  readonly chain: Pick<Chain, 'broadcast'>;
  readonly feerate: () => number;
  readonly entropy: (length: number) => Uint8Array;
  readonly log: (line: string) => void;
}

export interface Sender {
  /** Resolves once the transaction is durable and was handed to the chain. Throws WalletRefusal. */
  send(request: SendRequest): Promise<SentCoins>;
  /** Repeats what no block holds yet. */
  rebroadcast(): Promise<void>;
}

const PURPOSE = 'send ';

export function createSender({ wallet, chain, feerate, entropy, log }: SenderOptions): Sender {
  async function hand(txid: Hex32, transaction: Hex): Promise<void> {
    const result = await chain.broadcast(transaction);
    if (result.ok) return;
    log(`the transaction ${txid} was refused: ${result.code} (${result.reason}); it is tried again with each block`);
  }

  return {
    async send({ script_pubkey, amount_sat, feerate_per_kw = feerate(), command_id = toHex32(entropy(32)) }) {
      const { txid, transaction, fee_satoshis } = await wallet.fund({ purpose: PURPOSE + command_id, script_pubkey, amount_sat, feerate_per_kw, reuse: true, command_id });
      await hand(txid, transaction);
      return { txid, amount_sat, fee_satoshis };
    },
    async rebroadcast() {
      for (const { purpose, txid, transaction } of await wallet.unconfirmed()) if (purpose.startsWith(PURPOSE) || purpose === SPLIT_PURPOSE) await hand(txid, transaction);
    },
  };
}

