#!/usr/bin/env node
/** `npm test`: makes the clone ready, runs the tests and ends with the line `tests: N passed, N failed, N skipped`. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

const folder = mkdtempSync(join(tmpdir(), 'fulgurite-tests-'));
const report = join(folder, 'report.json');
try {
  process.exitCode = prepare({ build: true }) ? runTests(process.argv.slice(2)) : 1;
  console.log(closingLine());
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function runTests(args) {
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  return spawnSync(process.execPath, [vitest, 'run', ...reporters, ...args], { cwd: root, stdio: 'inherit' }).status ?? 1;
}

function closingLine() {
  const { passed, failed, skipped } = counts();
  return `tests: ${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** A file that could not even be loaded counts as one failed test, as does a run without a report. */
function counts() {
  const result = readReport();
  if (result === undefined) return { passed: 0, failed: 1, skipped: 0 };
  const unloaded = result.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  return {
    passed: result.numPassedTests,
    failed: result.numFailedTests + unloaded.length,
    skipped: result.numPendingTests + result.numTodoTests,
  };
}

function readReport() {
  try {
    return JSON.parse(readFileSync(report, 'utf8'));
  } catch {
    return undefined;
  }
}
