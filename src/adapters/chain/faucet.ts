/** Pays out what the regtest chain's blocks earned. Its script is one that anybody can spend, so it needs no key. */
import { p2wsh } from '../../bolt/03-transactions/scripts.ts';
import { serialize, type TxInput, txidOf, type UnsignedTx, weightOf } from '../../bolt/03-transactions/tx.ts';
import { type Hex, type Hex32, sat, type Sat } from '../../bolt/primitives.ts';
import { type Coin, type OutPointKey, parseOutPointKey } from './coins.ts';

/** `OP_1`: true without any argument. */
const WITNESS_SCRIPT = '51';
const WITNESS = [WITNESS_SCRIPT];

/** Who earns the blocks that nobody else asked for. */
export const FAUCET_SCRIPT = p2wsh(WITNESS_SCRIPT);

export interface FaucetPayment {
  readonly txid: Hex32;
  readonly output_index: number;
  /** Raw, with witnesses. */
  readonly transaction: Hex;
}

/** Sat a virtual byte, and the smallest change worth making. */
const FEE_PER_VBYTE = 2n;
const MIN_CHANGE = 1000n;

/** A signed payment of `value` sat from the first coins that suffice, or undefined where all of them do not. */
export function payFromFaucet(coins: Iterable<readonly [OutPointKey, Coin]>, script_pubkey: Hex, value: Sat): FaucetPayment | undefined {
  const inputs: TxInput[] = [];
  let left = -BigInt(value);
  for (const [key, coin] of coins) {
    inputs.push({ ...parseOutPointKey(key), sequence: 0xfffffffd });
    left += coin.value;
    const change = left - feeOf(payment(inputs, script_pubkey, value, 0n));
    if (change >= MIN_CHANGE) return signed(payment(inputs, script_pubkey, value, change));
  }
  return undefined;
}

const payment = (inputs: readonly TxInput[], script_pubkey: Hex, value: Sat, change: bigint): UnsignedTx => ({
  version: 2,
  locktime: 0,
  inputs,
  outputs: [{ value, script_pubkey }, { value: sat(change), script_pubkey: FAUCET_SCRIPT }],
});

const feeOf = (tx: UnsignedTx): bigint => (BigInt(weightOf(tx, tx.inputs.map(() => WITNESS)) + 3) / 4n) * FEE_PER_VBYTE;

const signed = (tx: UnsignedTx): FaucetPayment => ({ txid: txidOf(tx), output_index: 0, transaction: serialize(tx, tx.inputs.map(() => WITNESS)) });
