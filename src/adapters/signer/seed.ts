/** The seed: 24 words (BIP 39) in a file that only its owner can read. Made once; whoever has it has the money. */
import { closeSync, fsyncSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { generateMnemonic, mnemonicToSeedSync, validateMnemonic } from '@scure/bip39';
import { wordlist } from '@scure/bip39/wordlists/english.js';
import { isSealedWords, sealWords, unsealWords, type ScryptCost, type SealedWords } from './seed-cipher.ts';

export type SeedFileCode =
  | 'seed_file_missing' | 'seed_file_exists' | 'seed_file_permissions' | 'seed_file_unreadable' | 'seed_words_invalid'
  | 'seed_encryption_unknown' | 'passphrase_needed' | 'passphrase_too_short' | 'wrong_passphrase';

/** What is wrong with a seed or its file. The message never holds a word of it. */
export class SeedError extends Error {
  readonly code: SeedFileCode;
  constructor(code: SeedFileCode, message: string) {
    super(message);
    this.name = 'SeedError';
    this.code = code;
  }
}

/** One JSON object. `encryption` says how the words stand in it. */
type SeedFile = { readonly format: 'fulgurite-seed'; readonly version: 1 } & ({ readonly encryption: 'none'; readonly words: string } | SealedWords);

/** How the words are sealed; without a passphrase they stand open, for nodes that only play. */
export interface SeedLock {
  readonly passphrase?: string;
  readonly cost?: ScryptCost;
}

/** Characters, below which guessing is too easy whatever a guess costs. */
export const SHORTEST_PASSPHRASE = 8;

const WORDS_BITS = 256;
const OWNER_ONLY = 0o600;
const OTHERS = 0o077;

/** 24 new words, from the system's randomness. */
export const generateSeedWords = (): string => generateMnemonic(wordlist, WORDS_BITS);

/** BIP 39's 64 bytes. Throws SeedError `seed_words_invalid` on a wrong word, count or checksum. */
export function seedFromWords(words: string, passphrase = ''): Uint8Array {
  const clean = words.normalize('NFKD').trim().toLowerCase().split(/\s+/).join(' ');
  if (!validateMnemonic(clean, wordlist)) {
    throw new SeedError('seed_words_invalid', `not a BIP 39 phrase: ${clean === '' ? 0 : clean.split(' ').length} words, expected 12 to 24 of its list with a right checksum`);
  }
  return mnemonicToSeedSync(clean, passphrase);
}

/** Writes a new file, never over an old one, and has it on the disk before it returns. Throws SeedError. */
export function storeSeed(file: string, words: string, { passphrase, cost }: SeedLock = {}): void {
  seedFromWords(words);
  if (passphrase !== undefined) mustBeLong(passphrase);
  const body = passphrase === undefined ? { encryption: 'none' as const, words } : sealWords(words, passphrase, cost);
  const content: SeedFile = { format: 'fulgurite-seed', version: 1, ...body };
  const handle = create(file);
  try {
    writeSync(handle, `${JSON.stringify(content)}\n`);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  syncDirectory(dirname(file));
}

/** Throws SeedError `passphrase_too_short`. */
export function mustBeLong(passphrase: string): void {
  const { length } = [...passphrase];
  if (length < SHORTEST_PASSPHRASE) throw new SeedError('passphrase_too_short', `a passphrase has at least ${SHORTEST_PASSPHRASE} characters, got ${length}`);
}

/** The 64 bytes of the file's words. Refuses a file that others can read. Throws SeedError. */
export function loadSeed(file: string, passphrase?: string): Uint8Array {
  return seedFromWords(wordsOf(file, read(file), passphrase));
}

/** Whether a passphrase is needed: `missing` when there is no file. Throws SeedError for a file that cannot be used. */
export function seedFileKind(file: string): 'missing' | 'open' | 'sealed' {
  try {
    return read(file).encryption === 'none' ? 'open' : 'sealed';
  } catch (error) {
    if (error instanceof SeedError && error.code === 'seed_file_missing') return 'missing';
    throw error;
  }
}

function wordsOf(file: string, content: SeedFile, passphrase: string | undefined): string {
  if (content.encryption === 'none') return content.words;
  if (passphrase === undefined) throw new SeedError('passphrase_needed', `${file} is sealed with a passphrase, and none was given`);
  const words = unsealWords(content, passphrase);
  if (words === undefined) throw new SeedError('wrong_passphrase', `the passphrase does not open ${file}: expected the one it was sealed with, got another (or the file was changed)`);
  return words;
}

function read(file: string): SeedFile {
  const mode = modeOf(file);
  if ((mode & OTHERS) !== 0 && process.platform !== 'win32') {
    throw new SeedError('seed_file_permissions', `${file} has mode ${(mode & 0o777).toString(8)}, expected 600: others could read the seed`);
  }
  return parse(file, readFileSync(file, 'utf8'));
}

/** Loads the seed, or makes one where there is none. `created` asks for the words to be written down. */
export function loadOrCreateSeed(file: string): { readonly seed: Uint8Array; readonly created: boolean } {
  try {
    return { seed: loadSeed(file), created: false };
  } catch (error) {
    if (!(error instanceof SeedError) || error.code !== 'seed_file_missing') throw error;
  }
  storeSeed(file, generateSeedWords());
  return { seed: loadSeed(file), created: true };
}

function create(file: string): number {
  try {
    return openSync(file, 'wx', OWNER_ONLY);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw new SeedError('seed_file_exists', `${file} exists: a seed is never overwritten`);
    throw new SeedError('seed_file_unreadable', `${file} cannot be written: ${codeOf(error)}`);
  }
}

function modeOf(file: string): number {
  try {
    return statSync(file).mode;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') throw new SeedError('seed_file_missing', `there is no seed file ${file}`);
    throw new SeedError('seed_file_unreadable', `${file} cannot be read: ${codeOf(error)}`);
  }
}

/** JSON.parse's own message would quote the file: it is not passed on. */
function parse(file: string, text: string): SeedFile {
  const content = tryJson(text) as Partial<SeedFile> | undefined;
  if (content?.format !== 'fulgurite-seed' || content.version !== 1) {
    throw new SeedError('seed_file_unreadable', `${file} is no seed file of version 1`);
  }
  if (content.encryption === 'none' && typeof content.words === 'string') return content as SeedFile;
  if (isSealedWords(content as Partial<SealedWords>)) return content as SeedFile;
  if (content.encryption === 'none' || content.encryption === 'scrypt-xchacha20poly1305') {
    throw new SeedError('seed_file_unreadable', `${file} is damaged: a field of its encryption "${content.encryption}" is missing or out of bounds`);
  }
  throw new SeedError('seed_encryption_unknown', `${file} is encrypted by "${String(content.encryption)}", we know "none" and "scrypt-xchacha20poly1305"`);
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The new name must survive a power loss too. Not every system can sync a directory. */
function syncDirectory(directory: string): void {
  if (process.platform === 'win32') return;
  const handle = openSync(directory, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'unknown';
