/** Channels that end with HTLCs in flight both ways: some settled once the close is known, some run out, some dust; restarts in between. */
import { CURRENCIES, decodeInvoice } from '../../../src/bolt/11-payment-encoding/invoice.ts';
import { type Hex32, type Msat, msat, sat } from '../../../src/bolt/primitives.ts';
import { until } from '../../../src/playground/waiting.ts';
import { closeBooks, closeIsSent, describeClose, mineUntilOver, openBooks, type Winners } from './closing-books.ts';
import type { Side } from './family.ts';
import { type Dice, rollDice } from './restarts.ts';
import type { Story, Tale } from './story.ts';
import { hintedInvoice } from './stories-private.ts';
import type { Format, Link, World } from './world.ts';

type End = 'claim' | 'fail';

/**
 * Odd parts of a sat, and an amount that is dust to both sides in either format. Each expires at a block of its own: of HTLCs
 * that expire together, LDK 0.1.0 does not take the rest any more once we took one by its preimage (rust-lightning, issue 3859).
 */
const PAYMENTS: readonly { readonly amount: Msat; readonly end: End; readonly final_cltv: number }[] = [
  { amount: msat(120_000_456), end: 'claim', final_cltv: 96 },
  { amount: msat(80_000_111), end: 'fail', final_cltv: 80 },
  { amount: msat(200_007), end: 'fail', final_cltv: 88 },
];
const OPENING = { funding_satoshis: sat(2_000_000), push_msat: msat(900_000_000) };
const SIDES = { us: 'ours', LDK: 'theirs' } as const;

/** A payment that waits at its payee. */
interface Held {
  readonly bolt11: string;
  readonly payment_hash: Hex32;
  readonly from: Side;
  /** The LDK node that has it. */
  readonly at: string;
  readonly end: End;
}

export interface EndingOptions {
  readonly seed: number;
  /** Of the eight with each format; all unless told. */
  readonly only?: RegExp;
}

/** alice - ldk is the channel that ends; alice - dora is where LDK's payments wait. ldk and dora are LDK's. */
export function endings(format: Format, { seed, only = /(?:)/ }: EndingOptions): readonly Story[] {
  const aside: { link?: Link } = {};
  const story = (name: string, tell: Story['tell']): Story => ({ name: `${name} (${format})`, tell });
  const told = (['us', 'LDK'] as const).flatMap((opener) => (['us', 'LDK'] as const).flatMap((closer) => [
    story(`HTLCs both ways, and a mutual close: opened by ${opener}, closed by ${closer}`, (world) => endMutually(world, format, SIDES[opener], SIDES[closer], rollDice(seed, opener, closer, 'mutual'))),
    story(`HTLCs both ways, and a close by force: opened by ${opener}, closed by ${closer}`, (world) => endByForce(world, format, SIDES[opener], SIDES[closer], rollDice(seed, opener, closer, 'force'))),
  ]));
  return [
    story('a channel to dora, where payments of LDK can wait', async (world) => {
      await world.connect('alice', 'dora');
      aside.link = await world.openFromUs('alice', 'dora', { format, funding_satoshis: sat(5_000_000), announce: false });
      await hintedInvoice(async () => (await world.ldk('dora').invoices(1, msat(1_000_000)))[0]!, world.established(aside.link).ready.local_aliases);
      return [];
    }),
    ...told.filter(({ name }) => only.test(name)),
    story('the channel to dora is closed', async (world) => {
      await world.agree(aside.link!);
      await world.nodes.node('alice').closeChannel(aside.link!.stream);
      await closeIsSent(world, aside.link!);
      await world.mine(8);
      return [];
    }),
  ];
}

async function endByForce(world: World, format: Format, opener: Side, closer: Side, dice: Dice): Promise<Tale> {
  const link = await openedBy(world, opener, format);
  const held = await holdPayments(world, link);
  const before = await openBooks(world, link);
  await close(world, link, closer, true);
  await closeIsSent(world, link);
  const [early, restarts] = [dice.coin(), restartsOf(world, link, dice)];
  if (early) await releaseAll(world, held);
  await world.mine(1);
  if (!early) await releaseAll(world, held);
  await mineUntilOver(world, link, restarts.at);
  const books = await closeBooks(world, link, before, winnersOf(held));
  await paymentsEnded(world, link, held);
  return [...describeClose(books), `preimages shown ${early ? 'before' : 'after'} the close was in a block; ${restarts.tale()}; seed ${dice.seed}`];
}

