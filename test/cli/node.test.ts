/** `fulgurite`'s commands over two running nodes: from an address to a payment and both kinds of close, and what each says when it cannot. */
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLogger } from '../../src/adapters/logger.ts';
import { encodeAddress } from '../../src/bolt/address.ts';
import { loadConfig } from '../../src/config.ts';
import { startDaemon } from '../../src/daemon/start.ts';
import { fund, lend, openThroughCli, PASSPHRASE, runCli, settings, startDaemons, type Daemons } from '../support/daemons.ts';

let nodes: Daemons;

beforeAll(async () => {
  nodes = await startDaemons('alice', 'bob');
}, 60_000);
afterAll(() => nodes.stop());

describe('two nodes, from nothing to both kinds of close', () => {
  it('getinfo says who and where they are, the same in lines and in JSON', async () => {
    const info = await nodes.json('alice', 'getinfo');
    expect(info).toMatchObject({ alias: 'alice', network: 'bitcoin-regtest', peers: 0, channels: { opening: 0, open: 0, closing: 0, closed: 0 } });
    expect(info.address).toBe(`${info.node_id}@127.0.0.1:${nodes.daemon('alice').node.port}`);
    const { code, out } = await nodes.run('alice', 'getinfo');
    expect(code).toBe(0);
    expect(out).toContain(`node_id         ${info.node_id}\n`);
    expect(out).toContain('channels        0 open, 0 opening, 0 closing, 0 closed\n');
    expect(out).toContain('feerates        urgent 1,000, normal 1,000, economic 1,000 sat per 1000 weight\n');
  });

  it('address gives a new one each time, and balance shows what came to it', async () => {
    const [first, second] = [(await nodes.run('alice', 'address')).out, (await nodes.run('alice', 'address', '--purpose', 'rent')).out];
    expect(first).toMatch(/^bcrt1q[0-9a-z]+\n$/);
    expect(second).not.toBe(first);
    await fund(nodes, 'alice');
    expect((await nodes.run('alice', 'balance')).out).toContain('wallet_sat 10,000,000 (confirmed 10,000,000, pending 0, reserved 0)');
    expect((await nodes.json('alice', 'balance'))[0]).toMatchObject({ node: 'alice', totals: { owned_msat: '10000000000' } });
    expect((await nodes.json('alice', 'balance', '--at', '1'))[0]).toMatchObject({ position: '1', totals: { owned_msat: '0' } });
  });

  it('connect, peers, open, channels', async () => {
    const stream = await openThroughCli(nodes, 'alice', 'bob', '1,000,000', '--push', '200000');
    const bob = await nodes.json('bob', 'getinfo');
    expect((await nodes.run('alice', 'peers')).out).toContain(bob.node_id);
    const { out } = await nodes.run('alice', 'channels');
    expect(out).toMatch(new RegExp(`^channel +alias +phase +local_msat +remote_msat +htlcs +capacity_sat +stream\n\\d+x1x0 +\\d+x\\d+x\\d+ +normal +800,000,000 +200,000,000 +0 +1,000,000 +${stream}\n$`));
  });

  it('invoice, decode, pay; an invoice is paid once', async () => {
    const bolt11 = (await nodes.run('bob', 'invoice', '25000', 'two coffees', '-q')).out.trim();
    expect((await nodes.run('alice', 'decode', bolt11)).out).toMatch(/amount_msat +25,000,000\ndescription +two coffees\n/);
    const paid = await nodes.json('alice', 'pay', bolt11);
    expect(paid).toMatchObject({ status: 'succeeded', amount_msat: '25000000', fee_msat: '0', attempts: 1 });
    expect(await nodes.run('alice', 'pay', bolt11)).toMatchObject({ code: 1, out: '', err: expect.stringMatching(/^error: payment_hash .* \(already_paid\)\n$/) });
    const open = (await nodes.run('alice', 'invoice', 'any', '-q')).out.trim();
    expect(await nodes.run('bob', 'pay', open)).toMatchObject({ code: 1, err: expect.stringContaining('amount_missing') });
    expect(await nodes.json('bob', 'pay', open, '--amount', '0.0001btc')).toMatchObject({ status: 'succeeded', amount_msat: '10000000' });
  });

  it('a payment with an idempotency key is one payment, however often it is asked for', async () => {
    const bolt11 = (await nodes.run('bob', 'invoice', '100', '-q')).out.trim();
    const first = await nodes.json('alice', 'pay', bolt11, '--idempotency-key', 'order-17');
    expect(await nodes.json('alice', 'pay', bolt11, '--idempotency-key', 'order-17')).toEqual(first);
    const other = (await nodes.run('bob', 'invoice', '100', '-q')).out.trim();
    expect(await nodes.run('alice', 'pay', other, '--idempotency-key', 'order-17')).toMatchObject({ code: 1, err: expect.stringContaining('idempotency_key_reused') });
  });

  it('a payment that cannot be made ends with why', async () => {
    const bolt11 = (await nodes.run('bob', 'invoice', '5000000', '-q')).out.trim();
    const { code, err } = await nodes.run('alice', 'pay', bolt11);
    expect(code).toBe(1);
    expect(err).toMatch(/no_route/);
  });

  it('open with an idempotency key opens one channel, also after a restart', async () => {
    const bob = await nodes.json('bob', 'getinfo');
    const open = () => nodes.json('alice', 'open', bob.node_id, '300000', '--idempotency-key', 'channel-1');
    const first = await open();
    expect((await open()).channel.stream).toBe(first.channel.stream);
    await nodes.mine(3);
    await nodes.halt('alice');
    await nodes.start('alice');
    await waitFor(async () => (await nodes.json('alice', 'peers')).peers.length === 1);
    expect((await open()).channel.stream).toBe(first.channel.stream);
    expect((await nodes.json('alice', 'channels')).length).toBe(2);
  });

  it('events show the log; --follow goes on with it', async () => {
    const { out } = await nodes.run('alice', 'events', '--type', 'FundingConfirmed,PaymentSucceeded', '--limit', '3');
    expect(out.split('\n').filter((line) => line !== '').map((line) => line.trim().split(' ')[3])).toEqual(['FundingConfirmed', 'PaymentSucceeded', 'PaymentSucceeded']);
    const followed = follow('alice', 'InvoiceSettled');
    const bolt11 = (await nodes.run('alice', 'invoice', '77', '-q')).out.trim();
    expect(await nodes.json('bob', 'pay', bolt11)).toMatchObject({ status: 'succeeded' });
    await waitFor(async () => followed.text().includes('InvoiceSettled'));
    await followed.end();
  });

  it('close --to and --feerate say why they cannot be, and pay where and what they are told', async () => {
    const [channel] = await nodes.json('alice', 'channels');
    const refusedAs = async (...args: string[]) => (await nodes.run('alice', 'close', channel.short_channel_id, ...args)).err;
    expect(await refusedAs('--to', 'bcrt1qnonsense')).toContain('not_an_address');
    expect(await refusedAs('--to', 'tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx')).toContain('wrong_network');
    expect(await refusedAs('--to', encodeAddress(`76a914${'11'.repeat(20)}88ac`, 'bitcoin-regtest'))).toContain('invalid_shutdown_script');
    expect(await refusedAs('--feerate', '100')).toContain('feerate_per_kw');
    expect(await refusedAs('--feerate', '2500', '--force')).toContain('without force');
    expect((await nodes.json('alice', 'channels'))[0]).toMatchObject({ phase: 'normal' });
  });

  it('close --wait tells how far it is, and ends with the channel closed', async () => {
    const [channel] = await nodes.json('alice', 'channels');
    const begun = await nodes.json('alice', 'close', channel.short_channel_id);
    const dearer = await nodes.json('alice', 'close', channel.short_channel_id, '--feerate', '5000');
    expect(dearer.waiting.txid).not.toBe(begun.waiting.txid);
    expect((await nodes.run('alice', 'close', channel.short_channel_id, '--feerate', '300')).err).toMatch(/fee_satoshis \d+, min_fee_satoshis \d+, feerate_per_kw 300 \(closing_fee_too_low\)/);
    await waitFor(async () => nodes.chain.mempool().some(({ txid }) => txid === dearer.waiting.txid));
    const closing = nodes.run('alice', 'close', channel.short_channel_id, '--wait');
    await nodes.mine(1);
    await new Promise((resolve) => setTimeout(resolve, 700));
    await nodes.mine(5);
    const { code, out, err } = await closing;
    expect({ code, out }).toEqual({ code: 0, out: expect.stringMatching(/phase +closed\nkind +mutual\nclosing_txid +[0-9a-f]{64}\n/) });
    expect(err).toMatch(/[01] of 6 confirmations of the closing transaction [0-9a-f]{64}/);
  });

  it('close --force waits for to_self_delay, and sweeps', async () => {
    const [channel] = await nodes.json('alice', 'channels');
    const begun = await nodes.run('alice', 'close', channel.stream, '--force');
    expect(begun).toMatchObject({ code: 0, out: expect.stringMatching(/phase +resolving\n/) });
    await waitFor(async () => nodes.chain.mempool().length > 0);
    const closing = nodes.run('alice', 'close', channel.stream, '--force', '--wait');
    const ended = closing.then(() => true);
    for (let done = false; !done; done = await Promise.race([ended, new Promise<false>((resolve) => setTimeout(() => resolve(false), 150))])) await nodes.mine(1);
    expect(await closing).toMatchObject({ code: 0, out: expect.stringMatching(/phase +closed\nkind +local\n/) });
    expect(await nodes.json('alice', 'channels')).toEqual([]);
    expect((await nodes.json('alice', 'channels', '--all')).map((row: { phase: string }) => row.phase)).toEqual(['closed', 'closed']);
    const { totals, wallet } = (await nodes.json('alice', 'balance'))[0];
    expect(BigInt(totals.owned_msat)).toBe(BigInt(wallet.total_sat) * 1000n);
  });
});

