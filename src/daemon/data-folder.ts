/** One node's data folder: the names of its files, who may have it, and whose it is. */
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { replaceFile } from '../adapters/peer/address-book.ts';
import { lock, StoreLocked } from '../adapters/store/lock.ts';
import type { NetworkName } from '../bolt/networks.ts';
import type { NodeId } from '../bolt/primitives.ts';
import { DaemonError } from './daemon-error.ts';

export interface DataFolder {
  readonly path: string;
  readonly seed: string;
  readonly log: string;
  readonly identity: string;
  readonly token: string;
  /** Where the running node's API answers; there while it runs. */
  readonly api: string;
  readonly peers: string;
  readonly config: string;
  readonly checkpoint: string;
  /** The signer's, apart from the log. */
  readonly marks: string;
  readonly backups: string;
  /** There while a restored log has not been started: it may be old, whatever else is missing. */
  readonly recovery: string;
}

export const dataFolderAt = (path: string): DataFolder => ({
  path,
  seed: join(path, 'seed'),
  log: join(path, 'log.sqlite'),
  identity: join(path, 'node.json'),
  token: join(path, 'api-token'),
  api: join(path, 'api-address'),
  peers: join(path, 'peers.json'),
  config: join(path, 'fulgurite.json'),
  checkpoint: join(path, 'checkpoint'),
  marks: join(path, 'signer', 'marks'),
  backups: join(path, 'backups'),
  recovery: join(path, 'recover-at-start'),
});

/** Makes the folder, for its owner alone. */
export function makeFolder({ path }: DataFolder): void {
  if (!existsSync(path)) mkdirSync(path, { recursive: true, mode: 0o700 });
}

/** One process a folder; answers how to give it back. Throws DaemonError `data_folder_in_use`. */
export function lockFolder({ path }: DataFolder): () => void {
  try {
    return lock(join(path, 'node'));
  } catch (error) {
    if (!(error instanceof StoreLocked)) throw error;
    throw new DaemonError('data_folder_in_use', `${path} is in use by process ${error.detail['got']}: one process a data folder. End it with: fulgurite stop --data ${path}`);
  }
}

const identitySchema = z.object({
  format: z.literal('fulgurite-node'),
  version: z.literal(1),
  node_id: z.string(),
  network: z.string(),
  /** The first block that can concern the node, or `tip`: the newest one of its first start. */
  birthday: z.union([z.int().min(0), z.literal('tip')]),
  /** The seed had an earlier life: its keys were used before. */
  restored: z.boolean().optional(),
});

export type Identity = { readonly node_id: NodeId; readonly network: NetworkName; readonly birthday: number | 'tip'; readonly restored?: boolean | undefined };

export function writeIdentity({ identity }: DataFolder, { node_id, network, birthday, restored }: Identity): void {
  replaceFile(identity, `${JSON.stringify({ format: 'fulgurite-node', version: 1, node_id, network, birthday, restored }, undefined, 2)}\n`);
}

/** Whose folder it is, as far as is written. Throws DaemonError for a node.json that is none. */
export function readIdentity({ identity }: DataFolder): Identity | undefined {
  if (!existsSync(identity)) return undefined;
  try {
    return identitySchema.parse(JSON.parse(readFileSync(identity, 'utf8'))) as unknown as Identity;
  } catch {
    throw new DaemonError('identity_unreadable', `${identity}: expected what fulgurite init wrote, got something else: restore it from a copy, or remove it if seed and log are right`);
  }
}

/** Throws DaemonError `wrong_network` or `another_node` when the folder is not what the seed and the configuration say. */
export function checkIdentity({ path, seed }: DataFolder, found: Identity | undefined, node_id: NodeId, network: NetworkName): void {
  if (found === undefined) return;
  if (found.network !== network) throw new DaemonError('wrong_network', `${path} is a node's folder on ${found.network}, the configuration says ${network}: give each network a folder of its own (--data)`);
  if (found.node_id !== node_id) throw new DaemonError('another_node', `${path} is the folder of node ${found.node_id}, but ${seed} is the seed of ${node_id}: one of the two was copied from elsewhere`);
}

const TOKEN_BYTES = 32;
const OTHERS = 0o077;

/** The API's token, made at the first start. Refuses a file that others can read. Throws DaemonError. */
export function loadOrCreateToken({ token }: DataFolder): string {
  if (!existsSync(token)) writeFileSync(token, `${randomBytes(TOKEN_BYTES).toString('hex')}\n`, { flag: 'wx', mode: 0o600 });
  const mode = statSync(token).mode & 0o777;
  if ((mode & OTHERS) !== 0 && process.platform !== 'win32') {
    throw new DaemonError('token_permissions', `${token} has mode ${mode.toString(8)}, expected 600: others could have read it. Remove it, and the node makes a new one`);
  }
  const text = readFileSync(token, 'utf8').trim();
  if (!/^[!-~]{32,}$/.test(text)) throw new DaemonError('token_unreadable', `${token}: expected at least 32 printable characters, got ${text.length}: remove it, and the node makes a new one`);
  return text;
}

/** Says where the API answers, for the commands that look for it. */
export function announceApi({ api }: DataFolder, address: string): () => void {
  writeFileSync(api, `${address}\n`, { mode: 0o600 });
  chmodSync(api, 0o600);
  return () => rmSync(api, { force: true });
}
