/** What a claim pays: by the blocks left, never less than before, never more than it brings (BIP 125, BOLT 5). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { feeOf } from '../../../src/bolt/03-transactions/fees.ts';
import { sat } from '../../../src/bolt/primitives.ts';
import { cappedFeerate, feeCap, raisedFeerate, SECURITY_DELAY, wantedFeerate, type Bid } from '../../../src/domain/onchain/bumping.ts';

const feerates = { urgent: 4_000, normal: 1_000, economic: 300 };
const bid = (feerate_per_kw: number, weight: number, block_height: number): Bid => ({ feerate_per_kw, fee_satoshis: feeOf(feerate_per_kw, weight), block_height });

describe('the feerate that a claim wants', () => {
  it.each([
    ['without a deadline', undefined, 300],
    ['with a day to go', 244, 1_000],
    ['just before every block counts', 100 + SECURITY_DELAY + 1, 1_000],
    ['when every block counts', 100 + SECURITY_DELAY, 4_000],
    ['seven blocks before', 107, 4_000],
    ['six blocks before', 106, 6_000],
    ['a block before', 101, 16_000],
    ['too late', 90, 18_000],
  ] as const)('%s', (_when, deadline, expected) => {
    expect(wantedFeerate(feerates, deadline, 100)).toBe(expected);
  });

  it('only rises as the deadline comes nearer', () => {
    const wanted = Array.from({ length: 60 }, (_, blocks) => wantedFeerate(feerates, 160, 100 + blocks));
    expect(wanted).toEqual(wanted.toSorted((a, b) => a - b));
  });
});

describe('what a claim may pay at the most', () => {
  it('is half of what it brings while there is time, and all but its output at the end', () => {
    expect(feeCap(sat(10_000), sat(330), undefined, 100)).toBe(5_000n);
    expect(feeCap(sat(10_000), sat(330), 200, 100)).toBe(5_000n);
    expect(feeCap(sat(10_000), sat(330), 110, 100)).toBe(9_670n);
  });

  it('bounds the feerate, and below what is relayed nothing is sent', () => {
    expect(cappedFeerate(1_000, 500, sat(10_000))).toBe(1_000);
    expect(cappedFeerate(1_000, 500, sat(300))).toBe(600);
    expect(cappedFeerate(1_000, 500, sat(120))).toBeUndefined();
  });
});

describe('a replacement', () => {
  it('waits while nothing presses, and is sent with each block at the end', () => {
    const made = bid(1_000, 500, 100);
    expect(raisedFeerate(made, 5_000, 500, 200, 105)).toBeUndefined();
    expect(raisedFeerate(made, 5_000, 500, 200, 106)).toBe(5_000);
    expect(raisedFeerate(made, 1_100, 500, 200, 106)).toBeUndefined();
    expect(raisedFeerate(made, 1_000, 500, 106, 101)).toBeGreaterThanOrEqual(1_250);
    expect(raisedFeerate(made, 1_000, 500, 106, 100)).toBeUndefined();
  });

  it('always pays more, by at least its own relay, whatever the estimates do', () => {
    const numbers = fc.record({ feerate: fc.integer({ min: 253, max: 50_000 }), wanted: fc.integer({ min: 253, max: 90_000 }), weight: fc.integer({ min: 400, max: 40_000 }), left: fc.integer({ min: -5, max: 200 }), waited: fc.integer({ min: 0, max: 50 }) });
    fc.assert(fc.property(numbers, ({ feerate, wanted, weight, left, waited }) => {
      const made = bid(feerate, weight, 1_000);
      const raised = raisedFeerate(made, wanted, weight, 1_000 + waited + left, 1_000 + waited);
      if (raised === undefined) return;
      expect(feeOf(raised, weight)).toBeGreaterThanOrEqual(made.fee_satoshis + feeOf(250, weight));
      expect(raised).toBeGreaterThan(feerate);
    }));
  });
});
