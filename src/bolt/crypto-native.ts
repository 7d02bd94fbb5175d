/** The fast crypto backend: libsecp256k1 as an addon for the curve, OpenSSL through node:crypto for the rest. */
import * as openssl from 'node:crypto';
import { createRequire } from 'node:module';
import type Secp256k1 from 'secp256k1';
import { isEd25519PublicKey, nobleBackend, sized } from './crypto-noble.ts';
import { type CryptoBackend, useCryptoBackend } from './crypto.ts';
import { fromHex, toHex } from './primitives.ts';

/**
 * Answers the addon's backend, or undefined where no prebuilt binary fits this machine. The package's main entry would
 * then quietly answer with a slow JavaScript library, so we ask for its bindings and take a failure as the answer.
 */
export async function loadNativeBackend(): Promise<CryptoBackend | undefined> {
  try {
    const bindings = createRequire(import.meta.url)('secp256k1/bindings.js') as typeof Secp256k1;
    return nativeBackend(bindings);
  } catch {
    return undefined;
  }
}

/** Puts the fastest backend that loads to use, and answers it. For the composition root. */
export async function chooseCryptoBackend(): Promise<CryptoBackend> {
  const backend = (await loadNativeBackend()) ?? nobleBackend;
  useCryptoBackend(backend);
  return backend;
}

function nativeBackend(secp: typeof Secp256k1): CryptoBackend {
  return { name: 'libsecp256k1 (addon)', ...hashes(), ...ciphers, ...curve(secp), ...ed25519 };
}

/** `crypto.hash` is new in Node 20.12 and three times as fast as a hash object; older ones use the object. */
function hashes(): Pick<CryptoBackend, 'sha256' | 'sha256Hex' | 'ripemd160' | 'hmacSha256'> {
  const oneShot = (openssl as { hash?: (algorithm: string, data: Uint8Array, encoding: 'hex') => string }).hash;
  const sha256Hex = oneShot
    ? (data: Uint8Array) => oneShot('sha256', data, 'hex')
    : (data: Uint8Array) => openssl.createHash('sha256').update(data).digest('hex');
  const hasRipemd = openssl.getHashes().includes('ripemd160');
  const ripemd160Hex = oneShot
    ? (data: Uint8Array) => oneShot('ripemd160', data, 'hex')
    : (data: Uint8Array) => openssl.createHash('ripemd160').update(data).digest('hex');
  return {
    sha256: (data) => fromHex(sha256Hex(data)),
    sha256Hex,
    ripemd160: hasRipemd ? (data) => fromHex(ripemd160Hex(data)) : nobleBackend.ripemd160,
    hmacSha256: (key, data) => plain(openssl.createHmac('sha256', key).update(data).digest()),
  };
}

const TAG = { authTagLength: 16 } as const;

const ciphers: Pick<CryptoBackend, 'chacha20poly1305Encrypt' | 'chacha20poly1305Decrypt' | 'chacha20Stream'> = {
  chacha20poly1305Encrypt(key, nonce, ad, plaintext) {
    const cipher = openssl.createCipheriv('chacha20-poly1305', sized('key', key, 32), sized('nonce', nonce, 12), TAG);
    cipher.setAAD(ad, { plaintextLength: plaintext.length });
    const sealed = new Uint8Array(plaintext.length + 16);
    sealed.set(cipher.update(plaintext));
    cipher.final();
    sealed.set(cipher.getAuthTag(), plaintext.length);
    return sealed;
  },
  chacha20poly1305Decrypt(key, nonce, ad, ciphertext) {
    const cipher = openssl.createDecipheriv('chacha20-poly1305', sized('key', key, 32), sized('nonce', nonce, 12), TAG);
    const length = ciphertext.length - 16;
    if (length < 0) return undefined;
    cipher.setAAD(ad, { plaintextLength: length });
    cipher.setAuthTag(ciphertext.subarray(length));
    const opened = cipher.update(ciphertext.subarray(0, length));
    try {
      cipher.final();
    } catch {
      return undefined;
    }
    return plain(opened);
  },
  // OpenSSL's ChaCha20 takes counter || nonce as 16 bytes: all zero here.
  chacha20Stream: (key, length) =>
    plain(openssl.createCipheriv('chacha20', sized('key', key, 32), new Uint8Array(16)).update(new Uint8Array(length))),
};

type CurveVerbs =
  | 'isPrivateKey' | 'isPoint' | 'publicKey' | 'sign' | 'verify' | 'signRecoverable' | 'recover'
  | 'multiplyPoint' | 'tweakPoint' | 'addPoints' | 'multiplyScalars' | 'addScalars';

