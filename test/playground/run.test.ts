/** `fulgurite playground` as its user meets it: folders, ports, standard output, and an end on request. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { main } from '../../src/cli/fulgurite.ts';
import { auditAll } from '../../src/playground/audits.ts';
import { prepareDataFolder } from '../../src/playground/data-folder.ts';
import { runPlayground } from '../../src/playground/run.ts';
import { mustBe, PlaygroundError, until, within } from '../../src/playground/waiting.ts';

const folder = mkdtempSync(join(tmpdir(), 'fulgurite-run-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the data folder', () => {
  it('is made when it is not there, and taken when it is empty', () => {
    const named = join(folder, 'a', 'b');
    expect(prepareDataFolder(named)).toBe(named);
    expect(prepareDataFolder(named)).toBe(named);
  });

  it('is refused with the logs of an earlier run, whose chain is gone', () => {
    const used = join(folder, 'used');
    mkdirSync(join(used, 'carol'), { recursive: true });
    expect(() => prepareDataFolder(used)).toThrow(expect.objectContaining({ code: 'data_folder_in_use', message: expect.stringContaining('got carol') }));
  });
});

describe('a wait', () => {
  it('ends when nothing is missing, and names what is when time is up', async () => {
    let left = 3;
    await until('three looks', () => (left-- > 0 ? ['a look'] : []), { everyMs: 1 });
    await expect(until('the impossible', () => ['a miracle'], { timeoutMs: 20 })).rejects.toThrow(/the impossible: expected within 0.02 s, still missing: a miracle/);
    await expect(within('an answer', new Promise(() => undefined), 10)).rejects.toBeInstanceOf(PlaygroundError);
    expect(() => mustBe('a sum', 4n, 5n)).toThrow('a sum: expected 4, got 5');
  });
});

describe('the live playground', () => {
  it('pays, answers over HTTP on the next free port, and ends in good order with sound logs', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    const dataDir = join(folder, 'live');
    const ending = new AbortController();
    const [stdout, stderr]: [string[], string[]] = [[], []];
    const stream = (lines: string[]) => ({ write: (text: string) => lines.push(text) > 0 });
    const running = runPlayground({ dataDir, json: true, port, signal: ending.signal, io: { stdout: stream(stdout), stderr: stream(stderr) } });
    try {
      await until('the address', () => (stderr.join('').includes(' answers') ? [] : ['it']), { timeoutMs: 40_000 });
      const address = /http:\/\/[\d.:]+/.exec(stderr.join(''))![0];
      expect(stderr.join('')).toContain(`port ${port} is taken`);
      const get = async (path: string) => (await fetch(`${address}${path}`)).json() as Promise<Record<string, unknown[]>>;
      await until('payments', async () => ((await get('/v1/payments?limit=5'))['payments']!.length >= 5 ? [] : ['five']));
      expect(await get('/healthz')).toMatchObject({ status: 'ok' });
      expect((await get('/v1/channels'))['channels']).toHaveLength(8);
      expect((await get('/v1/balances?node=alice&as_of=20'))['balances']).toHaveLength(1);
    } finally {
      ending.abort();
      taken.close();
    }
    expect(await running).toBe(0);
    const summary = JSON.parse(stdout.join(''));
    expect(summary).toMatchObject({ data_dir: dataDir, nodes: 4, channels_opened: 4 });
    expect(summary.payments_succeeded).toBeGreaterThanOrEqual(5);
    const audits = await auditAll(dataDir);
    expect(audits.flatMap(({ report }) => report.failures)).toEqual([]);
  }, 60_000);
});

describe('fulgurite playground', () => {
  it('says in one sentence why it does not start, and exits 1', async () => {
    const used = join(folder, 'used again');
    mkdirSync(join(used, 'alice'), { recursive: true });
    const stderr: string[] = [];
    const io = { stdout: { write: () => true }, stderr: { write: (text: string) => stderr.push(text) > 0 } };
    expect(await main(['playground', '--once', '--data', used], io)).toBe(1);
    expect(stderr.join('')).toMatch(/expected a folder without nodes, got alice .*\(data_folder_in_use\)/);
  });
});
