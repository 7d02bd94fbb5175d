#!/usr/bin/env node
/** `npm run test:store`: every case of the store contract on every kind of store, as one table; ends with the line `contract: N passed, N failed`. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { prepare, root } from './prepare.mjs';

const realServer = process.env.EVENTSTORE_URL;
/** How the suite names each store -> the head of its column. The last one says which server it was. */
const STORES = new Map([
  ['memory', 'memory'],
  ['sqlite', 'SQLite'],
  [realServer === undefined ? 'EventStoreDB protocol' : 'EventStoreDB', realServer === undefined ? 'EventStoreDB protocol' : 'EventStoreDB'],
]);
const WORDS = { passed: 'ok', failed: 'FAILED' };
const SERVER =
  realServer === undefined
    ? 'EventStoreDB protocol: our own server in this process (set EVENTSTORE_URL to test a real one)'
    : `EventStoreDB: the server at ${realServer.replace(/\/\/[^/@]*@/, '//')}`;

const results = prepare({ build: false }) ? runTests() : undefined;
if (results === undefined) {
  console.error('the tests did not run');
  process.exitCode = 1;
} else {
  report(results);
}

/** The tests of stores and of our event server. undefined when there is no report. */
function runTests() {
  const folder = mkdtempSync(join(tmpdir(), 'fulgurite-store-report-'));
  const output = join(folder, 'report.json');
  try {
    const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
    const args = ['run', '--no-file-parallelism', '--reporter=json', `--outputFile=${output}`, 'test/adapters/store', 'test/adapters/esdb-server'];
    spawnSync(process.execPath, [vitest, ...args], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
    return JSON.parse(readFileSync(output, 'utf8')).testResults;
  } catch {
    return undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function report(files) {
  const cases = new Map();
  const others = new Map();
  const tests = files.flatMap((file) => file.assertionResults.map((test) => ({ ...test, file: basename(file.name) })));
  for (const test of tests) {
    const [group = ''] = test.ancestorTitles;
    const [store, section] = group.split(': ');
    if (section !== undefined && STORES.has(store)) note(cases, `${section}: ${test.title}`, store, test.status);
    else count(others, test.file, test.status);
  }
  const unloaded = files.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  printTable(cases);
  console.log(`\n${SERVER}`);
  console.log('"-": a thing that this kind of store has no way to show\n');
  for (const [file, { passed, failed }] of others) console.log(`${file}, its own stories: ${passed} passed, ${failed} failed`);
  for (const file of unloaded) console.log(`${basename(file.name)} could not be loaded: ${file.message.split('\n')[0]}`);
  for (const test of tests.filter(({ status }) => status === 'failed')) console.log(`\nfailed: ${test.fullName}\n${test.failureMessages[0] ?? ''}`);
  const all = [...cases.values()].flatMap((row) => [...row.values()]);
  const failed = all.filter((status) => status === 'failed').length;
  console.log(`contract: ${all.filter((status) => status === 'passed').length} passed, ${failed} failed`);
  if (failed + unloaded.length > 0 || tests.some(({ status }) => status === 'failed') || cases.size === 0) process.exitCode = 1;
}

function note(cases, name, store, status) {
  const row = cases.get(name) ?? new Map();
  row.set(store, status);
  cases.set(name, row);
}

function count(others, file, status) {
  const sum = others.get(file) ?? { passed: 0, failed: 0 };
  if (status === 'passed' || status === 'failed') sum[status] += 1;
  others.set(file, sum);
}

function printTable(cases) {
  const rows = [...cases].map(([name, row]) => [name, ...[...STORES.keys()].map((store) => WORDS[row.get(store)] ?? '-')]);
  const table = [['case', ...STORES.values()], ...rows];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  const line = (row) => row.map((cell, column) => cell.padEnd(widths[column])).join('  ').trimEnd();
  console.log([line(table[0]), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n'));
}
