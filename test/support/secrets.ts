/** Every secret of a node, derived again from its words, and a search for any of them in any dress. */
import { HDKey } from '@scure/bip32';
import { commitmentSecrets as secretsByNumber, createDerivation } from '../../src/adapters/signer/derivation.ts';
import { seedFromWords } from '../../src/adapters/signer/seed.ts';
import type { NetworkName } from '../../src/bolt/networks.ts';
import { fromHex, type Hex, type Hex32 } from '../../src/bolt/primitives.ts';

export interface Secret {
  readonly name: string;
  /** Texts that would give it away. */
  readonly forms: readonly string[];
}

/** Hex in either case, base64 of both alphabets, and the decimal bytes that a careless JSON.stringify writes. */
export function secretBytes(name: string, bytes: Uint8Array | Hex): Secret {
  const raw = Buffer.from(typeof bytes === 'string' ? fromHex(bytes) : bytes);
  return { name, forms: [raw.toString('hex'), raw.toString('hex').toUpperCase(), raw.toString('base64').replace(/=+$/, ''), raw.toString('base64url'), raw.join(','), raw.join(', ')] };
}

export const secretText = (name: string, text: string): Secret => ({ name, forms: [text, Buffer.from(text).toString('base64').replace(/=+$/, ''), Buffer.from(text).toString('hex')] });

export interface Used {
  /** Channels that the node ever had. */
  readonly channels: number;
  readonly payment_ids: readonly Hex32[];
  /** Nonces of invoices that nobody paid. */
  readonly unpaidNonces: readonly Hex32[];
}

/** All that must be nowhere, whoever looks. */
export function secretsOf(words: string, network: NetworkName, { channels, payment_ids, unpaidNonces }: Used): readonly Secret[] {
  const seed = seedFromWords(words);
  const derivation = createDerivation(seed, network);
  const list = words.split(' ');
  // Single words of the list are words of ours too: open, channel, wallet. Three in a row are the seed's.
  const phrases = list.slice(2).map((_, index) => secretText(`words ${index + 1} to ${index + 3}`, list.slice(index, index + 3).join(' ')));
  const master = HDKey.fromMasterSeed(seed);
  const account = master.derive(`m/84'/1'/0'`);
  const walletKeys = [0, 1].flatMap((branch) => Array.from({ length: 12 }, (_, index) => secretBytes(`wallet key ${branch}/${index}`, account.deriveChild(branch).deriveChild(index).privateKey!)));
  const channelSecrets = Array.from({ length: channels }, (_, index) => Object.entries(derivation.channel(index)).map(([name, secret]) => secretBytes(`channel ${index} ${name}`, secret as Uint8Array))).flat();
  return [
    ...phrases,
    secretBytes('seed', seed), secretBytes('node key', derivation.node()), secretBytes('log key', derivation.log()), secretBytes('backup key', derivation.backup()),
    secretText('master key', master.privateExtendedKey), secretText('account key', account.privateExtendedKey), ...walletKeys,
    ...channelSecrets,
    ...payment_ids.flatMap((id) => [0, 1, 2].map((attempt) => secretBytes(`session key ${id}/${attempt}`, derivation.session(id, attempt)))),
    ...unpaidNonces.map((nonce) => secretBytes('preimage of an unpaid invoice', derivation.invoice(nonce).payment_preimage)),
  ];
}

/** Per-commitment secrets of one of our channels, in a range of commitment numbers. */
export function commitmentSecrets(words: string, network: NetworkName, key_index: number, from: bigint, count: number): readonly Secret[] {
  const secrets = createDerivation(seedFromWords(words), network).channel(key_index);
  const secretOf = secretsByNumber(secrets);
  return Array.from({ length: count }, (_, index) => secretBytes(`per-commitment secret ${key_index}/${from + BigInt(index)}`, secretOf(from + BigInt(index))));
}

/** A place that somebody may read. */
export interface Place {
  readonly name: string;
  readonly text: string;
}

/** `place: secret`, for each found; the secret itself is not repeated. */
export function findSecrets(places: readonly Place[], secrets: readonly Secret[]): readonly string[] {
  return places.flatMap(({ name, text }) => secrets.filter(({ forms }) => forms.some((form) => text.includes(form))).map((secret) => `${name}: ${secret.name}`));
}

