/** A node that comes back: from a bundle of its log, from a static backup, or from its words and what peers kept. Nothing that is there is lost: it is set aside. */
import { createReadStream, existsSync, openSync, readFileSync, readSync, closeSync, renameSync, writeFileSync } from 'node:fs';
import { openBackupFolder } from '../adapters/backup/files.ts';
import { importLog } from '../adapters/backup/import-log.ts';
import { createBackupSeal, isSealedBackup } from '../adapters/backup/sealed-backup.ts';
import { openAddressBook } from '../adapters/peer/address-book.ts';
import { createDerivation } from '../adapters/signer/derivation.ts';
import { createSigner } from '../adapters/signer/local-signer.ts';
import { openMarksFile } from '../adapters/signer/marks-file.ts';
import { loadSeed, seedFileKind } from '../adapters/signer/seed.ts';
import { chooseCryptoBackend } from '../bolt/crypto-native.ts';
import type { NetworkName } from '../bolt/networks.ts';
import { decodeStaticBackup, type StaticBackup } from '../domain/channel/static-backup.ts';
import { DaemonError } from './daemon-error.ts';
import { checkIdentity, dataFolderAt, lockFolder, readIdentity, writeIdentity, type DataFolder } from './data-folder.ts';

export type BackupKind = 'bundle' | 'static';

export interface RestoreOptions {
  readonly data: string;
  readonly network: NetworkName;
  readonly file: string;
  /** Asked only where the seed is sealed. */
  readonly passphrase: () => Promise<string>;
}

export type Restored =
  | { readonly kind: 'bundle'; readonly events: number; readonly set_aside: readonly string[]; /** The signer's marks are here: they will tell at the start whether this log is the newest. */ readonly marks: boolean }
  | { readonly kind: 'static'; readonly channels: number; readonly peers: number; readonly birthday: number; readonly written_at: number };

/** What a file is, by its first bytes. Throws DaemonError for what is neither. */
export function kindOfBackup(file: string): BackupKind {
  if (!existsSync(file)) throw new DaemonError('no_backup', `${file}: expected a bundle or a static backup, got no file`);
  const head = Buffer.alloc(64);
  const fd = openSync(file, 'r');
  const length = readSync(fd, head, 0, head.length, 0);
  closeSync(fd);
  if (isSealedBackup(head)) return 'static';
  if (head.subarray(0, length).toString('latin1').includes('"fulgurite-bundle"')) return 'bundle';
  throw new DaemonError('no_backup', `${file}: expected a bundle or a static backup, got something else`);
}

/** Into a folder that has its seed, while no node runs on it. Throws DaemonError, SeedError, StoreError; then nothing has changed. */
export async function restoreNode(options: RestoreOptions): Promise<Restored> {
  await chooseCryptoBackend();
  const folder = dataFolderAt(options.data);
  const unlock = lockFolder(folder);
  try {
    const seed = loadSeed(folder.seed, seedFileKind(folder.seed) === 'sealed' ? await options.passphrase() : undefined);
    const signer = createSigner(seed, { network: options.network });
    checkIdentity(folder, readIdentity(folder), signer.nodeId, options.network);
    const parts = { ...options, folder, seed, node_id: signer.nodeId, logKeySeed: signer.logKeySeed() };
    return kindOfBackup(options.file) === 'bundle' ? await restoreBundle(parts) : restoreStatic(parts);
  } finally {
    unlock();
  }
}

type Parts = RestoreOptions & { readonly folder: DataFolder; readonly seed: Uint8Array; readonly node_id: ReturnType<typeof createSigner>['nodeId']; readonly logKeySeed: Uint8Array };

async function restoreBundle({ file, folder, node_id, logKeySeed }: Parts): Promise<Restored> {
  const unfinished = `${folder.log}.unfinished`;
  for (const stale of filesOf(unfinished)) renameSync(stale, `${stale}.${Date.now()}`);
  const events = await importLog({ file: unfinished, bundle: createReadStream(file), node_id, logKeySeed });
  const marks = existsSync(folder.marks) && hasMarks(folder.marks, node_id);
  // Written first: whatever happens from here on, an old log never starts as if it were the newest.
  if (!marks) writeFileSync(folder.recovery, `restored from ${file}\n`, { mode: 0o600 });
  const set_aside = [...filesOf(folder.log), folder.checkpoint].filter((each) => existsSync(each)).map((each) => setAside(each));
  for (const part of filesOf(unfinished)) renameSync(part, part.replace(unfinished, folder.log));
  return { kind: 'bundle', events, set_aside, marks };
}

function hasMarks(file: string, node_id: Parts['node_id']): boolean {
  const marks = openMarksFile(file, node_id);
  const { size } = marks.all();
  marks.close();
  return size > 0;
}

const filesOf = (database: string): readonly string[] => ['', '-wal', '-shm', '-tail'].map((end) => database + end).filter((file) => existsSync(file));

function setAside(file: string): string {
  for (let number = 1; ; number++) {
    const name = `${file}.before-restore-${number}`;
    if (existsSync(name)) continue;
    renameSync(file, name);
    return name;
  }
}

function restoreStatic({ file, folder, seed, network, node_id }: Parts): Restored {
  const sealed = new Uint8Array(readFileSync(file));
  const backup = open(sealed, seed, network, file);
  openBackupFolder(folder.backups).write(sealed, true);
  const identity = readIdentity(folder);
  const birthday = typeof identity?.birthday === 'number' ? Math.min(identity.birthday, backup.birthday) : backup.birthday;
  writeIdentity(folder, { ...identity, node_id, network, birthday, restored: true });
  const book = openAddressBook(folder.peers);
  for (const peer of backup.peers) book.add(peer);
  return { kind: 'static', channels: backup.channels.length, peers: backup.peers.length, birthday, written_at: backup.written_at };
}

function open(sealed: Uint8Array, seed: Uint8Array, network: NetworkName, file: string): StaticBackup {
  const content = createBackupSeal(createDerivation(seed, network).backup()).unseal(sealed);
  if (content === undefined) throw new DaemonError('another_nodes_backup', `${file}: expected a static backup of this seed on ${network}, got one of another, or a damaged one`);
  return decodeStaticBackup(content);
}
