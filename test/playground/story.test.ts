/** The story of `--once`, played in a folder of its own; then its logs are forged in every way an auditor must notice. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { main } from '../../src/cli/fulgurite.ts';
import { auditFile } from '../../src/playground/audits.ts';
import { NAMES } from '../../src/playground/cast.ts';
import { reportLines } from '../../src/playground/report.ts';
import { playStory } from '../../src/playground/story.ts';
import type { StorySummary } from '../../src/playground/summary.ts';
import { changeByte, copyNode, cutLast, dropCheckpoints, rewriteStream, rowsOf, swap } from '../support/tamper.ts';

const folder = mkdtempSync(join(tmpdir(), 'fulgurite-story-'));
const dataDir = join(folder, 'honest');
const said: string[] = [];
let summary: StorySummary;

beforeAll(async () => {
  summary = await playStory({ dataDir, say: (line) => said.push(line) });
}, 90_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The command line's answer: exit code and both streams. */
async function cli(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const [stdout, stderr]: [string[], string[]] = [[], []];
  const output = (lines: string[]) => ({ write: (text: string) => lines.push(text) > 0 });
  const code = await main(argv, { stdout: output(stdout), stderr: output(stderr) });
  return { code, stdout: stdout.join(''), stderr: stderr.join('') };
}

describe('the story', () => {
  it('opens at least four channels between four nodes', () => {
    expect(summary).toMatchObject({ nodes: 4, channels_opened: 4 });
  });

  it('pays over one, two and three hops', () => {
    expect(summary.payments_succeeded).toBeGreaterThanOrEqual(20);
    expect(summary.hops.one + summary.hops.two + summary.hops.three).toBe(summary.payments_succeeded);
    expect(Math.min(summary.hops.one, summary.hops.two, summary.hops.three)).toBeGreaterThan(3);
    expect(BigInt(summary.delivered_msat)).toBeGreaterThan(0n);
    expect(BigInt(summary.fees_msat)).toBeGreaterThan(0n);
  });

  it('fails two payments on purpose, and says why in the words of BOLT 4', () => {
    expect(summary.payments_failed).toBe(2);
    expect(summary.failures).toMatchObject([
      { from: 'alice', to: 'dave', failure_code: 0x400f, failure_name: 'incorrect_or_unknown_payment_details', erring_node: 'dave' },
      { from: 'alice', to: 'dave', failure_code: 0x1007, failure_name: 'temporary_channel_failure', erring_node: 'carol' },
    ]);
    for (const { reason } of summary.failures) expect(reason).not.toBe('');
  });

  it('kills a node in the middle of a payment, which goes on when the node is back', () => {
    expect(summary).toMatchObject({ restarts: 1, payments_across_restart: 1 });
  });

  it('closes one channel together and one by force, and sweeps both halves', () => {
    expect(summary.closes).toEqual({ mutual: 1, force: 1 });
    expect(summary.sweeps).toBe(2);
  });

  it('ends with logs that an auditor accepts to the msat', () => {
    const { audit } = summary;
    expect(audit.nodes.flatMap(({ failures }) => failures)).toEqual([]);
    expect(audit).toMatchObject({ ok: true, msat_difference: 0 });
    expect(audit.nodes.map(({ name }) => name)).toEqual([...NAMES]);
    for (const figure of [audit.commitments_verified, audit.signatures_verified, audit.revocations_verified, audit.checkpoints_verified]) expect(figure).toBeGreaterThan(0);
  });

  it('is told as it goes, and is plain JSON in the end', () => {
    expect(said.join('\n')).toMatch(/channels are open[\s\S]*was killed[\s\S]*closed .* together[\s\S]*by force[\s\S]*alice: ok/);
    expect(() => JSON.stringify(summary)).not.toThrow();
    const report = reportLines(summary).join('\n');
    for (const word of ['temporary_channel_failure (0x1007) from carol', '1 closed together, 1 by force', 'msat difference: 0', dataDir]) expect(report).toContain(word);
  });
});

describe('the command line over the story\'s folder', () => {
  it('audits all four logs and exits 0', async () => {
    const { code, stdout } = await cli('audit', dataDir);
    expect(code).toBe(0);
    for (const name of NAMES) expect(stdout).toContain(name);
  });
});

