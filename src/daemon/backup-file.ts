/** Where a data folder's newest static backup is, for commands that copy it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { NEWEST_BACKUP } from '../adapters/backup/files.ts';
import { dataFolderAt } from './data-folder.ts';

/** Undefined while there is none. */
export function staticBackupOf(data: string): string | undefined {
  const file = join(dataFolderAt(data).backups, NEWEST_BACKUP);
  return existsSync(file) ? file : undefined;
}
