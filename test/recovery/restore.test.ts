/** A node that comes back: from a static backup, from a bundle, from its words and what a peer kept, from a copy of its whole folder. As the command line does it. */
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createNode } from '../../src/daemon/create-node.ts';
import { CHEAP, fund, openThroughCli, PASSPHRASE, runCli, startDaemons, type Daemons } from '../support/daemons.ts';

let nodes: Daemons;
let folder: string;
const kept = (name: string): string => join(folder, name);

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fulgurite-restore-'));
  writeFileSync(kept('passphrase'), PASSPHRASE);
  nodes = await startDaemons('alice', 'bob');
  await fund(nodes, 'alice', 5_000_000n);
  await openThroughCli(nodes, 'alice', 'bob', '1000000', '--push', '200000');
});

afterEach(async () => {
  await nodes?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function pay(sat: number): Promise<void> {
  const { bolt11 } = await nodes.json('bob', 'invoice', String(sat), 'a test');
  await nodes.json('alice', 'pay', bolt11);
}

const recoveryOf = async (name: string) => (await nodes.json(name, 'getinfo')).recovery;

/** Whatever alice had is gone; her words are in a new folder. */
async function loseAll(): Promise<void> {
  await nodes.halt('alice');
  rmSync(nodes.data('alice'), { recursive: true });
  await createNode({ data: nodes.data('alice'), network: 'bitcoin-regtest', words: nodes.words('alice'), passphrase: PASSPHRASE, birthday: 0, cost: CHEAP });
}

const restore = (file: string) => nodes.run('alice', 'restore', file, '--network', 'bitcoin-regtest', '--passphrase-file', kept('passphrase'));

const until = async (what: string, condition: () => unknown): Promise<void> => {
  for (let tries = 0; tries < 2000; tries++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`within 10 s: ${what}`);
};

const phaseOf = (name: string): string | undefined => nodes.daemon(name).node.channels()[0]?.state.phase;

/** Bob's force close, mined until alice has been paid out. Answers what her wallet gained, sat. */
async function paidOut(): Promise<bigint> {
  const before = (await nodes.daemon('alice').node.wallet.balance()).total_sat;
  await until('bob closes', () => nodes.chain.mempool().length > 0 || phaseOf('bob') !== 'normal');
  for (let blocks = 0; blocks < 60 && phaseOf('alice') !== 'closed'; blocks++) {
    await nodes.mine(1);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect(phaseOf('alice')).toBe('closed');
  return (await nodes.daemon('alice').node.wallet.balance()).total_sat - before;
}

/** She put in 1,000,000 sat, gave 200,000 at the opening, and pays the commitment's fee, two anchors and her sweep. */
const near = (gained: bigint, sat: bigint): void => {
  expect(gained).toBeLessThan(sat);
  expect(gained).toBeGreaterThan(sat - 4_000n);
};

describe('a node that lost everything', () => {
  it('comes back from a static backup: the peer is asked to close, and her newest balance is hers', async () => {
    expect(await nodes.json('alice', 'backup', kept('alice.bundle'))).toMatchObject({ channels: kept('alice.bundle.channels') });
    expect(statSync(kept('alice.bundle.channels')).size).toBeLessThan(700);
    await pay(100_000);
    await loseAll();
    const { out, code } = await restore(kept('alice.bundle.channels'));
    expect({ code, out }).toMatchObject({ code: 0, out: expect.stringMatching(/^1 channels and the addresses of 1 peers, .*restored[\s\S]*1\. start the node/) });

    await nodes.start('alice');
    expect(await recoveryOf('alice')).toMatchObject({ code: 'channels_restored', channels_left: [{ waits_for: 'peer_to_close' }] });
    expect((await nodes.run('alice', 'getinfo')).out).toMatch(/recovery +channels_restored/);
    expect((await nodes.run('alice', 'invoice', '10', 'x')).err).toContain('recovery_only');
    near(await paidOut(), 700_000n);
    expect(await recoveryOf('alice')).toMatchObject({ channels_left: [] });

    await nodes.halt('alice');
    await nodes.start('alice');
    expect(await recoveryOf('alice'), 'a normal node again').toBeUndefined();
    const audit = await runCli('audit', nodes.data('alice'), '--json');
    expect(JSON.parse(audit.out)).toMatchObject({ ok: true, failures: [] });
  }, 60_000);

  it('finds a close that was on the chain before she came back', async () => {
    await nodes.json('alice', 'backup', kept('alice.bundle'));
    await nodes.halt('alice');
    await nodes.json('bob', 'close', nodes.daemon('bob').node.channels()[0]!.stream, '--force');
    await nodes.mine(20);
    await loseAll();
    expect((await restore(kept('alice.bundle.channels'))).code).toBe(0);
    await nodes.start('alice');
    near(await paidOut(), 800_000n);
  }, 60_000);

  it('comes back from her words alone: the peer gives back the backup that it kept', async () => {
    await until('bob keeps a blob for alice', () => readdirSync(join(nodes.data('bob'), 'peer-blobs')).length > 0);
    await pay(50_000);
    const { address } = await nodes.json('bob', 'getinfo');
    await loseAll();
    await nodes.start('alice');
    expect(phaseOf('alice')).toBeUndefined();
    await nodes.json('alice', 'connect', address);
    await until('the channel is back', () => phaseOf('alice') === 'resolving');
    near(await paidOut(), 750_000n);
    expect(await recoveryOf('alice'), 'her log was never old: it is another').toBeUndefined();
  }, 60_000);

  it('comes back from a bundle: verified, never trusted to be the newest', async () => {
    await nodes.json('alice', 'backup', kept('alice.bundle'));
    await pay(100_000);
    await loseAll();
    const { out } = await restore(kept('alice.bundle'));
    expect(out).toMatch(/^\d+ events verified and restored[\s\S]*nothing here proves that this log is the newest/);
    await nodes.start('alice');
    expect(await recoveryOf('alice')).toMatchObject({ code: 'recovery_forced', channels_left: [{ waits_for: 'peer_to_close' }] });
    const { address } = await nodes.json('bob', 'getinfo');
    await nodes.json('alice', 'connect', address);
    near(await paidOut(), 700_000n);
    await nodes.halt('alice');
    await nodes.start('alice');
    expect(await recoveryOf('alice')).toBeUndefined();
  }, 60_000);

  it('takes no bundle and no static backup of another node, and none that was changed', async () => {
    await nodes.json('bob', 'backup', kept('bob.bundle'));
    await loseAll();
    expect((await restore(kept('bob.bundle'))).err).toContain('another_nodes_bundle');
    expect((await restore(kept('bob.bundle.channels'))).err).toContain('another_nodes_backup');
    expect((await restore(kept('passphrase'))).err).toContain('no_backup');
    expect((await restore(kept('nothing'))).err).toContain('no_backup');
    expect(existsSync(join(nodes.data('alice'), 'log.sqlite'))).toBe(false);
  });
});

describe('a folder that is not the newest', () => {
  it('safety 29: a copy of the whole folder, marks and all, is told by what the peer knows', async () => {
    await nodes.halt('alice');
    cpSync(nodes.data('alice'), kept('copy'), { recursive: true });
    await nodes.start('alice');
    await until('the channel is usable', () => nodes.daemon('alice').node.channels()[0]!.usable);
    for (const amount of [10_000, 20_000]) await pay(amount);
    await nodes.halt('alice');
    rmSync(nodes.data('alice'), { recursive: true });
    cpSync(kept('copy'), nodes.data('alice'), { recursive: true });
    await nodes.start('alice');
    await until('alice learns that her log is old', async () => (await recoveryOf('alice')) !== undefined);
    expect((await recoveryOf('alice')).code).toMatch(/log_behind_backup|data_loss/);
    near(await paidOut(), 770_000n);
  }, 60_000);

  it('safety 29: a copy of the whole folder is told by a commitment on chain that it does not know', async () => {
    await nodes.halt('alice');
    cpSync(nodes.data('alice'), kept('copy'), { recursive: true });
    await nodes.start('alice');
    await until('the channel is usable', () => nodes.daemon('alice').node.channels()[0]!.usable);
    await pay(40_000);
    await nodes.halt('alice');
    await nodes.json('bob', 'close', nodes.daemon('bob').node.channels()[0]!.stream, '--force');
    await nodes.halt('bob');
    nodes.chain.mineBlocks(1);
    rmSync(nodes.data('alice'), { recursive: true });
    cpSync(kept('copy'), nodes.data('alice'), { recursive: true });
    await nodes.start('alice');
    await until('alice learns that her log is old', async () => (await recoveryOf('alice')) !== undefined);
    expect(await recoveryOf('alice')).toMatchObject({ code: 'data_loss', reason: expect.stringMatching(/newer than any that the log knows/) });
    expect((await nodes.run('alice', 'invoice', '10', 'x')).err).toContain('recovery_only');
    await nodes.start('bob');
    near(await paidOut(), 760_000n);
  }, 60_000);

  it('safety 29: a log alone that is older than its checkpoint does not open, and in recovery it does', async () => {
    const log = (): readonly string[] => readdirSync(nodes.data('alice')).filter((name) => name.startsWith('log.sqlite'));
    await nodes.halt('alice');
    for (const name of log()) cpSync(join(nodes.data('alice'), name), kept(name));
    const copied = log();
    await nodes.start('alice');
    await until('the channel is usable', () => nodes.daemon('alice').node.channels()[0]!.usable);
    await pay(30_000);
    await nodes.halt('alice');
    for (const name of log()) rmSync(join(nodes.data('alice'), name));
    for (const name of copied) cpSync(kept(name), join(nodes.data('alice'), name));
    await expect(nodes.start('alice')).rejects.toMatchObject({ code: 'log_corrupt' });
    await nodes.start('alice', { recovery: true });
    near(await paidOut(), 770_000n);
  }, 60_000);

  it('does not start without marks, unless somebody says what the log is', async () => {
    await nodes.halt('alice');
    rmSync(join(nodes.data('alice'), 'signer'), { recursive: true });
    await expect(nodes.start('alice')).rejects.toMatchObject({ code: 'marks_missing', message: expect.stringMatching(/--adopt-log.*--recovery/) });
    await nodes.start('alice', { adoptLog: true });
    await until('the channel is usable', () => nodes.daemon('alice').node.channels()[0]!.usable);
    await pay(1_000);
    await nodes.halt('alice');
    await nodes.start('alice');
    expect(await recoveryOf('alice')).toBeUndefined();
  });

  it('is recovered when it is told to, though it is the newest', async () => {
    await nodes.halt('alice');
    await nodes.start('alice', { recovery: true });
    expect(await recoveryOf('alice')).toMatchObject({ code: 'recovery_forced' });
    near(await paidOut(), 800_000n);
  });
});
