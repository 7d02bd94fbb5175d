/** Reading a real node's log again: verification of its chain, replay with and without the channels' cryptography. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRegtestChain } from '../src/adapters/chain/regtest.ts';
import { openSources } from '../src/cli/sources.ts';
import { auditLog } from '../src/projections/audit.ts';
import { openChannelBetween, payMany, startPair } from '../test/support/node-pair.ts';
import type { Bench, Row } from './bench.ts';

const PAYMENTS = Number(process.env['BENCH_PAYMENTS'] ?? 1000);

export const replayBench: Bench = {
  name: 'replay',
  about: `The payer's log of ${PAYMENTS} payments over one channel, 30 in flight, audited from its file: hash chain and checkpoints always, signatures and secrets of every commitment with cryptography.`,
  async run() {
    const folder = mkdtempSync(join(process.env['BENCH_DIR'] ?? tmpdir(), 'fulgurite-bench-'));
    try {
      await makeLog(folder);
      return [...(await replay(folder, true)), ...(await replay(folder, false))];
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function makeLog(dataDir: string): Promise<void> {
  const chain = createRegtestChain();
  const { alice, bob } = await startPair(chain, dataDir);
  await openChannelBetween(chain, alice, bob);
  await payMany(alice, bob, PAYMENTS, 30);
  await Promise.all([alice.stop(), bob.stop()]);
  await chain.close();
}

async function replay(dataDir: string, cryptography: boolean): Promise<Row[]> {
  const [source] = openSources(join(dataDir, 'alice'));
  const started = performance.now();
  const report = await auditLog({ lines: source!.lines(), checkpoints: source!.checkpoints, cryptography });
  const seconds = (performance.now() - started) / 1000;
  source!.close();
  if (!report.ok) throw new Error(`the log does not audit clean: ${report.failures[0]?.reason}`);
  const how = cryptography ? 'with cryptography' : 'without cryptography';
  return [
    { what: `${how}, events`, value: report.events / seconds, unit: '/s' },
    ...(cryptography ? [{ what: `${how}, signatures`, value: report.signatures_verified / seconds, unit: '/s' as const }] : []),
  ];
}
