#!/usr/bin/env node
/**
 * Makes a fresh clone ready: installs the packages and compiles `src` into `dist`, each only when it is needed.
 * Imports nothing but Node itself, says nothing when there is nothing to do, and keeps standard output free.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The clone's root, whatever directory the user stands in. */
export const root = fileURLToPath(new URL('..', import.meta.url));
const inRoot = (...parts) => join(root, ...parts);
const say = (text) => process.stderr.write(`fulgurite: ${text}\n`);

/**
 * Installs and, with `build`, compiles what is out of date. Answers whether the clone is ready now; if not, the reason
 * stands on standard error. A published package has no `src` and needs neither.
 */
export function prepare({ build = false } = {}) {
  if (!nodeIsNewEnough()) return false;
  if (!existsSync(inRoot('src'))) return true;
  if (!packagesAreInstalled() && !install()) return false;
  return !build || distIsFresh() || compile();
}

function nodeIsNewEnough() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return true;
  say(`expected Node.js 20.19 or newer, got ${process.versions.node}`);
  return false;
}

/** True when every package the lock file asks for stands in node_modules in that version (optional ones may miss). */
function packagesAreInstalled() {
  const wanted = readLock(inRoot('package-lock.json'));
  const present = readLock(inRoot('node_modules', '.package-lock.json'));
  if (present === undefined) return false;
  return Object.entries(wanted ?? {}).every(
    ([path, entry]) => path === '' || entry.optional || present[path]?.version === entry.version,
  );
}

function readLock(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages;
  } catch {
    return undefined;
  }
}

function install() {
  say('installing packages (once, about a minute) ...');
  const npm = ['install', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  return run('npm install', process.platform === 'win32' ? 'npm.cmd' : 'npm', npm);
}

function distIsFresh() {
  try {
    return readFileSync(inRoot('dist', '.sources'), 'utf8') === fingerprintOfSources();
  } catch {
    return false;
  }
}

function compile() {
  say('compiling ...');
  // Read before the compiler runs: a file saved meanwhile is compiled again next time.
  const sources = fingerprintOfSources();
  if (!run('tsc', process.execPath, [inRoot('node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.json'])) return false;
  mkdirSync(inRoot('dist'), { recursive: true });
  writeFileSync(inRoot('dist', '.sources'), sources);
  return true;
}

/** Names, sizes and times of all that goes into `dist`; a deleted file changes it too. */
function fingerprintOfSources() {
  const sources = readdirSync(inRoot('src'), { recursive: true }).filter((name) => name.endsWith('.ts'));
  const files = ['tsconfig.json', 'package-lock.json', ...sources.map((name) => join('src', name))].sort();
  const lines = files.map((name) => {
    const { size, mtimeMs } = statSync(inRoot(name));
    return `${name} ${size} ${mtimeMs}`;
  });
  return createHash('sha256').update(lines.join('\n')).digest('hex');
}

/** Runs a program with all of its output on standard error. */
function run(name, program, args) {
  const shell = program.endsWith('.cmd');
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: ['ignore', 2, 2], shell });
  if (status === 0) return true;
  say(`${name} failed: expected exit code 0, got ${error?.message ?? status}`);
  return false;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = prepare({ build: process.argv.includes('--build') }) ? 0 : 1;
}