/** The channel empties before it closes, as BOLT 2 has it: shutdown, then what is in flight, then the agreement. */
async function endMutually(world: World, format: Format, opener: Side, closer: Side, dice: Dice): Promise<Tale> {
  const link = await openedBy(world, opener, format);
  const held = await holdPayments(world, link);
  const before = await openBooks(world, link);
  await close(world, link, closer, false);
  await until('shutdown both ways', () => (world.state(link).phase === 'shutdown' ? [] : [`${link.ours} is ${world.state(link).phase}`]));
  const restarts = restartsOf(world, link, dice);
  const who = await restarts.one();
  await releaseAll(world, held);
  await closeIsSent(world, link);
  await mineUntilOver(world, link);
  const books = await closeBooks(world, link, before, winnersOf(held));
  await paymentsEnded(world, link, held);
  return [...describeClose(books), `${who} restarted between shutdown and the last HTLC; seed ${dice.seed}`];
}

async function openedBy(world: World, opener: Side, format: Format): Promise<Link> {
  return opener === 'ours' ? world.openFromUs('alice', 'ldk', { format, ...OPENING }) : world.openFromLdk('ldk', 'alice', { format, ...OPENING });
}

const close = (world: World, link: Link, closer: Side, force: boolean): Promise<void> =>
  closer === 'ours' ? world.nodes.node(link.ours).closeChannel(link.stream, { force }) : world.closeByLdk(link, { force });

// ---- payments that wait

/** Ours wait at LDK; LDK's have crossed our channel to dora, and wait there. */
async function holdPayments(world: World, link: Link): Promise<readonly Held[]> {
  const held = await Promise.all((['ours', 'theirs'] as const).flatMap((from) => PAYMENTS.map(async ({ amount, end, final_cltv }): Promise<Held> => {
    const at = from === 'ours' ? link.theirs : 'dora';
    const bolt11 = await world.ldk(at).heldInvoice(amount, final_cltv);
    return { bolt11, payment_hash: decodeInvoice(bolt11, { networks: CURRENCIES }).payment_hash, from, at, end };
  })));
  for (const { bolt11, from } of held) {
    if (from === 'theirs') await world.ldk(link.theirs).begin(bolt11);
    // A node that is restarted forgets who asked; its log knows how the payment ended.
    else void world.nodes.node(link.ours).pay({ bolt11 }).catch(() => undefined);
  }
  await until('payments that wait', async () => {
    const arrived = new Set((await Promise.all(['ldk', 'dora'].map((name) => world.ldk(name).held()))).flat());
    const { htlcs, remote } = world.established(link).commitments;
    const moving = remote.awaiting_revocation || htlcs.length !== held.length || htlcs.some(({ state }) => !state.endsWith('ADD_ACK_REVOCATION'));
    const missing = held.filter(({ payment_hash }) => !arrived.has(payment_hash)).map(({ from, payment_hash }) => `${payment_hash} of ${from}`);
    return moving ? [...missing, `${htlcs.length} HTLCs on their way`] : missing;
  });
  return held;
}

async function releaseAll(world: World, held: readonly Held[]): Promise<void> {
  for (const { at, bolt11, end } of held) await world.ldk(at).release(bolt11, end);
}

const otherSide = (side: Side): Side => (side === 'ours' ? 'theirs' : 'ours');
const winnersOf = (held: readonly Held[]): Winners => new Map(held.map(({ payment_hash, from, end }) => [payment_hash, end === 'claim' ? otherSide(from) : from]));

/** The payer's own books say of each payment what was meant to become of it. */
async function paymentsEnded(world: World, link: Link, held: readonly Held[]): Promise<void> {
  await until('the end of each payment', async () => {
    const ends = { ours: await world.ends(link.ours), theirs: await world.ldk(link.theirs).ends() };
    return held.flatMap(({ payment_hash, from, end }) => {
      const [expected, got] = [end === 'claim' ? 'sent' : 'failed', ends[from].get(payment_hash)];
      return got === expected ? [] : [`a payment of ${from} is ${got}, expected ${expected}`];
    });
  });
}

// ---- restarts

interface Restarts {
  one(): Promise<string>;
  /** Called with the blocks so far: each side restarts once, at moments that the dice chose. */
  at(mined: number): Promise<void>;
  tale(): string;
}

function restartsOf(world: World, link: Link, dice: Dice): Restarts {
  const moments = { us: dice.pick([1, 2, 3, 5, 8, 40, 100]), LDK: dice.pick([1, 2, 4, 6, 8, 40, 100]) };
  const done: string[] = [];
  const restart = (who: string) => (who === 'us' ? world.restartOurs(link.ours, [link.theirs, 'dora']) : world.restartLdk(link));
  return {
    async one() {
      const who = dice.coin() ? 'us' : 'LDK';
      await restart(who);
      return who === 'us' ? 'we' : who;
    },
    async at(mined) {
      for (const [who, moment] of Object.entries(moments)) {
        if (mined < moment || done.some((each) => each.startsWith(who))) continue;
        done.push(`${who} after ${mined} blocks`);
        await restart(who);
      }
    },
    tale: () => `restarts: ${done.join(', ')}`,
  };
}

