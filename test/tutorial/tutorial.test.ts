/** docs/TUTORIAL.md, typed line by line into a shell: every line prints what the page says. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { whyNoLitecoind } from '../support/litecoind.ts';
import { difference, stepsOf } from './page.ts';
import { openShell } from './shell.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const steps = stepsOf(readFileSync(join(root, 'docs/TUTORIAL.md'), 'utf8'));
const missing = whyNoLitecoind();
if (missing !== undefined) console.warn(`the tutorial is not run: ${missing}`);

describe('docs/TUTORIAL.md', () => {
  it.skipIf(missing !== undefined)('prints what it says, from nothing to both kinds of close', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fulgurite-tutorial-'));
    const shell = openShell(root, { ...process.env, TMPDIR: folder });
    try {
      for (const { line, command, expected } of steps) {
        const printed = await shell.type(command).catch((error: Error) => [`${error.message}`]);
        const differs = difference(expected, printed);
        if (differs !== undefined) throw new Error(`docs/TUTORIAL.md:${line}: ${command}\n${differs}\n${logs(folder)}`);
      }
    } finally {
      await shell.end();
      endDaemon(join(folder, 'tutorial', 'chain', 'regtest', 'bitcoind.pid'));
      rmSync(folder, { recursive: true, force: true });
    }
    expect(steps.length).toBeGreaterThan(40);
  }, 300_000);

  /** The last words of both nodes, for whoever has to find out. */
  const logs = (folder: string): string => ['alice', 'bob'].map((name) => `${name}.log:\n${tail(join(folder, 'tutorial', `${name}.log`))}`).join('\n');
});

/** A daemon leaves its shell; where the page came to its end it has ended, and its file is gone. */
function endDaemon(pidFile: string): void {
  try {
    process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL');
  } catch {
    // There is none.
  }
}

function tail(file: string): string {
  try {
    return readFileSync(file, 'utf8').split('\n').slice(-15).join('\n');
  } catch {
    return '(none)';
  }
}

describe('the reader of the page', () => {
  it('takes commands and what follows them from console blocks alone', () => {
    const page = 'text\n```sh\n$ not this\n```\n```console\n$ one\na\nb\n$ two\n```\n';
    expect(stepsOf(page)).toEqual([{ line: 6, command: 'one', expected: ['a', 'b'] }, { line: 9, command: 'two', expected: [] }]);
  });

  it.each([
    [['a <number> b'], ['a 1,234 b'], true],
    [['a <number> b'], ['a x b'], false],
    [['...', 'end'], ['x', 'y', 'end'], true],
    [['...', 'end'], ['x', 'end', 'y'], false],
    [['a', '...'], ['a'], true],
    [[], ['something'], false],
    [['a  b'], ['a     b', ''], true],
    [['a'], [], false],
    [['a.c'], ['abc'], false],
  ])('%j against %j: %s', (expected, printed, same) => {
    expect(difference(expected, printed) === undefined).toBe(same);
  });

  it('knows no other placeholders', () => {
    expect(() => difference(['<anything>'], ['x'])).toThrow(/<anything>: expected one of/);
  });
});