function curve(secp: typeof Secp256k1): Pick<CryptoBackend, CurveVerbs> {
  const isPrivateKey = (key: Uint8Array) => key.length === 32 && secp.privateKeyVerify(key);
  const scalar = (value: Uint8Array): Uint8Array => {
    if (!isPrivateKey(value)) throw new RangeError('a scalar must lie between 1 and the group order less 1');
    return value;
  };
  const sign = (digest: Uint8Array, privateKey: Uint8Array) =>
    secp.ecdsaSign(reduced(sized('digest', digest, 32)), scalar(privateKey));
  return {
    isPrivateKey,
    isPoint: (point) => point.length === 33 && secp.publicKeyVerify(point),
    publicKey: (privateKey) => secp.publicKeyCreate(scalar(privateKey)),
    sign: (digest, privateKey) => sign(digest, privateKey).signature,
    verify(signature, digest, publicKey) {
      if (signature.length !== 64 || digest.length !== 32 || publicKey.length !== 33) return false;
      try {
        return secp.ecdsaVerify(signature, digest, publicKey);
      } catch {
        return false;
      }
    },
    signRecoverable(digest, privateKey) {
      const { signature, recid } = sign(digest, privateKey);
      return { signature, recovery: recid };
    },
    recover(signature, recovery, digest) {
      try {
        return secp.ecdsaRecover(signature, recovery, digest);
      } catch {
        return undefined;
      }
    },
    multiplyPoint: (point, factor) => secp.publicKeyTweakMul(sized('point', point, 33), scalar(factor)),
    tweakPoint: (point, tweak) => secp.publicKeyTweakAdd(sized('point', point, 33), scalar(tweak)),
    addPoints: (a, b) => secp.publicKeyCombine([sized('point', a, 33), sized('point', b, 33)]),
    // The addon works in place, hence the copies.
    multiplyScalars: (a, b) => secp.privateKeyTweakMul(Uint8Array.from(scalar(a)), scalar(b)),
    addScalars: (a, b) => secp.privateKeyTweakAdd(Uint8Array.from(scalar(a)), scalar(b)),
  };
}

const GROUP_ORDER = fromHex('fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141');

/** RFC 6979 feeds the digest modulo the group order into the nonce; libsecp256k1 feeds it as it is. */
function reduced(digest: Uint8Array): Uint8Array {
  if (digest[0] !== 0xff || Buffer.compare(digest, GROUP_ORDER) < 0) return digest;
  const difference = BigInt(`0x${toHex(digest)}`) - BigInt(`0x${toHex(GROUP_ORDER)}`);
  return fromHex(difference.toString(16).padStart(64, '0'));
}

/** Key objects cost more to make than a signature; a node signs with one or two keys and checks a few. */
const CACHED_KEYS = 64;
const signingKeys = new Map<string, openssl.KeyObject>();
const checkingKeys = new Map<string, openssl.KeyObject | undefined>();
const PKCS8_ED25519 = fromHex('302e020100300506032b657004220420');
const SPKI_ED25519 = fromHex('302a300506032b6570032100');

const ed25519: Pick<CryptoBackend, 'ed25519PublicKey' | 'ed25519Sign' | 'ed25519Verify'> = {
  ed25519PublicKey: (seed) =>
    plain(openssl.createPublicKey(signingKey(seed)).export({ format: 'der', type: 'spki' })).subarray(SPKI_ED25519.length),
  ed25519Sign: (message, seed) => plain(openssl.sign(null, message, signingKey(seed))),
  ed25519Verify(signature, message, publicKey) {
    const key = checkingKey(publicKey);
    return key !== undefined && signature.length === 64 && openssl.verify(null, message, key, signature);
  },
};

/** Keyed by the seed's hash, so that no seed becomes a string. */
function signingKey(seed: Uint8Array): openssl.KeyObject {
  const name = openssl.createHash('sha256').update(sized('seed', seed, 32)).digest('hex');
  return cached(signingKeys, name, () =>
    openssl.createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, seed]), format: 'der', type: 'pkcs8' }));
}

function checkingKey(publicKey: Uint8Array): openssl.KeyObject | undefined {
  if (publicKey.length !== 32) return undefined;
  return cached(checkingKeys, toHex(publicKey), () =>
    isEd25519PublicKey(publicKey)
      ? openssl.createPublicKey({ key: Buffer.concat([SPKI_ED25519, publicKey]), format: 'der', type: 'spki' })
      : undefined);
}

function cached<T>(cache: Map<string, T>, name: string, make: () => T): T {
  if (cache.has(name)) return cache.get(name)!;
  if (cache.size >= CACHED_KEYS) cache.delete(cache.keys().next().value!);
  const made = make();
  cache.set(name, made);
  return made;
}

/** A Buffer's `slice` shares memory where a Uint8Array's copies: hand out the plain kind. */
const plain = (buffer: Buffer): Uint8Array => new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
