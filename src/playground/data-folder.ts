/** Where a playground keeps its logs: a fresh folder each time, because its chain lives in memory and ends with the process. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { NAMES } from './cast.ts';
import { PlaygroundError } from './waiting.ts';

/** Folders of runs that named none, below the working directory. */
export const DEFAULT_PARENT = join('data', 'playground');

/**
 * Makes the folder ready, or a new one named by the time. Throws PlaygroundError `data_folder_in_use` where an earlier run
 * left its logs: they speak of a chain that is gone, so their channels could never be used again.
 */
export function prepareDataFolder(dataDir: string | undefined, now: Date = new Date()): string {
  const folder = dataDir ?? join(DEFAULT_PARENT, now.toISOString().replaceAll(':', '-').replace(/\.\d+Z$/, 'Z'));
  const taken = NAMES.filter((name) => existsSync(join(folder, name)));
  if (taken.length > 0) {
    throw new PlaygroundError('data_folder_in_use', `${folder}: expected a folder without nodes, got ${taken.join(', ')} of an earlier run, whose chain ended with it; name another folder or remove them`);
  }
  mkdirSync(folder, { recursive: true });
  return folder;
}
