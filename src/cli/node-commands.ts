/** The definitions of the commands that make a node and run it: every setting is a flag. */
import { Option, type Command } from 'commander';
import { DEFAULT_DATA, SETTINGS, type Setting } from '../config.ts';
import { examples, type Run } from './help.ts';
import { initCommand, type InitOptions, type SettingFlags } from './init.ts';
import { nodeCommand } from './node.ts';
import type { Io } from './output.ts';

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

  addSettings(program.command('node').description('run a node until it is told to stop; its log is on standard output'))
    .addHelpText('after', `${examples('node', 'node --data ./alice --listen-port 9735 --http-port 8750', 'node --log-format text', 'FULGURITE_LOG_LEVEL=debug fulgurite node').replace('$ fulgurite FULGURITE', '$ FULGURITE')}
Flags win over FULGURITE_ variables, these over fulgurite.json in the data folder, that over the defaults.
docs/CONFIGURATION.md explains every setting. Ctrl-C or \`fulgurite stop\` ends it in good order.
`)
    .action((options: Options) => run(() => nodeCommand(flagsOf(options), io)));
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