describe('a command that cannot be done says what to do', () => {
  const unknown = `02${'ab'.repeat(32)}`;

  it.each([
    [['connect', 'bob'], 1, 'invalid_address', '<node_id>@<host>:<port>'],
    [['connect', `${unknown}@127.0.0.1:1`], 1, 'connect_failed', 'ECONNREFUSED'],
    [['disconnect', unknown], 1, 'unknown_peer', unknown],
    [['open', unknown, '100000'], 1, 'peer_not_connected', 'connect first'],
    [['open', unknown, '99999999999'], 1, 'insufficient_funds', 'got 99999999999'],
    [['open', unknown, '12.34567'], 2, 'invalid_amount', '12.34567'],
    [['open', unknown, 'plenty'], 2, 'invalid_amount', 'plenty'],
    [['close', '9x9x9'], 1, 'unknown_channel', '9x9x9'],
    [['close', '9x9x9', '--feerate', 'fast'], 2, 'invalid_feerate', 'got fast'],
    [['pay', 'lnbc1nonsense'], 1, 'invalid_character', 'bech32'],
    [['decode', 'hello'], 1, 'no_separator', 'hello'],
    [['pay', 'x', '--attempts', '0'], 2, 'invalid_attempts', 'got 0'],
    [['invoice', '10', 'x'.repeat(640)], 1, 'invalid_body', 'description'],
    [['invoice', '10', '--expiry', 'soon'], 1, 'invalid_body', 'expiry'],
    [['events', '--limit', '0'], 2, 'invalid_limit', 'got 0'],
    [['events', '--type', 'Nonsense'], 1, 'invalid_parameter', 'Nonsense'],
    [['balance', '--at', 'noon'], 1, 'invalid_parameter', 'noon'],
  ])('%j: exit %i, %s', async (argv, code, name, words) => {
    const ran = await nodes.run('alice', ...argv);
    expect(ran).toMatchObject({ code, out: '' });
    expect(ran.err).toContain(`(${name})`);
    expect(ran.err).toContain(words);
  });

  it('where no node runs: how to start one, or that there is none', async () => {
    expect((await runCli('getinfo', '--data', join(nodes.folder, 'nowhere'))).err).toMatch(/no node runs on .*nowhere; there is no node in that folder.*fulgurite init \(node_not_running\)/);
    await nodes.halt('bob');
    expect((await nodes.run('bob', 'getinfo')).err).toContain(`start it with: fulgurite node --data ${nodes.data('bob')}`);
    writeFileSync(join(nodes.data('bob'), 'api-address'), 'http://127.0.0.1:1\n');
    expect((await nodes.run('bob', 'getinfo')).err).toMatch(/does not answer at http:\/\/127.0.0.1:1 .*was it killed\?/);
    await nodes.start('bob');
  });

  it('with the token of another node: which one was meant', async () => {
    const file = join(nodes.data('alice'), 'api-token');
    const own = readFileSync(file, 'utf8');
    writeFileSync(file, readFileSync(join(nodes.data('bob'), 'api-token')));
    expect((await nodes.run('alice', 'getinfo')).err).toMatch(/refuses the token of .*alice.*--data \(token_refused\)/);
    writeFileSync(file, own);
  });

  it('every command has a help text with examples', async () => {
    for (const name of ['init', 'node', 'getinfo', 'connect', 'disconnect', 'peers', 'address', 'open', 'channels', 'invoice', 'decode', 'pay', 'close', 'events', 'stop']) {
      const { code, out } = await runCli(name, '--help');
      expect({ name, code, out }).toMatchObject({ code: 0, out: expect.stringMatching(/^Usage: fulgurite [\s\S]*Examples:\n {2}\$ /) });
    }
  });
});

