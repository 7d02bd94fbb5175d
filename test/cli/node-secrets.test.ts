/** Safety 27: credentials leaked, keys in logs. After a full scenario no secret stands in any event, log line, error, file or answer. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLogger } from '../../src/adapters/logger.ts';
import type { Hex32 } from '../../src/bolt/primitives.ts';
import { isEstablished } from '../../src/domain/channel/state.ts';
import { startDaemon } from '../../src/daemon/start.ts';
import { fund, lend, openThroughCli, PASSPHRASE, runCli, settings, startDaemons, type Daemons } from '../support/daemons.ts';
import { commitmentSecrets, findSecrets, secretBytes, secretText, secretsOf, type Place, type Secret } from '../support/secrets.ts';

const NAMES = ['alice', 'bob'] as const;
const NETWORK = 'bitcoin-regtest';
/** What may hold them: one is sealed, the other is for the commands. */
const KEPT_APART = new Set(['seed', 'api-token']);

let nodes: Daemons;
const places: Place[] = [];
const files = new Map<string, readonly Place[]>();
const secrets = new Map<string, readonly Secret[]>();
const numbers = new Map<string, readonly bigint[]>();

beforeAll(async () => {
  nodes = await startDaemons(...NAMES);
  await scenario();
  for (const name of NAMES) {
    numbers.set(name, nodes.daemon(name).node.channels().map(({ state }) => (isEstablished(state) ? state.commitments.local.number : 0n)));
    secrets.set(name, await everySecret(name));
    places.push(...(await answers(name)), { name: `log lines of ${name}`, text: nodes.log(name) });
  }
  for (const name of NAMES) {
    await nodes.halt(name);
    files.set(name, filesOf(name));
  }
}, 120_000);
afterAll(() => nodes.stop());

