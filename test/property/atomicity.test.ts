/** Atomicity of payments over several hops: the payee claims exactly when the payer pays, and nobody in the middle loses, wherever power or wires fail. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { msat, sat } from '../../src/bolt/primitives.ts';
import { runs } from '../support/property.ts';
import { CRASH_POINTS, STORE_FAULTS, type CrashPoint, type Fault, type StoreFault } from '../support/simulation/faults.ts';
import { assertLaws, fundsOf, type Outcome } from '../support/simulation/laws.ts';
import { openRow, SimulatedNetwork, type OpenedRow } from '../support/simulation/network.ts';
import { invoicesFor, PAYMENT_KINDS, payAll, type PaymentKind, type PlannedPayment } from '../support/simulation/payments.ts';
import { installVirtualTime, type VirtualTime } from '../support/simulation/virtual-time.ts';

const NAMES = ['alice', 'bob', 'carol', 'dave'] as const;
/** Wide, narrow, wide: what fits the first channel need not fit the second. */
const CHANNELS = [2_000_000, 1_200_000, 1_600_000].map((funding) => ({ funding_satoshis: sat(funding), push_msat: msat(funding * 400) }));

/** `TRACE=1` tells what every machine does. */
const trace = process.env['TRACE'] === undefined ? undefined : (line: string) => console.log(line);

let time: VirtualTime;
let rows: ReadonlyMap<number, OpenedRow>;

beforeAll(async () => {
  await chooseCryptoBackend();
  time = installVirtualTime();
  rows = new Map([[3, await openRow(time, NAMES.slice(0, 3), CHANNELS.slice(0, 2))], [4, await openRow(time, NAMES, CHANNELS)]]);
});
afterAll(() => time.uninstall());

interface Plan {
  readonly machines: number;
  readonly payments: readonly PlannedPayment[];
  readonly faults: readonly Fault[];
  readonly seed?: number;
  /** Whose signatures the audit verifies; everyone's unless told. */
  readonly suspects?: readonly string[];
}

interface Run extends Outcome {
  /** Of each machine, from the first payment on. */
  readonly appends: ReadonlyMap<string, number>;
  readonly lives: number;
}

/** One world from its boot to its rest. */
async function run({ machines, payments, faults, seed, suspects }: Plan): Promise<Run> {
  const network = new SimulatedNetwork({ ...rows.get(machines)!, faults, seed, trace });
  await network.boot();
  const before = fundsOf(network);
  const asked = await invoicesFor(network, payments);
  network.arm();
  await payAll(network, asked);
  const outcome = await assertLaws(network, asked, before, suspects);
  const lives = network.machines.reduce((sum, machine) => sum + machine.lives, 0);
  return { ...outcome, lives, appends: new Map(network.machines.map(({ name }) => [name, network.counted.appends(name)])) };
}

const threeHops = (kind: PaymentKind): PlannedPayment => ({ from: 'alice', to: 'dave', amount_msat: msat(25_000_000n), kind, delay: 0 });

/** What can happen at one append, and how it is told. */
type Mishap = CrashPoint | StoreFault;
const faultAt = (node: string, append: number, mishap: Mishap): Fault =>
  isCrash(mishap) ? { kind: 'crash', node, append, point: mishap, rewind: false } : { kind: 'store', node, append, fault: mishap };
const isCrash = (mishap: Mishap): mishap is CrashPoint => CRASH_POINTS.includes(mishap as CrashPoint);

describe('safety 23, 28: one payment over three hops', () => {
  /** `AT=bob/7/before_answer` makes one of these runs alone. */
  const only = process.env['AT'];

  it.each([
    ['that can succeed', 'sound', 'dies', ['before_append', 'before_answer', 'before_messages']],
    ['that must fail', 'wrong_secret', 'dies', ['before_append', 'before_messages']],
    ['that can succeed', 'sound', 'is failed by its store', ['lost_request', 'lost_answer']],
    ['that must fail', 'wrong_secret', 'is failed by its store', ['full']],
  ] as const)('%s (%s) stays whole when any node %s at any of its appends', async (_what, kind, _how, mishaps) => {
    const payments = [threeHops(kind)];
    const whole = await run({ machines: 4, payments, faults: [] });
    const proven = { runs: 0, succeeded: 0, failed: 0 };
    for (const [node, appends] of whole.appends) {
      for (let append = 1; append <= appends; append++) {
        for (const mishap of mishaps) {
          const place = `${node}/${append}/${mishap}`;
          if (only !== undefined && only !== place) continue;
          const { succeeded, failed, lives } = await named(kind, place, () => run({ machines: 4, payments, faults: [faultAt(node, append, mishap)], suspects: [node] }));
          expect(lives, `lives at ${place}`).toBe(isCrash(mishap) ? 5 : 4);
          proven.runs++;
          proven.succeeded += succeeded;
          proven.failed += failed;
        }
      }
    }
    // A node that only ever failed its payments would keep every law.
    if (kind === 'sound' && only === undefined) expect(proven.succeeded).toBeGreaterThan(proven.runs * 0.8);
    console.log(`atomicity, ${kind}, ${mishaps.join()}: ${proven.runs} runs, ${proven.succeeded} payments succeeded, ${proven.failed} failed cleanly`);
  });
});

