/** A peer that cheats, on a real chain: whichever of its last hundred revoked commitments it publishes, and whenever we hear of it, it loses everything. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { keyFor } from '../support/onchain/coins.ts';
import { TO_SELF_DELAY } from '../support/onchain/resident.ts';
import { preimagesOf, secondStages, thiefSweep } from '../support/onchain/thief.ts';
import { loot, mineUntilResolved, plan, type Theft } from '../support/onchain/theft.ts';
import { startWorld, type World } from '../support/onchain/world.ts';
import { replaySeed } from '../support/property.ts';
import { describeWithLitecoind } from './with-litecoind.ts';

const seed = replaySeed ?? Math.floor(Math.random() * 2 ** 31);
const BOTH = ['anchors_zero_fee_htlc_tx', 'static_remotekey'] as const;
const LONG = 240_000;

describeWithLitecoind('a thief on litecoind', () => {
  let world: World;
  let thefts: readonly Theft[] = [];
  beforeAll(async () => {
    world = await startWorld();
  });
  afterEach(async () => {
    for (const { victim, thief } of thefts) await Promise.all([victim.stop(), thief.stop()]);
    thefts = [];
  });
  afterAll(() => world?.stop());

  const sweepOf = (theft: Theft, number: bigint) => thiefSweep(theft.thief.signer, theft.old(number), keyFor('the thief').script)!;

  /** The victim has all that there was, to the sat, and the thief nothing. */
  async function expectPunished(theft: Theft, commitment: Awaited<ReturnType<World['send']>>): Promise<void> {
    const { victim, thief, expected, left } = await loot(world, theft, commitment);
    const who = `${theft.victim.name} (seed ${seed})`;
    expect({ victim, thief, left }, `of ${who}`).toEqual({ victim: expected, thief: 0n, left: 0 });
    expect(theft.channel.phase(theft.victim), `of ${who}`).toBe('closed');
  }

  it(`any of its last 100 revoked commitments costs it its whole balance (FC_SEED=${seed} picks the same again)`, async () => {
    thefts = await plan(world, 'any', [...BOTH, ...BOTH, BOTH[0]], 52);
    const picks = [100n, 1n, ...draws(3).map((draw) => BigInt(1 + (draw % 100)))];
    const published = [];
    for (const [i, theft] of thefts.entries()) {
      expect(theft.newest).toBeGreaterThan(100n);
      published.push(await world.send(theft.old(theft.newest - picks[i]!).transaction));
    }
    await world.mine(1);
    await mineUntilResolved(world, thefts);
    for (const [i, theft] of thefts.entries()) await expectPunished(theft, published[i]!);
  }, LONG);

  it('so it does when our node slept until one block before the thief could take it home', async () => {
    thefts = await plan(world, 'asleep', BOTH, 4);
    for (const { victim } of thefts) await victim.stop();
    const numbers = thefts.map(({ newest }) => newest - 2n);
    const published = [];
    for (const [i, theft] of thefts.entries()) published.push(await world.send(theft.old(numbers[i]!).transaction));
    // The commitment has to_self_delay - 1 confirmations: one more block, and the thief's own transaction is valid.
    await world.mine(TO_SELF_DELAY - 1);
    for (const [i, theft] of thefts.entries()) await expect(world.send(sweepOf(theft, numbers[i]!))).rejects.toThrow('non-BIP68-final');
    for (const { victim } of thefts) await victim.start();
    await world.mine(1);
    for (const [i, theft] of thefts.entries()) await expect(world.send(sweepOf(theft, numbers[i]!))).rejects.toThrow('missingorspent');
    await mineUntilResolved(world, thefts);
    for (const [i, theft] of thefts.entries()) await expectPunished(theft, published[i]!);
  }, LONG);

  it.each([1, 2, 3, 4, 5, 6])('a penalty that is reorganised out at depth %i is sent again, though we held it for settled, and though nobody remembers it', async (depth) => {
    thefts = await plan(world, `reorganised ${depth}`, BOTH, 2);
    const published = [];
    for (const theft of thefts) published.push(await world.send(theft.old(theft.newest - 2n).transaction));
    await world.mine(1);
    await world.mine(depth);
    const { height } = world;
    for (const { channel, victim } of thefts) expect(channel.phase(victim)).toBe(depth === 6 ? 'closed' : 'resolving');
    await world.daemon.invalidate(await world.daemon.hashAt(height - depth + 1));
    for (let i = 0; i <= depth; i++) await world.daemon.mineEmpty();
    if (depth % 2 === 0) await world.daemon.forgetMempool();
    await world.settled();
    expect(world.height).toBe(height + 1);
    for (const { channel, victim } of thefts) expect(channel.phase(victim)).toBe('resolving');
    await mineUntilResolved(world, thefts);
    for (const [i, theft] of thefts.entries()) await expectPunished(theft, published[i]!);
  }, LONG);

  it('a penalty that loses its commitment to a reorganisation is made again for another revoked commitment', async () => {
    thefts = await plan(world, 'changed', BOTH, 6);
    for (const theft of thefts) await world.send(theft.old(theft.newest - 2n).transaction);
    await world.mine(3);
    const { height } = world;
    await world.daemon.invalidate(await world.daemon.hashAt(height - 2));
    const others = thefts.map((theft) => theft.old(theft.newest - 5n));
    await world.daemon.mineThese(others.map(({ transaction }) => transaction));
    for (let i = 0; i < 3; i++) await world.daemon.mineEmpty();
    await world.settled();
    await mineUntilResolved(world, thefts);
    for (const [i, theft] of thefts.entries()) await expectPunished(theft, others[i]!.commitment.txid);
  }, LONG);

  it('an HTLC of the revoked commitment that the thief moved on in the same block is taken from where it went', async () => {
    thefts = await plan(world, 'quick', ['static_remotekey', 'static_remotekey'], 5);
    const published = [];
    for (const theft of thefts) {
      const number = withHtlc(theft);
      const old = theft.old(number);
      const stages = secondStages(theft.thief.signer, old, { preimages: preimagesOf(theft.log, old), height: world.height, coins: [] });
      expect(stages.length).toBeGreaterThan(0);
      published.push(await world.send(old.transaction));
      for (const stage of stages) await world.send(stage);
    }
    await world.mine(1);
    await mineUntilResolved(world, thefts);
    for (const [i, theft] of thefts.entries()) await expectPunished(theft, published[i]!);
  }, LONG);

  /** The newest revoked commitment that held an HTLC whose preimage the thief has. */
  function withHtlc(theft: Theft): bigint {
    for (let number = theft.newest - 1n; number > 0n; number--) {
      const old = theft.old(number);
      if (old.commitment.htlcs.some(({ kind, htlc }) => kind === 'success' && preimagesOf(theft.log, old).has(htlc.payment_hash))) return number;
    }
    throw new Error(`${theft.thief.name} never had an HTLC of ours in its commitment`);
  }

  /** The same numbers for the same seed (Park and Miller). */
  function draws(count: number): readonly number[] {
    let state = (seed % 2_147_483_646) + 1;
    return Array.from({ length: count }, () => (state = (state * 48_271) % 2_147_483_647));
  }
});
