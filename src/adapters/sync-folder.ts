/** What a folder lists, put on the disk: a new or renamed file is found after a power loss only then. */
import { closeSync, fsyncSync, openSync } from 'node:fs';

/** Windows has no such thing, and needs none. */
export function syncFolder(folder: string): void {
  if (process.platform === 'win32') return;
  const handle = openSync(folder, 'r');
  fsyncSync(handle);
  closeSync(handle);
}
