/** Books kept by hand beside the nodes: what every channel must hold after each payment, from nothing but the routes. */
import { balances } from '../domain/channel/commitment-spec.ts';
import { isEstablished } from '../domain/channel/state.ts';
import { satToMsat, type Hex32, type ShortChannelId } from '../bolt/primitives.ts';
import type { RouteHop } from '../events/payment.ts';
import type { Name } from './cast.ts';
import type { Network } from './network.ts';
import { channelOf, type OpenedChannel } from './opening.ts';
import { mustBe, PlaygroundError } from './waiting.ts';

/** What `from` and `to` own of a channel, msat. */
interface Page {
  readonly channel: OpenedChannel;
  readonly owned: Map<Name, bigint>;
}

export interface Books {
  /** Moves money along a route that a payment took. Answers how many hops that were. */
  enter(payer: Name, hops: readonly RouteHop[]): number;
  /** What one side of a channel must own now, msat. */
  owned(channel: OpenedChannel, name: Name): bigint;
  /** A closed channel is no longer compared. */
  strike(channel: OpenedChannel): void;
  /** Throws PlaygroundError when a node's balance is not what the books say, or money hangs in an HTLC. */
  compare(network: Network): void;
}

export function openBooks(network: Pick<Network, 'nameOf'>, opened: readonly OpenedChannel[]): Books {
  const pages = new Map<ShortChannelId, Page>(opened.map((channel) => [channel.short_channel_id, firstPage(channel)]));

  function move({ short_channel_id, amount_msat, node_id }: RouteHop, payer: Name): Name {
    const page = pages.get(short_channel_id);
    const payee = network.nameOf(node_id);
    if (page === undefined || payee === undefined) throw new PlaygroundError('unknown_hop', `a payment went over ${short_channel_id} to ${node_id}: expected a channel of the cast`);
    page.owned.set(payer, page.owned.get(payer)! - amount_msat);
    page.owned.set(payee, page.owned.get(payee)! + amount_msat);
    return payee;
  }

  return {
    enter(payer, hops) {
      hops.reduce((from, hop) => move(hop, from), payer);
      return hops.length;
    },
    owned: ({ short_channel_id }, name) => pages.get(short_channel_id)!.owned.get(name)!,
    strike: ({ short_channel_id }) => void pages.delete(short_channel_id),
    compare(live) {
      for (const page of pages.values()) comparePage(live, page);
    },
  };
}

function firstPage(channel: OpenedChannel): Page {
  const { from, to, funding_satoshis, push_msat } = channel;
  return { channel, owned: new Map([[from, satToMsat(funding_satoshis) - push_msat], [to, push_msat]]) };
}

/** Both ends' logs must say the same as the books. */
function comparePage(network: Network, { channel, owned }: Page): void {
  const { from, to, stream, peerStream, short_channel_id } = channel;
  for (const [name, peer, own] of [[from, to, stream], [to, from, peerStream]] as const) {
    const state = channelOf(network, name, own)!.state;
    if (!isEstablished(state)) throw new PlaygroundError('channel_lost', `${own} of ${name}: expected an open channel, got phase ${state.phase}`);
    const { local_msat, remote_msat, offered_msat, received_msat } = balances(state);
    mustBe(`what ${name} owns of ${short_channel_id}, msat`, owned.get(name)!, local_msat);
    mustBe(`what ${peer} owns of ${short_channel_id} as ${name} sees it, msat`, owned.get(peer)!, remote_msat);
    mustBe(`what hangs in HTLCs of ${short_channel_id} at ${name}, msat`, 0n, offered_msat + received_msat);
  }
}

/** The route of a payment's attempt that came through, as the payer's log has it. */
export async function routeTaken(network: Network, payer: Name, payment_id: Hex32): Promise<readonly RouteHop[]> {
  const planned: (readonly RouteHop[])[] = [];
  for await (const { event } of network.node(payer).store.read(`payment-${payment_id}`)) {
    if (event.type === 'AttemptPlanned') planned[event.attempt] = event.hops;
    if (event.type === 'AttemptSucceeded') return planned[event.attempt]!;
  }
  throw new PlaygroundError('payment_not_paid', `payment ${payment_id} of ${payer}: expected an attempt that succeeded, got none`);
}

