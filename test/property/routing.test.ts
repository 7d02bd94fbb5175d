/** Every route found is one that each hop on it would forward, to the msat and the block; and none found is cheaper. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideRelay } from '../../src/domain/relay/decide.ts';
import { addChannel, createGraph, setPolicy, type EdgePolicy, type RoutingGraph } from '../../src/domain/routing/graph.ts';
import { findRoute, MAX_HOPS, type FirstHop, type Route } from '../../src/domain/routing/dijkstra.ts';
import { sat, type NodeId } from '../../src/bolt/primitives.ts';
import { runs } from '../support/property.ts';
import { amount, hash, nodeOf, scid } from '../support/words.ts';

const HEIGHT = 800_000;
const NODES = Array.from({ length: 8 }, (_, n) => nodeOf(`node ${n}`)).sort();
const [US, ...OTHERS] = NODES as [NodeId, ...NodeId[]];

const policy: fc.Arbitrary<EdgePolicy> = fc.record({
  fee_base_msat: fc.oneof(fc.nat(2_000), fc.constant(0), fc.nat(0xffffffff)),
  fee_proportional_millionths: fc.oneof(fc.nat(5_000), fc.constant(0), fc.nat(1_000_000)),
  cltv_expiry_delta: fc.integer({ min: 1, max: 200 }),
  htlc_minimum_msat: fc.oneof(fc.constant(0), fc.nat(100_000)),
  htlc_maximum_msat: fc.oneof(fc.constant(10_000_000_000), fc.nat(1_000_000)),
  disabled: fc.boolean(),
  timestamp: fc.constant(1),
});
const edge = fc.record({ from: fc.nat(NODES.length - 1), to: fc.nat(NODES.length - 1), policies: fc.tuple(policy, policy), capacity: fc.option(fc.integer({ min: 1, max: 10_000_000 }), { nil: undefined }) });
const network = fc.record({
  edges: fc.array(edge, { minLength: 1, maxLength: 30 }),
  peers: fc.array(fc.record({ peer: fc.nat(OTHERS.length - 1), available: fc.integer({ min: 1, max: 100_000_000 }) }), { minLength: 1, maxLength: 4 }),
  destination: fc.nat(OTHERS.length - 1),
  value: fc.oneof(fc.integer({ min: 1, max: 2_000_000 }), fc.integer({ min: 1, max: 5_000_000_000 })),
  fee_limit: fc.oneof(fc.constant(10_000_000_000), fc.nat(50_000)),
});
type Network = typeof network extends fc.Arbitrary<infer T> ? T : never;

function build({ edges, peers }: Network): { readonly graph: RoutingGraph; readonly firstHops: readonly FirstHop[] } {
  const graph = createGraph();
  edges.forEach(({ from, to, policies, capacity }, n) => {
    if (from === to) return;
    const [node_id_1, node_id_2] = [NODES[Math.min(from, to)]!, NODES[Math.max(from, to)]!];
    const short_channel_id = scid(`100x${n}x0`);
    addChannel(graph, { short_channel_id, node_id_1, node_id_2, ...(capacity === undefined ? {} : { capacity: sat(capacity) }) });
    setPolicy(graph, short_channel_id, 0, policies[0]);
    setPolicy(graph, short_channel_id, 1, policies[1]);
  });
  const firstHops = peers.map(({ peer, available }, n) => ({ channel: `channel-${n}`, short_channel_id: scid(`200x${n}x0`), peer: OTHERS[peer]!, available_msat: amount(available) }));
  return { graph, firstHops };
}

function route(net: Network): { readonly found: Route | undefined; readonly graph: RoutingGraph; readonly firstHops: readonly FirstHop[] } {
  const { graph, firstHops } = build(net);
  const found = findRoute(graph, {
    source: US,
    destination: OTHERS[net.destination]!,
    amount_msat: amount(net.value),
    final_cltv_expiry: HEIGHT + 18,
    fee_limit_msat: amount(net.fee_limit),
    firstHops,
  });
  return { found, graph, firstHops };
}

/** What the node between hop `index` and the next one is asked to forward, and what it answers. */
function forwardAt({ hops }: Route, index: number, graph: RoutingGraph) {
  const [arrives, leaves] = [hops[index]!, hops[index + 1]!];
  const channel = graph.channels.get(leaves.short_channel_id)!;
  const direction = graph.nodes[channel.node_1] === arrives.node_id ? 0 : 1;
  const asked = channel.policies[direction]!;
  return {
    asked,
    leaves,
    decision: decideRelay(
      {
        type: 'StartRelay',
        payment_hash: hash('x'),
        incoming: { channel: 'in', htlc_id: 0n, amount_msat: arrives.amount_msat, cltv_expiry: arrives.cltv_expiry },
        request: { short_channel_id: leaves.short_channel_id, amt_to_forward: leaves.amount_msat, outgoing_cltv_value: leaves.cltv_expiry, next_onion_hash: hash('y') },
        outgoing: { channel: 'out', usable: true },
        policy: { ...asked, htlc_minimum_msat: amount(asked.htlc_minimum_msat) },
        height: HEIGHT,
      },
      { phase: 'none' },
    ),
  };
}