describe('a node that must not start', () => {
  const starting = (data: string, over: object = {}, passphrase = PASSPHRASE) =>
    startDaemon({ config: { ...settings(data, 'alice'), ...over }, logger: createLogger({ level: 'silent', format: 'json', out: { write: () => true } }), passphrase: async () => passphrase, openChain: async () => lend(nodes.chain) });

  it('a second process on a data folder', async () => {
    await expect(starting(nodes.data('alice'))).rejects.toMatchObject({ code: 'data_folder_in_use', message: expect.stringMatching(/in use by process \d+.*fulgurite stop --data/) });
    expect((await nodes.json('alice', 'getinfo')).alias).toBe('alice');
  });

  it('a wrong passphrase, another network, another node\'s seed, an open token', async () => {
    await nodes.halt('bob');
    const data = nodes.data('bob');
    await expect(starting(data, {}, 'another passphrase')).rejects.toMatchObject({ code: 'wrong_passphrase' });
    await expect(starting(data, { network: 'bitcoin-testnet' })).rejects.toMatchObject({ code: 'wrong_network', message: expect.stringMatching(/on bitcoin-regtest, the configuration says bitcoin-testnet/) });

    const seed = readFileSync(join(data, 'seed'));
    writeFileSync(join(data, 'seed'), readFileSync(join(nodes.data('alice'), 'seed')));
    await expect(starting(data)).rejects.toMatchObject({ code: 'another_node' });
    const identity = readFileSync(join(data, 'node.json'));
    rmSync(join(data, 'node.json'));
    await expect(starting(data)).rejects.toMatchObject({ code: expect.stringMatching(/log_corrupt|wrong_log|marks_of_another_node/) });
    writeFileSync(join(data, 'seed'), seed);
    writeFileSync(join(data, 'node.json'), identity);

    chmodSync(join(data, 'api-token'), 0o644);
    await expect(starting(data)).rejects.toMatchObject({ code: 'token_permissions' });
    chmodSync(join(data, 'api-token'), 0o600);
    await nodes.start('bob');
    expect((await nodes.json('bob', 'getinfo')).alias).toBe('bob');
  });

  it('a port that is taken', async () => {
    const { port } = nodes.daemon('bob').node;
    await nodes.halt('alice');
    await expect(starting(nodes.data('alice'), { listen: { host: '127.0.0.1', port } })).rejects.toMatchObject({ code: 'port_taken', message: expect.stringContaining('--listen-port') });
    await nodes.start('alice');
  });
});

