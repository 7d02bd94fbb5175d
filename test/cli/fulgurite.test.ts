/** The command line over a data folder of two nodes: what it prints, where it prints it, and how it ends. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSqliteStore } from '../../src/adapters/store/sqlite.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { canonicalEntry, digestEntry, readEntry } from '../../src/events/canonical.ts';
import { ZERO_HASH } from '../../src/events/envelope.ts';
import type { Hex32 } from '../../src/bolt/primitives.ts';
import { appendAll, closeTogether, logOptions, openPair, pay, WRONG_SIGNATURE, type ChannelPair } from '../support/audited-pair.ts';
import { runCli } from '../support/daemons.ts';

let folder: string;
let data: string;
let pair: ChannelPair;

beforeAll(async () => {
  await chooseCryptoBackend();
  folder = mkdtempSync(join(tmpdir(), 'fulgurite-cli-'));
  data = join(folder, 'data');
  pair = openPair();
  pay(pair, pair.alice, 20_000_000n, 'first');
  pay(pair, pair.bob, 5_000_000n, 'second');
  closeTogether(pair);
  for (const node of [pair.alice, pair.bob]) {
    const store = await openSqliteStore({ file: join(data, node.name, 'log.sqlite'), ...logOptions(node) });
    await (await appendAll(node, store)).close();
  }
}, 60_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('fulgurite audit', () => {
  it('passes a data folder, and says what it verified of each node', async () => {
    const { code, out, err } = await runCli('audit', data);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(new RegExp(`alice ${pair.alice.signer.nodeId}: ok`));
    expect(out).toMatch(/bob .*: ok/);
    expect(out).toMatch(/signatures verified +\d+/);
  });

  it('gives JSON: sums over all logs, and each log', async () => {
    const { code, out } = await runCli('audit', '--json', data);
    const report = JSON.parse(out);
    expect(code).toBe(0);
    expect(report).toMatchObject({ ok: true, logs: 2, msat_difference: '0', failures: [] });
    expect(report.messages_compared).toBeGreaterThan(10);
    expect(report.audits.map((audit: { log: string }) => audit.log)).toEqual(['alice', 'bob']);
    expect(report.commitments_verified).toBe(report.audits[0].commitments_verified + report.audits[1].commitments_verified);
  });

  it('takes one node\'s folder, its database, or --node', async () => {
    for (const argv of [[join(data, 'bob')], [join(data, 'bob', 'log.sqlite')], ['--node', 'bob', data]]) {
      const { code, out } = await runCli('audit', '--json', ...argv);
      expect({ code, logs: JSON.parse(out).logs }).toEqual({ code: 0, logs: 1 });
    }
  });

  it('replays without the signatures when asked to', async () => {
    const { out } = await runCli('audit', '--replay-only', '--json', data);
    expect(JSON.parse(out)).toMatchObject({ ok: true, signatures_verified: 0 });
  });
});

describe('a node that was killed a moment after its last events', () => {
  it('has them beside its log: audit and export say so, and go without', async () => {
    const killed = mkdtempSync(join(folder, 'killed-'));
    const file = join(killed, 'alice', 'log.sqlite');
    const store = await openSqliteStore({ file, ...logOptions(pair.alice) });
    await appendAll(pair.alice, store);
    await store.head();
    const ids = { command_id: '01'.repeat(32) as Hex32, correlation_id: '02'.repeat(32) as Hex32 };
    for (const n of [1, 2, 3]) await store.append(`late-${n}`, 'none', [{ type: 'UpdateFeeSent', feerate_per_kw: n }], ids);
    await store.kill();
    const words = `3 events more are durable in ${file}-tail; the node takes them in when it opens the log`;
    const { code, out } = await runCli('audit', killed);
    expect({ code, told: out.includes(words) }).toEqual({ code: 0, told: true });
    const [whole, late] = [await runCli('audit', '--json', data), await runCli('audit', '--json', killed)].map((ran) => JSON.parse(ran.out).audits[0]);
    expect(late).toMatchObject({ waiting: 3, events: whole.events });
    expect(whole).toMatchObject({ waiting: 0 });
    expect(await runCli('log', 'export', killed, '-o', join(killed, 'bundle'))).toMatchObject({ code: 0, err: `${words}\n` });
  });
});

describe('a data folder that was tampered with', () => {
  interface Row { position: number; stream: string; revision: number; entry: string; hash: string }

  /** A copy of alice's folder with her database changed by hand. */
  function tampered(change: (db: Database.Database, rows: readonly Row[]) => void): string {
    const copy = mkdtempSync(join(folder, 'tampered-'));
    cpSync(join(data, 'alice'), join(copy, 'alice'), { recursive: true });
    const db = new Database(join(copy, 'alice', 'log.sqlite'));
    change(db, db.prepare('SELECT position, stream, revision, entry, hash FROM events ORDER BY position').all() as Row[]);
    db.close();
    return copy;
  }
  const update = (db: Database.Database, { position, entry, hash }: Row) => db.prepare('UPDATE events SET entry = ?, hash = ? WHERE position = ?').run(entry, hash, position);

  it.each([0, 5, 23])('one byte of event %i changed: exit 1 and its place', async (position) => {
    const copy = tampered((db, rows) => {
      const row = rows[position]!;
      update(db, { ...row, entry: row.entry.replace('"recorded_at":"2026', '"recorded_at":"2027') });
    });
    const { code, err } = await runCli('audit', copy);
    expect(code).toBe(1);
    expect(err).toMatch(new RegExp(`alice: stream \\S+ revision \\d+ \\(position ${position}\\): log_corrupt: `));
  });

  it('the last event cut: exit 1', async () => {
    const copy = tampered((db, rows) => db.prepare('DELETE FROM events WHERE position = ?').run(rows.length - 1));
    const { code, err } = await runCli('audit', copy);
    expect(code).toBe(1);
    expect(err).toContain('cut short');
  });

  it('two events swapped: exit 1 and the place of the first', async () => {
    const copy = tampered((db, rows) => {
      const [a, b] = [rows[20]!, rows[21]!];
      update(db, { ...a, entry: b.entry, hash: b.hash });
      update(db, { ...b, entry: a.entry, hash: a.hash });
    });
    const { code, err } = await runCli('audit', copy);
    expect(code).toBe(1);
    expect(err).toMatch(/\(position 20\)/);
  });

  it('a stream rewritten with a fresh chain and one signature changed: exit 1, stream and revision', async () => {
    let victim: Row | undefined;
    const copy = tampered((db, rows) => {
      let previous_hash: Hex32 = ZERO_HASH;
      for (const row of rows.filter(({ stream }) => stream === pair.alice.stream)) {
        const entry = readEntry(row.entry);
        const hit = victim === undefined && entry.type === 'CommitmentSignedReceived';
        if (hit) victim = row;
        const text = canonicalEntry({ ...entry, previous_hash, data: hit ? { ...(entry.data as object), signature: WRONG_SIGNATURE } : entry.data });
        previous_hash = digestEntry(text).hash;
        update(db, { ...row, entry: text, hash: previous_hash });
      }
    });
    const { code, err } = await runCli('audit', copy);
    expect(code).toBe(1);
    expect(err).toContain(`stream ${victim!.stream} revision ${victim!.revision} (position ${victim!.position}): wrong_signature`);
    expect(err).toContain('checkpoint');
  });

  it('a limit that no signature covers changed: exit 1, and both logs\' places, where both are there', async () => {
    const copy = tampered((db, rows) => {
      let previous_hash: Hex32 = ZERO_HASH;
      for (const row of rows.filter(({ stream }) => stream === pair.alice.stream)) {
        const entry = readEntry(row.entry);
        const data = entry.type === 'OpenChannelSent' ? { ...(entry.data as object), htlc_minimum_msat: '7' } : entry.data;
        const text = canonicalEntry({ ...entry, previous_hash, data });
        previous_hash = digestEntry(text).hash;
        update(db, { ...row, entry: text, hash: previous_hash });
      }
    });
    cpSync(join(data, 'bob'), join(copy, 'bob'), { recursive: true });
    const { code, err } = await runCli('audit', copy);
    expect(code).toBe(1);
    expect(err).toContain(`bob: stream ${pair.bob.stream} revision 0`);
    expect(err).toContain(`peers_disagree: htlc_minimum_msat of open_channel: expected 7 as in the log of alice (stream ${pair.alice.stream} revision 0), got 1`);
  });

  it('a file of garbage: a sentence, not a crash', async () => {
    const copy = mkdtempSync(join(folder, 'garbage-'));
    for (const [name, bytes] of [['log.sqlite', 'SQLite format 3\0 and then nothing of the kind'], ['bundle', 'hello\n'], ['empty', '']] as const) {
      writeFileSync(join(copy, name), bytes);
      const { code, err } = await runCli('audit', join(copy, name));
      expect(code).toBe(1);
      expect(err).toMatch(/expected|not_a_log|log_corrupt/);
    }
  });
});

