/** What two machines live through while their wire breaks: a channel that opens; and one on which payments go both ways, the feerate changes, and which closes with an HTLC in flight. */
import { expect } from 'vitest';
import { msat, msatToSat, sat, type Hex32 } from '../../../src/bolt/primitives.ts';
import { isEstablished, type EstablishedState } from '../../../src/domain/channel/state.ts';
import { CutNetwork, type CutOptions } from './cut-network.ts';
import type { Frame } from './framed-wire.ts';
import { assertStories, auditedLogs, fundsOf, type Funds, type Outcome } from './laws.ts';
import { openRow, type OpenedRow } from './network.ts';
import { invoicesFor, payAll, type AskedPayment, type PlannedPayment } from './payments.ts';
import type { VirtualTime } from './virtual-time.ts';

export const CUT_PAIR = ['alice', 'bob'] as const;
const CHANNEL = { funding_satoshis: sat(1_000_000), push_msat: msat(400_000_000n) };
const FEERATE = 1_700;

export interface CutStory {
  readonly name: string;
  /** Where it begins. */
  begin(time: VirtualTime): Promise<OpenedRow>;
  /** Lives it to its end, checks every law, and answers the books of both sides. */
  live(network: CutNetwork): Promise<unknown>;
}

export interface Lived {
  readonly books: unknown;
  /** Connections that came to their planned end. */
  readonly strikes: number;
  /** So many times did it write, from the first wish on. */
  readonly appends: (machine: string) => number;
  /** What the first connection carried, each way. */
  readonly frames: () => readonly [readonly Frame[], readonly Frame[]];
}

/** One life, checked by every law. */
export async function liveStory(story: Pick<CutStory, 'live'>, row: OpenedRow, options: CutOptions = {}): Promise<Lived> {
  const network = new CutNetwork(row, options);
  const { height } = await row.chain.tip();
  try {
    await network.boot();
    const books = await story.live(network);
    const { counted, strikes } = network;
    return { books, strikes, appends: (name) => counted.appends(name), frames: () => network.frames };
  } finally {
    await forget(network, height);
  }
}

/** The chain is one for all runs: what this one wrote on it is taken off again, and its machines hear no more of it. */
async function forget({ chain, machines }: CutNetwork, height: number): Promise<void> {
  for (const machine of machines) machine.kill();
  const { height: now } = await chain.tip();
  const mined = Array.from({ length: now - height }, (_, index) => chain.blockAt(height + 1 + index)!.transactions.slice(1).map(({ txid }) => txid)).flat();
  const waiting = chain.mempool().map(({ txid }) => txid);
  const drop: Hex32[] = [...mined, ...waiting];
  if (now > height || drop.length > 0) chain.reorg(now - height, { drop });
}

const payment = (from: string, to: string, amount: bigint, kind: PlannedPayment['kind'] = 'sound'): PlannedPayment => ({ from, to, amount_msat: msat(amount), kind, delay: 0 });

const PAYMENTS = [
  payment('alice', 'bob', 25_000_000n),
  payment('bob', 'alice', 10_000_000n),
  payment('alice', 'bob', 5_000_000n, 'wrong_secret'),
  payment('bob', 'alice', 200_000n),
  payment('alice', 'bob', 40_000_000n),
];

export const busyLife: CutStory = {
  name: 'a channel that pays both ways, changes its feerate, and closes with an HTLC in flight',
  begin: (time) => openRow(time, CUT_PAIR, [CHANNEL]),
  async live(network) {
    const before = fundsOf(network);
    const coins = await wallets(network);
    const asked = await invoicesFor(network, PAYMENTS);
    network.arm();
    await payAll(network, asked.slice(0, 2));
    wish(network, feerateOf(FEERATE));
    await payAll(network, asked.slice(2, 4));
    await untilWished(network, feerateOf(FEERATE));
    wish(network, closeBy('bob'));
    await payAll(network, asked.slice(4));
    await untilWished(network, closeBy('bob'));
    const outcome = await rightInTheEnd(network, asked, before);
    const closing_fees = await closed(network, coins);
    return { outcome, alice: booksOf(network, 'alice'), bob: booksOf(network, 'bob'), closing_fees };
  },
};

/** What users want of a channel, each at a time of its own, ms. */
export interface RandomLife {
  readonly payments: readonly PlannedPayment[];
  readonly feerates: readonly { readonly feerate_per_kw: number; readonly delay: number }[];
  readonly close?: { readonly by: string; readonly delay: number };
}

/** A channel that begins as the busy one does. Answers how its payments ended. */
export const randomLife = ({ payments, feerates, close }: RandomLife): Pick<CutStory, 'live'> => ({
  async live(network) {
    const before = fundsOf(network);
    const coins = await wallets(network);
    const asked = await invoicesFor(network, payments);
    network.arm();
    for (const { feerate_per_kw, delay } of feerates) wish(network, feerateOf(feerate_per_kw), delay);
    if (close !== undefined) wish(network, closeBy(close.by), close.delay);
    await payAll(network, asked);
    if (close !== undefined) await untilWished(network, closeBy(close.by));
    const outcome = await rightInTheEnd(network, asked, before);
    if (close !== undefined) await closed(network, coins);
    return outcome;
  },
});

