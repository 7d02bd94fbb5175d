/** `npm run bench [-- name ...] [--json]`: runs the benches and prints a table, or JSON. Figures are kept in bench/README.md. */
import { cpus } from 'node:os';
import { chooseCryptoBackend } from '../src/bolt/crypto-native.ts';
import type { Bench, Row } from './bench.ts';
import { cryptoBench } from './crypto.ts';
import { ldkBench } from './ldk.ts';
import { onionBench } from './onion.ts';
import { paymentsBench } from './payments.ts';
import { replayBench } from './replay.ts';
import { storeBench } from './store.ts';
import { turnsBench } from './turns.ts';

const benches: readonly Bench[] = [cryptoBench, onionBench, storeBench, turnsBench, paymentsBench, ldkBench, replayBench];

const args = process.argv.slice(2);
const asJson = args.includes('--json');
const wanted = args.filter((arg) => !arg.startsWith('--'));
const unknown = wanted.filter((name) => !benches.some((bench) => bench.name === name));

if (unknown.length > 0) {
  console.error(`expected some of ${benches.map(({ name }) => name).join(', ')}; got ${unknown.join(', ')}`);
  process.exitCode = 2;
} else {
  await runAll(benches.filter(({ name }) => wanted.length === 0 || wanted.includes(name)));
}

async function runAll(chosen: readonly Bench[]): Promise<void> {
  const backend = await chooseCryptoBackend();
  const machine = { date: new Date().toISOString().slice(0, 10), cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, node: process.version, crypto: backend.name };
  const results: Record<string, readonly Row[]> = {};
  if (!asJson) console.log(Object.entries(machine).map(([key, value]) => `${key}: ${value}`).join('; '));
  for (const bench of chosen) {
    if (!asJson) console.log(`\n${bench.name}: ${bench.about}\n`);
    results[bench.name] = await bench.run();
    if (!asJson) printTable(results[bench.name]!);
  }
  if (asJson) console.log(JSON.stringify({ machine, results }, null, 2));
}

function printTable(rows: readonly Row[]): void {
  const width = Math.max(...rows.map(({ what }) => what.length));
  for (const { what, value, unit } of rows) {
    console.log(`  ${what.padEnd(width)}  ${figure(value).padStart(10)} ${unit}`);
  }
}

/** Three significant digits and no more: the next run differs in the third. */
function figure(value: number): string {
  const rounded = Number(value.toPrecision(3));
  return rounded >= 1000 ? rounded.toLocaleString('en') : String(rounded);
}