describe('fulgurite log export', () => {
  it('writes a bundle that passes the audit, and one that was changed does not', async () => {
    const bundle = join(folder, 'alice.bundle');
    const { code, out } = await runCli('log', 'export', join(data, 'alice'), '-o', bundle);
    expect(code).toBe(0);
    expect(out).toContain(`events of node ${pair.alice.signer.nodeId}`);
    expect((await runCli('audit', bundle)).code).toBe(0);
    const text = readFileSync(bundle, 'utf8');
    writeFileSync(bundle, text.replace('"amount_msat":"20000000"', '"amount_msat":"20000001"'));
    expect(await runCli('audit', bundle)).toMatchObject({ code: 1, err: expect.stringMatching(/revision \d+/) });
    expect((await runCli('log', 'export', join(data, 'alice'), '-o', bundle)).err).toContain('file_exists');
    expect((await runCli('log', 'export', join(data, 'alice'), '-o', bundle, '--force')).code).toBe(0);
  });

  it('writes to standard output without a file, and needs one log', async () => {
    const { code, out } = await runCli('log', 'export', '--node', 'bob', data);
    expect(code).toBe(0);
    expect(JSON.parse(out.split('\n')[0]!)).toMatchObject({ format: 'fulgurite-bundle', version: 1, node_id: pair.bob.signer.nodeId });
    expect(await runCli('log', 'export', data)).toMatchObject({ code: 2, err: expect.stringContaining('node_required') });
  });
});

