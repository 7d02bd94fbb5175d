/** Which of the chain's estimates are believed, and in which order they stand. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FEERATE_FLOOR } from '../../src/bolt/03-transactions/fees.ts';
import { BELIEVED_AFTER, judgeEstimate, ordered, type Estimate } from '../../src/domain/feerates.ts';

const CEILING = 250_000;
const at = (feerate_per_kw: number): Estimate => ({ feerate_per_kw, doubted: 0 });
const feerateAfter = (last: Estimate | undefined, ...answers: number[]): number | undefined =>
  answers.reduce<Estimate | undefined>((estimate, answer) => judgeEstimate(estimate, answer, CEILING).estimate, last)?.feerate_per_kw;

describe('an estimate', () => {
  it('is taken as it is when it is the first', () => expect(feerateAfter(undefined, 4_000)).toBe(4_000));
  it('rises at once', () => expect(feerateAfter(at(1_000), 9_999)).toBe(9_999));
  it('falls by half with each look, and arrives', () => {
    expect(feerateAfter(at(9_000), 1_000)).toBe(5_000);
    expect(feerateAfter(at(9_000), ...Array<number>(14).fill(1_000))).toBe(1_000);
  });
  it.each([[1, FEERATE_FLOOR], [252.2, FEERATE_FLOOR], [253.1, 254], [1e9, CEILING]])('of %d is %i', (answer, expected) => expect(feerateAfter(undefined, answer)).toBe(expected));

  it.each([NaN, Infinity, -Infinity, 0, -5])('of %d is nonsense: what was good stays', (answer) => {
    expect(judgeEstimate(at(2_000), answer, CEILING)).toEqual({ estimate: at(2_000), doubt: { code: 'estimate_is_nonsense', expected: 'a feerate above 0', got: answer } });
    expect(judgeEstimate(undefined, answer, CEILING).estimate).toBeUndefined();
  });

  it.each([[10_001, 'ten times more'], [99, 'ten times less']])(`of %i is heard ${BELIEVED_AFTER} times before it is believed`, (scaled) => {
    const [last, answer] = [at(10_000), scaled * 10];
    const looks = [1, 2, 3].map((count) => feerateAfter(last, ...Array<number>(count).fill(answer)));
    expect(looks.slice(0, 2)).toEqual([10_000, 10_000]);
    expect(looks[2]).not.toBe(10_000);
    expect(feerateAfter(last, answer, answer, 10_000, answer, answer), 'doubts are in a row').toBe(10_000);
  });

  it('property: whatever is answered, it stays within its bounds', () => {
    fc.assert(fc.property(fc.array(fc.oneof(fc.double(), fc.integer())), (answers) => {
      const feerate = feerateAfter(at(1_000), ...answers)!;
      expect(Number.isInteger(feerate) && feerate >= FEERATE_FLOOR && feerate <= CEILING).toBe(true);
    }));
  });
});

describe('sooner', () => {
  it('is never cheaper than later', () => expect(ordered({ urgent: 300, normal: 500, economic: 400 })).toEqual({ urgent: 500, normal: 500, economic: 400 }));
  it('takes a neighbour\'s where it has none', () => {
    expect(ordered({ urgent: 900 })).toEqual({ urgent: 900, normal: 900, economic: 900 });
    expect(ordered({ economic: 300, urgent: 900 })).toEqual({ urgent: 900, normal: 300, economic: 300 });
    expect(ordered({})).toBeUndefined();
  });
});
