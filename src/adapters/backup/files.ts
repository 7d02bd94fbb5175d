/** The files of backups in a data folder: our own static backups, the newest and a few before it, and the blobs that peers gave us to keep (BOLT 1, "peer_storage"). */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { rename, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MAX_PEER_BLOB } from '../../bolt/01-messaging/messaging.ts';
import { fromHex, isHex, toHex, type Hex, type NodeId } from '../../bolt/primitives.ts';
import { syncFolder } from '../sync-folder.ts';

/** Static backups that stay beside the newest. */
const KEPT = 9;
/** The newest static backup's name in its folder. */
export const NEWEST_BACKUP = 'channels.backup';
/** No static backup of ours is larger: some 50,000 channels. */
const MAX_BYTES = 16 * 1024 * 1024;

export interface BackupFolder {
  /** The newest one's file. */
  readonly file: string;
  read(): Uint8Array | undefined;
  /** On the disk when it returns: the old file or the new, whatever happens meanwhile. `age`: the one before it stays, too. */
  write(sealed: Uint8Array, age: boolean): void;
}

/** `channels.backup` in a folder, and up to 9 earlier ones as `channels.backup.1` (the youngest of them) and so on. */
export function openBackupFolder(folder: string): BackupFolder {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, NEWEST_BACKUP);
  return {
    file,
    read: () => (existsSync(file) && statSync(file).size <= MAX_BYTES ? new Uint8Array(readFileSync(file)) : undefined),
    write(sealed, age) {
      writeDurably(`${file}.new`, sealed);
      if (age) shift(file);
      renameSync(`${file}.new`, file);
      syncFolder(folder);
    },
  };
}

/** Each makes room for its successor; the oldest goes. The newest is copied, so that there is one at any moment. */
function shift(file: string): void {
  for (let age = KEPT - 1; age > 0; age--) if (existsSync(`${file}.${age}`)) renameSync(`${file}.${age}`, `${file}.${age + 1}`);
  if (existsSync(file)) writeDurably(`${file}.1`, readFileSync(file));
}

function writeDurably(file: string, bytes: Uint8Array): void {
  const handle = openSync(file, 'w', 0o600);
  try {
    writeSync(handle, bytes);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

export interface BlobFolder {
  /** Peers whose blobs are kept. */
  peers(): readonly NodeId[];
  read(peer_id: NodeId): Hex | undefined;
  /** Replaces the peer's blob; on the disk when it resolves. */
  write(peer_id: NodeId, blob: Hex): Promise<void>;
  remove(peer_id: NodeId): Promise<void>;
}

/** One file a peer, named by its node id. */
export function openBlobFolder(folder: string): BlobFolder {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const fileOf = (peer_id: NodeId): string => join(folder, peer_id);
  return {
    peers: () => readdirSync(folder).filter((name) => isHex(name, 33)) as NodeId[],
    read(peer_id) {
      const file = fileOf(peer_id);
      return existsSync(file) && statSync(file).size <= MAX_PEER_BLOB ? toHex(readFileSync(file)) : undefined;
    },
    async write(peer_id, blob) {
      const handle = await open(`${fileOf(peer_id)}.new`, 'w', 0o600);
      try {
        await handle.writeFile(fromHex(blob));
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(`${fileOf(peer_id)}.new`, fileOf(peer_id));
    },
    remove: (peer_id) => rm(fileOf(peer_id), { force: true }),
  };
}
