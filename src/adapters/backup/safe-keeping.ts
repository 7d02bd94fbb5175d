/** What a node keeps in its data folder apart from the log: `signer/marks`, `backups/`, and `peer-blobs/` for others. */
import { join } from 'node:path';
import type { NetworkName } from '../../bolt/networks.ts';
import type { NodeId } from '../../bolt/primitives.ts';
import type { SafeKeeping } from '../../domain/ports.ts';
import { createDerivation } from '../signer/derivation.ts';
import type { OnHighWater } from '../signer/high-water.ts';
import { openMarksFile } from '../signer/marks-file.ts';
import { openBackupFolder, openBlobFolder } from './files.ts';
import { createBackupSeal } from './sealed-backup.ts';

export interface SafeKeepingOptions {
  readonly folder: string;
  readonly seed: Uint8Array;
  readonly network: NetworkName;
  readonly node_id: NodeId;
  readonly addresses?: SafeKeeping['addresses'];
}

export interface OpenSafeKeeping extends SafeKeeping {
  /** For the signer: a secret's mark is written before the secret leaves. A signature is made while its fact is on the way to the log, so its mark is written by whoever waits for the log. */
  readonly onHighWater: OnHighWater;
  close(): void;
}

/** Throws MarksError when the marks cannot be trusted. */
export function openSafeKeeping({ folder, seed, network, node_id, addresses = () => [] }: SafeKeepingOptions): OpenSafeKeeping {
  const marks = openMarksFile(join(folder, 'signer', 'marks'), node_id);
  return {
    marks,
    seal: createBackupSeal(createDerivation(seed, network).backup()),
    backups: openBackupFolder(join(folder, 'backups')),
    blobs: openBlobFolder(join(folder, 'peer-blobs')),
    addresses,
    onHighWater: (key_index, { revoked }) => marks.keep(key_index, { signed: -1n, revoked }),
    close: () => marks.close(),
  };
}
