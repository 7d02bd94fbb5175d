/** BOLT 7, "Recommendations for Routing": the cheapest path, its fees and its limits. */
import { describe, expect, it } from 'vitest';
import { addChannel, applyGossip, createGraph, removeChannel, setPolicy, type EdgePolicy, type RoutingGraph } from '../../src/domain/routing/graph.ts';
import { findRoute, MAX_HOPS, type FirstHop, type RouteRequest } from '../../src/domain/routing/dijkstra.ts';
import { sat } from '../../src/bolt/primitives.ts';
import example from '../vectors/bolt07-routing-example.json' with { type: 'json' };
import { amount, nodeOf, scid } from '../support/words.ts';

const FREE: EdgePolicy = {
  fee_base_msat: 0,
  fee_proportional_millionths: 0,
  cltv_expiry_delta: 10,
  htlc_minimum_msat: 0,
  htlc_maximum_msat: 10_000_000_000,
  disabled: false,
  timestamp: 1,
};

/** A directed edge with a policy; the other direction stays silent unless it is given too. */
function edge(graph: RoutingGraph, id: string, from: string, to: string, policy: Partial<EdgePolicy> = {}, capacity?: bigint): void {
  const [node_id_1, node_id_2] = [nodeOf(from), nodeOf(to)].sort() as [ReturnType<typeof nodeOf>, ReturnType<typeof nodeOf>];
  addChannel(graph, { short_channel_id: scid(id), node_id_1, node_id_2, ...(capacity === undefined ? {} : { capacity: sat(capacity) }) });
  setPolicy(graph, scid(id), nodeOf(from) === node_id_1 ? 0 : 1, { ...FREE, ...policy });
}

const first = (id: string, peer: string, available = 10_000_000_000n): FirstHop => ({
  channel: `channel-${peer}`,
  short_channel_id: scid(id),
  peer: nodeOf(peer),
  available_msat: amount(available),
});

const request = (from: string, to: string, value: number | bigint, firstHops: readonly FirstHop[], more: Partial<RouteRequest> = {}): RouteRequest => ({
  source: nodeOf(from),
  destination: nodeOf(to),
  amount_msat: amount(value),
  final_cltv_expiry: 100,
  fee_limit_msat: amount(1_000_000_000),
  firstHops,
  ...more,
});

describe('BOLT 7, Routing Example', () => {
  const ids: Record<string, string> = { AB: '1x1x0', AD: '1x2x0', BC: '1x3x0', CD: '1x4x0' };
  const idOf = (a: string, b: string): string => ids[[a, b].sort().join('')]!;
  const graph = createGraph();
  for (const { from, to, ...policy } of example.channel_updates) edge(graph, idOf(from, to), from, to, policy);

  it.each(example.routes)('$name: $first_htlc_amount_msat msat go out', ({ route, amount_msat_to_receive, first_htlc_amount_msat, first_htlc_cltv_delta, fee_msat }) => {
    const [from, next] = route as [string, string];
    const others = ['A', 'B', 'C', 'D'].filter((name) => !route.includes(name)).map(nodeOf);
    const found = findRoute(
      graph,
      request(from, 'C', amount_msat_to_receive, [first(idOf(from, next), next)], {
        final_cltv_expiry: example.min_final_cltv_expiry_delta + example.shadow_route_cltv,
        excluded: { channels: new Set(), nodes: new Set(others) },
      }),
    )!;
    expect(found.hops.map((hop) => hop.node_id)).toEqual(route.slice(1).map(nodeOf));
    expect(found.hops[0]!.amount_msat).toBe(BigInt(first_htlc_amount_msat));
    expect(found.hops[0]!.cltv_expiry).toBe(first_htlc_cltv_delta);
    expect(found.fee_msat).toBe(BigInt(fee_msat));
    expect(found.hops.at(-1)!.amount_msat).toBe(BigInt(amount_msat_to_receive));
  });

  it('takes the cheaper of the two ways', () => {
    const found = findRoute(graph, request('A', 'C', 4_999_999, [first(idOf('A', 'B'), 'B'), first(idOf('A', 'D'), 'D')]))!;
    expect(found.hops.map((hop) => hop.node_id)).toEqual([nodeOf('B'), nodeOf('C')]);
    expect(found.channel).toBe('channel-B');
  });
});

