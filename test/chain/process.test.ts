/** `fulgurite node` as a process: how it ends on a signal, after a power cut, and when it cannot start. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { root } from '../tidy/source-files.ts';
import { CHEAP, PASSPHRASE, runCli } from '../support/daemons.ts';
import { createNode, generateSeedWords } from '../../src/daemon/create-node.ts';
import { type Litecoind, startLitecoind } from '../support/litecoind.ts';
import { describeWithLitecoind } from './with-litecoind.ts';

describeWithLitecoind('a node in a process of its own', () => {
  let daemon: Litecoind;
  let folder: string;
  let data: string;
  const children = new Set<ChildProcess>();

  beforeAll(async () => {
    daemon = await startLitecoind();
    folder = mkdtempSync(join(tmpdir(), 'fulgurite-process-'));
    data = join(folder, 'alice');
    const { url, cookieFile: cookie_file } = daemon;
    const settings = { network: 'litecoin-regtest', alias: 'alice', listen: { port: 0 }, http: { port: 0 }, chain: { url, cookie_file, poll_ms: 100 }, log: { format: 'json' } };
    await createNode({ data, network: 'litecoin-regtest', words: generateSeedWords(), passphrase: PASSPHRASE, settings, cost: CHEAP });
  });

  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    await daemon.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The command line from source, as bin/fulgurite.mjs runs it from what is compiled. */
  function node(env: NodeJS.ProcessEnv = { FULGURITE_PASSPHRASE: PASSPHRASE }, ...argv: readonly string[]) {
    const script = `import(${JSON.stringify(join(root, 'src/cli/fulgurite.ts'))}).then(async ({ main }) => { process.exitCode = await main(process.argv.slice(1)); })`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--eval', script, '--', 'node', '--data', data, ...argv], { cwd: root, env: { PATH: process.env['PATH'], HOME: folder, ...env } });
    children.add(child);
    let text = '';
    for (const output of [child.stdout, child.stderr]) output.setEncoding('utf8').on('data', (more: string) => (text += more));
    const ended = once(child, 'exit').then(([code, signal]) => ({ code: code as number | null, signal: signal as string | null, text }));
    const ready = async (): Promise<void> => {
      while (!text.includes('"ready: ')) {
        if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}: ${text}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    return { child, ended, ready };
  }

  it.each(['SIGTERM', 'SIGINT'] as const)('%s ends it in good order: exit 0, nothing left behind, every line an object', async (signal) => {
    const { child, ended, ready } = node();
    await ready();
    expect(await runCli('getinfo', '--data', data)).toMatchObject({ code: 0, out: expect.stringContaining('alias           alice') });
    child.kill(signal);
    const { code, text } = await ended;
    expect(code).toBe(0);
    expect(text.trim().split('\n').map((line) => JSON.parse(line).msg)).toEqual(expect.arrayContaining([`asked to end by ${signal}`, 'ended in good order']));
    for (const name of ['api-address', 'node.lock', 'log.sqlite.lock']) expect({ name, there: existsSync(join(data, name)) }).toEqual({ name, there: false });
  });

  it('a second one is refused, and the first is not disturbed', async () => {
    const first = node();
    await first.ready();
    const second = await node().ended;
    expect(second).toMatchObject({ code: 1, text: expect.stringMatching(new RegExp(`in use by process ${first.child.pid}: one process a data folder`)) });
    expect((await runCli('getinfo', '--data', data)).code).toBe(0);
    expect(await runCli('stop', '--data', data)).toMatchObject({ code: 0 });
    expect((await first.ended).code).toBe(0);
  });

  it('after a power cut the commands say so, and it starts again on what it left', async () => {
    const { child, ended, ready } = node();
    await ready();
    child.kill('SIGKILL');
    await ended;
    expect(await runCli('getinfo', '--data', data)).toMatchObject({ code: 1, err: expect.stringMatching(/does not answer at .*was it killed\?/) });
    const again = node();
    await again.ready();
    again.child.kill('SIGTERM');
    expect((await again.ended).code).toBe(0);
    expect(await runCli('audit', data)).toMatchObject({ code: 0, err: '' });
  });

  it('a wrong passphrase, no passphrase, a chain that is another\'s: exit 1 and a sentence', async () => {
    expect(await node({ FULGURITE_PASSPHRASE: 'not the right one' }).ended).toMatchObject({ code: 1, text: expect.stringMatching(/^error: the passphrase does not open .*\(wrong_passphrase\)\n$/) });
    expect(await node({}).ended).toMatchObject({ code: 1, text: expect.stringContaining('(passphrase_needed)') });
    const other = join(folder, 'other');
    await createNode({ data: other, network: 'bitcoin-regtest', words: generateSeedWords(), passphrase: PASSPHRASE, cost: CHEAP });
    const { url, cookieFile } = daemon;
    const wrong = await node(undefined, '--data', other, '--network', 'bitcoin-regtest', '--chain-url', url, '--chain-cookie-file', cookieFile).ended;
    expect(wrong).toMatchObject({ code: 1, text: expect.stringMatching(/\(chain_wrong_network\)/) });
  });

  it('while its chain daemon is away it waits, and can be told not to', async () => {
    const { child, ended } = node(undefined, '--chain-url', 'http://127.0.0.1:1');
    let text = '';
    child.stdout!.on('data', (more: string) => (text += more));
    while (!text.includes('asking again')) await new Promise((resolve) => setTimeout(resolve, 50));
    child.kill('SIGINT');
    expect(await ended).toMatchObject({ code: 130, text: expect.stringContaining('before it was ready') });
  });

  it('a passphrase file does as well as the environment', async () => {
    const file = join(folder, 'passphrase');
    writeFileSync(file, `${PASSPHRASE}\n`, { mode: 0o600 });
    const { child, ended, ready } = node({}, '--passphrase-file', file);
    await ready();
    child.kill('SIGTERM');
    const { code, text } = await ended;
    expect(code).toBe(0);
    expect(text).not.toContain(PASSPHRASE);
    expect(text).not.toContain(readFileSync(join(data, 'api-token'), 'utf8').trim());
  });
});
