/** Three whole nodes on a chain in this process: what becomes of an HTLC on the chain between the last two is heard by the first. */
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { chooseCryptoBackend } from '../../../src/bolt/crypto-native.ts';
import { msat, sat } from '../../../src/bolt/primitives.ts';
import { until } from '../../../src/playground/waiting.ts';
import { type Channel, committed, confirmAll, type InFlight, offer, propose } from '../../support/onchain/channel.ts';
import { type LocalWorld, startLocalWorld } from '../../support/onchain/local-world.ts';
import { type Resident, startResident } from '../../support/onchain/resident.ts';

const FORMATS = ['anchors_zero_fee_htlc_tx', 'static_remotekey'] as const;
const AMOUNT = msat(50_000_000);

let world: LocalWorld;
let [alice, bob, carol]: Resident[] = [];
let first: Channel;
let second: Channel;

beforeAll(() => chooseCryptoBackend());
beforeEach(() => {
  world = startLocalWorld();
});
afterEach(async () => {
  for (const resident of [alice, bob, carol]) await resident?.stop();
  await world.stop();
});

/** alice - bob - carol, and an HTLC from alice that carol holds. */
async function inFlight(format: (typeof FORMATS)[number]): Promise<InFlight> {
  [alice, bob, carol] = await Promise.all(['alice', 'bob', 'carol'].map((name) => startResident(world, `${name} ${format}`)));
  await world.give(alice!, sat(11_000_000), sat(100_000));
  await world.give(bob!, sat(11_000_000), sat(100_000), sat(100_000));
  await world.give(carol!, sat(100_000), sat(100_000));
  first = await propose(world, alice!, bob!, format);
  second = await propose(world, bob!, carol!, format);
  await confirmAll(world, [first, second]);
  const payment = await offer(alice!, carol!, AMOUNT, 'fulfilled');
  await committed(second, 1);
  return payment;
}

const forceClose = (end: Resident, channel: Channel) => end.node.closeChannel(channel.streamOf(end), { force: true, reason: 'a test' });
const factsOf = async (end: Resident, channel: Channel) => (await end.events(channel.streamOf(end))).map(({ event }) => event);

describe.each(FORMATS)('%s', (format) => {
  it.each(['bob', 'carol'] as const)('safety 05, 15: closed by %s: the preimage is read in the mempool and pays upstream before any block holds it', async (closer) => {
    const payment = await inFlight(format);
    second.link.cut();
    await forceClose(closer === 'bob' ? bob! : carol!, second);
    await world.mine();
    carol!.release(payment.payment_hash);
    const result = await payment.ended;
    expect(result?.status).toBe('succeeded');
    await world.settled();
    const found = (await factsOf(bob!, second)).find((event) => event.type === 'PreimageFound');
    expect(found).toMatchObject({ source: 'mempool', htlc_id: 0n, payment_hash: payment.payment_hash });
    await world.mine(30);
    for (const end of [bob!, carol!]) expect(second.phase(end), `${end.name} ${end.log.slice(-5).join('\n')}`).toBe('closed');
    for (const end of [alice!, bob!]) expect(first.phase(end)).toBe('normal');
  });

  it('an HTLC that nobody claims comes back to bob when it has expired, and then to alice', async () => {
    const payment = await inFlight(format);
    second.link.cut();
    await forceClose(bob!, second);
    const { cltv_expiry } = second.state(bob!).commitments.htlcs[0]!;
    await world.mine(cltv_expiry - world.height + 1);
    expect(first.state(alice!).commitments.htlcs.length, 'not before it is settled').toBe(1);
    await world.mine(7);
    const result = await payment.ended;
    expect(result?.status).toBe('failed');
    expect(first.phase(alice!)).toBe('normal');
    expect(first.state(alice!).commitments.htlcs).toEqual([]);
    await world.mine(12);
    expect(second.phase(bob!), bob!.log.slice(-5).join('\n')).toBe('closed');
  });

  it('bob goes on chain by himself when an HTLC of his has not come back in time', async () => {
    const payment = await inFlight(format);
    second.link.cut();
    const { cltv_expiry } = second.state(bob!).commitments.htlcs[0]!;
    await world.mine(cltv_expiry + 6 - world.height);
    await until('the channel is failed', () => (second.phase(bob!) === 'resolving' ? [] : [second.phase(bob!)]));
    await world.mine(8);
    expect((await payment.ended)?.status).toBe('failed');
    expect(first.phase(alice!), 'long before the incoming one expires').toBe('normal');
  });
});
