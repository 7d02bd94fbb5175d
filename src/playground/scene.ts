/** What an onlooker sees of the playground at one moment: plain data, taken from the running nodes and their logs. */
import type { Subscription } from 'rxjs';
import { balances } from '../domain/channel/commitment-spec.ts';
import { isEstablished } from '../domain/channel/state.ts';
import type { EventEnvelope } from '../events/envelope.ts';
import type { Msat, ShortChannelId } from '../bolt/primitives.ts';
import type { PaymentResult } from '../commands/pay.ts';
import type { BarShares } from './bars.ts';
import { NAMES, type Name } from './cast.ts';
import { describeBroken, describeEvent, describePayment, type Told } from './describe.ts';
import type { Network } from './network.ts';
import { channelOf, type OpenedChannel } from './opening.ts';
import type { Wish } from './payments.ts';

export interface Scene {
  readonly height: number;
  readonly uptime_ms: number;
  readonly address?: string;
  readonly channels: readonly ChannelScene[];
  readonly nodes: readonly NodeScene[];
  readonly payments: PaymentsScene;
  /** Oldest first. */
  readonly lastPayments: readonly Told[];
  readonly lastEvents: readonly Told[];
}

export interface ChannelScene extends BarShares {
  readonly from: Name;
  readonly to: Name;
  readonly short_channel_id: ShortChannelId;
  /** `normal` while payments flow. */
  readonly phase: string;
  readonly usable: boolean;
}

export interface NodeScene {
  readonly name: Name;
  /** In its log. */
  readonly events: number;
}

export interface PaymentsScene {
  readonly succeeded: number;
  readonly failed: number;
  readonly delivered_msat: bigint;
  readonly fees_msat: bigint;
  /** Of the last few seconds. */
  readonly perSecond: number;
  /** Successes per second, oldest first, without the running second. */
  readonly history: readonly number[];
  /** Milliseconds from order to preimage, of the newest ones. */
  readonly median_ms?: number;
}

export interface Onlooker {
  /** Tells of a payment that ended. */
  paid(wish: Wish, result: PaymentResult, milliseconds: number): void;
  /** Tells of a payment that nobody knows the end of. */
  broken(wish: Wish, error: Error): void;
  scene(address?: string): Scene;
  stop(): void;
}

const KEPT_LINES = 60;
const KEPT_SECONDS = 120;
const KEPT_TIMES = 200;
/** Seconds that a rate is averaged over. */
const RATE_SECONDS = 5;

/** Follows the log of every node from its end. */
export async function watchNetwork(network: Network, channels: readonly OpenedChannel[]): Promise<Onlooker> {
  const started = performance.now();
  const counts = new Map<Name, number>();
  const subscriptions: Subscription[] = [];
  const [lastEvents, lastPayments]: [Told[], Told[]] = [[], []];
  const figures = createFigures(started);

  function take(name: Name, envelope: EventEnvelope): void {
    counts.set(name, Number(envelope.position) + 1);
    const told = describeEvent(name, envelope, network.nameOf);
    if (told !== undefined) keep(lastEvents, told, KEPT_LINES);
  }

  for (const name of NAMES) {
    const { store } = network.node(name);
    const head = await store.head();
    counts.set(name, Number(head ?? -1n) + 1);
    subscriptions.push(store.subscribe(head).subscribe({ next: (envelope) => take(name, envelope), error: () => undefined }));
  }

  return {
    paid(wish, result, milliseconds) {
      figures.add(wish.amount_msat, result, milliseconds);
      keep(lastPayments, describePayment(wish, result, milliseconds, network.nameOf), KEPT_LINES);
    },
    broken: (wish, error) => keep(lastPayments, describeBroken(wish, error), KEPT_LINES),
    scene: (address) => ({
      height: Math.max(...network.all().map((node) => node.height())),
      uptime_ms: performance.now() - started,
      address,
      channels: channels.map((channel) => channelScene(network, channel)),
      nodes: NAMES.map((name) => ({ name, events: counts.get(name) ?? 0 })),
      payments: figures.now(),
      lastPayments: [...lastPayments],
      lastEvents: [...lastEvents],
    }),
    stop: () => subscriptions.forEach((subscription) => subscription.unsubscribe()),
  };
}

function keep<T>(list: T[], item: T, most: number): void {
  list.push(item);
  if (list.length > most) list.shift();
}

/** As the opener's log has it. */
function channelScene(network: Network, { from, to, stream, short_channel_id }: OpenedChannel): ChannelScene {
  const { state, usable } = channelOf(network, from, stream)!;
  const place = { from, to, short_channel_id, phase: state.phase, usable };
  if (!isEstablished(state)) return { ...place, left: 0n, leftOffers: 0n, rightOffers: 0n, right: 0n };
  const { local_msat, offered_msat, received_msat, remote_msat } = balances(state);
  return { ...place, left: local_msat, leftOffers: offered_msat, rightOffers: received_msat, right: remote_msat };
}

/** Counts payments by the second, in bounded memory. */
function createFigures(started: number): { add(amount_msat: Msat, result: PaymentResult, milliseconds: number): void; now(): PaymentsScene } {
  const bySecond: number[] = [];
  const times: number[] = [];
  const totals = { succeeded: 0, failed: 0, delivered_msat: 0n, fees_msat: 0n };
  const second = (): number => Math.floor((performance.now() - started) / 1000);
  let first = 0;

  /** Seconds without a payment count as well. */
  function fill(): void {
    while (first + bySecond.length <= second()) bySecond.push(0);
    while (bySecond.length > KEPT_SECONDS) {
      bySecond.shift();
      first += 1;
    }
  }

  return {
    add(amount_msat, result, milliseconds) {
      fill();
      if (result.status !== 'succeeded') return void (totals.failed += 1);
      totals.succeeded += 1;
      totals.delivered_msat += amount_msat;
      totals.fees_msat += result.fee_msat;
      bySecond[bySecond.length - 1]! += 1;
      keep(times, milliseconds, KEPT_TIMES);
    },
    now() {
      fill();
      const history = bySecond.slice(0, -1);
      const recent = history.slice(-RATE_SECONDS);
      const perSecond = recent.length === 0 ? 0 : recent.reduce((sum, count) => sum + count, 0) / recent.length;
      return { ...totals, perSecond, history, median_ms: median(times) };
    },
  };
}

function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