describe('a route to a peer', () => {
  it('is one hop, free, through the channel with the most room', () => {
    const found = findRoute(createGraph(), request('us', 'peer', 5_000, [first('1x1x0', 'peer', 4_999n), first('1x2x0', 'peer', 6_000n), first('1x3x0', 'peer', 9_000n)]))!;
    expect(found).toEqual({ channel: 'channel-peer', fee_msat: 0n, hops: [{ short_channel_id: '1x3x0', node_id: nodeOf('peer'), amount_msat: 5_000n, cltv_expiry: 100 }] });
  });

  it('does not exist without room', () => {
    expect(findRoute(createGraph(), request('us', 'peer', 5_000, [first('1x1x0', 'peer', 4_999n)]))).toBeUndefined();
  });
});

describe('what an edge does not admit', () => {
  const attempt = (policy: Partial<EdgePolicy>, value: number, capacity?: bigint, more: Partial<RouteRequest> = {}) => {
    const graph = createGraph();
    edge(graph, '2x1x0', 'hub', 'payee', policy, capacity);
    return findRoute(graph, request('us', 'payee', value, [first('1x1x0', 'hub')], more));
  };

  it.each([
    ['less than htlc_minimum_msat', { htlc_minimum_msat: 1_001 }, 1_000, undefined],
    ['more than htlc_maximum_msat', { htlc_maximum_msat: 999 }, 1_000, undefined],
    ['more than the channel holds', {}, 1_000_001, 1_000n],
    ['anything while disabled', { disabled: true }, 1_000, undefined],
  ])('%s', (_, policy, value, capacity) => {
    expect(attempt(policy, value, capacity)).toBeUndefined();
  });

  it('the limits themselves are admitted', () => {
    expect(attempt({ htlc_minimum_msat: 1_000, htlc_maximum_msat: 1_000 }, 1_000, 1n)).toBeDefined();
  });

  it('a fee above the limit, to the msat', () => {
    expect(attempt({ fee_base_msat: 101 }, 1_000, undefined, { fee_limit_msat: amount(100) })).toBeUndefined();
    expect(attempt({ fee_base_msat: 100 }, 1_000, undefined, { fee_limit_msat: amount(100) })?.fee_msat).toBe(100n);
  });

  it('a longer lock than 2016 blocks', () => {
    expect(attempt({ cltv_expiry_delta: 2_017 }, 1_000)).toBeUndefined();
    expect(attempt({ cltv_expiry_delta: 2_016 }, 1_000)).toBeDefined();
  });

  it('what earlier attempts have shown not to work', () => {
    const excluding = (channels: string[], nodes: string[]) => ({ excluded: { channels: new Set(channels.map(scid)), nodes: new Set(nodes.map(nodeOf)) } });
    expect(attempt({}, 1_000, undefined, excluding(['2x1x0'], []))).toBeUndefined();
    expect(attempt({}, 1_000, undefined, excluding(['1x1x0'], []))).toBeUndefined();
    expect(attempt({}, 1_000, undefined, excluding([], ['hub']))).toBeUndefined();
    expect(attempt({}, 1_000, undefined, excluding(['7x7x7'], ['other']))).toBeDefined();
  });
});

