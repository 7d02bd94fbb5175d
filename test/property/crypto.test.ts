/** Law: the native backend and the reference agree byte for byte, for good input, bad input and the edges between. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadNativeBackend } from '../../src/bolt/crypto-native.ts';
import { nobleBackend } from '../../src/bolt/crypto-noble.ts';
import type { CryptoBackend } from '../../src/bolt/crypto.ts';
import { fromHex, toHex } from '../../src/bolt/primitives.ts';
import { runs } from '../support/property.ts';

const GROUP_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const FIELD = 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2fn;
const scalarBytes = (value: bigint) => fromHex(value.toString(16).padStart(64, '0'));

const native = (await loadNativeBackend())!;

type Outcome = { answer: unknown } | { threw: true };

/** What a caller can see: the answer as hex, or that it threw. */
function outcome(call: () => unknown): Outcome {
  try {
    return { answer: visible(call()) };
  } catch {
    return { threw: true };
  }
}

function visible(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value);
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, visible(v)]));
  return value;
}

function agree(call: (backend: CryptoBackend) => unknown): Outcome {
  const expected = outcome(() => call(nobleBackend));
  expect(outcome(() => call(native))).toEqual(expected);
  return expected;
}

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const anyBytes = fc.uint8Array({ maxLength: 300 });
const almost = (length: number) => fc.oneof({ weight: 6, arbitrary: bytes(length) }, fc.uint8Array({ maxLength: length + 33 }));

const edges = [0n, 1n, 2n, GROUP_ORDER / 2n, GROUP_ORDER / 2n + 1n, GROUP_ORDER - 1n, GROUP_ORDER, GROUP_ORDER + 1n, 2n ** 256n - 1n];
const goodScalar = fc.bigInt({ min: 1n, max: GROUP_ORDER - 1n }).map(scalarBytes);
const scalar = fc.oneof({ weight: 5, arbitrary: goodScalar }, fc.constantFrom(...edges.map(scalarBytes)), almost(32));
const digest = fc.oneof({ weight: 5, arbitrary: bytes(32) }, fc.constantFrom(...edges.map(scalarBytes)), almost(32));
const goodPoint = goodScalar.map((key) => native.publicKey(key));
const oddPoints = [
  new Uint8Array(33),
  fromHex(`02${scalarBytes(FIELD).reduce((hex, byte) => hex + byte.toString(16).padStart(2, '0'), '')}`),
  fromHex(`04${'11'.repeat(32)}`),
  fromHex(`05${'11'.repeat(32)}`),
  // The generator, uncompressed and hybrid: a valid point in a form we do not take.
  ...['04', '06', '07'].map((form) =>
    fromHex(`${form}79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8`)),
];
const point = fc.oneof({ weight: 5, arbitrary: goodPoint }, bytes(32).map((x) => Uint8Array.of(2, ...x)), fc.constantFrom(...oddPoints), almost(33));

describe('the native backend loads here and', () => {
  it('is the addon, not the JavaScript library its package falls back to', () => {
    expect(native.name).toBe('libsecp256k1 (addon)');
  });
});

