/** One channel between us and LDK, from its opening to its close: payments, restarts, feerates, and where each sat ends. */
import { msat, sat, type Msat } from '../../../src/bolt/primitives.ts';
import { until } from '../../../src/playground/waiting.ts';
import { booksOfClose, describeClose } from './closing-books.ts';
import { balancesOf, describe, type Story, type Tale } from './story.ts';
import { type Format, type Link, mustBe, type World } from './world.ts';

const FUNDING = sat(10_000_000);
/** Dust on both sides, dust without anchors, and neither. */
const AMOUNTS = [msat(300_000), msat(1_000_000), msat(250_000_000), msat(1_234_567_891)] as const;
/** Of the many: above the dust of either format, or their sum would be held back (BOLT 2, "Bounding exposure"). */
const SMALL = { anchors_zero_fee_htlc_tx: msat(1_000_000), static_remotekey: msat(3_000_000) };

/** Stories of one format, in order: later ones use the channels of earlier ones, and none is left open for the next format. */
export function channelStories(format: Format, { payments = 1000, inFlight = 30 } = {}): readonly Story[] {
  let [byUs, byLdk]: [Link | undefined, Link | undefined] = [undefined, undefined];
  const story = (name: string, tell: Story['tell']): Story => ({ name: `${name} (${format})`, tell });
  return [
    story('we open to LDK and pay its invoices', async (world) => {
      byUs = await world.openFromUs('alice', 'ldk', { format, funding_satoshis: FUNDING });
      for (const amount of AMOUNTS) await payLdk(world, byUs, amount);
      return [await balancesOf(world, byUs)];
    }),
    story(`${payments} payments each way, ${inFlight} in flight`, async (world) => {
      const before = await world.agree(byUs!);
      const started = performance.now();
      await payBothWays(world, byUs!, payments, inFlight, SMALL[format]);
      const seconds = (performance.now() - started) / 1000;
      const after = await world.agree(byUs!);
      mustBe('our balance', before.ours, after.ours);
      return [await balancesOf(world, byUs!), `${2 * payments} payments in ${seconds.toFixed(1)} s`];
    }),
    story('both sides restart in the middle', (world) => restartInTheMiddle(world, byUs!, inFlight, SMALL[format])),
    story('LDK opens to us and pays our invoices', async (world) => {
      byLdk = await world.openFromLdk('ldk', 'alice', { format, funding_satoshis: FUNDING });
      for (const amount of AMOUNTS) await payUs(world, byLdk, amount);
      return [await balancesOf(world, byLdk)];
    }),
    story('update_fee from both openers', async (world) => {
      await changeFeerates(world, byUs!, byLdk!);
      return [await balancesOf(world, byUs!), await balancesOf(world, byLdk!)];
    }),
    story('a mutual close that we begin', async (world) => describeClose(await booksOfClose(world, byUs!, () => world.nodes.node('alice').closeChannel(byUs!.stream)))),
    story('a mutual close that LDK begins', async (world) => describeClose(await booksOfClose(world, byLdk!, () => world.closeByLdk(byLdk!)))),
  ];
}

const payLdk = async (world: World, { ours, theirs }: Link, amount_msat: Msat): Promise<void> => {
  const [bolt11] = await world.ldk(theirs).invoices(1, amount_msat);
  const result = await world.nodes.node(ours).pay({ bolt11: bolt11! });
  mustBe(`our payment of ${amount_msat} msat`, 'succeeded', result.status);
};

const payUs = async (world: World, { ours, theirs }: Link, amount_msat: Msat): Promise<void> => {
  const { failures } = await world.ldk(theirs).payAll([await world.invoice(ours, amount_msat)], 1);
  if (failures.length > 0) throw new Error(`LDK's payment of ${amount_msat} msat failed: ${describe(failures)}`);
};

async function payBothWays(world: World, { ours, theirs }: Link, count: number, inFlight: number, amount: Msat): Promise<void> {
  const fromLdk = await Promise.all(Array.from({ length: count }, () => world.invoice(ours, amount)));
  const fromUs = await world.ldk(theirs).invoices(count, amount);
  const [paid, { failures }] = await Promise.all([world.payAll(ours, fromUs, inFlight), world.ldk(theirs).payAll(fromLdk, inFlight)]);
  const unpaid = paid.filter(({ status }) => status !== 'succeeded');
  if (unpaid.length > 0) throw new Error(`${unpaid.length} of our payments did not succeed, the first: ${describe(unpaid[0])}`);
  if (failures.length > 0) throw new Error(`${failures.length} of LDK's payments failed, the first: ${describe(failures[0])}`);
}

/** LDK is halted and read back from its files, we are killed, both with payments under way; twice. */
async function restartInTheMiddle(world: World, link: Link, inFlight: number, amount: Msat): Promise<Tale> {
  const { ours, theirs } = link;
  const before = { balance: (await world.agree(link)).ours, ...(await world.totals(ours)) };
  for (const commitments of [4n, 9n]) {
    const { number } = world.established(link).commitments.remote;
    const payments = payBothWays(world, link, 10 * inFlight, inFlight, amount).catch(() => undefined);
    await until('payments under way', () => (world.established(link).commitments.remote.number > number + commitments ? [] : ['commitments']), { everyMs: 1 });
    await Promise.all([world.haltLdk(theirs), world.nodes.kill(ours)]);
    await payments;
    await world.startLdk(theirs);
    await world.nodes.start(ours);
    await world.caughtUp();
    await world.connect(ours, theirs);
    await world.usable(link);
    await world.quiet(link);
  }
  const { ours: balance } = await world.agree(link);
  const after = await world.totals(ours);
  mustBe('our balance, by the payments in our log', before.balance - (after.paid_msat - before.paid_msat) + (after.received_msat - before.received_msat), balance);
  const done = [after.payments - before.payments, after.invoices - before.invoices];
  return [await balancesOf(world, link), `${done[0]} payments of ours and ${done[1]} of LDK's went through; no other left its sender, or it came back`];
}

/** No anchor could pay for less: an update_fee below a quarter of today's estimate is refused. LDK keeps to it for later channels. */
const LOW_WITHOUT_ANCHORS = 1_000;

/** Ours rises and falls by our wish; LDK's follows its fee estimator at its next tick. */
async function changeFeerates(world: World, byUs: Link, byLdk: Link): Promise<void> {
  const feerateOf = (link: Link) => world.established(link).commitments.fees.findLast(({ state }) => state.endsWith('ADD_ACK_REVOCATION'))!.feerate_per_kw;
  const reaches = (link: Link, feerate: number) => until(`a feerate of ${feerate}`, () => (feerateOf(link) === feerate ? [] : [`it is ${feerateOf(link)}`]));
  for (const feerate of [2_500, 800]) {
    await world.nodes.node(byUs.ours).setFeerate(byUs.stream, feerate);
    await reaches(byUs, feerate);
    await payUs(world, byUs, msat(1_000_000));
  }
  const last = world.established(byLdk).terms.format === 'static_remotekey' ? LOW_WITHOUT_ANCHORS : feerateOf(byLdk);
  for (const feerate of [3_000, last]) {
    await world.setFeerate(byLdk.theirs, feerate);
    await reaches(byLdk, feerate);
    await payLdk(world, byLdk, msat(1_000_000));
  }
}
