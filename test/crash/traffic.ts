/** Payments without end across the line: each asked for until it is answered, however often its payer dies meanwhile. */
import { createHash } from 'node:crypto';
import { msat, toHex32, type Hex32, type Msat } from '../../src/bolt/primitives.ts';
import type { PaymentResult } from '../../src/commands/pay.ts';
import { sleep, within } from '../../src/playground/waiting.ts';
import type { Losses } from './losses.ts';
import { NAMES, pick, type Chance, type Name } from './plan.ts';
import type { World } from './world.ts';

/** A payment that was asked for, and its end as the payer told it. */
export interface Paid {
  readonly from: Name;
  readonly to: Name;
  readonly amount_msat: Msat;
  readonly result: Exclude<PaymentResult, { status: 'refused' }>;
}

export interface Traffic {
  readonly ended: readonly Paid[];
  succeeded(): number;
  /** Lets payments flow. */
  start(): void;
  /** Begins no more, and resolves when those under way have ended. */
  pause(): Promise<void>;
  /** Asks for nothing any more: the world has ended. */
  abandon(): void;
  /** True when a payment that began after this moment has crossed the whole line. */
  hasCrossedSince(moment: number): boolean;
}

export interface TrafficOptions {
  readonly world: World;
  readonly chance: Chance;
  readonly losses: Losses;
  /** Payments under way at once. */
  readonly width?: number;
}

/** A payment that has no end by then is stuck; kills come every few seconds. */
const LONGEST_MS = 120_000;
/** A pause after each payment: a log that grows without need only makes each start slower. */
const PACE_MS = 120;

export function startTraffic({ world, chance, losses, width = 4 }: TrafficOptions): Traffic {
  const ended: Paid[] = [];
  const tap = { open: false, abandoned: false };
  let [asked, succeeded, newestCrossing] = [0, 0, 0];
  let workers: Promise<unknown> = Promise.resolve();

  async function work(): Promise<void> {
    while (tap.open) {
      const { from, to } = drawRoute(chance);
      const amount_msat = msat(1_000 * (1 + chance(50_000)));
      // Nobody asks a dead payee.
      const bolt11 = (await world.node(to)?.invoices(1, amount_msat).catch(() => undefined))?.[0];
      if (bolt11 === undefined) await sleep(30);
      else await pay({ from, to, amount_msat, bolt11 });
    }
  }

  async function pay({ from, to, amount_msat, bolt11 }: Pick<Paid, 'from' | 'to' | 'amount_msat'> & { readonly bolt11: string }): Promise<void> {
    const began = performance.now();
    const command_id = commandIdOf(++asked);
    const result = await endOf(world, tap, from, { bolt11, command_id, max_attempts: 3 });
    if (tap.abandoned) return;
    if (result === undefined || result.status === 'refused') {
      return losses.add('stuck', `a payment of ${amount_msat} msat from ${from} to ${to} was ${result === undefined ? `not ended after ${LONGEST_MS / 1000} s` : `refused: ${result.refusal.code}`}`);
    }
    ended.push({ from, to, amount_msat, result });
    world.tell(from, `${result.status === 'succeeded' ? 'PaymentSucceeded' : 'PaymentFailed'} payment-${result.payment_id}`);
    if (result.status === 'succeeded') {
      succeeded += 1;
      if (crossesAll(from, to)) newestCrossing = Math.max(newestCrossing, began);
    }
    // What failed found nobody there: in a moment, perhaps.
    await sleep(result.status === 'succeeded' ? PACE_MS : 3 * PACE_MS);
  }

  return {
    ended,
    succeeded: () => succeeded,
    start() {
      tap.open = true;
      workers = Promise.all(Array.from({ length: width }, work));
    },
    async pause() {
      tap.open = false;
      await workers;
    },
    abandon() {
      Object.assign(tap, { open: false, abandoned: true });
    },
    hasCrossedSince: (moment) => newestCrossing > moment,
  };
}

/** The same command again asks for the same payment, in whichever life of its payer. Undefined when it has no end. */
async function endOf(world: World, tap: { readonly abandoned: boolean }, from: Name, request: { readonly bolt11: string; readonly command_id: Hex32; readonly max_attempts: number }): Promise<PaymentResult | undefined> {
  const until = performance.now() + LONGEST_MS;
  while (performance.now() < until && !tap.abandoned) {
    const node = world.node(from);
    const result = await (node && within('the end of a payment', node.pay(request), until - performance.now()).catch(() => undefined));
    if (result !== undefined) return result;
    await sleep(30);
  }
  return undefined;
}

/** Mostly from end to end. */
function drawRoute(chance: Chance): Pick<Paid, 'from' | 'to'> {
  const [left, right] = [NAMES[0], NAMES.at(-1)!];
  if (chance(10) < 7) return chance(2) === 0 ? { from: left, to: right } : { from: right, to: left };
  const from = pick(chance, NAMES);
  return { from, to: pick(chance, NAMES.filter((name) => name !== from)) };
}

const crossesAll = (from: Name, to: Name): boolean => Math.abs(NAMES.indexOf(from) - NAMES.indexOf(to)) === NAMES.length - 1;

/** From the run's own count: the same payment has the same id in every life. */
const commandIdOf = (count: number): Hex32 => toHex32(new Uint8Array(createHash('sha256').update(`crash ${count}`).digest()));
