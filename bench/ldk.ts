/** LDK beside us: the load of payments.ts between two LDK processes, then between two of ours, in one run on one machine. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startLdkPair } from '../test/interop/ldk/ldk-pair.ts';
import { compile } from '../test/support/compiled.ts';
import { whyNoLdk } from '../test/interop/ldk/wasm.ts';
import type { Bench, Row } from './bench.ts';
import { AMOUNT, IN_FLIGHT, measurePayments, PAYMENTS, WARM_UP, type Width, widthOf } from './payments.ts';

export const ldkBench: Bench = {
  name: 'ldk',
  about: `The same ${PAYMENTS} payments at each width between two LDK processes (lightningdevkit 0.1.0, WebAssembly; each monitor update flushed, the manager not kept) and between two of ours, all compiled. Ratios above 1 x: payments, we are faster; p50, we are slower.`,
  async run() {
    const missing = whyNoLdk();
    if (missing !== undefined) throw new Error(missing);
    const theirs = await measureLdk();
    const ours = await measurePayments();
    return ours.flatMap((width, index) => rowsOf(width, theirs[index]!));
  },
};

/** A fresh pair for each width: what an earlier one left to the garbage collector is none of the next one's. */
async function measureLdk(): Promise<readonly Width[]> {
  const compiled = compile({ 'ldk-child': 'test/interop/ldk/ldk-child.ts' });
  const widths: Width[] = [];
  try {
    for (const inFlight of IN_FLIGHT) widths.push(await measureWidth(inFlight, compiled.file('ldk-child')));
  } finally {
    compiled.remove();
  }
  return widths;
}

async function measureWidth(inFlight: number, program: string): Promise<Width> {
  const folder = mkdtempSync(join(process.env['BENCH_DIR'] ?? tmpdir(), 'fulgurite-bench-ldk-'));
  const { payer, payee, stop } = await startLdkPair(folder, program);
  try {
    await payer.payAll(await payee.invoices(WARM_UP, AMOUNT), 10);
    const { failures, ...timed } = await payer.payAll(await payee.invoices(PAYMENTS, AMOUNT), inFlight);
    if (failures.length > 0) throw new Error(`${failures.length} payments of LDK failed, the first: ${JSON.stringify(failures[0])}`);
    return widthOf(inFlight, timed);
  } finally {
    await stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

const rowsOf = (ours: Width, theirs: Width): Row[] => [
  { what: `${ours.inFlight} in flight, LDK, payments`, value: theirs.perSecond, unit: '/s' },
  { what: `${ours.inFlight} in flight, ours, payments`, value: ours.perSecond, unit: '/s' },
  { what: `${ours.inFlight} in flight, ours to LDK`, value: ours.perSecond / theirs.perSecond, unit: 'x' },
  { what: `${ours.inFlight} in flight, LDK, p50`, value: theirs.p50, unit: 'ms' },
  { what: `${ours.inFlight} in flight, ours, p50`, value: ours.p50, unit: 'ms' },
  { what: `${ours.inFlight} in flight, p50, ours to LDK`, value: ours.p50 / theirs.p50, unit: 'x' },
  { what: `${ours.inFlight} in flight, LDK, p99`, value: theirs.p99, unit: 'ms' },
  { what: `${ours.inFlight} in flight, ours, p99`, value: ours.p99, unit: 'ms' },
];
