/** Words sealed with a passphrase: scrypt (RFC 7914) makes a key of it, XChaCha20-Poly1305 locks them. Its parameters stand beside the words. */
import { randomBytes } from 'node:crypto';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { scrypt } from '@noble/hashes/scrypt.js';
import { fromHex, isHex, toHex, type Hex } from '../../bolt/primitives.ts';

/** Cost of one guess. Memory is 128 * N * r bytes. */
export interface ScryptCost {
  /** A power of 2. */
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

export interface SealedWords extends ScryptCost {
  readonly encryption: 'scrypt-xchacha20poly1305';
  readonly salt: Hex;
  readonly nonce: Hex;
  readonly sealed: Hex;
}

/** 128 MiB and some tenths of a second a guess. */
export const DEFAULT_COST: ScryptCost = { N: 2 ** 17, r: 8, p: 1 };
/** A file may ask for so much at most: 1 GiB. */
const MAX_N = 2 ** 20;

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The same passphrase typed on another keyboard is the same bytes. */
const keyOf = (passphrase: string, salt: Hex, { N, r, p }: ScryptCost): Uint8Array =>
  scrypt(bytesOf(passphrase.normalize('NFKD')), fromHex(salt), { N, r, p, dkLen: 32, maxmem: 2 ** 31 });

/** Parameters are part of what is authenticated: none can be changed in the file. */
const context = (encryption: string, salt: Hex, { N, r, p }: ScryptCost): Uint8Array =>
  bytesOf(`fulgurite-seed/1/${encryption}/${N}/${r}/${p}/${salt}`);

export function sealWords(words: string, passphrase: string, cost: ScryptCost = DEFAULT_COST): SealedWords {
  const encryption = 'scrypt-xchacha20poly1305';
  const [salt, nonce] = [toHex(randomBytes(32)), toHex(randomBytes(24))];
  const cipher = xchacha20poly1305(keyOf(passphrase, salt, cost), fromHex(nonce), context(encryption, salt, cost));
  return { encryption, N: cost.N, r: cost.r, p: cost.p, salt, nonce, sealed: toHex(cipher.encrypt(bytesOf(words))) };
}

/** Undefined when the passphrase is another one, or the file was changed: the two cannot be told apart. */
export function unsealWords({ encryption, salt, nonce, sealed, ...cost }: SealedWords, passphrase: string): string | undefined {
  const cipher = xchacha20poly1305(keyOf(passphrase, salt, cost), fromHex(nonce), context(encryption, salt, cost));
  try {
    return new TextDecoder().decode(cipher.decrypt(fromHex(sealed)));
  } catch {
    return undefined;
  }
}

/** Whether a file's fields are ones that we can open without harm to ourselves. */
export function isSealedWords(content: Partial<SealedWords>): content is SealedWords {
  const { encryption, N = 0, r = 0, p = 0, salt, nonce, sealed } = content;
  const bounded = Number.isInteger(Math.log2(N)) && N >= 2 && N <= MAX_N && r >= 1 && r <= 8 && p >= 1 && p <= 16 && Number.isInteger(r) && Number.isInteger(p);
  return encryption === 'scrypt-xchacha20poly1305' && bounded && isBytes(salt, 32) && isBytes(nonce, 24) && isBytes(sealed);
}

const isBytes = (value: unknown, length?: number): boolean => typeof value === 'string' && isHex(value, length);