describe('longer ways', () => {
  /** us - n1 - n2 - ... - payee, `hops` hops in all. */
  function line(hops: number): RoutingGraph {
    const graph = createGraph();
    for (let n = 1; n < hops; n++) edge(graph, `${n + 1}x1x0`, `n${n}`, n === hops - 1 ? 'payee' : `n${n + 1}`, { fee_base_msat: 1 });
    return graph;
  }

  it(`have at most ${MAX_HOPS} hops`, () => {
    expect(findRoute(line(20), request('us', 'payee', 1_000, [first('1x1x0', 'n1')]))?.hops).toHaveLength(20);
    expect(findRoute(line(21), request('us', 'payee', 1_000, [first('1x1x0', 'n1')]))).toBeUndefined();
  });

  it('of equal fees the shorter lock wins', () => {
    const graph = createGraph();
    edge(graph, '2x1x0', 'slow', 'payee', { fee_base_msat: 5, cltv_expiry_delta: 144 });
    edge(graph, '2x2x0', 'quick', 'payee', { fee_base_msat: 5, cltv_expiry_delta: 40 });
    const found = findRoute(graph, request('us', 'payee', 100_000_000, [first('1x1x0', 'slow'), first('1x2x0', 'quick')]))!;
    expect(found.hops[0]!.node_id).toBe(nodeOf('quick'));
  });

  it('never lead through ourselves', () => {
    const graph = createGraph();
    edge(graph, '2x1x0', 'peer', 'us', {});
    edge(graph, '1x9x0', 'us', 'payee', {});
    expect(findRoute(graph, request('us', 'payee', 1_000, [first('1x1x0', 'peer')]))).toBeUndefined();
  });

  it('use the hints of an invoice, fees and all', () => {
    const graph = createGraph();
    edge(graph, '2x1x0', 'peer', 'lsp', { fee_base_msat: 7 });
    const hint = { node_id: nodeOf('lsp'), target: nodeOf('phone'), short_channel_id: scid('9x9x9'), fee_base_msat: 100, fee_proportional_millionths: 1_000, cltv_expiry_delta: 80 };
    const found = findRoute(graph, request('us', 'phone', 100_000, [first('1x1x0', 'peer')], { hints: [hint] }))!;
    expect(found.hops.map((hop) => [hop.short_channel_id, hop.amount_msat, hop.cltv_expiry])).toEqual([
      ['1x1x0', 100_207n, 190],
      ['2x1x0', 100_200n, 180],
      ['9x9x9', 100_000n, 100],
    ]);
  });
});

describe('the graph', () => {
  it('forgets a closed channel', () => {
    const graph = createGraph();
    edge(graph, '2x1x0', 'hub', 'payee');
    const wish = request('us', 'payee', 1_000, [first('1x1x0', 'hub')]);
    expect(findRoute(graph, wish)).toBeDefined();
    applyGossip(graph, { type: 'AnnouncedChannelClosed', short_channel_id: scid('2x1x0'), block_height: 7 });
    expect(findRoute(graph, wish)).toBeUndefined();
    removeChannel(graph, scid('2x1x0'));
    expect(graph.channels.size).toBe(0);
  });

  it('keeps a channel that is announced twice once', () => {
    const graph = createGraph();
    edge(graph, '2x1x0', 'hub', 'payee');
    edge(graph, '2x1x0', 'hub', 'payee');
    expect(graph.channelsOf.map((channels) => channels.length)).toEqual([1, 1]);
  });

  it('takes amounts past 2^53 for no limit', () => {
    const graph = createGraph();
    addChannel(graph, { short_channel_id: scid('2x1x0'), node_id_1: nodeOf('hub'), node_id_2: nodeOf('payee') });
    const update = { type: 'ChannelUpdated', short_channel_id: scid('2x1x0'), channel_flags: 0, timestamp: 1, cltv_expiry_delta: 1 } as const;
    applyGossip(graph, { ...update, htlc_minimum_msat: amount(0), htlc_maximum_msat: amount(2n ** 64n - 1n), fee_base_msat: 0, fee_proportional_millionths: 0, raw: '' });
    expect(graph.channels.get(scid('2x1x0'))!.policies[0]!.htlc_maximum_msat).toBe(Number.MAX_SAFE_INTEGER);
  });
});
