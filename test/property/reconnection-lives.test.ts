/** Random lives of a channel between two whole nodes whose connections break at random bytes, with and without the power of either side. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { msat } from '../../src/bolt/primitives.ts';
import { repeatably } from '../support/channel-simulation.ts';
import { runs } from '../support/property.ts';
import type { Cut } from '../support/simulation/cut-network.ts';
import { busyLife, CUT_PAIR, liveStory, randomLife, type RandomLife } from '../support/simulation/cut-stories.ts';
import type { Outcome } from '../support/simulation/laws.ts';
import type { OpenedRow } from '../support/simulation/network.ts';
import { PAYMENT_KINDS, type PlannedPayment } from '../support/simulation/payments.ts';
import { installVirtualTime, type VirtualTime } from '../support/simulation/virtual-time.ts';

/** `TRACE=1` tells what both machines do. */
const trace = process.env['TRACE'] === undefined ? undefined : (line: string) => console.log(line);

/** For as many lives as FC_RUNS asks for, ms. */
const LONG = 3_600_000;

let time: VirtualTime;
let row: OpenedRow;
beforeAll(async () => {
  await chooseCryptoBackend();
  time = installVirtualTime();
  row = await busyLife.begin(time);
});
afterAll(() => time.uninstall());

const who = fc.constantFrom(...CUT_PAIR);
/** Most wishes fall into one conversation, some into the quiet after it. */
const delay = fc.oneof({ arbitrary: fc.nat(20), weight: 4 }, { arbitrary: fc.nat(600), weight: 1 });

const payment: fc.Arbitrary<PlannedPayment> = fc.record({
  from: who,
  // Dust, ordinary, and more than either side may have.
  amount: fc.oneof({ arbitrary: fc.bigInt(2n, 400_000n), weight: 1 }, { arbitrary: fc.bigInt(1_000_000n, 90_000_000n), weight: 4 }, { arbitrary: fc.bigInt(200_000_000n, 700_000_000n), weight: 1 }),
  kind: fc.oneof({ arbitrary: fc.constant('sound' as const), weight: 5 }, { arbitrary: fc.constantFrom(...PAYMENT_KINDS), weight: 1 }),
  delay,
}).map(({ amount, ...planned }) => ({ ...planned, to: planned.from === 'alice' ? 'bob' : 'alice', amount_msat: msat(amount) }));

const life: fc.Arbitrary<RandomLife> = fc.record({
  payments: fc.array(payment, { minLength: 1, maxLength: 6, size: 'max' }),
  feerates: fc.array(fc.record({ feerate_per_kw: fc.integer({ min: 253, max: 4_000 }), delay }), { maxLength: 2 }),
  close: fc.option(fc.record({ by: who, delay }), { nil: undefined, freq: 2 }),
}).map(({ close, ...rest }) => ({ ...rest, ...(close === undefined ? {} : { close }) }));

/** After a few bytes (init, gossip, channel_reestablish), or after more of the conversation. */
const bytes = fc.oneof({ arbitrary: fc.integer({ min: 2_200, max: 7_000 }), weight: 4 }, { arbitrary: fc.nat(2_400), weight: 1 }, { arbitrary: fc.constant(Infinity), weight: 1 });

const cut: fc.Arbitrary<Cut> = fc.record({
  limits: fc.tuple(bytes, bytes),
  when: fc.constantFrom('at_rest' as const, 'at_once' as const),
  dies: fc.constantFrom(undefined, undefined, ...CUT_PAIR),
}).map(({ dies, ...rest }) => ({ ...rest, ...(dies === undefined ? {} : { dies }) }));

describe('two nodes', () => {
  const proven = { lives: 0, cuts: 0, succeeded: 0, failed: 0, closed: 0 };

  it('come to the end of every payment and of every close, whatever breaks and wherever', async () => {
    await fc.assert(fc.asyncProperty(life, fc.array(cut, { maxLength: 4 }), fc.option(fc.nat(), { nil: undefined }), async (plan, cuts, seed) => {
      const { books, strikes } = await liveStory(randomLife(plan), row, { cuts, trace, ...(seed === undefined ? {} : { seed }) });
      const { succeeded, failed } = books as Outcome;
      proven.lives++;
      proven.cuts += strikes;
      proven.succeeded += succeeded;
      proven.failed += failed;
      if (plan.close !== undefined) proven.closed++;
    }), repeatably(runs(60, 120)));
  }, LONG);

  afterAll(() => console.log(`reconnection: ${proven.lives} lives, ${proven.cuts} broken connections, ${proven.succeeded} payments succeeded, ${proven.failed} failed cleanly, ${proven.closed} closes`));
});
