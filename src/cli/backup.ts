/** `fulgurite backup FILE`: the log as a bundle, and the newest static backup beside it. */
import { copyFileSync, existsSync, statSync } from 'node:fs';
import { dataFolder, type Environment } from '../config.ts';
import { staticBackupOf } from '../daemon/backup-file.ts';
import { exportLog } from './log-export.ts';
import { CommandFailed, grouped, printLine, toJson, type Io } from './output.ts';

export interface BackupOptions {
  readonly data?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** Throws CommandFailed where a file is in the way, or the folder has no log. */
export async function backupCommand(file: string, { data, force = false, json = false }: BackupOptions, io: Io, env: Environment = process.env): Promise<number> {
  const folder = dataFolder(data, env);
  const channels = `${file}.channels`;
  for (const target of [file, channels]) if (!force && existsSync(target)) throw new CommandFailed('file_exists', `${target} exists: expected a new file, or --force`);
  // The small one first: it is what is never too old.
  const newest = staticBackupOf(folder);
  if (newest !== undefined) copyFileSync(newest, channels);
  const { size, node_id } = await exportLog({ path: folder, output: file, force }, io);
  const written = { file, node_id, events: size, bytes: statSync(file).size, channels: newest === undefined ? undefined : channels };
  const lines = [
    `${file}: ${grouped(size)} events of node ${node_id}`,
    newest === undefined ? 'no static backup: the node has had no channel yet' : `${channels}: the static backup of its channels`,
    'both need the 24 words to be of any use; a bundle is old as soon as the node goes on (docs/BACKUP.md)',
  ];
  for (const line of json ? [toJson(written, 2)] : lines) await printLine(io.stdout, line);
  return 0;
}
