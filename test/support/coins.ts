/** Keys and simple spends for stories on the in-process chain. */
import { p2wpkh, p2wpkhScriptCode } from '../../src/bolt/03-transactions/scripts.ts';
import { derSignature, serialize, type TxOutput, type UnsignedTx, witnessSighash } from '../../src/bolt/03-transactions/tx.ts';
import { crypto } from '../../src/bolt/crypto.ts';
import { type Hex, type Hex32, type Point, type Sat, sat, toPoint, toSignature } from '../../src/bolt/primitives.ts';
import type { RegtestChain } from '../../src/adapters/chain/regtest.ts';

export interface Key {
  readonly secret: Uint8Array;
  readonly point: Point;
  /** P2WPKH. */
  readonly script: Hex;
}

/** The key whose secret is `n` in every byte. */
export function keyNumber(n: number): Key {
  const secret = new Uint8Array(32).fill(n);
  const point = toPoint(crypto().publicKey(secret));
  return { secret, point, script: p2wpkh(point) };
}

/** A P2WPKH output that a key can spend. */
export interface KeyCoin {
  readonly txid: Hex32;
  readonly index: number;
  readonly value: Sat;
  readonly key: Key;
}

export const REPLACEABLE = 0xfffffffd;
export const FINAL = 0xffffffff;

/** Money from the faucet for a key, in a block unless `unconfirmed`. */
export function fundKey(chain: RegtestChain, key: Key, value: bigint, { unconfirmed = false } = {}): KeyCoin {
  const { txid, output_index } = chain.fund(key.script, sat(value));
  if (!unconfirmed) chain.mineBlocks(1);
  return { txid, index: output_index, value: sat(value), key };
}

/** An unsigned transaction from coins to outputs. */
export function draft(coins: readonly KeyCoin[], outputs: readonly TxOutput[], { sequence = REPLACEABLE, locktime = 0, version = 2 } = {}): UnsignedTx {
  return { version, locktime, inputs: coins.map(({ txid, index }) => ({ txid, index, sequence })), outputs };
}

/** The same, signed. */
export function spend(coins: readonly KeyCoin[], outputs: readonly TxOutput[], options: Parameters<typeof draft>[2] = {}): Hex {
  const tx = draft(coins, outputs, options);
  return serialize(tx, coins.map(({ key, value }, i) => [derSignature(signInput(tx, i, p2wpkhScriptCode(key.point), value, key)), key.point]));
}

export const signInput = (tx: UnsignedTx, index: number, script: Hex, value: Sat, key: Key) =>
  toSignature(crypto().sign(witnessSighash(tx, index, script, value), key.secret));

export const pays = (script_pubkey: Hex, value: bigint): TxOutput => ({ script_pubkey, value: sat(value) });

/** The code of a refusal, or `ok`. */
export async function codeOf(result: ReturnType<RegtestChain['broadcast']>): Promise<string> {
  const answer = await result;
  return answer.ok ? 'ok' : answer.code;
}