/** Opening, payments that succeed and fail, a restart, errors of every kind, both closes. */
async function scenario(): Promise<void> {
  await fund(nodes, 'alice');
  await openThroughCli(nodes, 'alice', 'bob', '1000000', '--push', '300000');
  await openThroughCli(nodes, 'alice', 'bob', '500000');
  for (const [payer, payee, amount] of [['alice', 'bob', '5000'], ['bob', 'alice', '300'], ['alice', 'bob', '9000000']] as const) {
    const { bolt11 } = await said(payee, 'invoice', amount, 'coffee', '--json').then(({ out }) => JSON.parse(out));
    await said(payee, 'decode', bolt11);
    await said(payer, 'pay', bolt11);
    await said(payer, 'pay', bolt11, '--json');
  }
  for (const name of NAMES) await said(name, 'invoice', '77', 'never paid');
  await nodes.halt('bob');
  await nodes.start('bob');
  await mistakes();
  await untilPeers();
  const channels = await nodes.json('alice', 'channels');
  await said('alice', 'close', channels[0].stream);
  await said('alice', 'close', channels[1].stream, '--force');
  for (let blocks = 0; blocks < 24; blocks++) {
    await nodes.mine(1);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  for (const name of NAMES) for (const command of ['getinfo', 'peers', 'channels', 'balance', 'events', 'address']) await said(name, command);
}

async function mistakes(): Promise<void> {
  await said('alice', 'open', 'nobody', '1');
  await said('alice', 'connect', `02${'ab'.repeat(32)}@127.0.0.1:1`);
  await said('alice', 'pay', 'lnbcrt1nonsense');
  const { api } = nodes.daemon('alice');
  for (const token of ['wrong', tokenOf('bob')]) places.push({ name: 'a refused token', text: await (await fetch(`${api}/v1/info`, { headers: { authorization: `Bearer ${token}` } })).text() });
  let log = '';
  const kept: string[] = [];
  const logger = createLogger({ level: 'trace', format: 'text', out: { write: (line) => (log += line) }, secrets: () => kept });
  const start = (data: string, passphrase: string) => startDaemon({ config: settings(data, 'x'), logger, passphrase: async () => passphrase, keepSecret: (secret) => kept.push(secret), openChain: async () => lend(nodes.chain) });
  for (const [name, passphrase] of [['alice', PASSPHRASE], ['nobody', PASSPHRASE]] as const) {
    const error = await start(nodes.data(name), passphrase).then(() => undefined, (problem: Error) => problem);
    places.push({ name: 'a start that failed', text: `${log} ${error!.message} ${error!.stack} ${JSON.stringify(error)}` });
  }
}

async function said(name: string, ...argv: readonly string[]) {
  const ran = await nodes.run(name, ...argv);
  places.push({ name: `${name}: ${argv[0]}`, text: ran.out + ran.err });
  return ran;
}

async function untilPeers(): Promise<void> {
  for (let tries = 0; tries < 500; tries += 1) {
    if (nodes.daemon('alice').node.channels().every(({ usable }) => usable)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const tokenOf = (name: string): string => readFileSync(join(nodes.data(name), 'api-token'), 'utf8').trim();

async function everySecret(name: string): Promise<readonly Secret[]> {
  const [payment_ids, nonces, settled]: [Hex32[], Map<string, Hex32>, Set<string>] = [[], new Map(), new Set()];
  for await (const { event, stream } of nodes.daemon(name).node.store.readAll()) {
    if (event.type === 'PaymentStarted') payment_ids.push(stream.slice('payment-'.length) as Hex32);
    if (event.type === 'InvoiceCreated') nonces.set(stream, event.nonce);
    if (event.type === 'InvoiceSettled') settled.add(stream);
  }
  expect(payment_ids.length).toBeGreaterThan(0);
  const unpaidNonces = [...nonces].filter(([stream]) => !settled.has(stream)).map(([, nonce]) => nonce);
  expect(unpaidNonces.length).toBeGreaterThan(0);
  const unrevealed = numbers.get(name)!.flatMap((number, key_index) => commitmentSecrets(nodes.words(name), NETWORK, key_index, number, 20));
  return [...secretsOf(nodes.words(name), NETWORK, { channels: 3, payment_ids, unpaidNonces }), ...unrevealed, secretText('passphrase', PASSPHRASE), secretText('token', tokenOf(name))];
}

/** Everything that the API has to say. */
async function answers(name: string): Promise<readonly Place[]> {
  const { api } = nodes.daemon(name);
  const headers = { authorization: `Bearer ${tokenOf(name)}` };
  const paths = ['/healthz', '/openapi.json', '/v1/info', '/v1/peers', '/v1/channels', '/v1/balances', '/v1/payments', '/v1/invoices', '/v1/relays', '/v1/wallet', '/v1/events?limit=1000', '/v1/channels/nobody'];
  return Promise.all(paths.map(async (path) => ({ name: `${name} ${path}`, text: await (await fetch(api + path, { headers })).text() })));
}

function filesOf(name: string): readonly Place[] {
  const entries = readdirSync(nodes.data(name), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && !KEPT_APART.has(entry.name));
  const names = entries.map((entry) => relative(nodes.data(name), join(entry.parentPath, entry.name)));
  expect(names).toEqual(expect.arrayContaining(['log.sqlite', 'checkpoint', 'node.json', join('signer', 'marks'), join('backups', 'channels.backup')]));
  return names.map((file) => ({ name: `${name}/${file}`, text: readFileSync(join(nodes.data(name), file), 'latin1') }));
}

const everywhere = (): readonly Place[] => [...places, ...[...files.values()].flat()];

describe('safety 27: after a full scenario', () => {
  it.each(NAMES)('no secret of %s stands in an event, a log line, an error, a file or an answer', (name) => {
    expect(findSecrets(everywhere(), secrets.get(name)!)).toEqual([]);
  });

  it.each(NAMES)('the log of %s holds none of its own per-commitment secrets, those that it gave away neither', (name) => {
    const own = numbers.get(name)!.flatMap((_, key_index) => commitmentSecrets(nodes.words(name), NETWORK, key_index, 0n, 40));
    expect(findSecrets(files.get(name)!, own)).toEqual([]);
  });

  it('the search finds what is there: a secret that alice revoked is a fact in the log of bob', () => {
    const revoked = commitmentSecrets(nodes.words('alice'), NETWORK, 0, 0n, 1);
    expect(findSecrets(files.get('bob')!, revoked)).not.toEqual([]);
    expect(findSecrets([{ name: 'a page', text: `key: ${Buffer.from('0102', 'hex').join(',')}` }], [secretBytes('x', '0102')])).toEqual(['a page: x']);
  });

  it('there was something to search: every kind of place, and much of each', () => {
    const size = (prefix: string) => everywhere().filter(({ name }) => name.startsWith(prefix)).reduce((sum, { text }) => sum + text.length, 0);
    expect(size('alice/log.sqlite')).toBeGreaterThan(50_000);
    expect(size('alice /v1/events')).toBeGreaterThan(10_000);
    expect(size('log lines of')).toBeGreaterThan(1_000);
    expect(size('a refused token')).toBeGreaterThan(100);
    expect(size('a start that failed')).toBeGreaterThan(100);
  });
});

describe('the log for people', () => {
  it('has no secret even when somebody logs one', () => {
    let text = '';
    const logger = createLogger({ level: 'info', format: 'json', out: { write: (line) => (text += line) }, secrets: () => ['a "quoted" token'] });
    logger.info({ headers: { authorization: 'Bearer a "quoted" token' } }, 'asked with a "quoted" token');
    expect(text).not.toContain('quoted');
    expect(JSON.parse(text)).toMatchObject({ msg: 'asked with [secret]', level: 'info' });
  });

  it('a command line with a wrong folder repeats nothing but the folder', async () => {
    expect((await runCli('getinfo', '--data', join(nodes.folder, 'nobody'))).err).not.toContain(PASSPHRASE);
  });
});
