/** The wallet's keys (BIP 84) and its choice of coins. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seedFromWords } from '../../src/adapters/signer/seed.ts';
import { selectCoins } from '../../src/adapters/wallet/coin-selection.ts';
import { createHdKeys } from '../../src/adapters/wallet/hd-keys.ts';
import { hex32, sat, type Sat } from '../../src/bolt/primitives.ts';
import { buildPayment, COIN_WEIGHT, expectedWeight } from '../../src/domain/wallet/payment.ts';
import type { Coin } from '../../src/domain/wallet/state.ts';
import { runScript } from '../support/script-interpreter.ts';
import { serialize, weightOf } from '../../src/bolt/03-transactions/tx.ts';

const keys = createHdKeys(seedFromWords(`${'abandon '.repeat(11)}about`), 'bitcoin-mainnet');

describe('keys', () => {
  // BIP 84, "Test vectors".
  it.each([
    ['receive', 0, 'bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu'],
    ['receive', 1, 'bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g'],
    ['change', 0, 'bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el'],
  ] as const)('%s %i is %s', (branch, index, address) => {
    expect(keys.address({ branch, index })).toBe(address);
  });

  it('are others on a test network', () => {
    const test = createHdKeys(seedFromWords(`${'abandon '.repeat(11)}about`), 'bitcoin-regtest');
    expect(test.address({ branch: 'receive', index: 0 })).toMatch(/^bcrt1q/);
    expect(test.script({ branch: 'receive', index: 0 })).not.toBe(keys.script({ branch: 'receive', index: 0 }));
  });

  it('sign what the interpreter takes, in the expected weight', () => {
    const coins = [0, 1, 2].map((index) => coin(50_000n, index));
    const { tx, coins: inputs } = buildPayment(coins, { script_pubkey: `0020${'11'.repeat(32)}`, amount_sat: sat(120_000), feerate_per_kw: 1000 }, keys.script({ branch: 'change', index: 0 }))!;
    const witnesses = keys.sign(tx, inputs);
    const raw = serialize(tx, witnesses);
    for (const [i, { script_pubkey, value }] of inputs.entries()) expect(runScript(raw, i, { script_pubkey, value })).toBe('ok');
    const spare = expectedWeight(tx) - weightOf(tx, witnesses);
    expect(spare).toBeGreaterThanOrEqual(0);
    expect(spare, 'a signature is at most a few bytes shorter').toBeLessThan(12);
  });
});

function coin(value: bigint, index: number): Coin {
  const script_pubkey = keys.script({ branch: 'receive', index: index % 3 });
  return { txid: hex32((index + 1).toString(16).padStart(64, '0')), output_index: 0, value: sat(value), script_pubkey, branch: 'receive', index: index % 3, coinbase: false, block_height: 1, spent: undefined };
}

const TARGET = `0020${'11'.repeat(32)}`;
const CHANGE = `0014${'22'.repeat(20)}`;
const base_weight = expectedWeight({ version: 2, locktime: 0, inputs: [], outputs: [{ value: sat(0), script_pubkey: TARGET }] });

function pay(values: readonly bigint[], amount_sat: bigint, feerate_per_kw: number) {
  const chosen = selectCoins({ coins: values.map(coin), amount_sat, feerate_per_kw, base_weight, coin_weight: COIN_WEIGHT });
  return chosen && buildPayment(chosen, { script_pubkey: TARGET, amount_sat: amount_sat as Sat, feerate_per_kw }, CHANGE);
}

describe('the choice of coins', () => {
  it('law: whatever is chosen pays the target and the fee it should, to the sat', () => {
    fc.assert(fc.property(
      fc.array(fc.bigInt(1n, 10_000_000n), { maxLength: 30 }), fc.bigInt(330n, 50_000_000n), fc.integer({ min: 253, max: 50_000 }),
      (values, amount_sat, feerate_per_kw) => {
        const payment = pay(values, amount_sat, feerate_per_kw);
        const worth = values.map((value) => value - BigInt(Math.ceil((COIN_WEIGHT * feerate_per_kw) / 1000))).filter((value) => value > 0n).reduce((sum, value) => sum + value, 0n);
        const needed = amount_sat + BigInt(Math.ceil((base_weight * feerate_per_kw) / 1000));
        // The margin is what rounding takes, a sat a coin.
        if (payment === undefined) {
          expect(worth).toBeLessThan(needed + BigInt(values.length) + 4n);
          return;
        }
        const { tx, coins, output_index, fee_satoshis, has_change } = payment;
        const [paidIn, paidOut] = [coins, tx.outputs].map((list) => list.reduce((sum, { value }) => sum + value, 0n));
        expect(paidIn! - paidOut!).toBe(fee_satoshis);
        expect(tx.outputs[output_index]).toEqual({ value: amount_sat, script_pubkey: TARGET });
        const minimum = BigInt(Math.floor((expectedWeight(tx) * feerate_per_kw) / 1000));
        expect(fee_satoshis).toBeGreaterThanOrEqual(minimum);
        // More than the rate asks goes to the miner only where it would not be worth an output.
        expect(fee_satoshis - minimum).toBeLessThanOrEqual(has_change ? 1n : BigInt(Math.ceil(((COIN_WEIGHT + 124) * feerate_per_kw) / 1000)) + 296n);
        expect(tx.outputs).toHaveLength(has_change ? 2 : 1);
      },
    ));
  });

  it('takes an exact match without change before a larger coin', () => {
    const exact = 100_000n + BigInt(Math.ceil(base_weight + COIN_WEIGHT)) + 10n;
    expect(pay([5_000_000n, exact], 100_000n, 1000)).toMatchObject({ has_change: false, coins: [{ value: exact }] });
  });

  it('does not touch coins that cost more than they bring', () => {
    expect(pay([400n, 400n, 400n, 200_000n], 100_000n, 5000)!.coins.map(({ value }) => value)).toEqual([200_000n]);
  });

  it('finds nothing in an empty purse, and refuses to count what floats cannot', () => {
    expect(pay([], 1000n, 253)).toBeUndefined();
    expect(() => pay([10_000_000_000_000n], 1000n, 253)).toThrow(/10000000000000 sat/);
  });
});
