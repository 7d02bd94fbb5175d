/** The matrix of endings: each cell is a channel of two nodes of its own, all of them on one chain, opened, closed and resolved in the same blocks. */
import type { CommitmentFormat } from '../../../src/bolt/03-transactions/fees.ts';
import { type Hex32, msat, sat, type Msat } from '../../../src/bolt/primitives.ts';
import type { PaymentResult } from '../../../src/commands/pay.ts';
import { until } from './patience.ts';
import type { KeyCoin } from '../coins.ts';
import { fundKeys } from './coins.ts';
import { type BookedState, followers, type Follower, gains, other, outputsOf, type Side, unspentOf } from './books.ts';
import { type Channel, committed, confirmAll, type Fate, FUNDING, type InFlight, offer, pay, propose, PUSHED } from './channel.ts';
import { type Resident, startResident } from './resident.ts';
import { oldCommitment, preimagesOf, secondStages } from './thief.ts';
import type { World } from './world.ts';

export const FORMATS = ['anchors_zero_fee_htlc_tx', 'static_remotekey'] as const;
export const ENDINGS = ['our commitment', 'theirs', 'theirs pending', 'revoked', 'revoked, second stage spent'] as const;
export const LOADS = ['no HTLC', 'offered', 'received', 'both', 'dust', '30 of each'] as const;
export type Ending = (typeof ENDINGS)[number];
export type Load = (typeof LOADS)[number];

export interface Cell {
  readonly format: CommitmentFormat;
  readonly ending: Ending;
  readonly load: Load;
}

export const CELLS: readonly Cell[] = FORMATS.flatMap((format) => ENDINGS.flatMap((ending) => LOADS.map((load) => ({ format, ending, load }))));
export const nameOf = ({ format, ending, load }: Cell): string => `${format.replace(/_zero_fee_htlc_tx|_remotekey/, '')}, ${ending}, ${load}`;

export interface Outcome {
  readonly cell: Cell;
  /** Why it could not be told to its end. */
  readonly error?: string;
  readonly kinds?: Readonly<Record<Side, string | undefined>>;
  readonly phases?: Readonly<Record<Side, string>>;
  readonly htlcs?: number;
  /** From the commitment's block to the last that paid anybody. */
  readonly blocks?: number;
  readonly followers?: readonly Follower[];
  readonly gained?: Readonly<Record<Side, bigint>>;
  readonly expected?: Readonly<Record<Side, bigint>>;
  /** By the chain, against what the node says of itself. */
  readonly wallets?: Readonly<Record<Side, { readonly node: bigint; readonly chain: bigint }>>;
  /** Payments that ended otherwise than their HTLC. */
  readonly astray?: readonly string[];
  /** Transactions that the mempool refused and never took, with its words. */
  readonly refused?: readonly string[];
}

interface Planned {
  readonly by: Side;
  readonly amount_msat: Msat;
  readonly fate: Fate;
}

const planned = (by: Side, fate: Fate, amount: number): Planned => ({ by, fate, amount_msat: msat(amount) });

/** The last one of each is what `theirs pending` adds to the older commitment: it times out. */
const PLANS: Readonly<Record<Load, readonly Planned[]>> = {
  'no HTLC': [],
  offered: [planned('ours', 'fulfilled', 50_000_001), planned('ours', 'timed_out', 61_234_567)],
  received: [planned('theirs', 'fulfilled', 52_000_999), planned('theirs', 'timed_out', 63_000_000)],
  both: [planned('ours', 'fulfilled', 71_000_000), planned('theirs', 'fulfilled', 72_000_500), planned('ours', 'timed_out', 73_000_000), planned('theirs', 'timed_out', 74_000_001)],
  dust: [planned('ours', 'timed_out', 200_000), planned('theirs', 'timed_out', 301_500), planned('ours', 'timed_out', 150_001)],
  '30 of each': Array.from({ length: 60 }, (_, i) => planned(i % 2 === 0 ? 'ours' : 'theirs', i % 4 < 2 ? 'fulfilled' : 'timed_out', 10_000_000 + 137_211 * i)),
};