describe('both backends agree on', () => {
  const law = (name: string, property: fc.IRawProperty<unknown>) => it(name, () => fc.assert(property, { numRuns: runs(60) }));

  law('sha256 and ripemd160', fc.property(anyBytes, (data) => {
    agree((crypto) => crypto.sha256(data));
    agree((crypto) => crypto.sha256Hex(data));
    agree((crypto) => crypto.ripemd160(data));
  }));

  law('hmacSha256', fc.property(anyBytes, anyBytes, (key, data) => void agree((crypto) => crypto.hmacSha256(key, data))));

  law('chacha20poly1305', fc.property(almost(32), almost(12), anyBytes, anyBytes, fc.nat(), (key, nonce, ad, text, flip) => {
    const sealed = outcome(() => native.chacha20poly1305Encrypt(key, nonce, ad, text));
    agree((crypto) => crypto.chacha20poly1305Encrypt(key, nonce, ad, text));
    if ('threw' in sealed) return;
    const box = fromHex(sealed.answer as string);
    expect(agree((crypto) => crypto.chacha20poly1305Decrypt(key, nonce, ad, box))).toEqual({ answer: toHex(text) });
    box[flip % box.length]! ^= 1;
    expect(agree((crypto) => crypto.chacha20poly1305Decrypt(key, nonce, ad, box))).toEqual({ answer: undefined });
  }));

  law('a box too short for its tag', fc.property(almost(32), almost(12), fc.uint8Array({ maxLength: 20 }), (key, nonce, box) => {
    agree((crypto) => crypto.chacha20poly1305Decrypt(key, nonce, new Uint8Array(0), box));
  }));

  law('chacha20Stream', fc.property(almost(32), fc.nat(3000), (key, length) => void agree((crypto) => crypto.chacha20Stream(key, length))));

  law('isPrivateKey, publicKey', fc.property(scalar, (key) => {
    agree((crypto) => crypto.isPrivateKey(key));
    agree((crypto) => crypto.publicKey(key));
  }));

  law('isPoint', fc.property(point, (candidate) => void agree((crypto) => crypto.isPoint(candidate))));

  law('sign and signRecoverable, also for digests above the group order', fc.property(digest, scalar, (hash, key) => {
    agree((crypto) => crypto.sign(hash, key));
    agree((crypto) => crypto.signRecoverable(hash, key));
  }));

  law('verify, of good, altered and malformed signatures', fc.property(digest, goodScalar, fc.nat(), almost(64), point, (hash, key, flip, junk, other) => {
    if (hash.length !== 32) return;
    const signature = native.sign(hash, key);
    const publicKey = native.publicKey(key);
    expect(agree((crypto) => crypto.verify(signature, hash, publicKey))).toEqual({ answer: true });
    agree((crypto) => crypto.verify(junk, hash, publicKey));
    agree((crypto) => crypto.verify(signature, hash, other));
    const altered = Uint8Array.from(signature);
    altered[flip % 64]! ^= 1 << (flip % 8);
    expect(agree((crypto) => crypto.verify(altered, hash, publicKey))).toEqual({ answer: false });
  }));

  law('refusing high S', fc.property(bytes(32), goodScalar, (hash, key) => {
    const low = native.sign(hash, key);
    const s = BigInt(`0x${toHex(low.subarray(32))}`);
    const high = Uint8Array.of(...low.subarray(0, 32), ...scalarBytes(GROUP_ORDER - s));
    expect(agree((crypto) => crypto.verify(high, hash, native.publicKey(key)))).toEqual({ answer: false });
  }));

  law('signatures with edge values of r and s', fc.property(fc.constantFrom(...edges), fc.constantFrom(...edges), bytes(32), goodPoint, fc.nat(4), (r, s, hash, key, recovery) => {
    const signature = Uint8Array.of(...scalarBytes(r), ...scalarBytes(s));
    agree((crypto) => crypto.verify(signature, hash, key));
    agree((crypto) => crypto.recover(signature, recovery, hash));
  }));

  law('recover, also from high S and junk', fc.property(digest, goodScalar, fc.integer({ min: -1, max: 5 }), almost(64), (hash, key, wrong, junk) => {
    agree((crypto) => crypto.recover(junk, wrong, hash));
    if (hash.length !== 32) return;
    const { signature, recovery } = native.signRecoverable(hash, key);
    expect(agree((crypto) => crypto.recover(signature, recovery, hash))).toEqual({ answer: toHex(native.publicKey(key)) });
    agree((crypto) => crypto.recover(signature, wrong, hash));
    const s = BigInt(`0x${toHex(signature.subarray(32))}`);
    const high = Uint8Array.of(...signature.subarray(0, 32), ...scalarBytes(GROUP_ORDER - s));
    agree((crypto) => crypto.recover(high, recovery ^ 1, hash));
  }));

  law('multiplyPoint and tweakPoint', fc.property(point, scalar, (base, factor) => {
    agree((crypto) => crypto.multiplyPoint(base, factor));
    agree((crypto) => crypto.tweakPoint(base, factor));
  }));

  law('addPoints', fc.property(point, point, (a, b) => void agree((crypto) => crypto.addPoints(a, b))));

  law('points that cancel', fc.property(goodScalar, (key) => {
    const minus = scalarBytes(GROUP_ORDER - BigInt(`0x${toHex(key)}`));
    const [a, b] = [native.publicKey(key), native.publicKey(minus)];
    expect(agree((crypto) => crypto.addPoints(a, b))).toEqual({ threw: true });
    expect(agree((crypto) => crypto.tweakPoint(a, minus))).toEqual({ threw: true });
    expect(agree((crypto) => crypto.addScalars(key, minus))).toEqual({ threw: true });
    agree((crypto) => crypto.addPoints(a, a));
  }));

  law('multiplyScalars and addScalars', fc.property(scalar, scalar, (a, b) => {
    agree((crypto) => crypto.multiplyScalars(a, b));
    agree((crypto) => crypto.addScalars(a, b));
  }));

  law('ed25519', fc.property(almost(32), anyBytes, fc.nat(), almost(64), (seed, message, flip, junk) => {
    const publicKey = agree((crypto) => crypto.ed25519PublicKey(seed));
    const signature = agree((crypto) => crypto.ed25519Sign(message, seed));
    if ('threw' in publicKey || 'threw' in signature) return;
    const key = fromHex(publicKey.answer as string);
    const signed = fromHex(signature.answer as string);
    expect(agree((crypto) => crypto.ed25519Verify(signed, message, key))).toEqual({ answer: true });
    signed[flip % 64]! ^= 1 << (flip % 8);
    expect(agree((crypto) => crypto.ed25519Verify(signed, message, key))).toEqual({ answer: false });
    agree((crypto) => crypto.ed25519Verify(junk, message, key));
  }));
});

/** Each of these is a key or an R that libraries are known to disagree about. */
describe('ed25519 under keys outside the prime-order group', () => {
  const smallOrder = [
    '0100000000000000000000000000000000000000000000000000000000000000',
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0000000000000000000000000000000000000000000000000000000000000080',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  ];
  it.each(smallOrder)('%s verifies nothing', (key) => {
    for (const r of smallOrder) {
      const signature = fromHex(r + '00'.repeat(32));
      expect(agree((crypto) => crypto.ed25519Verify(signature, new Uint8Array(3), fromHex(key)))).toEqual({ answer: false });
    }
  });
});
