/** Peers that fight over HTLC outputs, on a real chain: claims double-spent one by one, claims cycled out of the mempool, closes swapped by a reorganisation. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { hashes, rawHex } from '../../src/adapters/chain/bitcoind/answers.ts';
import { parseTx } from '../../src/bolt/03-transactions/tx-parse.ts';
import { type Hex32, msat, sat } from '../../src/bolt/primitives.ts';
import { ourCommitmentOf, preimageOf, snatch, takeBack } from '../support/onchain/adversary.ts';
import { type Channel, committed, confirmAll, type InFlight, offer, propose } from '../support/onchain/channel.ts';
import { fundKeys } from '../support/onchain/coins.ts';
import { type Resident, startResident } from '../support/onchain/resident.ts';
import { giveCoins, loot, mineUntilResolved, plan, type Theft } from '../support/onchain/theft.ts';
import { startWorld, type World } from '../support/onchain/world.ts';
import { describeWithLitecoind } from './with-litecoind.ts';

const BOTH = ['anchors_zero_fee_htlc_tx', 'static_remotekey'] as const;
const LONG = 240_000;

/** Our channel with HTLCs that we offered, failed by us, its commitment in a block. */
interface Fight {
  readonly victim: Resident;
  readonly peer: Resident;
  readonly channel: Channel;
  readonly payments: readonly InFlight[];
  readonly commitment: Hex32;
}

