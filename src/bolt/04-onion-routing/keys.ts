/** BOLT 4, "Key Generation" and "Shared Secret": the secrets and key streams that onions, errors and blinded paths share. */
import { crypto } from '../crypto.ts';
import { type Point, concatBytes, fromHex, toPoint } from '../primitives.ts';

/** The key types of BOLT 4. `ammagext` is the one of attribution data, `blinded_node_id` the one of route blinding. */
export type KeyType = 'rho' | 'mu' | 'um' | 'pad' | 'ammag' | 'ammagext' | 'blinded_node_id';

const encoder = new TextEncoder();

const KEY_TYPES: Readonly<Record<KeyType, Uint8Array>> = {
  rho: encoder.encode('rho'),
  mu: encoder.encode('mu'),
  um: encoder.encode('um'),
  pad: encoder.encode('pad'),
  ammag: encoder.encode('ammag'),
  ammagext: encoder.encode('ammagext'),
  blinded_node_id: encoder.encode('blinded_node_id'),
};

/** HMAC-SHA256 with the key type as key and the secret as message: 32 bytes. */
export const deriveKey = (type: KeyType, secret: Uint8Array): Uint8Array => crypto().hmacSha256(KEY_TYPES[type], secret);

/** BOLT 4, "Pseudo Random Byte Stream", from the key of one type. */
export const keyStream = (type: KeyType, secret: Uint8Array, length: number): Uint8Array =>
  crypto().chacha20Stream(deriveKey(type, secret), length);

/** SHA256 of the compressed shared point. Throws on a point off the curve or a key out of range. */
export function ecdh(publicKey: Uint8Array, privateKey: Uint8Array): Uint8Array {
  return crypto().sha256(crypto().multiplyPoint(publicKey, privateKey));
}

/** BOLT 4, "Blinding Ephemeral Onion Keys": the factor that leads from one hop's ephemeral key to the next one's. */
export const blindingFactor = (ephemeralKey: Uint8Array, sharedSecret: Uint8Array): Uint8Array =>
  crypto().sha256(concatBytes(ephemeralKey, sharedSecret));

/** One hop as the maker of an onion, or of a blinded path, sees it. */
export interface EphemeralHop {
  readonly ephemeral_key: Point;
  readonly ephemeral_secret: Uint8Array;
  readonly shared_secret: Uint8Array;
}

/** The secrets shared with each node in turn, beginning with `secret`. Throws on a node id that is no point. */
export function ephemeralHops(secret: Uint8Array, nodeIds: readonly Point[]): EphemeralHop[] {
  let ephemeral_secret = secret;
  return nodeIds.map((nodeId, index) => {
    const publicKey = crypto().publicKey(ephemeral_secret);
    const shared_secret = ecdh(fromHex(nodeId), ephemeral_secret);
    const hop = { ephemeral_key: toPoint(publicKey), ephemeral_secret, shared_secret };
    if (index < nodeIds.length - 1) {
      ephemeral_secret = crypto().multiplyScalars(ephemeral_secret, blindingFactor(publicKey, shared_secret));
    }
    return hop;
  });
}

/** XORs `stream` into `target`, in place, from `at` on and as far as the shorter of the two reaches. */
export function xorInto(target: Uint8Array, stream: Uint8Array, at = 0): Uint8Array {
  const end = Math.min(target.length, at + stream.length);
  for (let index = at; index < end; index++) target[index] = target[index]! ^ stream[index - at]!;
  return target;
}

/** Compares in a time that depends on the lengths only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let index = 0; index < Math.min(a.length, b.length); index++) difference |= a[index]! ^ b[index]!;
  return difference === 0;
}
