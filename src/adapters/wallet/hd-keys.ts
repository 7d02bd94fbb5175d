/** The wallet's keys: BIP 84 from the seed, m/84'/coin'/0'/branch/index, so that any wallet program can recover the coins. */
import { hmac } from '@noble/hashes/hmac.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { HDKey } from '@scure/bip32';
import { p2wpkh, p2wpkhScriptCode } from '../../bolt/03-transactions/scripts.ts';
import { derSignature, type UnsignedTx, type Witness, witnessSighasher } from '../../bolt/03-transactions/tx.ts';
import { encodeAddress } from '../../bolt/address.ts';
import { crypto } from '../../bolt/crypto.ts';
import { NETWORKS, type NetworkName } from '../../bolt/networks.ts';
import { concatBytes, type Hex, type Point, type Sat, type Signature, toPoint, toSignature } from '../../bolt/primitives.ts';

export interface KeyPath {
  readonly branch: 'receive' | 'change';
  readonly index: number;
}

/** Shows scripts and addresses, and signs with keys that it never shows. */
export interface HdKeys {
  script(path: KeyPath): Hex;
  address(path: KeyPath): string;
  /** The witnesses of a transaction whose inputs are P2WPKH coins of these keys; SIGHASH_ALL, BIP 143. */
  sign(tx: UnsignedTx, coins: readonly (KeyPath & { readonly value: Sat })[]): readonly Witness[];
  /** The signature of one input in a transaction that is not the wallet's alone, and the key that goes with it. */
  signDigest(path: KeyPath, sighash: Uint8Array): { readonly signature: Signature; readonly pubkey: Point };
}

const BRANCH = { receive: 0, change: 1 } as const;
/** Keys kept, of the addresses that were asked for. */
const MAX_KNOWN = 100_000;

export function createHdKeys(seed: Uint8Array, network: NetworkName): HdKeys {
  const { coin_type } = NETWORKS[network];
  const account = HDKey.fromMasterSeed(seed).derive(`m/84'/${coin_type}'/0'`);
  const branches = { receive: account.deriveChild(BRANCH.receive), change: account.deriveChild(BRANCH.change) };
  const known = new Map<string, Point>();

  const pubkey = ({ branch, index }: KeyPath): Point => {
    const name = `${branch}/${index}`;
    const found = known.get(name) ?? toPoint(childPublicKey(branches[branch], index));
    if (known.size < MAX_KNOWN) known.set(name, found);
    return found;
  };
  const script = (path: KeyPath) => p2wpkh(pubkey(path));

  const signDigest = (path: KeyPath, sighash: Uint8Array) =>
    ({ signature: toSignature(crypto().sign(sighash, childPrivateKey(branches[path.branch], path.index))), pubkey: pubkey(path) });

  return {
    script,
    address: (path) => encodeAddress(script(path), network),
    sign(tx, coins) {
      if (coins.length !== tx.inputs.length) throw new RangeError(`the transaction has ${tx.inputs.length} inputs, got ${coins.length} coins`);
      const sighash = witnessSighasher(tx);
      return coins.map((coin, i) => {
        const { signature, pubkey: key } = signDigest(coin, sighash(i, p2wpkhScriptCode(pubkey(coin)), coin.value));
        return [derSignature(signature), key];
      });
    },
    signDigest,
  };
}

// BIP 32's last step, with our own curve arithmetic: a wallet looks at many addresses, and the library takes 2 ms for each.

const childPublicKey = (parent: HDKey, index: number): Uint8Array => crypto().tweakPoint(parent.publicKey!, tweakOf(parent, index));

const childPrivateKey = (parent: HDKey, index: number): Uint8Array => crypto().addScalars(parent.privateKey!, tweakOf(parent, index));

function tweakOf({ chainCode, publicKey }: HDKey, index: number): Uint8Array {
  if (!Number.isInteger(index) || index < 0 || index >= HARDENED) throw new RangeError(`an address index is from 0 to ${HARDENED - 1}, got ${index}`);
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, index);
  return hmac(sha512, chainCode!, concatBytes(publicKey!, bytes)).subarray(0, 32);
}

const HARDENED = 2 ** 31;