describeWithLitecoind('an adversary on litecoind', () => {
  let world: World;
  let residents: Resident[] = [];
  beforeAll(async () => {
    world = await startWorld();
  });
  afterEach(async () => {
    await Promise.all(residents.map((resident) => resident.stop()));
    residents = [];
  });
  afterAll(() => world?.stop());

  async function startFight(name: string, format: (typeof BOTH)[number], htlcs: number, coins = 3): Promise<Fight> {
    const [victim, peer] = [await startResident(world, `victim ${name}`), await startResident(world, `peer ${name}`)];
    residents.push(victim, peer);
    await giveCoins(world, [victim, peer], [sat(11_000_000), ...Array.from({ length: coins }, () => sat(30_000))]);
    const channel = await propose(world, victim, peer, format);
    await confirmAll(world, [channel]);
    const payments = [];
    for (let i = 0; i < htlcs; i++) payments.push(await offer(victim, peer, msat(20_000_000 + 1_000_000 * i), 'timed_out'));
    await committed(channel, htlcs);
    channel.link.cut();
    await victim.node.closeChannel(channel.streamOf(victim), { force: true });
    await world.mine(1);
    const commitment = ourCommitmentOf(channel.state(peer)).txid;
    expect(world.transactions().get(commitment)?.height).toBe(world.height);
    return { victim, peer, channel, payments, commitment };
  }

  const htlcsOf = ({ channel, peer }: Fight) => ourCommitmentOf(channel.state(peer)).htlcs;
  const expiryOf = (fight: Fight) => Math.max(...htlcsOf(fight).map(({ htlc }) => htlc.cltv_expiry));

  /** Outputs that a transaction in the mempool spends. */
  async function spentInMempool(): Promise<ReadonlySet<string>> {
    const { rpc } = world.daemon;
    const txids = await rpc.call('getrawmempool', [], hashes);
    const raws = await rpc.batch('getrawtransaction', txids.map((txid) => [txid]), rawHex);
    return new Set(raws.flatMap((raw) => (raw === undefined ? [] : parseTx(raw).inputs.map(({ txid, index }) => `${txid}:${index}`))));
  }

  /** HTLC outputs that nobody has spent in a block. */
  function unspent(fight: Fight): readonly string[] {
    const spent = new Set([...world.transactions().values()].flatMap(({ inputs }) => inputs.map(({ txid, index }) => `${txid}:${index}`)));
    return htlcsOf(fight).map(({ output_index }) => `${fight.commitment}:${output_index}`).filter((outpoint) => !spent.has(outpoint));
  }

  /** What we bid for each output, in the order of our claims, sat per 1000 weight. */
  async function bids({ victim, channel }: Fight): Promise<ReadonlyMap<string, readonly number[]>> {
    const found = new Map<string, number[]>();
    for (const { event } of await victim.events(channel.streamOf(victim))) {
      if (event.type !== 'ClaimStarted') continue;
      for (const { txid, output_index } of event.inputs) {
        const key = `${txid}:${output_index}`;
        found.set(key, [...(found.get(key) ?? []), event.feerate_per_kw]);
      }
    }
    return found;
  }

  it.each([...BOTH.map((format) => [format, 60] as const), [BOTH[0], 3] as const])('safety 06: of 40 HTLC timeouts (%s, %i coins for fees) one is double-spent every 2 blocks; all others stay claimed, never for less, and are ours with the first block that takes them', async (format, coinCount) => {
    const fight = await startFight(`06 ${format} ${coinCount}`, format, 40, coinCount);
    const { peer, channel, payments, victim } = fight;
    const coins = await fundKeys(world, payments.map((_, i) => `06 ${format} ${coinCount} ${i}`), sat(100_000));
    await world.mine(expiryOf(fight) - world.height);
    for (let round = 0; round < 10; round++) {
      const htlc = htlcsOf(fight).find(({ htlc: { payment_hash } }) => payment_hash === payments[3 * round]!.payment_hash)!;
      const claim = snatch(peer, channel.state(peer), htlc, await preimageOf(peer, htlc.htlc.payment_hash), coins[round]!, 20_000n);
      for (const block of [[claim.transaction], []]) {
        await world.mineOnly(block);
        const waiting = await spentInMempool();
        expect(unspent(fight).filter((outpoint) => !waiting.has(outpoint)), `unclaimed in round ${round}`).toEqual([]);
      }
    }
    await world.mine(1);
    expect(unspent(fight)).toEqual([]);
    for (const [outpoint, feerates] of await bids(fight)) expect(feerates, `bids for ${outpoint}`).toEqual(feerates.toSorted((a, b) => a - b));
    await mineUntilResolved(world, [fight]);
    expect(channel.phase(victim)).toBe('closed');
    const results = await Promise.all(payments.map(({ ended }) => ended));
    expect(results.map((result) => result?.status)).toEqual(payments.map((_, i) => (i % 3 === 0 && i < 30 ? 'succeeded' : 'failed')));
  }, LONG);

  it.each(BOTH)('safety 15: an HTLC timeout (%s) that is cycled out of the mempool is back with each block, and the preimage is read where it was shown', async (format) => {
    const fight = await startFight(`15 ${format}`, format, 1);
    const { peer, channel, payments, victim } = fight;
    const htlc = htlcsOf(fight)[0]!;
    const outpoint = `${fight.commitment}:${htlc.output_index}`;
    const preimage = await preimageOf(peer, htlc.htlc.payment_hash);
    let coin = (await fundKeys(world, [`15 ${format}`], sat(2_000_000)))[0]!;
    await world.mine(expiryOf(fight) - world.height);
    for (let cycle = 0; cycle < 5; cycle++) {
      expect((await spentInMempool()).has(outpoint), `our claim waits in cycle ${cycle}`).toBe(true);
      await world.send(snatch(peer, channel.state(peer), htlc, preimage, coin, 60_000n).transaction);
      if (cycle === 2) await world.settled();
      const back = takeBack(coin, 90_000n);
      await world.send(back.transaction);
      expect((await spentInMempool()).has(outpoint), 'it is gone').toBe(false);
      await world.mineOnly([back.transaction]);
      coin = back.change;
    }
    const result = await payments[0]!.ended;
    expect(result).toMatchObject({ status: 'succeeded', payment_preimage: preimage });
    await world.mine(1);
    expect(unspent(fight)).toEqual([]);
    await mineUntilResolved(world, [fight]);
    expect(channel.phase(victim)).toBe('closed');
  }, LONG);

  it.each([1, 2, 3, 4, 5])('safety 11: a close by agreement that is reorganised out at depth %i, and a revoked commitment in its place, end in the penalty', async (depth) => {
    const thefts: readonly Theft[] = await plan(world, `11 ${depth}`, BOTH, 4, { close: true });
    residents.push(...thefts.flatMap(({ victim, thief }) => [victim, thief]));
    await world.mine(depth);
    for (const { channel, victim } of thefts) expect(channel.state(victim)).toMatchObject({ phase: 'resolving', spend: { kind: 'mutual' } });
    await world.daemon.invalidate(await world.daemon.hashAt(world.height - depth + 1));
    const old = thefts.map((theft) => theft.old(theft.newest - 2n));
    await world.daemon.mineThese(old.map(({ transaction }) => transaction));
    for (let i = 0; i < depth; i++) await world.daemon.mineEmpty();
    await world.settled();
    await mineUntilResolved(world, thefts);
    for (const [i, theft] of thefts.entries()) {
      const { victim, thief, expected, left } = await loot(world, theft, old[i]!.commitment.txid);
      expect({ victim, thief, left, phase: theft.channel.phase(theft.victim) }).toEqual({ victim: expected, thief: 0n, left: 0, phase: 'closed' });
    }
  }, LONG);
});
