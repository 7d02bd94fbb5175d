/** Who we are to the daemon: a cookie file that it writes anew at each start, or a name and a password. Neither is ever shown. */
import { readFile } from 'node:fs/promises';
import { ChainError } from './errors.ts';

export interface CredentialOptions {
  /** `.cookie` in the daemon's data folder. */
  readonly cookieFile?: string;
  readonly user?: string;
  readonly password?: string;
}

export interface Credentials {
  /** The Authorization header. Throws ChainError `chain_no_cookie` when there is none to read. */
  header(): Promise<string>;
  /** They were refused. Answers whether others may be there: a cookie changes when the daemon starts. */
  refused(): boolean;
}

/** Throws ChainError `chain_settings` unless there is exactly one way. */
export function createCredentials({ cookieFile, user, password }: CredentialOptions): Credentials {
  if (cookieFile !== undefined && user === undefined && password === undefined) return fromCookie(cookieFile);
  if (cookieFile === undefined && user !== undefined && password !== undefined) {
    const header = basic(`${user}:${password}`);
    return { header: async () => header, refused: () => false };
  }
  const given = Object.entries({ cookieFile, user, password }).filter(([, value]) => value !== undefined).map(([name]) => name);
  throw new ChainError('chain_settings', `expected a cookieFile, or a user and a password; got ${given.join(' and ') || 'neither'}`);
}

function fromCookie(file: string): Credentials {
  let known: string | undefined;
  return {
    header: async () => (known ??= basic(await readCookie(file))),
    refused() {
      known = undefined;
      return true;
    },
  };
}

async function readCookie(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new ChainError('chain_no_cookie', `the cookie file ${file} cannot be read (${(error as NodeJS.ErrnoException).code}): is the daemon running, and may we read its data folder?`);
  }
}

const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
