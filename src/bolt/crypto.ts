/** Our few crypto verbs. The backend is chosen once at start-up; noble is the reference and the browser's. */
import type { Hex, Hex32, Point, Signature } from './primitives.ts';
import { nobleBackend } from './crypto-noble.ts';

/** What a backend must do. All implementations agree byte for byte (test/property/crypto.test.ts). */
export interface CryptoBackend {
  /** Shown at start, for example `libsecp256k1 (addon)` or `noble (JavaScript)`. */
  readonly name: string;
  sha256(data: Uint8Array): Uint8Array;
  /** The same as hex: with the native backend three times as fast. */
  sha256Hex(data: Uint8Array): Hex;
  ripemd160(data: Uint8Array): Uint8Array;
  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array;
  /** RFC 8439; `nonce` is 12 bytes; answers ciphertext || 16-byte tag. */
  chacha20poly1305Encrypt(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /** Answers undefined when the tag is wrong. */
  chacha20poly1305Decrypt(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined;
  /** The ChaCha20 key stream from counter 0 (BOLT 4, "Pseudo Random Byte Stream": zero nonce of 12 bytes). */
  chacha20Stream(key: Uint8Array, length: number): Uint8Array;
  isPrivateKey(key: Uint8Array): boolean;
  isPoint(point: Uint8Array): boolean;
  /** Compressed public key. Throws on a key out of range. */
  publicKey(privateKey: Uint8Array): Uint8Array;
  /** Deterministic (RFC 6979), low-S, compact 64 bytes. */
  sign(digest: Uint8Array, privateKey: Uint8Array): Uint8Array;
  /** True only for a valid low-S compact signature. Never throws on malformed input. */
  verify(signature: Uint8Array, digest: Uint8Array, publicKey: Uint8Array): boolean;
  signRecoverable(digest: Uint8Array, privateKey: Uint8Array): { signature: Uint8Array; recovery: number };
  recover(signature: Uint8Array, recovery: number, digest: Uint8Array): Uint8Array | undefined;
  /** The compressed shared point, NOT hashed. */
  multiplyPoint(point: Uint8Array, scalar: Uint8Array): Uint8Array;
  /** point + tweak * G. */
  tweakPoint(point: Uint8Array, tweak: Uint8Array): Uint8Array;
  addPoints(a: Uint8Array, b: Uint8Array): Uint8Array;
  /** Scalars are 32 bytes from 1 to the group order less 1; a zero or infinite result throws, as does an operand out of range. */
  multiplyScalars(a: Uint8Array, b: Uint8Array): Uint8Array;
  addScalars(a: Uint8Array, b: Uint8Array): Uint8Array;
  ed25519PublicKey(seed: Uint8Array): Uint8Array;
  ed25519Sign(message: Uint8Array, seed: Uint8Array): Uint8Array;
  ed25519Verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean;
}

let backend: CryptoBackend = nobleBackend;

/** Chooses the backend for this process; called by the composition root (see crypto-native.ts), never by a rule. */
export function useCryptoBackend(chosen: CryptoBackend): void {
  backend = chosen;
}

/** The backend in use. Read it at each call, do not keep it. */
export const crypto = (): CryptoBackend => backend;

/** Bitcoin's double SHA-256. */
export const hash256 = (data: Uint8Array): Uint8Array => backend.sha256(backend.sha256(data));
/** Bitcoin's RIPEMD160(SHA256(data)). */
export const hash160 = (data: Uint8Array): Uint8Array => backend.ripemd160(backend.sha256(data));

export type { Hex32, Point, Signature };