describe('a route', () => {
  it('is one that every hop forwards, and not a msat or a block too much', () => {
    fc.assert(
      fc.property(network, (net) => {
        const { found, graph, firstHops } = route(net);
        fc.pre(found !== undefined);
        const { hops, fee_msat, channel } = found;
        expect(hops.at(-1)).toMatchObject({ node_id: OTHERS[net.destination], amount_msat: BigInt(net.value), cltv_expiry: HEIGHT + 18 });
        expect(hops.length).toBeLessThanOrEqual(MAX_HOPS);
        expect(fee_msat).toBe(hops[0]!.amount_msat - BigInt(net.value));
        expect(fee_msat).toBeLessThanOrEqual(BigInt(net.fee_limit));
        const own = firstHops.find((hop) => hop.channel === channel)!;
        expect(own).toMatchObject({ short_channel_id: hops[0]!.short_channel_id, peer: hops[0]!.node_id });
        expect(own.available_msat).toBeGreaterThanOrEqual(hops[0]!.amount_msat);
        for (let index = 0; index + 1 < hops.length; index++) {
          const { asked, leaves, decision } = forwardAt(found, index, graph);
          expect(decision).toMatchObject({ accepted: [{ type: 'RelayStarted' }] });
          expect(asked.disabled).toBe(false);
          expect(leaves.amount_msat).toBeLessThanOrEqual(BigInt(asked.htlc_maximum_msat));
          // One msat less, or one block less, and the hop would refuse.
          const started = (decision as { accepted: readonly { fee_msat: bigint }[] }).accepted[0]!;
          const fee = BigInt(asked.fee_base_msat) + (leaves.amount_msat * BigInt(asked.fee_proportional_millionths)) / 1_000_000n;
          expect(started.fee_msat).toBe(fee);
          expect(hops[index]!.cltv_expiry).toBe(leaves.cltv_expiry + asked.cltv_expiry_delta);
        }
        expect(new Set(hops.map((hop) => hop.node_id)).size).toBe(hops.length);
      }),
      { numRuns: runs(1_000) },
    );
  });

  it('is found whenever one of two hops exists, and costs no more than that', () => {
    fc.assert(
      fc.property(network, (net) => {
        const { found, graph, firstHops } = route(net);
        for (const fee of twoHopFees(net, graph, firstHops)) {
          expect(found).toBeDefined();
          // The lock of the money has a small price too: of routes within a thousandth of the amount either may win.
          expect(Number(found!.fee_msat)).toBeLessThanOrEqual(fee + Math.ceil(net.value / 1_000));
        }
      }),
      { numRuns: runs(1_000) },
    );
  });

  it('is the same for the same graph', () => {
    fc.assert(
      fc.property(network, (net) => {
        expect(route(net).found).toEqual(route(net).found);
      }),
      { numRuns: runs(200) },
    );
  });
});

/** By brute force: what the ways over one relay cost. */
function twoHopFees(net: Network, graph: RoutingGraph, firstHops: readonly FirstHop[]): readonly number[] {
  const destination = OTHERS[net.destination]!;
  return firstHops.flatMap((own) =>
    [...graph.channels.values()].flatMap((channel) => {
      const [one, two] = [graph.nodes[channel.node_1]!, graph.nodes[channel.node_2]!];
      const policy = one === own.peer && two === destination ? channel.policies[0] : two === own.peer && one === destination ? channel.policies[1] : undefined;
      if (policy === undefined || own.peer === destination || policy.disabled) return [];
      if (net.value < policy.htlc_minimum_msat || net.value > policy.htlc_maximum_msat || net.value > channel.capacity_msat) return [];
      const fee = Number(BigInt(policy.fee_base_msat) + (BigInt(net.value) * BigInt(policy.fee_proportional_millionths)) / 1_000_000n);
      return fee <= net.fee_limit && own.available_msat >= net.value + fee ? [fee] : [];
    }),
  );
}
