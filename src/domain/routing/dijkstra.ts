/** BOLT 7, "Recommendations for Routing": the cheapest path, searched backwards from the payee, where amounts are known. */
import { msat, type Msat, type NodeId, type ShortChannelId } from '../../bolt/primitives.ts';
import type { RouteHop } from '../../events/payment.ts';
import type { StreamId } from '../../events/store.ts';
import { toNumber, type EdgePolicy, type GraphChannel, type RoutingGraph } from './graph.ts';
import { createHeap } from './heap.ts';

/** More than 20 hops do not fit an onion with room for the payee's part. */
export const MAX_HOPS = 20;
/** No route locks money for longer, blocks: what forwarding nodes take at most (BOLT 4, "max_htlc_cltv Selection"). */
export const MAX_ROUTE_CLTV = 2016;

/** A channel of ours with room to send. */
export interface FirstHop {
  readonly channel: StreamId;
  readonly short_channel_id: ShortChannelId;
  readonly peer: NodeId;
  readonly available_msat: Msat;
}

/** An edge that an invoice tells of (BOLT 11, `r`): from `node_id` over a channel that is not announced. */
export interface HintEdge {
  readonly node_id: NodeId;
  readonly target: NodeId;
  readonly short_channel_id: ShortChannelId;
  readonly fee_base_msat: number;
  readonly fee_proportional_millionths: number;
  readonly cltv_expiry_delta: number;
}

/** What earlier attempts have shown not to work. */
export interface Excluded {
  readonly channels: ReadonlySet<ShortChannelId>;
  readonly nodes: ReadonlySet<NodeId>;
}

export const NOTHING_EXCLUDED: Excluded = { channels: new Set(), nodes: new Set() };

export interface RouteRequest {
  readonly source: NodeId;
  readonly destination: NodeId;
  /** What is to arrive, msat. */
  readonly amount_msat: Msat;
  /** The expiry of the HTLC that arrives, block height. */
  readonly final_cltv_expiry: number;
  readonly fee_limit_msat: Msat;
  readonly firstHops: readonly FirstHop[];
  readonly hints?: readonly HintEdge[];
  readonly excluded?: Excluded;
}

export interface Route {
  readonly channel: StreamId;
  readonly fee_msat: Msat;
  readonly hops: readonly RouteHop[];
}

/** Cost of locking money: millionths of the amount per thousand blocks, so that of equal fees the shorter lock wins. */
const RISK_PER_BLOCK = 15e-9;

/** How money gets on from a node: over `short_channel_id` to `next`, where `amount` arrives with `expiry`. */
interface Label {
  readonly cost: number;
  readonly hops: number;
  /** What must arrive at this node, msat, and when it expires. */
  readonly amount: number;
  readonly expiry: number;
  readonly next?: Label;
  readonly node: NodeId;
  /** From this node onwards; undefined at the destination. */
  readonly short_channel_id?: ShortChannelId;
  /** Only of the source's label. */
  readonly channel?: StreamId;
  done: boolean;
}