/** What goes wrong says where, and how to see it again. */
async function named<T>(kind: string, place: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new Error(`${kind} at ${place}: ${(error as Error).message}\nagain: TRACE=1 AT=${place} npx vitest run test/property/atomicity.test.ts -t ${kind}`, { cause: error });
  }
}

const payment = (names: readonly string[]): fc.Arbitrary<PlannedPayment> =>
  fc.record({
    ends: fc.tuple(fc.nat(names.length - 1), fc.nat(names.length - 2)),
    // Dust, ordinary, and more than the narrow channel can take twice.
    amount: fc.oneof({ arbitrary: fc.bigInt(2n, 400_000n), weight: 1 }, { arbitrary: fc.bigInt(1_000_000n, 90_000_000n), weight: 4 }, { arbitrary: fc.bigInt(200_000_000n, 700_000_000n), weight: 1 }),
    kind: fc.oneof({ arbitrary: fc.constant('sound' as const), weight: 4 }, { arbitrary: fc.constantFrom(...PAYMENT_KINDS), weight: 2 }),
    // Long enough for sagas to save their place in between.
    delay: fc.oneof(fc.nat(30), fc.nat(600)),
  }).map(({ ends: [from, step], amount, kind, delay }) => ({
    from: names[from]!, to: names[(from + 1 + step) % names.length]!, amount_msat: msat(amount), kind, delay,
  }));

const fault = (names: readonly string[]): fc.Arbitrary<Fault> => {
  const place = { node: fc.constantFrom(...names), append: fc.integer({ min: 1, max: 20 }) };
  const message = fc.integer({ min: 1, max: 80 });
  return fc.oneof(
    { arbitrary: fc.record({ kind: fc.constant('crash' as const), ...place, point: fc.constantFrom(...CRASH_POINTS), rewind: fc.boolean() }), weight: 4 },
    { arbitrary: fc.record({ kind: fc.constant('store' as const), ...place, fault: fc.constantFrom(...STORE_FAULTS) }), weight: 3 },
    { arbitrary: fc.record({ kind: fc.constant('cut' as const), message }), weight: 3 },
    { arbitrary: fc.record({ kind: fc.constant('twice' as const), message }), weight: 1 },
  );
};

const plan: fc.Arbitrary<Plan> = fc.constantFrom(3, 4).chain((machines) => {
  const names = NAMES.slice(0, machines);
  return fc.record({
    machines: fc.constant(machines),
    payments: fc.array(payment(names), { minLength: 1, maxLength: 6, size: 'max' }),
    faults: fc.array(fault(names), { maxLength: 6, size: 'max' }),
    seed: fc.nat(),
  });
});

describe('safety 23, 24, 28: several payments at once', () => {
  const proven = { runs: 0, succeeded: 0, failed: 0, crashes: 0 };

  // A failure prints its plan and its seed: `FC_SEED=<seed> TRACE=1 npx vitest run test/property/atomicity.test.ts -t several` repeats it.
  it('stay whole whatever is lost, cut, repeated, refused by a store or killed, at any moment', async () => {
    await fc.assert(fc.asyncProperty(plan, async (plan) => {
      const { succeeded, failed, lives } = await run(plan);
      proven.runs++;
      proven.succeeded += succeeded;
      proven.failed += failed;
      proven.crashes += lives - plan.machines;
    }), { numRuns: runs(40, 100), verbose: 0 });
  });

  afterAll(() => console.log(`atomicity: ${proven.runs} runs, ${proven.crashes} crashes, ${proven.succeeded} payments succeeded, ${proven.failed} failed cleanly`));
});
