/** A peer that cheats while our power fails, our node sleeps, the chain is down or our wallet is poor: it loses everything all the same. */
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { chooseCryptoBackend } from '../../../src/bolt/crypto-native.ts';
import { type Hex32, msat, sat } from '../../../src/bolt/primitives.ts';
import { until } from '../../../src/playground/waiting.ts';
import { type Channel, committed, confirmAll, offer, pay, propose } from '../../support/onchain/channel.ts';
import { type LocalWorld, startLocalWorld } from '../../support/onchain/local-world.ts';
import { type Resident, startResident, TO_SELF_DELAY } from '../../support/onchain/resident.ts';
import { oldCommitment } from '../../support/onchain/thief.ts';

const FORMATS = ['anchors_zero_fee_htlc_tx', 'static_remotekey'] as const;

let world: LocalWorld;
let victim: Resident;
let thief: Resident;
let channel: Channel;
let lives = 0;

beforeAll(() => chooseCryptoBackend());
beforeEach(() => {
  world = startLocalWorld();
});
afterEach(async () => {
  world.dead = false;
  for (const resident of [victim, thief]) if (resident.running) await resident.stop();
  await world.stop();
});

/** A channel that has moved on since a commitment with an HTLC each way; answers that commitment of the thief's, signed. */
async function cheat(format: (typeof FORMATS)[number]): Promise<{ readonly transaction: string; readonly worth: bigint }> {
  lives++;
  [victim, thief] = await Promise.all([startResident(world, `victim ${lives}`), startResident(world, `thief ${lives}`)]);
  await world.give(victim, sat(11_000_000), sat(100_000));
  await world.give(thief, sat(100_000));
  channel = await propose(world, victim, thief, format);
  await confirmAll(world, [channel]);
  const held = [await offer(victim, thief, msat(60_000_000), 'timed_out'), await offer(thief, victim, msat(70_000_000), 'timed_out')];
  await committed(channel, 2);
  const { number } = channel.state(thief).commitments.local;
  for (const { payee, payment_hash } of held) payee.release(payment_hash);
  await committed(channel, 0);
  await pay(thief, victim, msat(300_000_000));
  await committed(channel, 0);
  const log = await thief.events(channel.streamOf(thief));
  channel.link.cut();
  await thief.stop();
  const { transaction, commitment } = oldCommitment(thief.signer, log, number);
  const worth = commitment.outputs.reduce((sum, { value }) => (value === 330n ? sum : sum + value), 0n);
  return { transaction, worth };
}

/** What the victim has gained is all that the commitment was worth, less what its own transactions paid. */
async function expectAll(before: bigint, worth: bigint): Promise<void> {
  for (let i = 0; i < 20 && channel.phase(victim) !== 'closed'; i++) await world.mine();
  expect(channel.phase(victim), victim.log.slice(-8).join('\n')).toBe('closed');
  const events = (await victim.events(channel.streamOf(victim))).map(({ event }) => event);
  const confirmed = new Set(events.flatMap((event) => (event.type === 'OutputSpent' && event.by === 'local' ? [event.spending_txid] : [])));
  const fees = new Map(events.flatMap((event) => (event.type === 'ClaimStarted' && confirmed.has(event.claim_txid) ? [[event.claim_txid, event.fee_satoshis] as const] : [])));
  expect((await victim.balance()) - before).toBe(worth - [...fees.values()].reduce((sum, fee) => sum + fee, 0n));
}

/** Mines, and ends the victim's process once its log has so many more events: what is not durable then is lost. Answers whether it came to that. */
async function mineUntilCut(events: number, blocks: number): Promise<boolean> {
  const { store } = victim;
  let left = events;
  const watching = store.subscribe(await store.head()).subscribe({ next: () => void (--left === 0 && store.kill()), error: () => undefined });
  const isCut = () => left <= 0;
  for (let i = 0; i < blocks && !isCut(); i++) {
    const mined = world.mine();
    await Promise.race([mined, until('the cut', () => (isCut() ? [] : ['the cut']), { everyMs: 1 })]).catch(() => undefined);
    if (isCut()) await Promise.all([victim.stop().catch(() => undefined), mined.catch(() => undefined)]);
  }
  watching.unsubscribe();
  return isCut();
}

describe.each(FORMATS)('%s: a revoked commitment with HTLCs both ways', (format) => {
  it.each([1, 2, 3, 4, 5, 6, 8, 10, 12])('is punished though the power fails %i events after it was seen', async (events) => {
    const { transaction, worth } = await cheat(format);
    const before = await victim.balance();
    await world.send(transaction);
    expect(await mineUntilCut(events, 8)).toBe(true);
    await victim.start();
    await world.settled();
    await expectAll(before, worth);
  });

  it('is punished when our node was off until one block before the thief could take it home', async () => {
    const { transaction, worth } = await cheat(format);
    const before = await victim.balance();
    await victim.stop();
    await world.send(transaction);
    await world.mine(TO_SELF_DELAY - 1);
    await victim.start();
    await world.settled();
    const penalties = (await victim.events(channel.streamOf(victim))).filter(({ event }) => event.type === 'ClaimStarted' && event.kind === 'penalty');
    expect(penalties.length, 'planned on the newest block alone').toBeLessThanOrEqual(2);
    await expectAll(before, worth);
  });

  it('safety 26: is punished when the chain was down meanwhile and refuses what it gets at first', async () => {
    const { transaction, worth } = await cheat(format);
    const before = await victim.balance();
    world.dead = true;
    await world.send(transaction);
    await world.mine(2);
    const refused = new Set<Hex32>();
    world.refuse = (_by, txid) => {
      if (refused.has(txid)) return undefined;
      refused.add(txid);
      return { ok: false, code: 'mempool full', reason: 'mempool full', permanent: false };
    };
    world.dead = false;
    await world.settled();
    expect(refused.size).toBeGreaterThan(0);
    expect(victim.log.some((line) => line.includes('was refused: mempool full (mempool full); it is tried again with each block')), victim.log.slice(-5).join('\n')).toBe(true);
    await expectAll(before, worth);
  });
});
