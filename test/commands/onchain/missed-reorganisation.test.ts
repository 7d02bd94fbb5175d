/** A node that was off while blocks were replaced: what it knew of them is undone, owed again, and claimed again. */
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { chooseCryptoBackend } from '../../../src/bolt/crypto-native.ts';
import { sat } from '../../../src/bolt/primitives.ts';
import { type Channel, committed, confirmAll, propose } from '../../support/onchain/channel.ts';
import { type LocalWorld, startLocalWorld } from '../../support/onchain/local-world.ts';
import { type Resident, startResident } from '../../support/onchain/resident.ts';

let world: LocalWorld;
let [alice, bob]: Resident[] = [];
let channel: Channel;

beforeAll(() => chooseCryptoBackend());
beforeEach(() => {
  world = startLocalWorld();
});
afterEach(async () => {
  for (const resident of [alice, bob]) await resident?.stop();
  await world.stop();
});

/** Bob's commitment is in a block, and alice's sweep of it in the one after. */
async function swept(name: string): Promise<void> {
  [alice, bob] = await Promise.all(['alice', 'bob'].map((who) => startResident(world, `${who} ${name}`)));
  await world.give(alice!, sat(11_000_000), sat(100_000));
  await world.give(bob!, sat(100_000), sat(100_000));
  channel = await propose(world, alice!, bob!, 'anchors_zero_fee_htlc_tx');
  await confirmAll(world, [channel]);
  await committed(channel, 0);
  await bob!.node.closeChannel(channel.streamOf(bob!), { force: true, reason: 'a test' });
  await world.mine(2);
  expect(await sweeps()).toHaveLength(1);
}

const sweeps = async () => (await alice!.events(channel.streamOf(alice!))).filter(({ event }) => event.type === 'OutputSpent' && event.by === 'local');

/** Alice's sweep, as she believes in it, is in a block. */
async function sweepIsMined(): Promise<boolean> {
  const state = alice!.state(channel.streamOf(alice!));
  const spent = 'onchain' in state ? state.onchain?.outputs.flatMap(({ spent: by }) => (by?.by === 'local' ? [by] : [])) ?? [] : [];
  const transactions = world.transactions();
  return spent.length > 0 && spent.every(({ txid, block_height }) => transactions.get(txid)?.height === block_height);
}

describe('safety 11: alice is off, and the blocks that she knew are replaced', () => {
  it.each([
    ['by as many, that forget her sweep', 1, 1],
    ['by more, that forget her sweep', 1, 4],
    ['by fewer: the chain is shorter than she knew it', 1, 0],
    ['by as many, that forget the commitment, too', 2, 2],
  ])('%s', async (name, depth, again) => {
    await swept(name);
    channel.link.cut();
    await alice!.stop();
    const height = world.height;
    const newest = Array.from({ length: depth }, (_, i) => world.chain.blockAt(height - i)!);
    world.chain.reorg(depth, { drop: newest.flatMap(({ transactions }) => transactions.slice(1).map(({ txid }) => txid)) });
    world.chain.mineBlocks(again);
    await alice!.start();
    await world.mine(16);
    for (const end of [alice!, bob!]) expect(channel.phase(end), end.log.slice(-5).join('\n')).toBe('closed');
    expect(await sweepIsMined()).toBe(true);
  });

  it('her sweep standing in a block below the one that she knew', async () => {
    await swept('lower');
    await world.mine(1);
    channel.link.cut();
    await alice!.stop();
    // Three blocks go; commitment and sweep are both in the first of those that come.
    world.chain.reorg(3);
    world.chain.mineBlocks(3);
    await alice!.start();
    await world.mine(16);
    for (const end of [alice!, bob!]) expect(channel.phase(end)).toBe('closed');
    expect(await sweepIsMined()).toBe(true);
  });
});
