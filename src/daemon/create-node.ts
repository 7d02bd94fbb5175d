/** The beginning of a node: its seed sealed in a new folder, its identity beside it, and its settings where it will look for them. */
import { existsSync, writeFileSync } from 'node:fs';
import { createSigner } from '../adapters/signer/local-signer.ts';
import { seedFileKind, seedFromWords, storeSeed } from '../adapters/signer/seed.ts';
import type { ScryptCost } from '../adapters/signer/seed-cipher.ts';
import { chooseCryptoBackend } from '../bolt/crypto-native.ts';
import type { NetworkName } from '../bolt/networks.ts';
import type { NodeId } from '../bolt/primitives.ts';
import { DaemonError } from './daemon-error.ts';
import { dataFolderAt, loadOrCreateToken, lockFolder, makeFolder, writeIdentity, type DataFolder } from './data-folder.ts';

export { generateSeedWords, mustBeLong, seedFromWords, SeedError } from '../adapters/signer/seed.ts';

export interface NewNode {
  readonly data: string;
  readonly network: NetworkName;
  readonly words: string;
  readonly passphrase: string;
  /** The words are older than this: the chain is searched from this block on. Undefined for new words. */
  readonly birthday?: number;
  /** Written to fulgurite.json where there is none yet. */
  readonly settings?: object;
  readonly cost?: ScryptCost;
}

/** Throws DaemonError where a node is already, SeedError for words or a passphrase that cannot be used. */
export async function createNode({ data, network, words, passphrase, birthday, settings, cost }: NewNode): Promise<{ readonly node_id: NodeId }> {
  await chooseCryptoBackend();
  const { nodeId: node_id } = createSigner(seedFromWords(words), { network });
  const folder = dataFolderAt(data);
  mustBeFree(folder, birthday !== undefined);
  makeFolder(folder);
  const unlock = lockFolder(folder);
  try {
    storeSeed(folder.seed, words, { passphrase, cost });
    writeIdentity(folder, { node_id, network, birthday: birthday ?? 'tip', restored: birthday === undefined ? undefined : true });
    loadOrCreateToken(folder);
    if (settings !== undefined && !existsSync(folder.config)) writeFileSync(folder.config, `${JSON.stringify(settings, undefined, 2)}\n`, { flag: 'wx', mode: 0o600 });
    return { node_id };
  } finally {
    unlock();
  }
}

/** Whether a node has begun here. Throws SeedError for a seed that cannot be used. */
export const hasNode = (data: string): boolean => seedFileKind(dataFolderAt(data).seed) !== 'missing';

/** Throws DaemonError unless a node may begin here. A log without a seed wants its own words back. */
export function mustBeFree(folder: DataFolder, restoring: boolean): void {
  if (hasNode(folder.path)) throw new DaemonError('node_exists', `${folder.path} has a node already: start it with: fulgurite node --data ${folder.path}`);
  if (!restoring && existsSync(folder.log)) throw new DaemonError('log_without_seed', `${folder.log} is a log without its seed: a new seed cannot read it. Give its words back with: fulgurite init --restore --data ${folder.path}`);
}
