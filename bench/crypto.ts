/** The crypto verbs a channel turn is made of, on each backend that loads here. */
import { loadNativeBackend } from '../src/bolt/crypto-native.ts';
import { nobleBackend } from '../src/bolt/crypto-noble.ts';
import type { CryptoBackend } from '../src/bolt/crypto.ts';
import { type Bench, type Row, timeSync } from './bench.ts';

export const cryptoBench: Bench = {
  name: 'crypto',
  about: 'One call of a verb, single thread. ecdh is a point times a scalar; the transport frame is 1,400 bytes.',
  async run() {
    const backends = [await loadNativeBackend(), nobleBackend].filter((backend) => backend !== undefined);
    return backends.flatMap(rowsOf);
  },
};

function rowsOf(backend: CryptoBackend): Row[] {
  return Object.entries(verbs(backend)).map(([verb, work]) => {
    const { perSecond } = timeSync(work);
    return { what: `${verb}, ${backend.name}`, value: perSecond, unit: '/s' };
  });
}

function verbs(backend: CryptoBackend): Record<string, () => unknown> {
  const key = new Uint8Array(32).fill(1);
  const scalar = new Uint8Array(32).fill(2);
  const nonce = new Uint8Array(12);
  const frame = new Uint8Array(1400).fill(3);
  const point = backend.publicKey(key);
  const digest = backend.sha256(frame);
  const signature = backend.sign(digest, key);
  return {
    verify: () => backend.verify(signature, digest, point),
    sign: () => backend.sign(digest, key),
    ecdh: () => backend.multiplyPoint(point, scalar),
    'sha256, 1,400 bytes': () => backend.sha256(frame),
    'chacha20poly1305, 1,400 bytes': () => backend.chacha20poly1305Encrypt(key, nonce, new Uint8Array(0), frame),
  };
}
