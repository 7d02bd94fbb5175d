/** Settings from flags, environment and file: which wins, what is refused, and how it is said. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConfigError, loadConfig, nearest, SETTINGS, settingsFromFlags, type Config, type ConfigInput, type Environment } from '../../src/config.ts';
import { DEFAULT_FORWARDING, DEFAULT_POLICY } from '../../src/main.ts';
import { DEFAULT_FEES } from '../../src/node.ts';

let data: string;
beforeAll(() => (data = mkdtempSync(join(tmpdir(), 'fulgurite-config-'))));
afterAll(() => rmSync(data, { recursive: true, force: true }));

const write = (content: unknown): void => writeFileSync(join(data, 'fulgurite.json'), typeof content === 'string' ? content : JSON.stringify(content));

function load(file: unknown, env: Environment = {}, flags: ConfigInput['flags'] = {}): Config {
  write(file);
  return loadConfig({ flags: { data, ...flags }, env });
}

function refusal(file: unknown, env: Environment = {}, flags: ConfigInput['flags'] = {}): string {
  try {
    load(file, env, flags);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return `${(error as ConfigError).code}: ${(error as Error).message}`;
  }
  throw new Error('expected a refusal, got none');
}

const network = 'bitcoin-regtest';

describe('precedence', () => {
  it('flags win over the environment, that over the file, that over the defaults; each setting for itself', () => {
    const file = { network, alias: 'file', http: { port: 1 }, chain: { poll_ms: 111 } };
    const env = { FULGURITE_ALIAS: 'env', FULGURITE_HTTP_PORT: '2' };
    expect(load(file, env, { alias: 'flag' })).toMatchObject({ alias: 'flag', http: { port: 2, host: '127.0.0.1' }, chain: { poll_ms: 111, kind: 'bitcoind' }, listen: { host: '127.0.0.1' } });
    expect(load(file, env)).toMatchObject({ alias: 'env' });
    expect(load(file)).toMatchObject({ alias: 'file', http: { port: 1 } });
    expect(load({ network })).toMatchObject({ alias: 'fulgurite', http: { port: 8750 }, store: 'sqlite', log: { level: 'info' } });
  });

  it('every setting has a flag and a variable, and either reaches it', () => {
    const samples: Readonly<Record<string, string>> = { network, 'chain.behind_blocks': '9', trusted_peers: `02${'ab'.repeat(32)}`, 'http.host': '::1', 'chain.kind': 'bitcoind', 'chain.url': 'http://127.0.0.1:1', store: 'sqlite', 'log.level': 'warn', 'log.format': 'text' };
    for (const { key, env, type } of SETTINGS) {
      const text = samples[key] ?? (type === 'integer' ? '400' : type === 'boolean' ? 'true' : 'words');
      const fitting = key === 'channel.minimum_depth' ? '7' : key.endsWith('funding_satoshis') || key.endsWith('dust_limit_satoshis') ? '1400' : key.includes('max_accepted') ? '30' : key === 'fees.raise_below_percent' ? '70' : text;
      for (const config of [load({ network }, { [env]: fitting }), load({ network }, {}, { [key]: fitting })]) {
        const value = key.split('.').reduce<unknown>((group, name) => (group as Record<string, unknown>)[name], config);
        expect({ key, value: String(value) }).toEqual({ key, value: key.endsWith('_file') ? resolve(fitting) : fitting });
      }
    }
  });

  it('the data folder: flag, environment, home', () => {
    write({ network });
    expect(loadConfig({ flags: {}, env: { FULGURITE_DATA: data } }).data).toBe(data);
    expect(loadConfig({ flags: { network, data: '~/nowhere' }, env: { FULGURITE_DATA: data } }).data).toBe(join(homedir(), 'nowhere'));
  });

  it('another file can be named, and has to be there then', () => {
    const other = join(data, 'other.json');
    writeFileSync(other, JSON.stringify({ network, alias: 'other' }));
    expect(load({ network, alias: 'own' }, {}, { config: other }).alias).toBe('other');
    expect(load({ network, alias: 'own' }, { FULGURITE_CONFIG: other }).alias).toBe('other');
    expect(refusal({}, {}, { config: join(data, 'missing.json') })).toMatch(/config_file_missing: .*missing\.json/);
  });

  it('a path in the file is meant from the file\'s folder, one that is typed from here', () => {
    expect(load({ network, passphrase_file: 'secret' }).passphrase_file).toBe(join(data, 'secret'));
    expect(load({ network }, {}, { passphrase_file: 'secret' }).passphrase_file).toBe(resolve('secret'));
    expect(load({ network, chain: { cookie_file: '~/.cookie' } }).chain.cookie_file).toBe(join(homedir(), '.cookie'));
  });
});

describe('a setting that cannot be used', () => {
  it.each([
    [{ network, alais: 'x' }, {}, 'unknown_setting', 'alais: did you mean alias?'],
    [{ network, chain: { uri: 'x' } }, {}, 'unknown_setting', 'chain.uri: did you mean chain.url?'],
    [{ network }, { FULGURITE_CHAIN_URI: 'x' }, 'unknown_setting', 'did you mean FULGURITE_CHAIN_URL?'],
    [{ network }, { FULGURITE_PASPHRASE: 'x' }, 'unknown_setting', 'did you mean FULGURITE_PASSPHRASE?'],
    [{}, {}, 'missing_setting', '--network, FULGURITE_NETWORK'],
    [{ network: 'bitcoin' }, {}, 'invalid_setting', 'expected one of bitcoin-mainnet'],
    [{ network, http: { port: 70_000 } }, {}, 'invalid_setting', 'got 70000'],
    [{ network, http: { port: '8750' } }, {}, 'invalid_setting', 'got "8750"'],
    [{ network }, { FULGURITE_HTTP_PORT: 'web' }, 'invalid_setting', 'got "web" (FULGURITE_HTTP_PORT)'],
    [{ network, http: { host: '0.0.0.0' } }, {}, 'invalid_setting', '127.0.0.1'],
    [{ network, http: 8750 }, {}, 'invalid_setting', 'http: expected a group'],
    [{ network, alias: 'x'.repeat(33) }, {}, 'invalid_setting', '32 bytes'],
    [{ network, chain: { url: 'http://user:secretword@127.0.0.1' } }, {}, 'invalid_setting', 'without a user'],
    [{ network: 'bitcoin-mainnet', chain: { stand_in_genesis: true } }, {}, 'stand_in_refused', 'got bitcoin-mainnet'],
    ['[1]', {}, 'config_file_unreadable', 'JSON object'],
    ['{"network":', {}, 'config_file_unreadable', 'JSON object'],
  ])('%j %j: %s', (file, env, code, words) => {
    const said = refusal(file, env as Environment);
    expect(said.split(':')[0]).toBe(code);
    expect(said).toContain(words);
  });

  it('that is a secret is not repeated', () => {
    expect(refusal({ network, chain: { password: 7_654_321 } })).not.toContain('7654321');
    expect(refusal({ network, store: 'http://admin:changeit@host' })).not.toContain('changeit');
    expect(refusal({ network, chain: { url: 'http://user:secretword@127.0.0.1' } })).not.toContain('secretword');
  });
});

describe('defaults', () => {
  it('are those of the node', () => {
    const { channel, forwarding, fees } = load({ network });
    const plain = (policy: object) => Object.fromEntries(Object.entries(policy).map(([name, value]) => [name, Number(value)]));
    expect(channel).toEqual(plain(DEFAULT_POLICY));
    expect(forwarding).toEqual(plain(DEFAULT_FORWARDING));
    expect(fees).toEqual(DEFAULT_FEES);
  });
});

describe('settings from flags', () => {
  it('are what the file would have', () => {
    expect(settingsFromFlags({ data, network, 'http.port': '9', 'chain.stand_in_genesis': true, alias: undefined })).toEqual({ network, http: { port: 9 }, chain: { stand_in_genesis: true } });
  });
});

describe('the nearest name', () => {
  it.each([['chain.ulr', 'chain.url'], ['aliass', 'alias'], ['forwarding.fee_base', 'forwarding.fee_base_msat']])('of %s is %s', (typed, meant) => {
    expect(nearest(typed, SETTINGS.map(({ key }) => key))).toBe(meant);
  });
});