describe('a log of the story that was tampered with', () => {
  let file: string;
  let channel: string;
  const forged = (): string => (file = copyNode(dataDir, 'bob', join(folder, 'forged')));
  const size = (): number => rowsOf(file).length;

  beforeAll(() => {
    channel = rowsOf(forged()).find(({ stream }) => stream.startsWith('channel-'))!.stream;
  });

  it('passes as long as it is only copied', async () => {
    expect((await auditFile(forged())).failures).toEqual([]);
  });

  it('is caught when one byte of any event was changed', async () => {
    forged();
    const last = size() - 1;
    for (const position of [0, 1, 5, Math.floor(last / 3), Math.floor(last / 2), last]) {
      for (const share of [0.02, 0.5, 0.98]) {
        forged();
        const { stream, revision } = rowsOf(file)[position]!;
        changeByte(file, position, (entry) => Math.floor(entry.length * share));
        const report = await auditFile(file);
        expect(report.ok).toBe(false);
        expect(report.failures[0]).toMatchObject({ stream, revision: BigInt(revision), position: BigInt(position) });
      }
    }
  });

  it('is caught when the last event was cut', async () => {
    forged();
    const last = size() - 1;
    cutLast(file);
    const [failure] = (await auditFile(file)).failures;
    expect(failure).toMatchObject({ position: BigInt(last) });
    expect(failure!.reason).toContain('cut short');
  });

  /** The first place in the second half where two neighbours are of one stream, or are not. */
  const neighbours = (sameStream: boolean): number => {
    const rows = rowsOf(file);
    return rows.findIndex(({ stream, position }) => position > rows.length / 2 && (rows[position + 1]!.stream === stream) === sameStream);
  };

  it('is caught when two events of a stream were swapped, and the first of them is named', async () => {
    forged();
    const first = neighbours(true);
    swap(file, first, first + 1);
    expect((await auditFile(file)).failures[0]).toMatchObject({ stream: rowsOf(file)[first]!.stream, position: BigInt(first) });
  });

  it('is caught when two events of different streams were swapped: each chain is whole, but the signed root knows their order', async () => {
    forged();
    swap(file, neighbours(false), neighbours(false) + 1);
    const [failure] = (await auditFile(file)).failures;
    expect(failure).toMatchObject({ code: 'log_corrupt' });
    expect(failure!.reason).toContain('checkpoint');
  });

  it.each([
    ['a signature', 'CommitmentSignedReceived', 'signature', (signature: string) => signature.replace(/..$/, (end) => (end === '00' ? '01' : '00'))],
    ['an amount', 'UpdateAddHtlcReceived', 'amount_msat', (amount: string) => String(BigInt(amount) + 1n)],
    ['a revealed secret', 'RevokeAndAckReceived', 'per_commitment_secret', (secret: string) => secret.replace(/^../, (start) => (start === '00' ? '01' : '00'))],
  ])('is caught when %s was changed, the stream hashed anew and every checkpoint removed', async (_what, type, field, change) => {
    forged();
    const victim = rewriteStream(file, channel, (entry) => entry.type === type, (data) => ({ ...data, [field]: change(data[field] as string) }));
    dropCheckpoints(file);
    const report = await auditFile(file);
    const failure = report.failures.find(({ stream }) => stream === channel);
    expect(failure).toBeDefined();
    expect(failure!.revision).toBeGreaterThanOrEqual(victim.revision);
  });

  it('is caught by its checkpoint alone, before any signature is looked at', async () => {
    forged();
    rewriteStream(file, channel, (entry) => entry.type === 'FundingConfirmed', (data) => data);
    expect((await auditFile(file)).failures).toEqual([]);
    rewriteStream(file, channel, (entry) => entry.type === 'UpdateAddHtlcReceived', (data) => ({ ...data, payment_hash: '33'.repeat(32) }));
    expect((await auditFile(file)).failures[0]).toMatchObject({ code: 'log_corrupt' });
  });

  it('makes the command line exit 1 and name stream, revision and reason', async () => {
    forged();
    const position = Math.floor(size() / 2);
    const { stream, revision } = rowsOf(file)[position]!;
    changeByte(file, position, (entry) => Math.floor(entry.length / 2));
    const { code, stdout, stderr } = await cli('audit', join(folder, 'forged'));
    expect(code).toBe(1);
    expect(stdout + stderr).toContain(stream);
    expect(stdout + stderr).toContain(String(revision));
  });
});