export const isRevoked = ({ ending }: Cell): boolean => ending.startsWith('revoked');
/** HTLCs that the thief puts into one transaction. */
const TOGETHER = 4;
const CHANNEL_FEERATE = 1_000;
const RAISED_FEERATE = 1_500;
/** What the thief spends after the commitment it will go back to, msat. */
const SPENT_SINCE = msat(300_000_000);
/** Blocks after the close in which everything must be resolved. */
export const PATIENCE_BLOCKS = 75;

class Run {
  readonly cell: Cell;
  readonly ours: Resident;
  readonly theirs: Resident;
  readonly #world: World;
  channel!: Channel;
  #inFlight: InFlight[] = [];
  #booked!: BookedState;
  #before!: Record<Side, bigint>;
  #old: bigint | undefined;
  #theirLog: Awaited<ReturnType<Resident['events']>> = [];
  #coins: readonly KeyCoin[] = [];
  #published: Hex32 | undefined;
  error: string | undefined;

  constructor(world: World, cell: Cell, ours: Resident, theirs: Resident) {
    this.#world = world;
    this.cell = cell;
    this.ours = ours;
    this.theirs = theirs;
  }

  /** With anchors an HTLC transaction wants somebody else's coin for its fee. */
  async equip(): Promise<void> {
    const words = PLANS[this.cell.load].map((_, i) => `${this.theirs.name} ${i}`);
    this.#coins = await fundKeys(this.#world, words, sat(100_000));
  }

  get opener(): Side {
    return (ENDINGS.indexOf(this.cell.ending) + LOADS.indexOf(this.cell.load) + FORMATS.indexOf(this.cell.format as never)) % 2 === 0 ? 'ours' : 'theirs';
  }

  side(side: Side): Resident {
    return side === 'ours' ? this.ours : this.theirs;
  }

  async open(): Promise<void> {
    this.channel = await propose(this.#world, this.side(this.opener), this.side(other(this.opener)), this.cell.format);
  }

  /** HTLCs into both commitments; the last one only into their newest where that is the cell. */
  async load(): Promise<void> {
    const plan = PLANS[this.cell.load];
    const pending = this.cell.ending === 'theirs pending';
    const first = pending ? plan.slice(0, -1) : plan;
    for (const htlc of first) await this.#offer(htlc);
    await committed(this.channel, first.length);
    this.#old = isRevoked(this.cell) ? this.channel.state(this.theirs).commitments.local.number : undefined;
    this.#book(plan, CHANNEL_FEERATE);
    if (pending) await this.#leavePending(plan.at(-1));
    if (isRevoked(this.cell)) await this.#moveOn();
  }

  async #offer({ by, amount_msat, fate }: Planned): Promise<void> {
    this.#inFlight.push(await offer(this.side(by), this.side(other(by)), amount_msat, fate, 18 + (this.#inFlight.length % 3)));
  }

