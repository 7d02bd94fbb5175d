/** Disks that break their promise: that the crash run finds it out, and that a node put back to an older log does no harm (BOLT 2, "Message Retransmission"). */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { msat } from '../../src/bolt/primitives.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { until } from '../../src/playground/waiting.ts';
import { auditedLog } from './logs.ts';
import { Losses } from './losses.ts';
import type { Name } from './plan.ts';
import { compileProgram } from './program.ts';
import { copyFolder } from './torn-files.ts';
import { World } from './world.ts';

const LONG = 120_000;
const program = compileProgram();
const dataDir = mkdtempSync(join(tmpdir(), 'fulgurite-disks-'));
const losses = new Losses();
const world = new World({ dataDir, program: program.file, losses });

beforeAll(async () => {
  await chooseCryptoBackend();
  await world.open();
}, LONG);
afterAll(async () => {
  await world.destroy();
  program.remove();
  rmSync(dataDir, { recursive: true, force: true });
});

const AMOUNT = msat(1_000_000);
const pay = async (from: Name, to: Name, count: number) => {
  const bolt11s = await world.node(to)!.invoices(count, AMOUNT);
  return world.node(from)!.payAll(bolt11s, 4);
};
const patience = { timeoutMs: 30_000 };

describe('a store that answers before anything is durable', () => {
  it('is found out when its node is killed: it had said what its log does not know', async () => {
    await world.kill('dave');
    await world.wake('dave', { lies: true });
    await world.connect(['dave']);
    await world.whole();
    // Ends with its payee.
    pay('carol', 'dave', 200).catch(() => undefined);
    const paid = () => [...world.told('carol')].filter((fact) => fact.startsWith('PaymentSucceeded')).length;
    await until('five payments', () => (paid() >= 5 ? [] : [`${paid()} payments`]), patience);
    await world.kill('dave');
    expect(losses.found).toEqual([]);
    await world.wake('dave');
    expect(losses.found.map(({ kind }) => kind)).toContain('spoken');
  }, LONG);
});

describe('safety 29: a folder put back from an old copy, its checkpoint too', () => {
  it('signs nothing and publishes nothing; the peer closes, and our share comes back', async () => {
    expect((await pay('alice', 'bob', 3)).failures).toEqual([]);
    const stash = join(dataDir, 'stash');
    await world.kill('alice');
    copyFolder(world.folder('alice'), stash);
    await world.wake('alice');
    await world.connect(['alice']);
    await until('alice', async () => ((await world.node('alice')!.channels())[0]!.usable ? [] : ['her channel']), patience);
    expect((await pay('alice', 'bob', 7)).failures).toEqual([]);
    await world.node('alice')!.settled();
    await world.kill('alice');

    for (const file of ['log.sqlite', 'log.sqlite-wal', 'log.sqlite-shm', 'log.sqlite-tail', 'checkpoint']) rmSync(join(world.folder('alice'), file), { force: true });
    copyFolder(stash, world.folder('alice'));
    const words = world.wire('alice').length;
    await world.wake('alice');
    await world.connect(['alice']);
    await until('the close', async () => ((await world.node('alice')!.channels())[0]!.phase === 'resolving' ? [] : ['her channel is in use']), patience);
    await until("bob's commitment", () => (world.chain.mempool().length > 0 ? [] : ['no transaction']), patience);
    expect(world.wire('alice').slice(words)).toEqual([]);

    world.chain.mineBlocks(1);
    await until('the spend', async () => ((await spends('alice')).length > 0 ? [] : ['FundingSpent']), patience);
    expect(await spends('alice')).toEqual(['future']);
    await until('the sweep', async () => {
      world.chain.mineBlocks(1);
      return (await typesOf('alice')).has('OutputSpent') ? [] : ['OutputSpent'];
    }, { ...patience, everyMs: 300 });
    const { report } = await auditedLog({ folder: world.folder('alice'), nodeId: world.nodeId('alice') });
    expect(report.failures).toEqual([]);
  }, LONG);
});

const logOf = async (name: Name) => (await auditedLog({ folder: world.folder(name), nodeId: world.nodeId(name) })).log;

const typesOf = async (name: Name): Promise<ReadonlySet<string>> => new Set((await logOf(name)).map(({ event }) => event.type));

/** How a node took the transaction that closed its channel. */
const spends = async (name: Name): Promise<readonly string[]> => (await logOf(name)).flatMap(({ event }) => (event.type === 'FundingSpent' ? [event.kind] : []));
