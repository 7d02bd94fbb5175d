/** A theft: a channel with a long past, a peer that publishes a commitment of it, and what its victim has in the end. */
import type { CommitmentFormat } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { ANCHOR_SAT } from '../../../src/bolt/03-transactions/fees.ts';
import { type Hex32, msat, sat } from '../../../src/bolt/primitives.ts';
import type { EventEnvelope } from '../../../src/events/envelope.ts';
import { until } from './patience.ts';
import { followers, unspentOf } from './books.ts';
import { type Channel, committed, confirmAll, pay, propose } from './channel.ts';
import { type Resident, startResident } from './resident.ts';
import { oldCommitment, type OldCommitment } from './thief.ts';
import type { World } from './world.ts';

export interface Theft {
  readonly format: CommitmentFormat;
  readonly victim: Resident;
  readonly thief: Resident;
  readonly channel: Channel;
  /** The thief's newest commitment: all below it are revoked. */
  readonly newest: bigint;
  readonly log: readonly EventEnvelope[];
  readonly before: { readonly victim: bigint; readonly thief: bigint };
  old(number: bigint): OldCommitment;
}

const COINS = [sat(11_000_000), sat(150_000), sat(100_000)];

/** Money for each resident's wallet, in a block. */
export async function giveCoins(world: World, residents: readonly Resident[], coins = COINS): Promise<void> {
  const payments = [];
  for (const resident of residents) for (const value of coins) payments.push({ script_pubkey: (await resident.node.wallet.address('from outside')).script_pubkey, value });
  await world.daemon.payMany(payments);
  await world.mine(1);
}

/** Opens channels, lets each pay so many times back and forth, closes them by agreement if asked to, and ends the thieves' nodes. */
export async function plan(world: World, name: string, formats: readonly CommitmentFormat[], payments: number, { close = false } = {}): Promise<readonly Theft[]> {
  const pairs = await Promise.all(formats.map(async (format, i) => ({ format, victim: await startResident(world, `victim ${name} ${i}`), thief: await startResident(world, `thief ${name} ${i}`) })));
  await giveCoins(world, pairs.flatMap(({ victim, thief }) => [victim, thief]));
  const opened = await Promise.all(pairs.map(async (pair, i) => ({ ...pair, channel: await (i % 2 === 0 ? propose(world, pair.victim, pair.thief, pair.format) : propose(world, pair.thief, pair.victim, pair.format)) })));
  await confirmAll(world, opened.map(({ channel }) => channel));
  return await Promise.all(opened.map(async ({ format, victim, thief, channel }): Promise<Theft> => {
    for (let i = 0; i < payments; i++) await (i % 2 === 0 ? pay(victim, thief, msat(200_000_000 + i)) : pay(thief, victim, msat(210_000_000)));
    await committed(channel, 0);
    const before = { victim: await victim.balance(), thief: await thief.balance() };
    const newest = channel.state(thief).commitments.local.number;
    const log = await thief.events(channel.streamOf(thief));
    if (close) await closeTogether(channel);
    channel.link.cut();
    await thief.stop();
    return { format, victim, thief, channel, newest, log, before, old: (number) => oldCommitment(thief.signer, log, number) };
  }));
}

async function closeTogether(channel: Channel): Promise<void> {
  const { opener, accepter } = channel;
  await accepter.node.closeChannel(channel.streamOf(accepter));
  const agreed = (end: Resident) => (channel.state(end) as { readonly agreed?: unknown }).agreed !== undefined;
  await until('an agreement on the close', () => [opener, accepter].filter((end) => !agreed(end)).map((end) => `${end.name} is ${channel.phase(end)}`));
}

export interface Loot {
  readonly victim: bigint;
  readonly thief: bigint;
  /** All that the commitment paid, to whomever, less the fees of what the victim sent and of the thief's own second stages. */
  readonly expected: bigint;
  /** Outputs of the commitment, anchors aside, that nobody has spent. */
  readonly left: number;
}

/** What the two have gained since the commitment came to the chain. */
export async function loot(world: World, { victim, thief, before }: Theft, commitment: Hex32): Promise<Loot> {
  const transactions = world.transactions();
  const scripts = { ours: await victim.scripts(), theirs: await thief.scripts() };
  const found = followers(commitment, transactions, scripts, 'theirs');
  const { outputs } = transactions.get(commitment)!;
  const worth = outputs.reduce((sum, { value }) => (value === ANCHOR_SAT ? sum : sum + value), 0n);
  const spent = new Set(found.flatMap(({ txid }) => transactions.get(txid)!.inputs.map((input) => `${input.txid}:${input.index}`)));
  const costs = found.filter(({ by }) => by !== 'nobody').reduce((sum, { fee, anchors }) => sum + fee - BigInt(anchors) * ANCHOR_SAT, 0n);
  return {
    victim: (await victim.balance()) - before.victim,
    thief: unspentOf(scripts.theirs, transactions) - before.thief,
    expected: worth - costs,
    left: outputs.filter(({ value }, index) => value !== ANCHOR_SAT && !spent.has(`${commitment}:${index}`)).length,
  };
}

/** Mines until the victims' channels are resolved; at most so many blocks. */
export async function mineUntilResolved(world: World, thefts: readonly Pick<Theft, 'victim' | 'channel'>[], patience = 30): Promise<void> {
  for (let i = 0; i < patience && !thefts.every(({ victim, channel }) => channel.phase(victim) === 'closed'); i++) await world.mine(1);
}
