/** Channels that are not announced (BOLT 2, scid_alias; BOLT 7, dont_forward; BOLT 11, r): payers find them by invoices, by names that say nothing of the chain. */
import { afterEach, describe, expect, it } from 'vitest';
import { createRegtestChain, type RegtestChain } from '../../src/adapters/chain/regtest.ts';
import { MESSAGE_FLAG } from '../../src/bolt/07-routing-gossip/announcements.ts';
import { decodeInvoice } from '../../src/bolt/11-payment-encoding/invoice.ts';
import { encodeMessage, type MessageOf } from '../../src/bolt/messages.ts';
import { msat, sat, shortChannelIdToBigint, type Msat, type ShortChannelId } from '../../src/bolt/primitives.ts';
import { isEstablished, type EstablishedState } from '../../src/domain/channel/state.ts';
import { audited, commonFeatures, Wire, Wired, type WiredOptions } from '../support/wired-nodes.ts';

let ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
});

interface Village {
  readonly chain: RegtestChain;
  readonly alice: Wired;
  readonly bob: Wired;
  readonly carol: Wired;
  readonly [wire: `${string}Wire`]: Wire;
  settle(): Promise<void>;
  mine(blocks: number): Promise<void>;
}

/** alice - bob is for all the world; bob - carol for the two alone. */
async function village(options: { carol?: WiredOptions } = {}) {
  const chain = createRegtestChain();
  const [alice, bob, carol] = await Promise.all([new Wired('alice', chain).start(), new Wired('bob', chain).start(), new Wired('carol', chain, options.carol).start()]);
  ends.push(() => chain.close(), ...[alice, bob, carol].map((node) => () => node.stop()));
  await alice.fund();
  await bob.fund();
  const [westWire, eastWire] = [new Wire(alice, bob).connect(), new Wire(bob, carol).connect()];
  const settle = async () => {
    for (let rest = 0; rest < 2; ) {
      await westWire.settle();
      await eastWire.settle();
      rest = westWire.next === undefined && eastWire.next === undefined ? rest + 1 : 0;
    }
  };
  const mine = async (blocks: number) => {
    for (let block = 0; block < blocks; block++) {
      chain.mineBlocks(1);
      await chain.settled();
      await settle();
    }
  };
  await alice.node.openChannel({ peer_id: bob.node.node_id, funding_satoshis: sat(500_000) });
  await settle();
  return { chain, alice, bob, carol, westWire, eastWire, settle, mine } satisfies Village;
}

const channelWith = ({ node }: Wired, peer: Wired): EstablishedState => {
  const found = node.channels().map(({ state }) => state).find((state) => isEstablished(state) && state.terms.peer_id === peer.node.node_id);
  return found as EstablishedState;
};

const openPrivate = ({ bob, carol }: Pick<Village, 'bob' | 'carol'>, change: { zero_conf?: boolean } = {}) =>
  bob.node.openChannel({ peer_id: carol.node.node_id, funding_satoshis: sat(400_000), push_msat: msat(50_000_000), announce: false, ...change });

async function invoiceOf(node: Wired, amount_msat: Msat | undefined = msat(10_000_000)) {
  const made = await node.node.createInvoice({ amount_msat, description: 'bread' });
  if (made.status !== 'created') throw new Error(made.refusal.code);
  return { bolt11: made.bolt11, hints: decodeInvoice(made.bolt11, { networks: ['bcrt'] }).routing_hints };
}

async function paid({ settle }: Pick<Village, 'settle'>, payer: Wired, bolt11: string) {
  const under = { way: true };
  const result = payer.node.pay({ bolt11 }).finally(() => (under.way = false));
  while (under.way) await settle();
  return result;
}

/** Where the name stands in the bytes of any message, gossip or not. */
const saysName = (wire: Wire, name: ShortChannelId): readonly string[] => {
  const wanted = shortChannelIdToBigint(name).toString(16).padStart(16, '0');
  return wire.messages.filter((message) => Buffer.from(encodeMessage(message)).toString('hex').includes(wanted)).map(({ type }) => type);
};

