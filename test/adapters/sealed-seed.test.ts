/** A seed sealed with a passphrase: opens with it and nothing else, shows nothing, and cannot be changed unseen. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadSeed, seedFileKind, seedFromWords, SeedError, storeSeed } from '../../src/adapters/signer/seed.ts';
import { DEFAULT_COST, sealWords, unsealWords } from '../../src/adapters/signer/seed-cipher.ts';
import { toHex } from '../../src/bolt/primitives.ts';

// The first English vector of BIP 39 with 24 words.
const WORDS = `${'abandon '.repeat(23)}art`;
const PASSPHRASE = 'correct horse battery';
const cost = { N: 16, r: 8, p: 1 };

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fulgurite-sealed-'));
  file = join(directory, 'seed');
});
afterEach(() => rmSync(directory, { recursive: true }));

function codeOf(run: () => unknown): string {
  try {
    run();
    return 'ok';
  } catch (error) {
    expect(error).toBeInstanceOf(SeedError);
    expect((error as Error).message).not.toMatch(/abandon|art\b|horse/);
    return (error as SeedError).code;
  }
}

describe('a sealed seed', () => {
  it('opens with its passphrase, and shows neither words nor passphrase', () => {
    storeSeed(file, WORDS, { passphrase: PASSPHRASE, cost });
    expect(toHex(loadSeed(file, PASSPHRASE))).toBe(toHex(seedFromWords(WORDS)));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).not.toMatch(/abandon|art"|horse/);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ format: 'fulgurite-seed', version: 1, encryption: 'scrypt-xchacha20poly1305', N: 16, r: 8, p: 1 });
  });

  it('is sealed anew each time, and costs a guesser 128 MiB a guess unless told', () => {
    const [a, b] = [sealWords(WORDS, PASSPHRASE, cost), sealWords(WORDS, PASSPHRASE, cost)];
    expect(new Set([a.salt, b.salt, a.nonce, b.nonce, a.sealed, b.sealed]).size).toBe(6);
    expect(128 * DEFAULT_COST.N * DEFAULT_COST.r).toBe(128 * 2 ** 20);
  });

  it('takes a passphrase however it was typed: composed or decomposed', () => {
    const sealed = sealWords(WORDS, 'caf\u00e9 au lait', cost);
    expect(unsealWords(sealed, 'cafe\u0301 au lait')).toBe(WORDS);
  });

  it('does not open with another passphrase, or none', () => {
    storeSeed(file, WORDS, { passphrase: PASSPHRASE, cost });
    for (const wrong of ['correct horse', `${PASSPHRASE} `, PASSPHRASE.toUpperCase(), '']) expect(codeOf(() => loadSeed(file, wrong))).toBe('wrong_passphrase');
    expect(codeOf(() => loadSeed(file))).toBe('passphrase_needed');
  });

  it('does not open when a single field of it was changed', () => {
    storeSeed(file, WORDS, { passphrase: PASSPHRASE, cost });
    const content = JSON.parse(readFileSync(file, 'utf8'));
    const flip = (hex: string) => (hex[0] === '0' ? '1' : '0') + hex.slice(1);
    for (const change of [{ N: 32 }, { r: 4 }, { p: 2 }, { salt: flip(content.salt) }, { nonce: flip(content.nonce) }, { sealed: flip(content.sealed) }]) {
      writeFileSync(file, JSON.stringify({ ...content, ...change }), { mode: 0o600 });
      expect({ change, code: codeOf(() => loadSeed(file, PASSPHRASE)) }).toEqual({ change, code: 'wrong_passphrase' });
    }
  });

  it('that asks for more memory than we have to give, or is damaged, is refused before any work', () => {
    storeSeed(file, WORDS, { passphrase: PASSPHRASE, cost });
    const content = JSON.parse(readFileSync(file, 'utf8'));
    for (const change of [{ N: 2 ** 30 }, { N: 17 }, { r: 4096 }, { p: 0 }, { salt: 'xx' }, { nonce: '00' }, { sealed: 7 }]) {
      writeFileSync(file, JSON.stringify({ ...content, ...change }), { mode: 0o600 });
      expect({ change, code: codeOf(() => loadSeed(file, PASSPHRASE)) }).toEqual({ change, code: 'seed_file_unreadable' });
    }
  });

  it('wants a passphrase that is worth the work', () => {
    expect(codeOf(() => storeSeed(file, WORDS, { passphrase: '1234567', cost }))).toBe('passphrase_too_short');
    expect(seedFileKind(file)).toBe('missing');
  });

  it('is told from an open one without a passphrase', () => {
    storeSeed(file, WORDS, { passphrase: PASSPHRASE, cost });
    expect(seedFileKind(file)).toBe('sealed');
    rmSync(file);
    storeSeed(file, WORDS);
    expect(seedFileKind(file)).toBe('open');
    expect(toHex(loadSeed(file, 'any passphrase'))).toBe(toHex(seedFromWords(WORDS)));
  });
});
