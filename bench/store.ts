/** Appends to the SQLite store by 1, 16 and 256 writers at once: each waits until its events survive a power loss. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqliteStore } from '../src/adapters/store/sqlite.ts';
import { crypto } from '../src/bolt/crypto.ts';
import { hex32, signature, toHex32, toPoint } from '../src/bolt/primitives.ts';
import type { Event } from '../src/events/registry.ts';
import type { EventStore } from '../src/events/store.ts';
import { type Bench, type Row, timeAsync } from './bench.ts';

const nodeId = toPoint(crypto().publicKey(new Uint8Array(32).fill(1)));

/** What one channel turn appends: the peer's signature and our revocation. */
const TURN: readonly Event[] = [
  { type: 'CommitmentSignedReceived', commitment_number: 1n, signature: signature('12'.repeat(64)), htlc_signatures: [] },
  { type: 'RevokeAndAckSent', commitment_number: 0n, next_per_commitment_point: nodeId },
];

export const storeBench: Bench = {
  name: 'store',
  about: 'Appends of two events (a commitment turn), each flushed to the tail of the log before its answer; SQLite, the hash chain and the signed checkpoint follow within 50 ms, on a thread of their own. Each writer has its own stream.',
  async run() {
    const folder = mkdtempSync(join(process.env['BENCH_DIR'] ?? tmpdir(), 'fulgurite-bench-'));
    try {
      const rows: Row[] = [];
      for (const writers of [1, 16, 256]) rows.push(...(await measure(join(folder, `${writers}`, 'log.sqlite'), writers)));
      return rows;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function measure(file: string, writers: number): Promise<Row[]> {
  const store = await openSqliteStore({ file, nodeId, logKeySeed: randomBytes(32), now: () => new Date() });
  const { perSecond, p50, p99 } = await timeAsync(writers, appendTo(store, writers));
  await store.close();
  const what = `${writers} ${writers === 1 ? 'writer' : 'writers'}`;
  return [
    { what: `${what}, appends`, value: perSecond, unit: '/s' },
    { what: `${what}, p50`, value: p50, unit: 'ms' },
    { what: `${what}, p99`, value: p99, unit: 'ms' },
  ];
}

function appendTo(store: EventStore, writers: number): (writer: number) => Promise<void> {
  const revisions: (bigint | 'none')[] = Array.from({ length: writers }, () => 'none');
  return async (writer) => {
    const command_id = toHex32(randomBytes(32));
    const cause = { command_id, correlation_id: hex32('00'.repeat(32)) };
    revisions[writer] = await store.append(`channel-bench-${writer}`, revisions[writer]!, TURN, cause);
  };
}
