/** Payments without end: between all pairs, both ways, at a bounded rate, so that no channel runs dry. */
import { msat, type Msat } from '../bolt/primitives.ts';
import type { PaymentResult } from '../commands/pay.ts';
import { balances } from '../domain/channel/commitment-spec.ts';
import { NAMES, type Name } from './cast.ts';
import type { Network } from './network.ts';
import type { OpenedChannel } from './opening.ts';
import { channelOf } from './opening.ts';
import { ROUTES, type Wish } from './payments.ts';
import { sleep } from './waiting.ts';

export interface TrafficOptions {
  /** Payments under way at a time. */
  readonly atOnce?: number;
  /** Payments started per second, at most. */
  readonly perSecond?: number;
  readonly onPaid: (wish: Wish, result: PaymentResult, milliseconds: number) => void;
  /** A store that failed, a node that stopped: traffic goes on with the next payment. */
  readonly onBroken: (wish: Wish, error: Error) => void;
}

export interface Traffic {
  /** Starts no more payments; resolves when the last one has ended. */
  stop(): Promise<void>;
}

/** One payment in so many asks for more than any channel holds, and fails. */
const OVERREACHING = 80;
/** Of what the poorest hop can send, a payment takes at most this part. */
const SHARE = 6n;
const SMALLEST = 1_000n;

export function startTraffic(network: Network, channels: readonly OpenedChannel[], { atOnce = 6, perSecond = 20, onPaid, onBroken }: TrafficOptions): Traffic {
  const ending = new AbortController();
  const pause = (1000 * atOnce) / perSecond;

  async function payForEver(): Promise<void> {
    await sleep(Math.random() * pause);
    while (!ending.signal.aborted) {
      const next = sleep(pause);
      const wish = chooseWish(network, channels);
      await pay(wish).catch((error: Error) => onBroken(wish, error));
      await next;
    }
  }

  async function pay(wish: Wish): Promise<void> {
    const invoice = await network.node(wish.to).createInvoice({ amount_msat: wish.amount_msat, description: 'playground' });
    if (invoice.status !== 'created') return;
    const started = performance.now();
    const result = await network.node(wish.from).pay({ bolt11: invoice.bolt11 });
    onPaid(wish, result, performance.now() - started);
  }

  const workers = Array.from({ length: atOnce }, payForEver);
  return {
    async stop() {
      ending.abort();
      await Promise.all(workers);
    },
  };
}

/** Of two random pairs the one whose route is the less drained, so that money wanders and comes back. */
function chooseWish(network: Network, channels: readonly OpenedChannel[]): Wish {
  const [one, two] = [anyRoute(), anyRoute()].map(([from, to]) => ({ from, to, room: roomBetween(network, channels, from, to) })) as [Candidate, Candidate];
  const { from, to, room } = one.room >= two.room ? one : two;
  const most = Math.random() < 1 / OVERREACHING ? room * 2n : room / SHARE;
  return { from, to, amount_msat: randomAmount(most) };
}

interface Candidate {
  readonly from: Name;
  readonly to: Name;
  /** What the poorest hop has, msat. */
  readonly room: bigint;
}

const anyRoute = (): readonly [Name, Name] => ROUTES[Math.floor(Math.random() * ROUTES.length)]!;

/** Small payments are as likely as large ones: the exponent is even, not the amount. */
function randomAmount(most: bigint): Msat {
  const largest = Math.max(Number(SMALLEST), Number(most));
  const amount = Number(SMALLEST) * (largest / Number(SMALLEST)) ** Math.random();
  return msat(BigInt(Math.round(amount)));
}

function roomBetween(network: Network, channels: readonly OpenedChannel[], from: Name, to: Name): bigint {
  const [start, end] = [NAMES.indexOf(from), NAMES.indexOf(to)];
  const step = Math.sign(end - start);
  let room: bigint | undefined;
  for (let at = start; at !== end; at += step) {
    const hop = roomOfHop(network, channels, NAMES[at]!, NAMES[at + step]!);
    if (room === undefined || hop < room) room = hop;
  }
  return room ?? 0n;
}

/** The fullest channel from one neighbour to the other, msat. */
function roomOfHop(network: Network, channels: readonly OpenedChannel[], from: Name, to: Name): bigint {
  const local = channels.flatMap((channel) => {
    const stream = channel.from === from && channel.to === to ? channel.stream : channel.from === to && channel.to === from ? channel.peerStream : undefined;
    const state = stream === undefined ? undefined : channelOf(network, from, stream)?.state;
    return state?.phase === 'normal' ? [balances(state).local_msat as bigint] : [];
  });
  return local.reduce((most, amount) => (amount > most ? amount : most), 0n);
}