describe('fulgurite log show', () => {
  it('numbers the messages of a channel and shows what each left', async () => {
    const { code, out } = await runCli('log', 'show', '--node', 'alice', data);
    expect(code).toBe(0);
    const lines = out.split('\n');
    expect(lines[0]).toBe(`alice ${pair.alice.stream}`);
    expect(lines[1]).toMatch(/^ {4}1 -> open_channel peer_id=/);
    expect(lines[2]).toMatch(/^ {4}2 <- accept_channel /);
    expect(out).toMatch(/-> update_add_htlc id=0 amount_msat=20000000 /);
    expect(out).toMatch(/local 880000000 msat, remote 100000000 msat, HTLCs 1 \(offered 20000000, received 0 msat\), commitments local 0 remote 0/);
    expect(out).toMatch(/<- update_fulfill_htlc id=0 /);
    expect(out).toMatch(/^ {10,}FundingConfirmed /m);
    expect(out).toMatch(/<- closing_signed fee_satoshis=/);
  });

  it('is the same in JSON, one array', async () => {
    const lines = JSON.parse((await runCli('log', 'show', '--json', '--channel', 'channel-alice', data)).out);
    expect(lines[0]).toMatchObject({ node: 'bob', channel: pair.bob.stream, number: 1, direction: 'received', name: 'open_channel' });
    expect(lines.at(-1)).toMatchObject({ direction: 'fact', name: 'ChannelResolved', phase: 'closed' });
  });

  it('names the channels there are when asked for another', async () => {
    expect(await runCli('log', 'show', '--channel', 'channel-carol', data)).toMatchObject({ code: 2, err: expect.stringContaining('channel-bob-1') });
  });
});

describe('fulgurite balance', () => {
  it('shows what each node owns in the end', async () => {
    const { code, out } = await runCli('balance', data);
    expect(code).toBe(0);
    expect(out).toMatch(/alice at position \d+/);
    expect(out).toMatch(/owned_msat/);
  });

  it('shows a position of the past', async () => {
    const lines = JSON.parse((await runCli('log', 'show', '--json', '--node', 'alice', data)).out) as { name: string; position: string }[];
    const added = lines.find((line) => line.name === 'update_add_htlc')!.position;
    const [sheet] = JSON.parse((await runCli('balance', '--json', '--at', added, '--node', 'alice', data)).out);
    expect(sheet).toMatchObject({ node: 'alice', position: added, totals: { local_msat: '880000000', offered_msat: '20000000', owned_msat: '900000000' } });
  });

  it('shows a time of the past, before anything too', async () => {
    const sheets = JSON.parse((await runCli('balance', '--json', '--at', '2025-06-01', data)).out);
    expect(sheets).toMatchObject([{ node: 'alice', events: 0, totals: { owned_msat: '0' } }, { node: 'bob' }]);
  });

  it('refuses a position beyond the log, and what is neither position nor time', async () => {
    expect(await runCli('balance', '--at', '99999', data)).toMatchObject({ code: 2, err: expect.stringContaining('got 99999') });
    expect(await runCli('balance', '--at', 'noon', data)).toMatchObject({ code: 2, err: expect.stringContaining('got noon') });
  });
});

describe('wrong usage', () => {
  it.each([
    [[]],
    [['audit']],
    [['audit', 'nowhere']],
    [['audit', '--colour', 'red', 'x']],
    [['frobnicate']],
    [['playground', '--port', 'x']],
    [['audit', '--node', 'carol', 'DATA']],
  ])('%j: exit 2, with a word of help on standard error', async (argv) => {
    const { code, out, err } = await runCli(...argv.map((word) => (word === 'DATA' ? data : word)));
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).not.toBe('');
  });

  it('--help and --version end well, on standard output, with examples', async () => {
    expect(await runCli('--version')).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
    for (const argv of [['--help'], ['audit', '--help'], ['log', 'show', '--help'], ['log', 'export', '--help'], ['balance', '--help'], ['playground', '--help']]) {
      const { code, out } = await runCli(...argv);
      expect(code).toBe(0);
      expect(out).toContain('Usage: fulgurite');
      if (argv.length > 1) expect(out).toContain('Examples:');
    }
  });

  it('with --json says why as JSON on standard error', async () => {
    const { err } = await runCli('audit', '--json', 'nowhere');
    expect(JSON.parse(err)).toMatchObject({ error: { code: 'no_log', message: expect.stringContaining('got nothing') } });
  });
});
