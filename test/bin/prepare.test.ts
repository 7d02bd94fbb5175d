/** bin/: a clone makes itself ready, once, and keeps standard output for results. Told on a toy clone with a toy npm and compiler. */
import { spawnSync } from 'node:child_process';
import { appendFileSync, chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { root } from '../tidy/source-files.ts';

/** Answers its arguments as JSON, and their count as exit code. */
const COMMAND_LINE = `export const main = async (args) => { console.log(JSON.stringify(args)); return args.length; };`;

/** Compiles by copying; a source that says so does not compile. */
const COMPILER = `
const fs = require('node:fs');
console.log('words of the compiler');
if (fs.readFileSync('src/cli/fulgurite.ts', 'utf8').includes('type error')) process.exit(2);
fs.mkdirSync('dist/cli', { recursive: true });
fs.copyFileSync('src/cli/fulgurite.ts', 'dist/cli/fulgurite.js');
`;

/** Installs by claiming it. */
const NPM = `#!/bin/sh
echo "words of npm: $*"
mkdir -p node_modules && cp package-lock.json node_modules/.package-lock.json
`;

let clone: string;

beforeEach(() => {
  clone = mkdtempSync(join(tmpdir(), 'fulgurite-clone-'));
  cpSync(join(root, 'bin'), join(clone, 'bin'), { recursive: true });
  put('package.json', '{ "type": "module" }');
  put('tsconfig.json', '{}');
  put('package-lock.json', lockOf({ zod: '4.0.0' }));
  put('src/cli/fulgurite.ts', COMMAND_LINE);
  put('node_modules/typescript/package.json', '{ "type": "commonjs" }');
  put('node_modules/typescript/bin/tsc', COMPILER);
  put('path/npm', NPM);
  chmodSync(join(clone, 'path', 'npm'), 0o755);
});

afterEach(() => rmSync(clone, { recursive: true, force: true }));

function put(path: string, text: string): void {
  mkdirSync(join(clone, path, '..'), { recursive: true });
  writeFileSync(join(clone, path), text);
}

const lockOf = (packages: Record<string, string>): string =>
  JSON.stringify({
    packages: Object.fromEntries(Object.entries(packages).map(([name, version]) => [`node_modules/${name}`, { version }])),
  });

function fulgurite(...args: string[]) {
  const env = { ...process.env, PATH: `${join(clone, 'path')}${delimiter}${process.env['PATH']}` };
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(clone, 'bin', 'fulgurite.mjs'), ...args], { encoding: 'utf8', env });
  return { status, stdout, stderr };
}

describe.skipIf(process.platform === 'win32')('bin/fulgurite.mjs', () => {
  it('installs and compiles on a fresh clone, and hands arguments and exit code through', () => {
    const { status, stdout, stderr } = fulgurite('audit', './data');
    expect({ status, stdout }).toEqual({ status: 2, stdout: '["audit","./data"]\n' });
    expect(stderr).toMatch(/installing[^]*words of npm: install .*--loglevel=error[^]*compiling[^]*words of the compiler/);
  });

  it('is quiet from then on', () => {
    fulgurite();
    expect(fulgurite()).toEqual({ status: 0, stdout: '[]\n', stderr: '' });
  });

  it('compiles again when a source changed', () => {
    fulgurite();
    appendFileSync(join(clone, 'src/cli/fulgurite.ts'), '// changed\n');
    expect(fulgurite().stderr).toBe('fulgurite: compiling ...\nwords of the compiler\n');
  });

  it('installs again when the lock file asks for another version', () => {
    fulgurite();
    put('package-lock.json', lockOf({ zod: '4.0.1' }));
    expect(fulgurite().stderr).toContain('installing packages');
  });

  it('runs nothing that does not compile: exit 1, the reason on standard error', () => {
    appendFileSync(join(clone, 'src/cli/fulgurite.ts'), '// a type error\n');
    const { status, stdout, stderr } = fulgurite();
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toContain('tsc failed: expected exit code 0, got 2');
  });

  it('runs nothing when the installation fails', () => {
    put('path/npm', '#!/bin/sh\necho "no network" >&2; exit 7\n');
    const { status, stdout, stderr } = fulgurite();
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/no network\nfulgurite: npm install failed: expected exit code 0, got 7/);
  });
});
