/** Where the passphrase of a seed comes from: a file, the environment, or the person at the terminal. */
import { readFileSync } from 'node:fs';
import type { Config, Environment } from '../config.ts';
import { CommandFailed } from './output.ts';
import { ask, isInteractive } from './prompt.ts';

/** From a file or the environment; undefined when a person has to be asked. Throws CommandFailed. */
export function givenPassphrase({ passphrase_file }: Pick<Config, 'passphrase_file'>, env: Environment): string | undefined {
  if (passphrase_file === undefined) return env['FULGURITE_PASSPHRASE'];
  try {
    return readFileSync(passphrase_file, 'utf8').split(/\r?\n/)[0]!;
  } catch (error) {
    throw new CommandFailed('passphrase_file_unreadable', `passphrase_file: ${passphrase_file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** Throws CommandFailed where nobody can be asked. */
export async function knownPassphrase(config: Pick<Config, 'passphrase_file' | 'data'>, env: Environment): Promise<string> {
  const given = givenPassphrase(config, env);
  if (given !== undefined) return given;
  mustBeInteractive();
  return ask(`Passphrase of ${config.data}: `, { hidden: true });
}

/** Asked twice: nobody sees what is typed. */
export async function newPassphrase(config: Pick<Config, 'passphrase_file'>, env: Environment): Promise<string> {
  const given = givenPassphrase(config, env);
  if (given !== undefined) return given;
  mustBeInteractive();
  const first = await ask('New passphrase, at least 8 characters: ', { hidden: true });
  const second = await ask('The same again: ', { hidden: true });
  if (first !== second) throw new CommandFailed('passphrases_differ', 'the two passphrases differ: nothing was written, begin again');
  return first;
}

function mustBeInteractive(): void {
  if (!isInteractive()) throw new CommandFailed('passphrase_needed', 'the passphrase: expected --passphrase-file, FULGURITE_PASSPHRASE or a terminal to ask at, got none of them');
}
