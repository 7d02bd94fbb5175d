/** A static backup as strangers may keep it: XChaCha20-Poly1305 under a key of the seed. Nothing can be read in it, and nothing changed. */
import { randomBytes } from 'node:crypto';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { concatBytes } from '../../bolt/primitives.ts';

/** `FSCB` and the version of the seal. */
const HEAD = Uint8Array.of(0x46, 0x53, 0x43, 0x42, 1);
const NONCE = 24;
/** What a seal adds, bytes. */
export const SEAL_BYTES = HEAD.length + NONCE + 16;

export interface BackupSeal {
  seal(content: Uint8Array): Uint8Array;
  /** Undefined when the bytes were changed, sealed by another seed, or are no static backup: the three cannot be told apart. */
  unseal(sealed: Uint8Array): Uint8Array | undefined;
}

/** `key`: 32 bytes (derivation.ts, `backup`). */
export function createBackupSeal(key: Uint8Array): BackupSeal {
  return {
    seal(content) {
      const nonce = new Uint8Array(randomBytes(NONCE));
      return concatBytes(HEAD, nonce, xchacha20poly1305(key, nonce, HEAD).encrypt(content));
    },
    unseal(sealed) {
      if (!isSealedBackup(sealed) || sealed.length < SEAL_BYTES) return undefined;
      try {
        return xchacha20poly1305(key, sealed.subarray(HEAD.length, HEAD.length + NONCE), HEAD).decrypt(sealed.subarray(HEAD.length + NONCE));
      } catch {
        return undefined;
      }
    },
  };
}

/** By its first bytes alone. */
export const isSealedBackup = (bytes: Uint8Array): boolean => HEAD.every((byte, index) => bytes[index] === byte);
