/** The definitions of the commands that make a node and run it: every setting is a flag. */
import { Option, type Command } from 'commander';
import { DEFAULT_DATA, SETTINGS, type Setting } from '../config.ts';
import { backupCommand, type BackupOptions } from './backup.ts';
import { examples, type Run } from './help.ts';
import { initCommand, type InitOptions, type SettingFlags } from './init.ts';
import { nodeCommand, type NodeOptions } from './node.ts';
import type { Io } from './output.ts';
import { restoreCommand, type RestoreOptions } from './restore.ts';

type Options = Readonly<Record<string, string | boolean | undefined>>;

export function addNodeCommands(program: Command, io: Io, run: Run): void {
  const init = program
    .command('init')
    .description('make a node: a seed, sealed with a passphrase, in a data folder; its 24 words are shown this once')
    .option('--restore', 'an old node\'s words instead of new ones, asked for or on standard input')
    .option('--birthday <height>', 'with --restore: no coin of the words is older than this block', '0')
    .option('--json', 'print JSON');
  addSettings(init)
    .addHelpText('after', `${examples(
      'init --network bitcoin-testnet --chain-cookie-file ~/.bitcoin/testnet3/.cookie',
      'init --data ./alice --network bitcoin-regtest --passphrase-file ./secret',
      'init --restore --birthday 812000 --network bitcoin-mainnet < words',
    )}
Settings given here are written to fulgurite.json in the data folder, for every later start.
`)
    .action((options: Options) => run(() => initCommand(flagsOf(options), options as InitOptions, io)));

  addBackups(program, io, run);

  const node = program
    .command('node')
    .description('run a node until it is told to stop; its log is on standard output')
    .option('--recovery', 'only get the money back: every peer is asked to close its channel, and nothing of ours is published (docs/BACKUP.md)')
    .option('--adopt-log', 'the signer\'s marks are missing, and you know that this log is the newest');
  addSettings(node)
    .addHelpText('after', `${examples('node', 'node --data ./alice --listen-port 9735 --http-port 8750', 'node --log-format text', 'FULGURITE_LOG_LEVEL=debug fulgurite node').replace('$ fulgurite FULGURITE', '$ FULGURITE')}
Flags win over FULGURITE_ variables, these over fulgurite.json in the data folder, that over the defaults.
docs/CONFIGURATION.md explains every setting. Ctrl-C or \`fulgurite stop\` ends it in good order.
`)
    .action((options: Options) => run(() => nodeCommand(flagsOf(options), options as NodeOptions, io)));
}

function addBackups(program: Command, io: Io, run: Run): void {
  program
    .command('backup')
    .description('write the log as a bundle, and beside it the static backup of the channels; the node may run meanwhile')
    .argument('<file>', 'where the bundle goes; the static backup is FILE.channels')
    .option('--data <dir>', `the node's data folder (FULGURITE_DATA, else ${DEFAULT_DATA})`)
    .option('--force', 'replace the files')
    .option('--json', 'print what was written as JSON')
    .addHelpText('after', `${examples('backup /mnt/usb/alice.bundle', 'backup ./alice.bundle --data ./alice --force')}
Neither holds the seed: with its 24 words they are the node. docs/BACKUP.md says what each is good for.
`)
    .action((file: string, options: BackupOptions) => run(() => backupCommand(file, options, io)));

  const restore = program
    .command('restore')
    .description('bring a node back: from a bundle, from a static backup, or from its words alone')
    .argument('[file]', 'a bundle or a static backup; left out: the words alone, and what peers have kept')
    .option('--birthday <height>', 'without a static backup: no coin of the words is older than this block', '0')
    .option('--json', 'print JSON');
  addSettings(restore)
    .addHelpText('after', `${examples('restore alice.bundle.channels --data ./alice --network bitcoin-testnet', 'restore alice.bundle --data ./alice --network bitcoin-testnet', 'restore --data ./alice --network bitcoin-testnet < words')}
Where the folder has no seed, the words are asked for, or read from standard input.
`)
    .action((file: string | undefined, options: Options) => run(() => restoreCommand(file, flagsOf(options), options as RestoreOptions, io)));
}

function addSettings(command: Command): Command {
  command
    .addOption(new Option('--data <dir>', `the node's data folder (FULGURITE_DATA, else ${DEFAULT_DATA})`))
    .addOption(new Option('--config <file>', 'the configuration (FULGURITE_CONFIG, else fulgurite.json in the data folder)'));
  for (const setting of SETTINGS) command.addOption(optionOf(setting));
  return command;
}

function optionOf({ flag, type, description, choices, default: value }: Setting): Option {
  const shown = `${description.replaceAll('`', '')}${value === undefined ? '' : ` [${value}]`}`;
  if (type === 'boolean') return new Option(`${flag} [true|false]`, shown);
  return new Option(`${flag} <${choices === undefined || choices.length > 6 ? wordOf(flag) : choices.join('|')}>`, shown);
}

const wordOf = (flag: string): string => flag.slice(flag.lastIndexOf('-') + 1);

/** By setting, as they were typed; what is wrong with one the configuration says, as it does for the file. */
function flagsOf(options: Options): SettingFlags {
  const settings = SETTINGS.map(({ key, flag }) => [key, options[new Option(flag).attributeName()]] as const);
  return { data: options['data'] as string | undefined, config: options['config'] as string | undefined, ...Object.fromEntries(settings) };
}
