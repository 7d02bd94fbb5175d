/** Fees and closes as people read them: `fulgurite fees`, `fulgurite audit` and GET /v1/fees over the logs of two nodes whose channel was closed by force. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSqliteStore } from '../../src/adapters/store/sqlite.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import type { ChannelEvent } from '../../src/events/channel/index.ts';
import { createHttpServer } from '../../src/http/server.ts';
import { appendAll, FUNDING, forceClose, logOptions, openPair, pay, writeLog, type ChannelPair, type Node } from '../support/audited-pair.ts';
import { runCli } from '../support/daemons.ts';

let folder: string;
let data: string;
let pair: ChannelPair;

beforeAll(async () => {
  await chooseCryptoBackend();
  folder = mkdtempSync(join(tmpdir(), 'fulgurite-fees-cli-'));
  data = join(folder, 'data');
  pair = openPair();
  pay(pair, pair.alice, 20_000_000n, 'first');
  forceClose(pair, pair.alice);
  for (const node of [pair.alice, pair.bob]) {
    const store = await openSqliteStore({ file: join(data, node.name, 'log.sqlite'), ...logOptions(node) });
    await (await appendAll(node, store)).close();
  }
}, 60_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const factsOf = <T extends ChannelEvent['type']>({ log }: Node, type: T) => log.flatMap(({ events }) => events).filter((event): event is Extract<ChannelEvent, { type: T }> => event.type === type);

/** Of the commitment: 1,124 weight at 1,000 sat per 1000 weight. */
const COMMITMENT_FEE = 1_124n;

describe('fulgurite fees', () => {
  it('is a table of transactions with who paid, and the sums', async () => {
    const { code, out, err } = await runCli('fees', data);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const [alices, bobs] = out.split(/^(?=bob )/m) as [string, string];
    const { txid } = factsOf(pair.alice, 'FundingSpent')[0]!;
    expect(alices).toMatch(new RegExp(`commitment +${txid} +130 +1,000,000 +998,876 +1,124 +1,124 us`));
    expect(bobs).toMatch(new RegExp(`commitment +${txid} +130 +1,000,000 +998,876 +1,124 +1,124 the peer`));
    const swept = factsOf(pair.alice, 'ClaimStarted').reduce((sum, { fee_satoshis }) => sum + fee_satoshis, 0n);
    expect(alices).toContain(`fee_sat ${(COMMITMENT_FEE + swept).toLocaleString('en')} confirmed: ours ${(COMMITMENT_FEE + swept).toLocaleString('en')}, peers 0, rounded away 0; pending 0`);
  });

  it('gives JSON, and the past', async () => {
    const [alice, bob] = JSON.parse((await runCli('fees', '--json', data)).out);
    expect(alice).toMatchObject({ node: 'alice', totals: { remote_sat: '0', unknown_sat: '0' } });
    expect(bob.totals.remote_sat).toBe(String(COMMITMENT_FEE));
    for (const { inputs_sat, outputs_sat, fee_sat } of [...alice.rows, ...bob.rows]) expect(BigInt(inputs_sat) - BigInt(outputs_sat)).toBe(BigInt(fee_sat));
    expect(alice.rows[0].inputs_sat).toBe(String(FUNDING));
    const [then] = JSON.parse((await runCli('fees', '--json', '--at', '5', '--node', 'alice', data)).out);
    expect(then).toMatchObject({ position: '5', rows: [], totals: { fee_sat: '0' } });
  });

  it('refuses a path that is none, and a place that no log has', async () => {
    expect((await runCli('fees', join(folder, 'nowhere'))).code).toBe(2);
    expect(await runCli('fees', '--at', '99999', data)).toMatchObject({ code: 2, err: expect.stringContaining('position_out_of_range') });
  });
});

describe('fulgurite audit', () => {
  it('explains the close to either side', async () => {
    const { code, out } = await runCli('audit', data);
    expect(code).toBe(0);
    expect(out).toMatch(/by the user: force_closed_by_user: as asked \(ChannelFailed, position \d+, revision \d+\)/);
    expect(out).toMatch(/by the peer: remote_on_chain: the peer published its commitment \(FundingSpent/);
    expect(out.match(/outputs equal the last state: yes/g)).toHaveLength(2);
    expect(out).toMatch(/local \d+ [0-9a-f]{64} in block 130; resolved/);
  });

  it('gives it as JSON, too', async () => {
    const { audits } = JSON.parse((await runCli('audit', '--json', data)).out);
    expect(audits[0].closes).toMatchObject([{ by: 'user', cause: { type: 'ChannelFailed', code: 'force_closed_by_user', reason: 'as asked' }, kind: 'local', resolved: true, outputs_equal_state: 'yes', fees: { unknown_sat: '0' } }]);
    expect(audits[1].closes).toMatchObject([{ by: 'remote', kind: 'remote', txid: audits[0].closes[0].txid }]);
  });
});

describe('GET /v1/fees', () => {
  it('is the same ledger, now and in the past', async () => {
    const store = await writeLog(pair.alice);
    const server = await createHttpServer({ nodes: [{ name: 'alice', node_id: pair.alice.signer.nodeId, store }] });
    const get = async (url: string) => (await server.app.inject(url)).json();
    const [cli] = JSON.parse((await runCli('fees', '--json', '--node', 'alice', data)).out);
    expect((await get('/v1/fees')).fees).toEqual([{ node: 'alice', rows: cli.rows, channels: cli.channels, totals: cli.totals }]);
    expect(await get('/v1/fees?as_of=5')).toMatchObject({ as_of: [{ position: '5' }], fees: [{ rows: [], totals: { fee_sat: '0' } }] });
    expect((await server.app.inject('/v1/fees?node=carol')).statusCode).toBe(404);
    await server.close();
    await store.close();
  });
});