describe('fulgurite init and the end', () => {
  const init = (name: string, ...argv: readonly string[]) => runCli('init', '--data', join(nodes.folder, name), '--network', 'bitcoin-regtest', ...argv);

  it('makes a folder for its owner alone, shows the words once, and writes the settings down', async () => {
    const file = join(nodes.folder, 'passphrase');
    writeFileSync(file, `${PASSPHRASE}\n`);
    const { code, out } = await init('carol', '--alias', 'carol', '--http-port', '0', '--passphrase-file', file, '--json');
    const made = JSON.parse(out);
    const data = join(nodes.folder, 'carol');
    expect(code).toBe(0);
    expect(made.words.split(' ')).toHaveLength(24);
    expect(statSync(data).mode & 0o777).toBe(0o700);
    for (const name of ['seed', 'api-token', 'fulgurite.json', 'node.json']) expect(statSync(join(data, name)).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(data, 'seed'), 'utf8')).not.toContain(made.words.split(' ').slice(0, 2).join(' '));
    expect(loadConfig({ flags: { data }, env: {} })).toMatchObject({ alias: 'carol', network: 'bitcoin-regtest', http: { port: 0 }, passphrase_file: file });
    expect(await init('carol', '--passphrase-file', file)).toMatchObject({ code: 1, out: '', err: expect.stringContaining('node_exists') });
  }, 30_000);

  it('wants a passphrase, and a long one', async () => {
    expect(await init('dave')).toMatchObject({ code: 1, err: expect.stringContaining('passphrase_needed') });
    const file = join(nodes.folder, 'short');
    writeFileSync(file, 'short');
    expect(await init('dave', '--passphrase-file', file)).toMatchObject({ code: 1, err: expect.stringContaining('at least 8 characters, got 5') });
    expect(existsSync(join(nodes.folder, 'dave'))).toBe(false);
  });

  it('node without a node says how to make one; wrong settings are said before anything else', async () => {
    const data = join(nodes.folder, 'erin');
    expect(await runCli('node', '--data', data, '--network', 'bitcoin-regtest')).toMatchObject({ code: 1, err: expect.stringContaining('no_node') });
    expect(await runCli('node', '--data', data, '--network', 'bitcoin-regtst')).toMatchObject({ code: 1, err: expect.stringContaining('bitcoin-regtest') });
    expect(await runCli('node', '--data', data, '--chain-uri', 'x')).toMatchObject({ code: 2, err: expect.stringContaining('--chain-url') });
  });

  it('stop asks the node to end, and its folder is free again', async () => {
    void nodes.daemon('bob').stopAsked.then(() => nodes.halt('bob'));
    expect(await nodes.run('bob', 'stop')).toMatchObject({ code: 0, out: `the node of ${nodes.data('bob')} has ended\n` });
    expect(existsSync(join(nodes.data('bob'), 'api-address'))).toBe(false);
    await nodes.start('bob');
  });
});

function follow(name: string, type: string): { text(): string; end(): Promise<void> } {
  let text = '';
  const abort = new AbortController();
  const ended = import('../../src/cli/events.ts').then(({ eventsCommand }) =>
    eventsCommand({ data: nodes.data(name), follow: true, limit: '20', type }, { stdout: { write: (more) => ((text += more), true) }, stderr: { write: () => true } }, abort.signal));
  return {
    text: () => text,
    async end() {
      abort.abort();
      expect(await ended).toBe(0);
    },
  };
}

async function waitFor(condition: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1000; tries += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('within 10 s: the condition');
}
