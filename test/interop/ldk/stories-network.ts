/** Three nodes in a line: LDK relays for us, we relay for LDK, each for its fee; and who is blamed when it goes wrong. */
import { type Msat, msat, sat, type ShortChannelId } from '../../../src/bolt/primitives.ts';
import type { PaymentResult } from '../../../src/commands/pay.ts';
import { DEFAULT_FORWARDING } from '../../../src/main.ts';
import { until } from '../../../src/playground/waiting.ts';
import type { LdkPayments } from './ldk-process.ts';
import { balancesOf, describe, inSat, type Story, type Tale } from './story.ts';
import { type Format, type Link, mustBe, type World } from './world.ts';

/** LDK's default: 1,000 msat, and nothing for the amount. */
const LDK_FEE = 1000n;
const AMOUNT = msat(50_000_000);
const ourFee = (amount: Msat): bigint => BigInt(DEFAULT_FORWARDING.fee_base_msat) + (amount * BigInt(DEFAULT_FORWARDING.fee_proportional_millionths)) / 1_000_000n;

/** alice - ldk - carol, and ldk - alice - dora: ldk and dora are LDK's. */
export function networkStories(format: Format): readonly Story[] {
  const links: Partial<Record<'alice' | 'carol' | 'dora', Link>> = {};
  const opening = { format, funding_satoshis: sat(5_000_000) };
  const story = (name: string, tell: Story['tell']): Story => ({ name: `${name} (${format})`, tell });
  const tale = (world: World): Promise<Tale> => Promise.all(Object.values(links).map((link) => balancesOf(world, link)));
  return [
    story('channels in a line are announced, and everybody hears of them', async (world) => {
      await world.connect('carol', 'ldk');
      await world.connect('alice', 'dora');
      links.alice = await world.openFromUs('alice', 'ldk', { ...opening, push_msat: msat(2_000_000_000) });
      // Neither ldk nor alice has anything yet in the channels onward.
      links.carol = await world.openFromUs('carol', 'ldk', opening);
      links.dora = await world.openFromLdk('dora', 'alice', opening);
      await heardOf(world, Object.values(links));
      return tale(world);
    }),
    story('a payment us -> LDK -> us fails at LDK, which has no money for it: LDK is blamed', async (world) => {
      blame(await payUs(world, 'alice', 'carol', AMOUNT), 'temporary_channel_failure', await nodeOf(world, 'ldk'));
      return tale(world);
    }),
    story('a payment LDK -> us -> LDK fails at us, who have no money for it: our channel is blamed', async (world) => {
      const { failures } = await payLdk(world, 'ldk', 'dora', AMOUNT);
      // By the name in the payee's hint: an alias that we gave it, or the channel's own.
      const names = [await scidOf(world, links.dora!), ...world.established(links.dora!).ready.local_aliases];
      mustBe('LDK blames our channel', true, names.includes(failures[0]?.short_channel_id as ShortChannelId));
      mustBe('for ever', false, failures[0]?.permanent);
      return tale(world);
    }),
    story('payments us -> LDK -> us, for LDK\'s fee', async (world) => {
      await payLdkDirectly(world, 'carol', 'ldk', msat(1_000_000_000));
      const before = await world.agree(links.carol!);
      const result = succeeded(await payUs(world, 'alice', 'carol', AMOUNT));
      mustBe("LDK's fee", LDK_FEE, result.fee_msat);
      mustBe("carol's balance", before.ours + AMOUNT, (await world.agree(links.carol!)).ours);
      return [...(await tale(world)), `fee ${inSat(result.fee_msat)} sat`];
    }),
    story('payments LDK -> us -> LDK, for our fee', async (world) => {
      await payFromDora(world, msat(1_000_000_000));
      const before = await world.agree(links.dora!);
      const { fees_msat, failures } = await payLdk(world, 'ldk', 'dora', AMOUNT);
      if (failures.length > 0) throw new Error(`the payment failed: ${describe(failures)}`);
      mustBe('our fee', ourFee(AMOUNT), fees_msat[0]);
      mustBe("dora's balance", before.theirs + AMOUNT, (await world.agree(links.dora!)).theirs);
      return [...(await tale(world)), `fee ${inSat(fees_msat[0]!)} sat`];
    }),
    story('a payment us -> LDK -> us that the payee refuses: the payee is blamed', async (world) => {
      const bolt11 = await world.invoice('carol', AMOUNT);
      const { failures } = await world.ldk('ldk').payAll([bolt11], 1);
      mustBe('failures of the first who pays it', 0, failures.length);
      blame(await world.nodes.node('alice').pay({ bolt11 }), 'incorrect_or_unknown_payment_details', world.nodes.node('carol').node_id);
      return tale(world);
    }),
    story('a payment LDK -> us -> LDK that the payee refuses: for good, and no channel is blamed', async (world) => {
      const [bolt11] = await world.ldk('dora').invoices(1, AMOUNT);
      await world.ldk('dora').refuse(bolt11!);
      const { failures } = await world.ldk('ldk').payAll([bolt11!], 1);
      mustBe('for ever', true, failures[0]?.permanent);
      mustBe('the blamed channel', undefined, failures[0]?.short_channel_id);
      return tale(world);
    }),
    story('a payment us -> LDK that LDK refuses: LDK is blamed', async (world) => {
      const [bolt11] = await world.ldk('ldk').invoices(1, AMOUNT);
      await world.ldk('ldk').refuse(bolt11!);
      blame(await world.nodes.node('alice').pay({ bolt11: bolt11! }), 'incorrect_or_unknown_payment_details', await nodeOf(world, 'ldk'));
      return tale(world);
    }),
    story('the line is taken down again', async (world) => {
      for (const link of Object.values(links)) await world.nodes.node(link.ours).closeChannel(link.stream);
      await until('closing transactions', async () => (await Promise.all(Object.values(links).map((link) => world.isSpent(link)))).filter((spent) => !spent).map(() => 'a channel'));
      await world.mine(8);
      for (const link of Object.values(links)) mustBe(`${link.stream}`, 'closed', world.state(link).phase);
      return [];
    }),
  ];
}

