/** Payments over one channel between two processes: BOLT 8 over TCP, every event durable before anything is sent. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRegtestChain, type RegtestChain } from '../src/adapters/chain/regtest.ts';
import { msat, sat } from '../src/bolt/primitives.ts';
import { startNodeProcess, type NodeProcess } from '../test/support/node-processes.ts';
import { percentile, type Bench, type Row } from './bench.ts';

const AMOUNT = msat(1_000_000);
const IN_FLIGHT = [1, 10, 30, 100];
/** How many payments are made at each width, the warm-up apart. */
const PAYMENTS = Number(process.env['BENCH_PAYMENTS'] ?? 1000);
const WARM_UP = 100;

export const paymentsBench: Bench = {
  name: 'payments',
  about: `Payments of 1,000 sat over one anchors channel, two processes, TCP, SQLite with a flush before each send; ${PAYMENTS} at each width, both nodes on this machine. Invoices are made beforehand.`,
  async run() {
    const folder = mkdtempSync(join(process.env['BENCH_DIR'] ?? tmpdir(), 'fulgurite-bench-'));
    const chain = createRegtestChain();
    const [alice, bob] = await Promise.all(['alice', 'bob'].map((name) => startNodeProcess({ name, dataDir: folder, network: 'bitcoin-regtest' }, chain)));
    try {
      await openChannel(chain, alice!, bob!);
      return await measureAll(alice!, bob!);
    } finally {
      await Promise.all([alice!.kill(), bob!.kill()]);
      await chain.close();
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

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

async function measureAll(alice: NodeProcess, bob: NodeProcess): Promise<Row[]> {
  await alice.payAll(await bob.invoices(WARM_UP, AMOUNT), 10);
  const rows: Row[] = [];
  for (const width of IN_FLIGHT) {
    const { milliseconds, latencies, failures } = await alice.payAll(await bob.invoices(PAYMENTS, AMOUNT), width);
    if (failures.length > 0) throw new Error(`${failures.length} payments failed, the first: ${failures[0]}`);
    rows.push({ what: `${width} in flight, payments`, value: (PAYMENTS / milliseconds) * 1000, unit: '/s' });
    rows.push({ what: `${width} in flight, p50`, value: percentile(latencies, 0.5), unit: 'ms' });
    rows.push({ what: `${width} in flight, p99`, value: percentile(latencies, 0.99), unit: 'ms' });
  }
  return rows;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 2000; tries += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('the channel did not become usable within 20 s');
}