describe('a private channel', () => {
  it('hides behind aliases where both can do that; its place on chain is told to nobody, and the invoice tells the way', async () => {
    const world = await village();
    const { alice, bob, carol, westWire, eastWire } = world;
    await openPrivate(world);
    await world.mine(8);
    const [atBob, atCarol] = [channelWith(bob, carol), channelWith(carol, bob)];
    expect(atCarol.terms).toMatchObject({ announce: false, scid_alias: true, zero_conf: false });
    expect(atBob.ready.local_aliases).toEqual(atCarol.ready.remote_aliases);
    expect(atBob.ready.local_aliases).toHaveLength(1);
    const { bolt11, hints } = await invoiceOf(carol);
    const [alias] = atBob.ready.local_aliases;
    expect(hints).toEqual([[{ node_id: bob.node.node_id, short_channel_id: alias, fee_base_msat: 1_000, fee_proportional_millionths: 100, cltv_expiry_delta: 40 }]]);
    expect(await paid(world, alice, bolt11)).toMatchObject({ status: 'succeeded', amount_msat: 10_000_000n, fee_msat: 2_000n });

    const place = atBob.funding.confirmed!.short_channel_id;
    expect(place).not.toBe(alias);
    expect(saysName(westWire, place)).toEqual([]);
    expect(saysName(eastWire, place)).toEqual([]);
    expect(alice.node.graph().channels.has(place) || alice.node.graph().channels.has(alias!)).toBe(false);
  });

  it('is not found by its place on chain: a forward that names it is turned down', async () => {
    const world = await village();
    const { alice, bob, carol } = world;
    await openPrivate(world);
    await world.mine(8);
    const place = channelWith(bob, carol).funding.confirmed!.short_channel_id;
    const hint = { node_id: bob.node.node_id, short_channel_id: place, fee_base_msat: 1_000, fee_proportional_millionths: 100, cltv_expiry_delta: 40 };
    const made = await carol.node.createInvoice({ amount_msat: msat(10_000_000), description: 'bread', routing_hints: [[hint]] });
    const result = await paid(world, alice, (made as { bolt11: string }).bolt11);
    expect(result).toMatchObject({ status: 'failed' });
    const failed = (await alice.events()).find(({ type }) => type === 'AttemptFailed' || type === 'PaymentFailed');
    expect(JSON.stringify(failed)).toContain('unknown_next_peer');
  });

  it('with a peer that knows no aliases in its type is private all the same, and found by either name', async () => {
    const world = await village();
    const { alice, bob, carol, eastWire } = world;
    await eastWire.cut();
    eastWire.connect(new Set([...commonFeatures].filter((name) => name !== 'option_scid_alias' && name !== 'option_zeroconf')));
    await openPrivate(world);
    await world.mine(8);
    expect(channelWith(carol, bob).terms).toMatchObject({ announce: false, scid_alias: false });
    const { bolt11 } = await invoiceOf(carol);
    expect(await paid(world, alice, bolt11)).toMatchObject({ status: 'succeeded' });
    const place = channelWith(bob, carol).funding.confirmed!.short_channel_id;
    const hint = { node_id: bob.node.node_id, short_channel_id: place, fee_base_msat: 1_000, fee_proportional_millionths: 100, cltv_expiry_delta: 40 };
    const made = await carol.node.createInvoice({ amount_msat: msat(10_000_000), description: 'bread', routing_hints: [[hint]] });
    expect(await paid(world, alice, (made as { bolt11: string }).bolt11)).toMatchObject({ status: 'succeeded' });
  });

  it('is told of in channel_update to its peer alone, by the peer\'s alias and not to be forwarded, again on each connection', async () => {
    const world = await village();
    const { bob, carol, westWire, eastWire } = world;
    await openPrivate(world);
    await world.mine(8);
    const aliases = [...channelWith(bob, carol).ready.local_aliases, ...channelWith(carol, bob).ready.local_aliases];
    const updates = () => eastWire.messages.filter((message): message is MessageOf<'channel_update'> => message.type === 'channel_update' && aliases.includes(message.short_channel_id));
    expect(updates()).toHaveLength(2);
    for (const { message_flags } of updates()) expect(message_flags & MESSAGE_FLAG.dont_forward).toBe(MESSAGE_FLAG.dont_forward);
    for (const alias of aliases) expect(saysName(westWire, alias)).toEqual([]);
    await carol.restart();
    await eastWire.cut();
    eastWire.connect();
    await world.settle();
    expect(updates()).toHaveLength(4);
    expect((await invoiceOf(carol)).hints).toHaveLength(1);
  });

  it('is left out of an invoice that it cannot take, and of those that a public channel can', async () => {
    const world = await village();
    const { bob, carol } = world;
    await openPrivate(world);
    await world.mine(8);
    expect((await invoiceOf(carol, msat(300_000_000))).hints).toHaveLength(1);
    expect((await invoiceOf(carol, msat(399_000_000))).hints).toEqual([]);
    expect((await invoiceOf(carol, undefined)).hints).toHaveLength(1);
    await bob.node.openChannel({ peer_id: carol.node.node_id, funding_satoshis: sat(200_000) });
    await world.settle();
    await world.mine(8);
    expect((await invoiceOf(carol, msat(100_000_000))).hints).toEqual([]);
    expect((await invoiceOf(carol, msat(300_000_000))).hints).toHaveLength(1);
  });
});

