/** A whole node whose log is in an event database: it opens, is paid, restarts, and knows everything still. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMemoryServer, realServer, type TestServer } from '../support/esdb.ts';
import { fund, openThroughCli, startDaemonsWith, type Daemons } from '../support/daemons.ts';

let server: TestServer;
let nodes: Daemons;

beforeAll(async () => {
  server = createMemoryServer();
  const store = realServer ?? (await server.running()).url;
  nodes = await startDaemonsWith({ bob: { store } }, 'alice', 'bob');
}, 60_000);
afterAll(async () => {
  await nodes.stop();
  await server.stop();
});

describe('store: esdb://', () => {
  it('a channel and a payment later, the node restarts from the database alone', async () => {
    await fund(nodes, 'alice');
    await openThroughCli(nodes, 'alice', 'bob', '1000000', '--push', '100000');
    const bolt11 = (await nodes.run('bob', 'invoice', '5000', '-q')).out.trim();
    expect(await nodes.json('alice', 'pay', bolt11)).toMatchObject({ status: 'succeeded' });
    const info = await nodes.json('bob', 'getinfo');
    expect(info.store).toMatch(/^esdb esdb:\/\//);
    expect(existsSync(join(nodes.data('bob'), 'log.sqlite'))).toBe(false);

    await nodes.halt('bob');
    await nodes.start('bob');
    expect((await nodes.json('bob', 'getinfo')).node_id).toBe(info.node_id);
    expect((await nodes.json('bob', 'balance'))[0].totals).toMatchObject({ local_msat: '105000000', owned_msat: '105000000' });
    expect((await nodes.run('bob', 'events', '--type', 'InvoiceSettled')).out).toContain('InvoiceSettled');
  }, 60_000);
});
