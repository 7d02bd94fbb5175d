/** Channels between us and LDK that nobody else knows: aliases and hints, both ways, and a channel used before its funding is in a block. */
import { CURRENCIES, decodeInvoice } from '../../../src/bolt/11-payment-encoding/invoice.ts';
import { msat, sat, type ShortChannelId } from '../../../src/bolt/primitives.ts';
import { until } from '../../../src/playground/waiting.ts';
import { balancesOf, describe, type Story, type Tale } from './story.ts';
import { type Format, type Link, mustBe, type World } from './world.ts';

const AMOUNT = msat(20_000_000);
const HALF = { funding_satoshis: sat(2_000_000), push_msat: msat(1_000_000_000) };

/** alice - ldk for all, ldk - carol for the two; alice - dora for the two. ldk and dora are LDK's. */
export function privateStories(format: Format): readonly Story[] {
  const story = (name: string, tell: Story['tell']): Story => ({ name: `${name} (${format})`, tell });
  const links: Partial<Record<'alice' | 'carol' | 'dora', Link>> = {};
  const tale = (world: World): Promise<Tale> => Promise.all(Object.values(links).map((link) => balancesOf(world, link)));
  return [
    story('LDK relays to a private channel of ours, by the alias that it gave us', async (world) => {
      await world.connect('carol', 'ldk');
      await world.connect('alice', 'dora');
      links.alice = await world.openFromUs('alice', 'ldk', { format, ...HALF });
      links.carol = await world.openFromUs('carol', 'ldk', { format, ...HALF, announce: false });
      const { terms, ready, funding } = world.established(links.carol);
      mustBe('option_scid_alias', true, terms.scid_alias);
      const bolt11 = await hintedInvoice(() => world.invoice('carol', AMOUNT), ready.remote_aliases);
      mustBe('the hint', false, ready.remote_aliases.includes(funding.confirmed!.short_channel_id));
      const result = await world.nodes.node('alice').pay({ bolt11 });
      mustBe('the payment', 'succeeded', result.status);
      return tale(world);
    }),
    story('LDK pays over us to a private channel of its own, by the alias that we gave it', async (world) => {
      links.dora = await world.openFromUs('alice', 'dora', { format, ...HALF, announce: false });
      const bolt11 = await hintedInvoice(async () => (await world.ldk('dora').invoices(1, AMOUNT))[0]!, world.established(links.dora).ready.local_aliases);
      const { failures } = await world.ldk('ldk').payAll([bolt11], 1);
      if (failures.length > 0) throw new Error(`LDK's payment failed: ${describe(failures)}`);
      return tale(world);
    }),
    story('a channel to LDK is used before its funding is in a block', async (world) => {
      const link = await world.openFromUs('alice', 'ldk', { format, ...HALF, announce: false, zero_conf: true });
      mustBe('its place on chain', undefined, world.established(link).funding.confirmed);
      const [bolt11] = await world.ldk('ldk').invoices(1, AMOUNT);
      mustBe('a payment', 'succeeded', (await world.nodes.node('alice').pay({ bolt11: bolt11! })).status);
      await world.mine(6);
      await until('its place on chain', () => (world.established(link).funding.confirmed === undefined ? ['no place'] : []));
      await world.usable(link);
      const said = await balancesOf(world, link);
      for (const each of [link, ...Object.values(links)]) await world.nodes.node(each.ours).closeChannel(each.stream);
      await until('closing transactions', async () => (await Promise.all([link, ...Object.values(links)].map((each) => world.isSpent(each)))).filter((spent) => !spent).map(() => 'a channel'));
      await world.mine(8);
      return [said];
    }),
  ];
}

/** An invoice, once both ends have told each other their terms: its one hint names the channel by an alias. */
export async function hintedInvoice(make: () => Promise<string>, aliases: readonly ShortChannelId[]): Promise<string> {
  let bolt11 = '';
  await until('a hint in the invoice', async () => {
    bolt11 = await make();
    const hinted = decodeInvoice(bolt11, { networks: CURRENCIES }).routing_hints.flat();
    return hinted.length === 1 && aliases.includes(hinted[0]!.short_channel_id) ? [] : [`${hinted.length} hints`];
  });
  return bolt11;
}
