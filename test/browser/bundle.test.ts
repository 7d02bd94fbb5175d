/** The auditor's promise: words, facts and rules run in a browser, byte for byte as they run here. */
import { beforeAll, describe, expect, it } from 'vitest';
import type * as crypto from '../../src/bolt/crypto.ts';
import type * as messages from '../../src/bolt/messages.ts';
import type * as primitives from '../../src/bolt/primitives.ts';
import { filesIn } from '../tidy/source-files.ts';
import { bundleForBrowser, runInBrowser } from './bundle.ts';

/** What browsers leave out: the native crypto backend. */
const NODE_ONLY = new Set(['src/bolt/crypto-native.ts']);

const modules = Object.fromEntries(
  filesIn(['src/bolt', 'src/events', 'src/domain', 'src/projections/audit', 'src/projections/audit.ts'])
    .filter(({ path }) => !NODE_ONLY.has(path))
    .map(({ path }) => [moduleName(path), path]),
);

/** `src/bolt/03-transactions/keys.ts` -> `bolt_03_transactions_keys`. */
function moduleName(path: string): string {
  return path.replace(/^src\//, '').replace(/\.ts$/, '').replaceAll(/\W/g, '_');
}

interface Bundled {
  readonly bolt_primitives: typeof primitives;
  readonly bolt_crypto: typeof crypto;
  readonly bolt_messages: typeof messages;
}

describe("src/bolt, src/events, src/domain and the audit in a browser's bundle", () => {
  let browser: Bundled;

  beforeAll(async () => {
    browser = runInBrowser<Bundled>(await bundleForBrowser(modules));
  });

  it('refuses a module that needs Node', async () => {
    await expect(bundleForBrowser({ native: 'src/bolt/crypto-native.ts' })).rejects.toThrow(/expected no module of Node.*got "node:/s);
  });

  it('loads every module', () => {
    expect(Object.keys(browser).toSorted()).toEqual(Object.keys(modules).toSorted());
  });

  it('hashes and makes hex without a Buffer', () => {
    const { bolt_crypto, bolt_primitives } = browser;
    const digest = bolt_crypto.crypto().sha256(bolt_primitives.fromHex('616263'));
    // FIPS 180-2, Appendix B.1: SHA-256 of "abc".
    expect(bolt_primitives.toHex(digest)).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });

  it('signs as RFC 6979 says, and verifies', () => {
    const { bolt_crypto, bolt_primitives } = browser;
    const key = bolt_primitives.fromHex('01'.repeat(32));
    const digest = bolt_crypto.crypto().sha256(bolt_primitives.fromHex(''));
    const signature = bolt_crypto.crypto().sign(digest, key);
    expect(bolt_crypto.crypto().verify(signature, digest, bolt_crypto.crypto().publicKey(key))).toBe(true);
  });

  it('reads and writes messages', () => {
    const { bolt_messages, bolt_primitives } = browser;
    const ping = bolt_primitives.fromHex('0012' + '0005' + '0003' + 'aabbcc');
    const message = bolt_messages.decodeMessage(ping);
    expect(message).toMatchObject({ type: 'ping', num_pong_bytes: 5, ignored: 'aabbcc' });
    expect(bolt_primitives.toHex(bolt_messages.encodeMessage(message as never))).toBe(bolt_primitives.toHex(ping));
  });
});
