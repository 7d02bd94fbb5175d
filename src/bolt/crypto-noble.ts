/** The reference crypto backend: noble in plain JavaScript, the same in Node and in a browser. */
import { chacha20, chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { ed25519 } from '@noble/curves/ed25519.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { hmac } from '@noble/hashes/hmac.js';
import { ripemd160 } from '@noble/hashes/legacy.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import type { CryptoBackend } from './crypto.ts';

const { Point } = secp256k1;
const { Fn } = Point;

const ECDSA = { prehash: false, lowS: true } as const;
const RECOVERABLE = { ...ECDSA, format: 'recovered' } as const;
const ZERO_NONCE = new Uint8Array(12);

export const nobleBackend: CryptoBackend = {
  name: 'noble (JavaScript)',
  sha256,
  sha256Hex: (data) => bytesToHex(sha256(data)),
  ripemd160,
  hmacSha256: (key, data) => hmac(sha256, key, data),
  chacha20poly1305Encrypt: (key, nonce, ad, plaintext) => aead(key, nonce, ad).encrypt(plaintext),
  chacha20poly1305Decrypt,
  chacha20Stream: (key, length) => chacha20(sized('key', key, 32), ZERO_NONCE, new Uint8Array(length)),
  isPrivateKey: (key) => key.length === 32 && secp256k1.utils.isValidSecretKey(key),
  isPoint: (point) => point.length === 33 && secp256k1.utils.isValidPublicKey(point, true),
  publicKey: (privateKey) => secp256k1.getPublicKey(privateKey, true),
  sign: (digest, privateKey) => secp256k1.sign(sized('digest', digest, 32), privateKey, ECDSA),
  verify,
  signRecoverable(digest, privateKey) {
    const recovered = secp256k1.sign(sized('digest', digest, 32), privateKey, RECOVERABLE);
    return { signature: recovered.slice(1), recovery: recovered[0]! };
  },
  recover,
  multiplyPoint: (point, factor) => parsePoint(point).multiply(parseScalar(factor)).toBytes(true),
  tweakPoint: (point, tweak) => pointBytes(parsePoint(point).add(Point.BASE.multiply(parseScalar(tweak)))),
  addPoints: (a, b) => pointBytes(parsePoint(a).add(parsePoint(b))),
  multiplyScalars: (a, b) => scalarBytes(Fn.mul(parseScalar(a), parseScalar(b))),
  addScalars: (a, b) => scalarBytes(Fn.add(parseScalar(a), parseScalar(b))),
  ed25519PublicKey: (seed) => ed25519.getPublicKey(seed),
  ed25519Sign: (message, seed) => ed25519.sign(message, seed),
  ed25519Verify,
};

/** Answers the bytes, or throws where their number is wrong: a bug of ours, as peers' bytes are measured at the door. */
export function sized(name: string, bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length !== length) throw new RangeError(`${name}: expected ${length} bytes, got ${bytes.length}`);
  return bytes;
}

/**
 * True for a canonical Ed25519 key of the prime-order group. Libraries disagree about signatures under any other key,
 * so both backends refuse them first.
 */
export function isEd25519PublicKey(publicKey: Uint8Array): boolean {
  const parsed = parseEd25519(publicKey);
  return parsed !== undefined && !parsed.isSmallOrder() && parsed.isTorsionFree();
}

const aead = (key: Uint8Array, nonce: Uint8Array, ad: Uint8Array) =>
  chacha20poly1305(sized('key', key, 32), sized('nonce', nonce, 12), ad);

function chacha20poly1305Decrypt(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined {
  const cipher = aead(key, nonce, ad);
  if (ciphertext.length < 16) return undefined;
  try {
    return cipher.decrypt(ciphertext);
  } catch {
    return undefined;
  }
}

function verify(signature: Uint8Array, digest: Uint8Array, publicKey: Uint8Array): boolean {
  if (signature.length !== 64 || digest.length !== 32 || publicKey.length !== 33) return false;
  try {
    return secp256k1.verify(signature, digest, publicKey, ECDSA);
  } catch {
    return false;
  }
}

function recover(signature: Uint8Array, recovery: number, digest: Uint8Array): Uint8Array | undefined {
  if (signature.length !== 64 || digest.length !== 32) return undefined;
  try {
    const parsed = secp256k1.Signature.fromBytes(signature, 'compact').addRecoveryBit(recovery);
    return pointBytes(parsed.recoverPublicKey(digest));
  } catch {
    return undefined;
  }
}

function ed25519Verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  if (signature.length !== 64 || !isEd25519PublicKey(publicKey)) return false;
  // With both points in the prime-order group the equation with the cofactor (noble) and the one without (OpenSSL) agree.
  if (parseEd25519(signature.subarray(0, 32))?.isTorsionFree() !== true) return false;
  return ed25519.verify(signature, message, publicKey, { zip215: false });
}

function parseEd25519(bytes: Uint8Array) {
  try {
    return ed25519.Point.fromBytes(bytes, false);
  } catch {
    return undefined;
  }
}

function parsePoint(point: Uint8Array) {
  return Point.fromBytes(sized('point', point, 33));
}

/** A scalar from 1 to the group order less 1. */
function parseScalar(scalar: Uint8Array): bigint {
  const value = Fn.fromBytes(scalar);
  if (Fn.is0(value)) throw new RangeError('a scalar cannot be zero');
  return value;
}

function scalarBytes(scalar: bigint): Uint8Array {
  if (Fn.is0(scalar)) throw new RangeError('the sum of the scalars is zero');
  return Fn.toBytes(scalar);
}

function pointBytes(point: { is0(): boolean; toBytes(compressed: boolean): Uint8Array }): Uint8Array {
  if (point.is0()) throw new RangeError('the sum of the points is the point at infinity');
  return point.toBytes(true);
}
