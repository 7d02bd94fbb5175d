/** The auditor believes nothing: whole logs pass, and every kind of forgery is named with its place. */
import { beforeAll, describe, expect, it } from 'vitest';
import { createMemoryDisk, type MemoryDisk } from '../../src/adapters/store/memory-storage.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { CHANNEL_TYPES } from '../../src/bolt/09-features/features.ts';
import { msat, type Hex32 } from '../../src/bolt/primitives.ts';
import { canonicalEntry, digestEntry, readEntry, type LogEntry } from '../../src/events/canonical.ts';
import { ZERO_HASH } from '../../src/events/envelope.ts';
import { auditLog, type AuditReport, type LogLine } from '../../src/projections/audit.ts';
import { closeTogether, forceClose, named, openPair, pay, WRONG_SIGNATURE, writeLog, type ChannelPair, type Node } from '../support/audited-pair.ts';

beforeAll(() => chooseCryptoBackend());

/** A channel with traffic both ways, a failed payment, and an HTLC in between. */
function busyPair(channel_type?: string): ChannelPair {
  const pair = openPair(channel_type);
  const { alice, bob } = pair;
  pay(pair, alice, 20_000_000n, 'first');
  pay(pair, bob, 7_654_321n, 'second');
  pay(pair, alice, 100_000n, 'dust');
  pay(pair, alice, 30_000_000n, 'refused', 'failed');
  pair.command(alice, { type: 'UpdateFee', feerate_per_kw: 1500, policy: feePolicy });
  pair.settle();
  pay(pair, bob, 1_000_001n, 'third');
  return pair;
}

const feePolicy = { max_dust_exposure_msat: msat(50_000_000n) } as never;

async function stored(node: Node): Promise<MemoryDisk> {
  const disk = createMemoryDisk();
  await (await writeLog(node, disk)).close();
  return disk;
}

const linesOf = (disk: MemoryDisk): LogLine[] =>
  disk.rows.map(({ position, entry, hash, stream, revision }) => ({ kind: 'entry', position: BigInt(position), entry, hash, stream, revision: BigInt(revision) }));
const notesOf = (disk: MemoryDisk): string[] => [...[...disk.checkpoints.values()].map(({ note }) => note), ...(disk.keptApart === undefined ? [] : [disk.keptApart])];
const audit = (disk: MemoryDisk, cryptography = true): Promise<AuditReport> => auditLog({ lines: linesOf(disk), checkpoints: notesOf(disk), cryptography });

describe.each(['anchors_zero_fee_htlc_tx', 'static_remotekey'] as const)('a log of a %s channel', (format) => {
  const channel_type = CHANNEL_TYPES[format];

  it.each(['alice', 'bob'] as const)('of %s passes, with everything derived and verified again', async (name) => {
    const report = await audit(await stored(busyPair(channel_type)[name]));
    expect(report.failures).toEqual([]);
    expect(report).toMatchObject({ ok: true, alias: name, channels: 1, msat_difference: 0n, cryptography: true });
    expect(report.commitments_verified).toBeGreaterThan(8);
    expect(report.commitments_derived).toBe(report.commitments_verified);
    expect(report.signatures_verified).toBeGreaterThan(report.commitments_verified);
    expect(report.revocations_verified).toBe(report.commitments_verified - 1);
    expect(report.last_checkpoint?.size).toBe(report.events);
  });

  it('passes after a mutual close', async () => {
    const pair = busyPair(channel_type);
    closeTogether(pair);
    for (const node of [pair.alice, pair.bob]) {
      const report = await audit(await stored(node));
      expect(report.failures).toEqual([]);
      expect(node.channel.phase).toBe('closed');
    }
  });

  it('passes after a forced close and both sweeps', async () => {
    const pair = busyPair(channel_type);
    forceClose(pair, pair.alice);
    for (const node of [pair.alice, pair.bob]) {
      const report = await audit(await stored(node));
      expect(report.failures).toEqual([]);
      expect(node.channel.phase).toBe('closed');
      expect(report.transactions_verified).toBeGreaterThanOrEqual(3);
    }
  });
});

describe('without cryptography', () => {
  it('the log, the replay and the conservation are still checked', async () => {
    const report = await audit(await stored(busyPair().alice), false);
    expect(report).toMatchObject({ ok: true, cryptography: false, signatures_verified: 0, msat_difference: 0n });
    expect(report.checkpoints_verified).toBeGreaterThan(0);
  });
});

