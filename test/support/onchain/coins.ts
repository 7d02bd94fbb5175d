/** Coins of nobody's wallet on a world's chain: for thieves and other adversaries. */
import { p2wpkh } from '../../../src/bolt/03-transactions/scripts.ts';
import { crypto } from '../../../src/bolt/crypto.ts';
import { fromHex, type Sat, toPoint } from '../../../src/bolt/primitives.ts';
import type { Key, KeyCoin } from '../coins.ts';
import { hash } from '../words.ts';
import type { World } from './world.ts';

/** The key that belongs to a word. */
export function keyFor(word: string): Key {
  const secret = fromHex(hash(`key for ${word}`));
  const point = toPoint(crypto().publicKey(secret));
  return { secret, point, script: p2wpkh(point) };
}

/** One coin for each word, in a block. */
export async function fundKeys(world: World, words: readonly string[], value: Sat): Promise<readonly KeyCoin[]> {
  if (words.length === 0) return [];
  const keys = words.map(keyFor);
  const txid = await world.daemon.payMany(keys.map(({ script }) => ({ script_pubkey: script, value })));
  await world.mine(1);
  const { outputs } = world.transactions().get(txid)!;
  return keys.map((key) => ({ key, txid, value, index: outputs.findIndex(({ script_pubkey }) => script_pubkey === key.script) }));
}