  #book(plan: readonly Planned[], feerate_per_kw: number): void {
    const balances = { ours: 0n, theirs: 0n };
    balances[this.opener] = FUNDING * 1000n - PUSHED;
    balances[other(this.opener)] = PUSHED;
    for (const { by, amount_msat } of plan) balances[by] -= amount_msat;
    const owner: Side = this.cell.ending === 'our commitment' ? 'ours' : 'theirs';
    const htlcs = plan.map(({ by, amount_msat, fate }) => ({ by, amount_msat, winner: fate === 'fulfilled' ? other(by) : by }));
    this.#booked = { format: this.cell.format, feerate_per_kw, opener: this.opener, owner, balances, htlcs, ...(isRevoked(this.cell) ? { spoils: 'ours' as const } : {}) };
  }

  /** They have our signature for a newer commitment; that they gave up the older one never reaches us. */
  async #leavePending(last: Planned | undefined): Promise<void> {
    const { number } = this.channel.state(this.theirs).commitments.local;
    this.channel.link.withhold(this.ours, ({ type }) => type === 'revoke_and_ack');
    if (last !== undefined && this.cell.load !== 'dust') await this.#offer(last);
    else {
      await this.side(this.opener).node.setFeerate(this.channel.streamOf(this.side(this.opener)), RAISED_FEERATE);
      const plan = PLANS[this.cell.load].slice(0, -1);
      this.#book(plan, RAISED_FEERATE);
    }
    await until(`a pending commitment of ${this.theirs.name}`, () => (this.channel.state(this.theirs).commitments.local.number > number && this.channel.state(this.ours).commitments.remote.awaiting_revocation ? [] : ['a newer commitment']));
  }

  /** The commitment they will go back to is revoked by what follows. */
  async #moveOn(): Promise<void> {
    const late = this.cell.ending !== 'revoked';
    for (const { payee, payment_hash, fate } of this.#inFlight) if (late || fate === 'fulfilled') payee.release(payment_hash);
    await pay(this.theirs, this.ours, SPENT_SINCE);
    await committed(this.channel, late ? 0 : this.#inFlight.filter(({ fate }) => fate === 'timed_out').length);
  }

  async close(): Promise<void> {
    this.#before = { ours: await this.ours.balance(), theirs: await this.theirs.balance() };
    this.channel.link.cut();
    this.#theirLog = await this.theirs.events(this.channel.streamOf(this.theirs));
    if (this.cell.ending === 'our commitment') return this.#force(this.ours);
    if (!isRevoked(this.cell)) return this.#force(this.theirs);
    await this.theirs.stop();
    if (this.cell.ending === 'revoked') await this.#cheat();
  }

  #force(end: Resident): Promise<void> {
    return end.node.closeChannel(this.channel.streamOf(end), { force: true, reason: nameOf(this.cell) });
  }

  async #cheat(): Promise<void> {
    this.#published = await this.#world.send(oldCommitment(this.theirs.signer, this.#theirLog, this.#old!).transaction);
  }

  /** While our node hears nothing: the old commitment, a block, then its second stage. */
  async cheatFirst(): Promise<void> {
    this.ours.view.asleep = true;
    await this.#cheat();
  }

  async cheatAgain(): Promise<void> {
    const old = oldCommitment(this.theirs.signer, this.#theirLog, this.#old!);
    const preimages = preimagesOf(this.#theirLog, old);
    for (const transaction of secondStages(this.theirs.signer, old, { preimages, height: this.#world.height, coins: this.#coins, together: TOGETHER })) await this.#world.send(transaction);
  }

  wake(): void {
    this.ours.view.asleep = false;
  }

  /** The payees let go of what is meant to be fulfilled: the preimages are learned when the channel is on the chain already. */
  release(): void {
    if (isRevoked(this.cell)) return;
    for (const { payee, payment_hash, fate } of this.#inFlight) if (fate === 'fulfilled') payee.release(payment_hash);
  }

  get resolved(): boolean {
    const ends = isRevoked(this.cell) ? [this.ours] : [this.ours, this.theirs];
    return ends.every((end) => this.channel.phase(end) === 'closed');
  }

  async outcome(): Promise<Outcome> {
    const { cell, channel } = this;
    if (this.error !== undefined) return { cell, error: this.error };
    const spend = (end: Resident) => (end.running ? channel.state(end) as { readonly spend?: { readonly txid: Hex32; readonly kind: string } } : {}).spend;
    const commitment = this.#published ?? spend(this.ours)?.txid;
    if (commitment === undefined) return { cell, error: `nothing spent the funding output; ours is ${channel.phase(this.ours)}: ${this.ours.log.slice(-3).join(' | ')}` };
    const transactions = this.#world.transactions();
    const scripts = { ours: await this.ours.scripts(), theirs: await this.theirs.scripts() };
    const found = followers(commitment, transactions, scripts, this.#booked.owner);
    const chain = { ours: unspentOf(scripts.ours, transactions), theirs: unspentOf(scripts.theirs, transactions) };
    const node = { ours: await this.ours.balance(), theirs: this.theirs.running ? await this.theirs.balance() : chain.theirs };
    return {
      cell,
      kinds: { ours: spend(this.ours)?.kind, theirs: spend(this.theirs)?.kind },
      phases: { ours: channel.phase(this.ours), theirs: this.theirs.running ? channel.phase(this.theirs) : 'off' },
      htlcs: outputsOf(this.#booked),
      blocks: Math.max(0, ...found.map(({ height }) => height)) - transactions.get(commitment)!.height,
      followers: found,
      gained: { ours: node.ours - this.#before.ours, theirs: node.theirs - this.#before.theirs },
      expected: gains(this.#booked, found),
      wallets: { ours: { node: node.ours, chain: chain.ours }, theirs: { node: node.theirs, chain: chain.theirs } },
      astray: await this.#astray(),
      refused: this.#refused(),
    };
  }

  async #astray(): Promise<readonly string[]> {
    const astray: string[] = [];
    for (const { payer, amount_msat, fate, ended } of this.#inFlight) {
      if (!payer.running) continue;
      const result = await Promise.race([ended, new Promise<PaymentResult | undefined>((resolve) => setTimeout(() => resolve(undefined), 50))]);
      const paidSince = this.cell.ending === 'revoked, second stage spent';
      const expected = paidSince || fate === 'fulfilled' ? 'succeeded' : 'failed';
      if (result?.status !== expected) astray.push(`${payer === this.ours ? 'our' : 'their'} payment of ${amount_msat} msat: expected ${expected}, got ${result?.status ?? 'no end'}`);
    }
    return astray;
  }

  #refused(): readonly string[] {
    const own = this.#world.broadcasts.filter(({ by }) => by === this.ours.name || by === this.theirs.name);
    const taken = new Set(own.filter(({ result }) => result.ok).map(({ txid }) => txid));
    const refused = own.flatMap(({ txid, result, height, by }) => (result.ok || taken.has(txid) || CONFLICTS.has(result.code) ? [] : [`${by} at ${height}: ${result.code} (${result.reason})`]));
    return [...new Set(refused)];
  }
}

/** Somebody else spent the same output first: no fault of the transaction's. */
const CONFLICTS: ReadonlySet<string> = new Set(['txn-mempool-conflict', 'bad-txns-inputs-missingorspent', 'txn-already-in-mempool', 'txn-already-known']);

/** Runs all cells in lock-step and answers how each ended, in their order. A cell that goes wrong does not hold up the others. */
export async function runMatrix(world: World, cells: readonly Cell[], say: (line: string) => void = () => undefined): Promise<readonly Outcome[]> {
  const runs = await Promise.all(cells.map(async (cell, i) => new Run(world, cell, await startResident(world, `ours ${i}`), await startResident(world, `theirs ${i}`))));
  const alive = () => runs.filter(({ error }) => error === undefined);
  const each = async (what: string, act: (run: Run) => Promise<void> | void, some: (run: Run) => boolean = () => true) => {
    await Promise.all(alive().filter(some).map(async (run) => {
      try {
        await act(run);
      } catch (error) {
        run.error = `${what}: ${(error as Error).message}`;
        say(`${nameOf(run.cell)}: ${run.error}`);
      }
    }));
    await world.settled();
    say(`${what}: ${alive().length} of ${runs.length} cells, height ${world.height}`);
  };
  const late = ({ cell }: Run) => cell.ending === 'revoked, second stage spent';

  await giveCoins(world, runs.flatMap(({ ours, theirs }) => [ours, theirs]));
  for (const run of runs.filter((run) => late(run) && run.cell.format === 'anchors_zero_fee_htlc_tx')) await run.equip();
  await each('opened', (run) => run.open());
  await confirmAll(world, alive().map(({ channel }) => channel));
  await each('loaded', (run) => run.load());
  await each('closed', (run) => run.close());
  await world.mine(1);
  await each('released', (run) => run.release());
  await world.mine(25);
  await each('cheated', (run) => run.cheatFirst(), late);
  await world.mine(1);
  await each('cheated again', (run) => run.cheatAgain(), late);
  await world.mine(1);
  await each('woken', (run) => run.wake(), late);
  for (let i = 0; i < PATIENCE_BLOCKS - 28 && !alive().every(({ resolved }) => resolved); i++) await world.mine(1);
  say(`resolved: ${alive().filter(({ resolved }) => resolved).length} of ${runs.length} cells, height ${world.height}`);
  const outcomes = await Promise.all(runs.map((run) => run.outcome().catch((error: Error): Outcome => ({ cell: run.cell, error: error.message }))));
  await Promise.all(runs.flatMap(({ ours, theirs }) => [ours.stop(), theirs.stop()]));
  return outcomes;
}

const COINS = [sat(11_000_000), sat(200_000), sat(150_000), sat(100_000)];

/** Each node has one coin to open a channel with, and a few for fees. */
async function giveCoins(world: World, residents: readonly Resident[]): Promise<void> {
  const payments = [];
  for (const resident of residents) for (const value of COINS) payments.push({ script_pubkey: (await resident.node.wallet.address('from outside')).script_pubkey, value });
  await world.daemon.payMany(payments);
  await world.mine(1);
}