describe('a log that was tampered with', () => {
  let disk: MemoryDisk;
  let stream: string;
  beforeAll(async () => {
    const { bob } = busyPair();
    stream = bob.stream;
    disk = await stored(bob);
  });
  const copy = (): MemoryDisk => ({ ...disk, rows: structuredClone(disk.rows) });

  it('fails at the event one byte of which was changed, whichever', async () => {
    for (const victim of [0, 1, 7, 20, disk.rows.length - 1]) {
      for (const place of [0.1, 0.35, 0.6, 0.95]) {
        const forged = copy();
        const { entry } = forged.rows[victim]!;
        const at = Math.floor(entry.length * place);
        const changed = entry[at] === '0' ? '1' : '0';
        forged.rows[victim] = { ...forged.rows[victim]!, entry: entry.slice(0, at) + changed + entry.slice(at + 1) };
        const report = await audit(forged);
        expect(report.ok).toBe(false);
        expect(report.failures[0]).toMatchObject({ position: BigInt(victim) });
      }
    }
  });

  it('fails when the last event is cut', async () => {
    const forged = copy();
    forged.rows.pop();
    const report = await audit(forged);
    expect(report.failures[0]).toMatchObject({ position: BigInt(forged.rows.length) });
    expect(report.failures[0]!.reason).toContain('cut short');
  });

  it('fails at the first of two events that changed places', async () => {
    const forged = copy();
    const [a, b] = [20, 21];
    [forged.rows[a], forged.rows[b]] = [{ ...forged.rows[b]!, position: a }, { ...forged.rows[a]!, position: b }];
    expect((await audit(forged)).failures[0]).toMatchObject({ position: 20n });
  });

  it('names the stream and revision of a wrong signature, in a stream rewritten with a fresh chain and no checkpoint to contradict it', async () => {
    const forged = copy();
    const victim = rewrite(forged, stream, (entry) => entry.type === 'CommitmentSignedReceived' && (entry.data as { commitment_number: string }).commitment_number === '3', (data) => ({ ...data, signature: WRONG_SIGNATURE }));
    const report = await auditLog({ lines: linesOf(forged), checkpoints: [] });
    expect(report.failures.find((failure) => failure.code === 'wrong_signature')).toMatchObject({ stream, revision: victim.revision });
  });

  it('names the checkpoint too, where there is one', async () => {
    const forged = copy();
    rewrite(forged, stream, (entry) => entry.type === 'CommitmentSignedReceived', (data) => ({ ...data, signature: WRONG_SIGNATURE }));
    const report = await audit(forged);
    expect(report.failures.map(({ code }) => code)).toEqual(['log_corrupt', 'wrong_signature']);
    expect(report.failures[0]!.reason).toContain('checkpoint');
  });

  it.each([
    ['an HTLC\'s amount', 'UpdateAddHtlcReceived', { amount_msat: '20000001' }],
    ['the funding amount', 'OpenChannelReceived', { funding_satoshis: '1000001' }],
    ['the amount pushed', 'OpenChannelReceived', { push_msat: '100000999' }],
    ['a basepoint', 'AcceptChannelSent', { delayed_payment_basepoint: '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798' }],
    ['a revealed secret', 'RevokeAndAckReceived', { per_commitment_secret: '11'.repeat(32) }],
    ['a preimage', 'UpdateFulfillHtlcSent', { payment_preimage: '22'.repeat(32) }],
    ['a payment hash', 'UpdateAddHtlcReceived', { payment_hash: '33'.repeat(32) }],
    ['a feerate', 'UpdateFeeReceived', { feerate_per_kw: 1501 }],
    ['the funding output', 'FundingConfirmed', { short_channel_id: '110x1x1' }],
  ] as const)('names the stream when %s was changed and everything hashed anew', async (_what, type, change) => {
    const forged = copy();
    const victim = rewrite(forged, stream, (entry) => entry.type === type, (data) => ({ ...data, ...change }));
    const report = await auditLog({ lines: linesOf(forged), checkpoints: [] });
    const failure = report.failures.find((one) => one.stream === stream);
    expect(failure).toBeDefined();
    expect(failure!.revision).toBeGreaterThanOrEqual(victim.revision);
  });

  it('names the stream that does not agree with the others', async () => {
    const forged = copy();
    const invoice = forged.rows.find((row) => row.entry.includes('"InvoiceSettled"'))!.stream;
    rewrite(forged, invoice, (entry) => entry.type === 'InvoiceSettled', (data) => ({ ...data, received_msat: '1' }));
    const report = await auditLog({ lines: linesOf(forged), checkpoints: [] });
    expect(report.failures.find((one) => one.stream === invoice)).toMatchObject({ code: 'received_amount', revision: 2n });
  });

  it('fails without the key of its checkpoints: the first event must name it, signed by the node', async () => {
    const forged = copy();
    rewrite(forged, 'node', () => true, (data) => ({ ...data, node_id: '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798' }));
    expect((await audit(forged)).failures[0]).toMatchObject({ stream: 'node', revision: 0n });
  });

  it('fails when a checkpoint was signed by another key', async () => {
    const other = await stored(busyPair().alice);
    const report = await auditLog({ lines: linesOf(disk), checkpoints: notesOf(other) });
    expect(report.ok).toBe(false);
  });

  it('never throws, whatever stands in a row', async () => {
    for (const entry of ['', '{}', 'null', '{"type":"x"}', '\u0000', `{"causation_id":"${named('x')}"}`]) {
      const forged = copy();
      forged.rows[9] = { ...forged.rows[9]!, entry };
      expect((await audit(forged)).failures[0]).toMatchObject({ position: 9n });
    }
  });
});

describe('progress', () => {
  it('is told every so many events', async () => {
    const disk = await stored(busyPair().alice);
    const seen: number[] = [];
    await auditLog({ lines: linesOf(disk), checkpoints: notesOf(disk), progressEvery: 10, onProgress: ({ events }) => seen.push(events) });
    expect(seen).toEqual(Array.from({ length: Math.floor(disk.rows.length / 10) }, (_, index) => 10 * (index + 1)));
  });
});

/** Changes one event of a stream, then hashes the stream's chain anew from there, as a forger with the database would. */
function rewrite(disk: MemoryDisk, stream: string, match: (entry: LogEntry) => boolean, change: (data: Record<string, unknown>) => Record<string, unknown>): LogEntry {
  let victim: LogEntry | undefined;
  let previous_hash: Hex32 = ZERO_HASH;
  for (const [index, row] of disk.rows.entries()) {
    if (row.stream !== stream) continue;
    const entry = readEntry(row.entry);
    const hit = victim === undefined && match(entry);
    if (hit) victim = entry;
    const text = canonicalEntry({ ...entry, previous_hash, data: hit ? change(entry.data as Record<string, unknown>) : entry.data });
    previous_hash = digestEntry(text).hash;
    disk.rows[index] = { ...row, entry: text, hash: previous_hash };
  }
  if (victim === undefined) throw new Error(`nothing to rewrite in ${stream}`);
  return victim;
}