describe('a channel that a trusted peer opens to be used at once', () => {
  it('takes payments before its funding is in a block, by its alias, and goes on under its own name', async () => {
    const bobsId = await idOf('bob');
    const world = await village({ carol: { trusted_peers: [bobsId] } });
    const { alice, bob, carol } = world;
    await world.mine(8);
    await openPrivate(world, { zero_conf: true });
    await world.settle();
    expect(carol.node.channels()).toMatchObject([{ usable: true }]);
    expect(channelWith(carol, bob).funding.confirmed).toBeUndefined();
    expect(world.chain.mempool()).toHaveLength(1);
    const first = await invoiceOf(carol);
    expect(first.hints[0]?.[0]?.short_channel_id).toBe(channelWith(bob, carol).ready.local_aliases[0]);
    expect(await paid(world, alice, first.bolt11)).toMatchObject({ status: 'succeeded' });
    // carol pays back over it, too, before any block.
    expect(await paid(world, carol, (await invoiceOf(bob, msat(1_000_000))).bolt11)).toMatchObject({ status: 'succeeded' });

    await world.mine(3);
    expect(channelWith(carol, bob).funding.confirmed).toBeDefined();
    expect(await paid(world, alice, (await invoiceOf(carol)).bolt11)).toMatchObject({ status: 'succeeded' });
    await carol.restart();
    await world.eastWire.cut();
    world.eastWire.connect();
    await world.settle();
    expect(await paid(world, alice, (await invoiceOf(carol)).bolt11)).toMatchObject({ status: 'succeeded' });
    await world.settle();
    await audited(alice, bob, carol);
  });

  it('is turned down by one that does not trust, and the opener has its coins back', async () => {
    const world = await village();
    const { bob } = world;
    await openPrivate(world, { zero_conf: true });
    await world.settle();
    expect(bob.node.channels().map(({ state }) => state).find(({ phase }) => phase === 'abandoned')).toMatchObject({ code: 'error_from_peer', reason: expect.stringContaining('zero_conf_needs_trust') as string });
    expect(await bob.node.wallet.balance()).toMatchObject({ reserved_sat: 0n });
  });

  it('is refused to the user where the peer knows no such channels', async () => {
    const world = await village();
    await world.eastWire.cut();
    world.eastWire.connect(new Set());
    await expect(openPrivate(world, { zero_conf: true })).rejects.toMatchObject({ code: 'peer_cannot_zero_conf' });
  });
});

async function idOf(name: string) {
  const chain = createRegtestChain({ initial_blocks: 1 });
  const wired = await new Wired(name, chain).start();
  const { node_id } = wired.node;
  await wired.stop();
  await chain.close();
  return node_id;
}
