/** `fulgurite init`: a new node's seed, sealed with a passphrase; its 24 words are shown this once. Or an old node's, from its words. */
import { loadConfig, settingsFromFlags, type Config, type ConfigInput, type Environment } from '../config.ts';
import { CommandFailed, painter, printLine, table, toJson, WrongUsage, type Io } from './output.ts';
import { newPassphrase } from './passphrase.ts';
import { ask, isInteractive, readInput } from './prompt.ts';

export type SettingFlags = ConfigInput['flags'];

export interface InitOptions {
  readonly restore?: boolean;
  /** Of restored words: a block height. */
  readonly birthday?: string;
  readonly json?: boolean;
}

export async function initCommand(flags: SettingFlags, { restore = false, birthday, json = false }: InitOptions, io: Io, env: Environment = process.env): Promise<number> {
  const config = loadConfig({ flags, env });
  const { generateSeedWords } = await import('../daemon/create-node.ts');
  const { node_id, words } = await create(config, flags, env, restore ? { words: await oldWords(), birthday: heightOf(birthday) } : { words: generateSeedWords() });
  if (json) await printLine(io.stdout, toJson({ node_id, data: config.data, network: config.network, ...(restore ? {} : { words }) }, 2));
  else for (const line of [...(restore ? [] : describeWords(words, io)), ...described(node_id, config)]) await printLine(io.stdout, line);
  return 0;
}

/** At the first start of a node with a person at the terminal: the same, in a conversation. Answers the passphrase. */
export async function initInteractively(config: Config, flags: SettingFlags, io: Io, env: Environment): Promise<string> {
  const { generateSeedWords } = await import('../daemon/create-node.ts');
  io.stderr.write(`${config.data} has no node yet; this makes one on ${config.network}.\n`);
  const { words, passphrase } = await create(config, flags, env, { words: generateSeedWords() });
  for (const line of describeWords(words, { ...io, stdout: io.stderr })) await printLine(io.stderr, line);
  await ask('Press Enter when they are written down. ');
  io.stderr.write('\u001b[2J\u001b[3J\u001b[H');
  return passphrase;
}

export async function create(config: Config, flags: SettingFlags, env: Environment, { words, birthday }: { readonly words: string; readonly birthday?: number }) {
  const { createNode, mustBeLong } = await import('../daemon/create-node.ts');
  const passphrase = await newPassphrase(config, env);
  mustBeLong(passphrase);
  const { data, network } = config;
  const { node_id } = await createNode({ data, network, words, passphrase, birthday, settings: settingsFromFlags(flags) });
  return { node_id, words, passphrase };
}

export async function oldWords(): Promise<string> {
  return isInteractive() ? ask('The words, with spaces between them: ', { hidden: true }) : readInput();
}

export function heightOf(text = '0'): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new WrongUsage('invalid_birthday', `--birthday: expected a block height, got ${text}`);
}

function describeWords(words: string, { stdout }: Pick<Io, 'stdout'>): readonly string[] {
  const numbered = words.split(' ').map((word, index) => `${String(index + 1).padStart(2)} ${word}`);
  const quarter = numbered.length / 4;
  const rows = Array.from({ length: quarter }, (_, row) => [0, 1, 2, 3].map((column) => numbered[column * quarter + row]!));
  const paint = painter(stdout);
  return [
    paint('bold', 'These 24 words are the node\'s money. They are shown this once; write them down, on paper:'),
    '',
    ...table(rows).map((line) => `  ${line}`),
    '',
  ];
}

function described(node_id: string, { data, network }: Config): readonly string[] {
  return [`node ${node_id} on ${network}`, `start it with: fulgurite node --data ${data}`];
}

/** Says what to do where a node is asked for and nobody can be asked. */
export const noNode = (data: string): CommandFailed => new CommandFailed('no_node', `${data} has no node yet: make one with: fulgurite init --data ${data} --network <network>`);
