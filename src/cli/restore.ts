/** `fulgurite restore [FILE]`: a node's folder from a bundle, from a static backup, or from its words alone; and what to do next. */
import { loadConfig, type Config, type Environment } from '../config.ts';
import type { Restored } from '../daemon/restore.ts';
import { create, heightOf, oldWords, type SettingFlags } from './init.ts';
import { grouped, printLine, toJson, WrongUsage, type Io } from './output.ts';
import { knownPassphrase } from './passphrase.ts';

export interface RestoreOptions {
  readonly birthday?: string;
  readonly json?: boolean;
}

export async function restoreCommand(file: string | undefined, flags: SettingFlags, { birthday, json = false }: RestoreOptions, io: Io, env: Environment = process.env): Promise<number> {
  const config = loadConfig({ flags, env });
  const { hasNode } = await import('../daemon/create-node.ts');
  const { kindOfBackup, restoreNode } = await import('../daemon/restore.ts');
  if (file !== undefined) kindOfBackup(file);
  const old = hasNode(config.data);
  if (file === undefined && old) throw new WrongUsage('nothing_to_restore', `${config.data} has its seed: expected a bundle or a static backup to restore, got none`);
  const made = old ? undefined : await create(config, flags, env, { words: await oldWords(), birthday: heightOf(birthday) });
  const passphrase = async (): Promise<string> => made?.passphrase ?? knownPassphrase(config, env);
  const done = file === undefined ? undefined : await restoreNode({ data: config.data, network: config.network, file, passphrase });
  const lines = done === undefined ? fromWords(config) : done.kind === 'bundle' ? fromBundle(done, config) : fromStatic(done, config);
  for (const line of json ? [toJson({ data: config.data, network: config.network, ...(done ?? { kind: 'words' }) }, 2)] : lines) await printLine(io.stdout, line);
  return 0;
}

type Of<K extends Restored['kind']> = Extract<Restored, { kind: K }>;

function fromBundle({ events, set_aside, marks }: Of<'bundle'>, { data }: Config): readonly string[] {
  return [
    `${grouped(events)} events verified and restored to ${data}`,
    ...set_aside.map((file) => `set aside: ${file}`),
    marks
      ? 'the signer\'s marks are still here: the node goes on as before if they say that this log is the newest, else it only gets its money back'
      : 'nothing here proves that this log is the newest: the node will only get its money back, and never sign with an old state',
    ...steps(data),
  ];
}

function fromStatic({ channels, peers, birthday, written_at }: Of<'static'>, { data }: Config): readonly string[] {
  return [
    `${grouped(channels)} channels and the addresses of ${peers} peers, as of ${new Date(written_at * 1000).toISOString()}, restored to ${data}; the chain is read from block ${birthday}`,
    ...steps(data),
  ];
}

const fromWords = ({ data }: Config): readonly string[] => [
  `the words are in ${data}; coins of the wallet are found on the chain`,
  `1. start the node: fulgurite node --data ${data}`,
  `2. connect to every peer that you had a channel with: fulgurite connect NODE_ID@HOST:PORT --data ${data}`,
  '3. a peer that kept our backup gives it back, and the channels in it are closed and paid out; what no peer kept is lost without a backup',
  `4. see what is left: fulgurite channels --data ${data}`,
];

const steps = (data: string): readonly string[] => [
  `1. start the node: fulgurite node --data ${data}`,
  `2. connect to the peers it does not reach by itself: fulgurite connect NODE_ID@HOST:PORT --data ${data}`,
  '3. each peer is asked to close; what it pays us comes to the wallet once that is in a block',
  `4. see what is left: fulgurite getinfo --data ${data}`,
];
