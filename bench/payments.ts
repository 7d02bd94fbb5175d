/** Payments over one channel between two processes: BOLT 8 over TCP, every event durable before anything is sent. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRegtestChain, type RegtestChain } from '../src/adapters/chain/regtest.ts';
import { msat, sat } from '../src/bolt/primitives.ts';
import { compile, NODE_CHILD } from '../test/support/compiled.ts';
import { startNodeProcess, type NodeProcess } from '../test/support/node-processes.ts';
import { percentile, type Bench, type Row } from './bench.ts';

export const AMOUNT = msat(1_000_000);
export const IN_FLIGHT = [1, 10, 30, 100];
/** How many payments are made at each width, the warm-up apart. */
export const PAYMENTS = Number(process.env['BENCH_PAYMENTS'] ?? 1000);
export const WARM_UP = 500;

export const paymentsBench: Bench = {
  name: 'payments',
  about: `Payments of 1,000 sat over one anchors channel, two processes, TCP, SQLite with a flush before each send; ${PAYMENTS} at each width, both nodes on this machine. Invoices are made beforehand.`,
  run: async () => (await measurePayments()).flatMap(rowsOf),
};

export interface Width {
  readonly inFlight: number;
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

/** Two nodes of ours, a channel, and so many payments at each width. */
export async function measurePayments(): Promise<readonly Width[]> {
  const folder = mkdtempSync(join(process.env['BENCH_DIR'] ?? tmpdir(), 'fulgurite-bench-'));
  const chain = createRegtestChain();
  const compiled = compile(NODE_CHILD);
  const program = compiled.file('node-child');
  const [alice, bob] = await Promise.all(['alice', 'bob'].map((name) => startNodeProcess({ name, dataDir: folder, network: 'bitcoin-regtest' }, chain, { program })));
  try {
    await openChannel(chain, alice!, bob!);
    return await measureAll(alice!, bob!);
  } finally {
    await Promise.all([alice!.kill(), bob!.kill()]);
    await chain.close();
    compiled.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function openChannel(chain: RegtestChain, alice: NodeProcess, bob: NodeProcess): Promise<void> {
  chain.fund(await alice.fundingScript(), sat(300_000_000n));
  chain.mineBlocks(6);
  const peer = await bob.about();
  await alice.reached((await chain.tip()).height);
  await alice.connect(peer);
  await alice.openChannel({ peer_id: peer.node_id, funding_satoshis: sat(200_000_000n) });
  await until(() => chain.mempool().length > 0);
  chain.mineBlocks(6);
  await until(async () => (await Promise.all([alice.channels(), bob.channels()])).every(([channel]) => channel?.usable === true));
}

async function measureAll(alice: NodeProcess, bob: NodeProcess): Promise<readonly Width[]> {
  await alice.payAll(await bob.invoices(WARM_UP, AMOUNT), 10);
  const widths: Width[] = [];
  for (const inFlight of IN_FLIGHT) {
    const { failures, ...timed } = await alice.payAll(await bob.invoices(PAYMENTS, AMOUNT), inFlight);
    if (failures.length > 0) throw new Error(`${failures.length} payments failed, the first: ${failures[0]}`);
    widths.push(widthOf(inFlight, timed));
  }
  return widths;
}

export function widthOf(inFlight: number, { milliseconds, latencies }: { readonly milliseconds: number; readonly latencies: readonly number[] }): Width {
  return { inFlight, perSecond: (latencies.length / milliseconds) * 1000, p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) };
}

const rowsOf = ({ inFlight, perSecond, p50, p99 }: Width): Row[] => [
  { what: `${inFlight} in flight, payments`, value: perSecond, unit: '/s' },
  { what: `${inFlight} in flight, p50`, value: p50, unit: 'ms' },
  { what: `${inFlight} in flight, p99`, value: p99, unit: 'ms' },
];

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 2000; tries += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('the channel did not become usable within 20 s');
}
