/** Who a simulated machine is: a seed from its name, and what derives from it. */
import { createSigner } from '../../../src/adapters/signer/local-signer.ts';
import { createHdKeys, type HdKeys } from '../../../src/adapters/wallet/hd-keys.ts';
import { fromHex } from '../../../src/bolt/primitives.ts';
import { hash } from '../words.ts';

export const NETWORK = 'bitcoin-regtest';

export const seedOf = (name: string): Uint8Array => fromHex(hash(`seed of ${name}`));
export const signerOf = (name: string) => createSigner(seedOf(name), { network: NETWORK });

/** The wallet's keys take a while to derive, and every life has the same. */
const derived = new Map<string, HdKeys>();

export function keysOf(name: string): HdKeys {
  const keys = derived.get(name) ?? createHdKeys(seedOf(name), NETWORK);
  derived.set(name, keys);
  return keys;
}