/** Both ends agree, no HTLC is left, both logs are whole, and every payment ended as its story says. */
async function rightInTheEnd(network: CutNetwork, asked: readonly AskedPayment[], before: Funds): Promise<Outcome> {
  const [alice, bob] = CUT_PAIR.map((name) => booksOf(network, name));
  expect({ ...bob!, local_msat: bob!.remote_msat, remote_msat: bob!.local_msat, next_offered_id: bob!.next_received_id, next_received_id: bob!.next_offered_id }).toEqual(alice);
  expect(['normal', 'closing']).toContain(alice!.phase);
  expect(alice!.htlcs).toEqual([]);
  return assertStories(network, asked, before, await auditedLogs(network.machines));
}

/** The close is mined and buried. Answers what each side gave for it. */
async function closed(network: CutNetwork, coins: readonly bigint[]): Promise<readonly bigint[]> {
  expect(phases(network)).toEqual(['closing', 'closing']);
  await mine(network, 8);
  expect(phases(network)).toEqual(['closed', 'closed']);
  await auditedLogs(network.machines, []);
  return closingFees(network, coins);
}

export const opening: CutStory = {
  name: 'a channel that opens',
  begin: (time) => openRow(time, CUT_PAIR, []),
  async live(network) {
    network.arm();
    await untilWished(network, open);
    await mine(network, 8);
    await auditedLogs(network.machines);
    expect(network.refusals).toEqual([]);
    expect(phases(network)).toEqual(['normal', 'normal']);
    return { alice: booksOf(network, 'alice'), bob: booksOf(network, 'bob') };
  },
};

// ---- what users wish for, and ask for again when it did not come to pass

interface Wish {
  readonly come: (network: CutNetwork) => boolean;
  readonly ask: (network: CutNetwork) => Promise<unknown> | undefined;
}

/** A node that is off, or that just lost its peer, answers with an error or not at all. */
const wish = (network: CutNetwork, { ask }: Wish, delay = 1): void =>
  void setTimeout(() => void Promise.resolve().then(() => ask(network)).catch(() => undefined), delay);

async function untilWished(network: CutNetwork, one: Wish): Promise<void> {
  await network.rest();
  for (let asked = 0; !one.come(network); asked++) {
    expect(asked, 'times that a user asked').toBeLessThan(5);
    wish(network, one);
    await network.rest();
  }
}

const nodeOf = (network: CutNetwork, name: string) => network.machine(name).life?.node;
/** The one that both ends know; what an opening left at one end alone is not it. */
function channelOf(network: CutNetwork, name: string) {
  const [own, other] = CUT_PAIR.map((one) => network.machine(one).node.channels().filter(({ state }) => isEstablished(state)));
  const ids = new Set((name === 'alice' ? other! : own!).map(({ state }) => (state as EstablishedState).funding.channel_id));
  return (name === 'alice' ? own! : other!).find(({ state }) => ids.has((state as EstablishedState).funding.channel_id));
}
const stateOf = (network: CutNetwork, name: string) => channelOf(network, name)?.state as EstablishedState | undefined;
const phases = (network: CutNetwork) => CUT_PAIR.map((name) => stateOf(network, name)?.phase);

const feerateOf = (feerate_per_kw: number): Wish => ({
  come: (network) => CUT_PAIR.every((name) => stateOf(network, name)!.commitments.fees.at(-1)!.feerate_per_kw === feerate_per_kw),
  ask: (network) => nodeOf(network, 'alice')?.setFeerate(channelOf(network, 'alice')!.stream, feerate_per_kw),
});
const closeBy = (name: string): Wish => ({
  come: (network) => phases(network).every((phase) => phase !== 'normal'),
  ask: (network) => nodeOf(network, name)?.closeChannel(channelOf(network, name)!.stream),
});
const open: Wish = {
  come: (network) => stateOf(network, 'alice') !== undefined,
  ask: (network) => nodeOf(network, 'alice')?.openChannel({ peer_id: network.machine('bob').node.node_id, ...CHANNEL }),
};

async function mine(network: CutNetwork, blocks: number): Promise<void> {
  for (let block = 0; block < blocks; block++) {
    network.chain.mineBlocks(1);
    await network.rest();
  }
}

// ---- what is left in the end

function booksOf(network: CutNetwork, name: string) {
  const { commitments, phase, terms } = stateOf(network, name)!;
  const { local_msat, remote_msat, htlcs, fees, next_offered_id, next_received_id } = commitments;
  return { phase, local_msat, remote_msat, htlcs, feerates: fees.map(({ feerate_per_kw }) => feerate_per_kw), next_offered_id, next_received_id, funding: terms.funding_satoshis };
}

async function wallets(network: CutNetwork): Promise<readonly bigint[]> {
  return Promise.all(CUT_PAIR.map(async (name) => (await network.machine(name).node.wallet.balance()).total_sat));
}

/**
 * What each side gave for the close, sat, the smaller first: its balance, less what came into its wallet. With
 * option_simple_close either side's transaction may be the one that the miner took, and its closer pays.
 */
async function closingFees(network: CutNetwork, before: readonly bigint[]): Promise<readonly bigint[]> {
  const after = await wallets(network);
  const fees = CUT_PAIR.map((name, side) => before[side]! + msatToSat(stateOf(network, name)!.commitments.local_msat) - after[side]!);
  return fees.toSorted((a, b) => (a < b ? -1 : 1));
}
