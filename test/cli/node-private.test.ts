/** Channels that are not announced, and channels used before their funding is in a block, on the command line and in the API. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fund, startDaemonsWith, type Daemons } from '../support/daemons.ts';

let nodes: Daemons;
const own: Record<string, Record<string, string>> = {};
beforeAll(async () => {
  nodes = await startDaemonsWith(own, 'alice', 'bob', 'carol');
  // bob is told whom to trust: settings are read at the start.
  const { node_id } = await nodes.json('alice', 'getinfo');
  own['bob'] = { trusted_peers: node_id as string };
  await nodes.halt('bob');
  await nodes.start('bob');
  await fund(nodes, 'alice');
  await fund(nodes, 'alice');
  for (const name of ['bob', 'carol']) await nodes.json('alice', 'connect', await addressOf(name));
});
afterAll(() => nodes.stop());

const addressOf = async (name: string): Promise<string> => (await nodes.json(name, 'getinfo')).address;
const idOf = async (name: string): Promise<string> => (await nodes.json(name, 'getinfo')).node_id;

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`within 4 s: ${what}`);
}

describe('open --zero-conf', () => {
  it('to a peer that trusts us is usable at once, by its alias; its place on chain follows', async () => {
    const { channel, usable } = await nodes.json('alice', 'open', await idOf('bob'), '500000', '--push', '100000', '--private', '--zero-conf', '--wait');
    expect(usable).toBe(true);
    expect(channel).toMatchObject({ phase: 'normal', announced: false, scid_alias: true, zero_conf: true, channel_type: 'anchors_zero_fee_htlc_tx' });
    expect(channel.short_channel_id).toBeUndefined();
    const [alias] = channel.local_aliases;
    const { out } = await nodes.run('alice', 'channels');
    expect(out).toMatch(new RegExp(`^-  +${alias}  +normal `, 'm'));
    const bolt11 = (await nodes.run('bob', 'invoice', '1000', '-q')).out.trim();
    expect(await nodes.json('alice', 'pay', bolt11)).toMatchObject({ status: 'succeeded' });

    await nodes.mine(3);
    await until('both know the place', async () => (await nodes.json('bob', 'channels'))[0].short_channel_id !== undefined);
    const [row] = await nodes.json('alice', 'channels');
    expect(row.short_channel_id).toMatch(/^\d+x\d+x\d+$/);
    expect(row.local_aliases).toEqual([alias]);
    // It answers to either name.
    const api = async (name: string) => (await nodes.run('alice', 'close', name, '--feerate', 'x')).err;
    for (const name of [alias, row.short_channel_id]) expect(await api(name)).not.toContain('unknown_channel');
  });

  it('to a peer that does not trust us ends with its word, and our coins are free', async () => {
    const { code, err } = await nodes.run('alice', 'open', await idOf('carol'), '500000', '--zero-conf');
    expect(code).toBe(1);
    expect(err).toContain('zero_conf_needs_trust');
    expect(await nodes.daemon('alice').node.wallet.balance()).toMatchObject({ reserved_sat: 0n });
  });
});

describe('open --private', () => {
  it('hides the channel: its payee is found by the invoice alone', async () => {
    const { channel } = await nodes.json('alice', 'open', await idOf('carol'), '500000', '--push', '100000', '--private');
    await nodes.mine(3);
    await until('usable', async () => nodes.daemon('carol').node.channels().some(({ usable }) => usable));
    await until('the terms are told', async () => (await nodes.json('carol', 'decode', (await nodes.run('carol', 'invoice', '1000', '-q')).out.trim())).routing_hints?.length === 1);
    expect(channel.announced).toBe(false);
    // bob reaches carol over two private channels; nobody else knows either.
    const bolt11 = (await nodes.run('carol', 'invoice', '1000', '-q')).out.trim();
    expect(await nodes.json('bob', 'pay', bolt11)).toMatchObject({ status: 'succeeded' });
    expect((await nodes.json('bob', 'getinfo')).graph.channels).toBe(0);
  });
});