const nodeOf = async (world: World, name: string): Promise<string> => (await world.ldk(name).about()).node_id;
const scidOf = async (world: World, link: Link): Promise<ShortChannelId> => (await world.ldkChannel(link))!.short_channel_id!;

/** Every node has all channels, with the terms of both ends. */
async function heardOf(world: World, links: readonly Link[]): Promise<void> {
  const scids = await Promise.all(links.map((link) => scidOf(world, link)));
  await until('the channels in every graph', async () => {
    const ours = world.ours.map((name) => {
      const known = [...world.nodes.node(name).graph().channels.values()].filter(({ policies }) => policies.every((policy) => policy !== undefined));
      return { name, known: known.map(({ short_channel_id }) => short_channel_id) };
    });
    const theirs = await Promise.all(world.theirs.map(async (name) => ({ name, known: await world.ldk(name).edges() })));
    return [...ours, ...theirs].flatMap(({ name, known }) => scids.filter((scid) => !known.includes(scid)).map((scid) => `${name} does not know ${scid}`));
  }, { timeoutMs: 20_000 });
}

const payUs = async (world: World, from: string, to: string, amount: Msat): Promise<PaymentResult> => world.nodes.node(from).pay({ bolt11: await world.invoice(to, amount) });

async function payLdk(world: World, from: string, to: string, amount: Msat): Promise<LdkPayments> {
  return world.ldk(from).payAll(await world.ldk(to).invoices(1, amount), 1);
}

async function payLdkDirectly(world: World, from: string, to: string, amount: Msat): Promise<void> {
  const [bolt11] = await world.ldk(to).invoices(1, amount);
  succeeded(await world.nodes.node(from).pay({ bolt11: bolt11! }));
}

async function payFromDora(world: World, amount: Msat): Promise<void> {
  const { failures } = await world.ldk('dora').payAll([await world.invoice('alice', amount)], 1);
  if (failures.length > 0) throw new Error(`dora's payment failed: ${describe(failures)}`);
}

function succeeded(result: PaymentResult): Extract<PaymentResult, { status: 'succeeded' }> {
  if (result.status !== 'succeeded') throw new Error(`a payment of ours: ${describe(result)}`);
  return result;
}

function blame(result: PaymentResult, failure_name: string, erring_node: string): void {
  if (result.status !== 'failed') throw new Error(`expected a failure, got ${describe(result)}`);
  if (result.failure_name !== failure_name || result.erring_node !== erring_node) throw new Error(`expected ${failure_name} from ${erring_node}, got ${describe(result)}`);
}