/** The cheapest route within the fee limit, or undefined. Deterministic: the same graph and request give the same route. */
export function findRoute(graph: RoutingGraph, request: RouteRequest): Route | undefined {
  if (request.source === request.destination || request.amount_msat > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  const label = search(graph, request);
  return label === undefined ? undefined : routeOf(label);
}

function search(graph: RoutingGraph, request: RouteRequest): Label | undefined {
  const { source, destination, excluded = NOTHING_EXCLUDED } = request;
  const target = toNumber(request.amount_msat);
  const most = target + toNumber(request.fee_limit_msat);
  const latest = request.final_cltv_expiry + MAX_ROUTE_CLTV;
  const firstHops = groupBy(request.firstHops, (hop) => hop.peer);
  const hints = groupBy(request.hints ?? [], (hint) => hint.target);
  const places = createPlaces(graph);
  const heap = createHeap();

  const reach = (place: number, label: Label): void => {
    const known = places.labels[place];
    if (known !== undefined && (known.done || known.cost < label.cost || (known.cost === label.cost && known.hops <= label.hops))) return;
    places.labels[place] = label;
    heap.push({ node: place, cost: label.cost, hops: label.hops });
  };
  /** The edge from `node` to where `next` stands: that node asks a fee for it. */
  const relax = (node: NodeId, place: number, scid: ShortChannelId, fee: EdgeFee, next: Label): void => {
    if (node === source || excluded.channels.has(scid) || excluded.nodes.has(node) || next.hops + 1 >= MAX_HOPS) return;
    const amount = next.amount + feeFor(fee, next.amount);
    const expiry = next.expiry + fee.cltv_expiry_delta;
    if (amount > most || expiry > latest) return;
    const cost = next.cost + (amount - next.amount) + next.amount * fee.cltv_expiry_delta * RISK_PER_BLOCK;
    reach(place, { cost, hops: next.hops + 1, amount, expiry, next, node, short_channel_id: scid, done: false });
  };

  const end = places.of(source);
  reach(places.of(destination), { cost: 0, hops: 0, amount: target, expiry: request.final_cltv_expiry, node: destination, done: false });
  for (let entry = heap.pop(); entry !== undefined; entry = heap.pop()) {
    const label = places.labels[entry.node]!;
    if (label.done) continue;
    label.done = true;
    if (entry.node === end) return label;
    const own = bestFirstHop(firstHops.get(label.node), label.amount, excluded);
    if (own !== undefined) {
      const { short_channel_id, channel } = own;
      reach(end, { ...label, hops: label.hops + 1, next: label, node: source, short_channel_id, channel, done: false });
    }
    for (const hint of hints.get(label.node) ?? []) relax(hint.node_id, places.of(hint.node_id), hint.short_channel_id, hint, label);
    for (const channel of graph.channelsOf[entry.node] ?? []) {
      const [from, policy] = edgeInto(channel, entry.node);
      if (policy !== undefined && admits(channel, policy, label.amount)) relax(graph.nodes[from]!, from, channel.short_channel_id, policy, label);
    }
  }
  return undefined;
}

type EdgeFee = Pick<EdgePolicy, 'fee_base_msat' | 'fee_proportional_millionths' | 'cltv_expiry_delta'>;

/** Whole msat, rounded down as in relay/policy.ts; exact, because the product is taken in two parts below 2^53. */
function feeFor({ fee_base_msat, fee_proportional_millionths }: EdgeFee, amount: number): number {
  const millions = Math.floor(amount / 1_000_000);
  const rest = amount - millions * 1_000_000;
  return fee_base_msat + millions * fee_proportional_millionths + Math.floor((rest * fee_proportional_millionths) / 1_000_000);
}

function edgeInto(channel: GraphChannel, node: number): readonly [number, EdgePolicy | undefined] {
  return channel.node_2 === node ? [channel.node_1, channel.policies[0]] : [channel.node_2, channel.policies[1]];
}

function admits(channel: GraphChannel, policy: EdgePolicy, amount: number): boolean {
  return !policy.disabled && amount >= policy.htlc_minimum_msat && amount <= policy.htlc_maximum_msat && amount <= channel.capacity_msat;
}

/** Of our channels to a peer the one with the most room. */
function bestFirstHop(hops: readonly FirstHop[] | undefined, amount: number, excluded: Excluded): FirstHop | undefined {
  let best: FirstHop | undefined;
  for (const hop of hops ?? []) {
    if (hop.available_msat < amount || excluded.channels.has(hop.short_channel_id)) continue;
    if (best === undefined || hop.available_msat > best.available_msat) best = hop;
  }
  return best;
}

/** Room for a label per node, and numbers for nodes that no announcement speaks of (a peer, the end of a hint). */
function createPlaces(graph: RoutingGraph): { readonly labels: (Label | undefined)[]; of(node: NodeId): number } {
  const strangers = new Map<NodeId, number>();
  return {
    labels: Array.from({ length: graph.nodes.length }),
    of(node) {
      const known = graph.numbers.get(node) ?? strangers.get(node);
      if (known !== undefined) return known;
      const place = graph.nodes.length + strangers.size;
      strangers.set(node, place);
      return place;
    },
  };
}

/** Labels are chained from the source to the destination. */
function routeOf(source: Label): Route {
  const hops: RouteHop[] = [];
  for (let from = source; from.next !== undefined; from = from.next) {
    const { node, amount, expiry } = from.next;
    hops.push({ short_channel_id: from.short_channel_id!, node_id: node, amount_msat: msat(amount), cltv_expiry: expiry });
  }
  const arrives = hops[hops.length - 1]!.amount_msat;
  return { channel: source.channel!, fee_msat: msat(hops[0]!.amount_msat - arrives), hops };
}

function groupBy<T, K>(items: readonly T[], key: (item: T) => K): ReadonlyMap<K, readonly T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group === undefined) groups.set(key(item), [item]);
    else group.push(item);
  }
  return groups;
}
