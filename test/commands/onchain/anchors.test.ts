/** Commitments that pay too little for their time: whole nodes lift them with coins of their wallets, their own and the peer's. */
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { MempoolEntry } from '../../../src/adapters/chain/mempool.ts';
import { buildCommitment } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { weightOf } from '../../../src/bolt/03-transactions/tx.ts';
import { chooseCryptoBackend } from '../../../src/bolt/crypto-native.ts';
import { type Hex32, msat, sat, type Sat } from '../../../src/bolt/primitives.ts';
import { commitmentParams, commitmentSpec } from '../../../src/domain/channel/commitment-spec.ts';
import { type Channel, committed, confirmAll, offer, propose } from '../../support/onchain/channel.ts';
import { type LocalWorld, startLocalWorld } from '../../support/onchain/local-world.ts';
import { type Resident, startResident } from '../../support/onchain/resident.ts';

let world: LocalWorld;
let alice: Resident;
let bob: Resident;
let channel: Channel;

beforeAll(() => chooseCryptoBackend());
beforeEach(() => {
  world = startLocalWorld();
});
afterEach(async () => {
  for (const resident of [alice, bob]) await resident.stop();
  await world.stop();
});

/** A channel whose feerate is of yesterday, and an HTLC that alice offered; the wire is cut. */
async function cheapChannel(coins: readonly Sat[] = [sat(11_000_000), sat(200_000)], feerate_per_kw = 5_000, htlcs = 1): Promise<void> {
  [alice, bob] = await Promise.all([startResident(world, 'alice'), startResident(world, 'bob')]);
  await world.give(alice, ...coins);
  await world.give(bob, sat(200_000));
  channel = await propose(world, alice, bob, 'anchors_zero_fee_htlc_tx');
  await confirmAll(world, [channel]);
  for (let i = 0; i < htlcs; i++) await offer(alice, bob, msat(90_000_000), 'timed_out', 40 + i);
  await committed(channel, htlcs);
  channel.link.cut();
  await setFeerate(feerate_per_kw);
}

async function setFeerate(feerate_per_kw: number): Promise<void> {
  world.chain.setFeerate(feerate_per_kw);
  await emptyBlock();
}

/** A miner who takes nothing of ours. */
async function emptyBlock(): Promise<void> {
  world.chain.mineBlocks(1, { include: () => false });
  await world.settled();
}

const force = (end: Resident) => end.node.closeChannel(channel.streamOf(end), { force: true, reason: 'a test' }).then(() => world.settled());
const feerateOf = (entries: readonly MempoolEntry[]): number =>
  (Number(entries.reduce((sum, { fee }) => sum + fee, 0n)) * 1000) / entries.reduce((sum, { tx }) => sum + weightOf(tx, tx.witnesses), 0);
const commitmentOf = (end: Resident): Hex32 => {
  const state = channel.state(end);
  return buildCommitment(commitmentParams(state, 'local'), commitmentSpec(state, 'local')).txid;
};
const claimsOf = async (end: Resident) => (await end.events(channel.streamOf(end))).flatMap(({ event }) => (event.type === 'ClaimStarted' ? [event] : []));

it('our own, at once and for more when the price rises; what was lent comes home', async () => {
  await cheapChannel();
  await force(alice);
  expect(world.chain.mempool().length, alice.log.slice(-5).join('\n')).toBe(2);
  expect(feerateOf(world.chain.mempool())).toBeGreaterThanOrEqual(4_950);
  await setFeerate(9_000);
  for (let i = 0; i < 6; i++) await emptyBlock();
  expect(feerateOf(world.chain.mempool())).toBeGreaterThanOrEqual(8_900);
  const bids = (await claimsOf(alice)).filter(({ kind }) => kind === 'anchor').map(({ fee_satoshis }) => fee_satoshis);
  expect(bids.length).toBeGreaterThanOrEqual(2);
  await world.mine(80);
  expect(channel.phase(alice), alice.log.slice(-5).join('\n')).toBe('closed');
  expect(await alice.node.wallet.contributions()).toEqual([]);
  const { reserved_sat } = await alice.node.wallet.balance();
  expect(reserved_sat).toBe(0n);
});

it('the peer\'s, when it is the one in the mempool', async () => {
  await cheapChannel();
  const commitment = commitmentOf(bob);
  world.refuse = (by, txid) => (by === 'bob' && txid !== commitment ? { ok: false, code: 'no coins', reason: 'bob is poor', permanent: false } : undefined);
  await force(bob);
  expect(world.chain.mempool().map(({ txid }) => txid)).toEqual([commitment]);
  await force(alice);
  const [theirs, child] = world.chain.mempool();
  expect(theirs?.txid).toBe(commitment);
  expect(child?.tx.inputs[0]?.txid, alice.log.slice(-5).join('\n')).toBe(commitment);
  expect(feerateOf(world.chain.mempool())).toBeGreaterThanOrEqual(4_950);
  await world.mine(60);
  expect(channel.phase(alice)).toBe('closed');
});

it('a wallet without coins says so, and claims as soon as there are some', async () => {
  await cheapChannel([sat(10_012_000)], 9_000);
  await force(alice);
  expect(world.chain.mempool().length).toBe(1);
  expect(alice.log.some((line) => /the anchor of 1 outputs waits for coins: insufficient_funds/.test(line)), alice.log.slice(-5).join('\n')).toBe(true);
  world.chain.fund((await alice.node.wallet.address('help')).script_pubkey, sat(50_000));
  world.chain.mineBlocks(1, { include: ({ txid }) => txid !== world.chain.mempool()[0]!.txid });
  await world.settled();
  expect(world.chain.mempool().length).toBe(2);
});

it('HTLCs that run out while we slept are all claimed with the next block, though the wallet has one coin', async () => {
  await cheapChannel([sat(11_000_000)], 1_000, 3);
  expect((await alice.node.wallet.coins()).length).toBe(1);
  await force(alice);
  await world.mine(2);
  expect(channel.state(alice).commitments.htlcs.length).toBe(3);
  const last = Math.max(...channel.state(alice).commitments.htlcs.map(({ cltv_expiry }) => cltv_expiry));
  alice.view.asleep = true;
  await world.mine(last + 1 - world.height);
  alice.view.asleep = false;
  await world.settled();
  const timeouts = (await claimsOf(alice)).filter(({ kind }) => kind === 'htlc_timeout');
  expect(timeouts.length).toBe(3);
  const waiting = new Set(world.chain.mempool().map(({ txid }) => txid));
  expect(timeouts.every(({ claim_txid }) => waiting.has(claim_txid)), alice.log.slice(-5).join('\n')).toBe(true);
  await world.mine(16);
  expect(channel.phase(alice)).toBe('closed');
});
