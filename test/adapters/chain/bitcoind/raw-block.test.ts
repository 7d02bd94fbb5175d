/** Blocks as bytes: what Bitcoin's consensus allows is read, and what is no block, or another one, is told from it. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { ChainError } from '../../../../src/adapters/chain/bitcoind/errors.ts';
import { readBlock } from '../../../../src/adapters/chain/bitcoind/raw-block.ts';
import { merkleRoot } from '../../../../src/adapters/chain/blocks.ts';
import { createRegtestChain } from '../../../../src/adapters/chain/regtest.ts';
import { parseTx } from '../../../../src/bolt/03-transactions/tx-parse.ts';
import { serialize } from '../../../../src/bolt/03-transactions/tx.ts';
import { hash256 } from '../../../../src/bolt/crypto.ts';
import { chooseCryptoBackend } from '../../../../src/bolt/crypto-native.ts';
import { fromHex, type Hex, hex32, reverseHex32, sat, toHex32, ZERO_32 } from '../../../../src/bolt/primitives.ts';
import { fundKey, keyNumber } from '../../../support/coins.ts';

beforeAll(() => chooseCryptoBackend());

const compact = (count: number): Hex => (count < 0xfd ? count.toString(16).padStart(2, '0') : `fd${(count & 0xff).toString(16).padStart(2, '0')}${(count >> 8).toString(16).padStart(2, '0')}`);

/** A block of these transactions with a header that fits. */
function blockOf(transactions: readonly Hex[]) {
  const root = merkleRoot(transactions.map((raw) => reverseHex32(parseTx(raw).txid)));
  const header = `01000000${ZERO_32}${root}${'00'.repeat(12)}`;
  return { raw: header + compact(transactions.length) + transactions.join(''), block_hash: toHex32(hash256(fromHex(header)).reverse()) };
}

/** Spends nothing that exists: a reader of blocks does not ask. */
const txWith = (witness: readonly Hex[], value = 1n): Hex =>
  serialize({ version: 2, locktime: 0, inputs: [{ txid: hex32('11'.repeat(32)), index: 0, sequence: 0 }], outputs: [{ value: sat(value), script_pubkey: '6a' }] }, [witness]);

const codeOf = (read: () => unknown): unknown => {
  try {
    return read();
  } catch (error) {
    return error instanceof ChainError ? error.code : error;
  }
};

describe('a block is read', () => {
  it('as the chain made it: places, txids and raw bytes', () => {
    const chain = createRegtestChain();
    for (let n = 1; n <= 4; n++) fundKey(chain, keyNumber(n), 100_000n, { unconfirmed: true });
    const [block] = chain.mineBlocks(1);
    const { header, time: _time, ...expected } = block!;
    expect(readBlock(header + compact(5) + block!.transactions.map(({ transaction }) => transaction).join(''), block!.block_hash, block!.height)).toEqual(expected);
  });

  it('safety 17: with one witness item that fills it', () => {
    const huge = txWith(['00'.repeat(3_999_700)], 2n);
    const { raw, block_hash } = blockOf([txWith([]), huge]);
    expect(raw.length / 2).toBeGreaterThan(3_999_800);
    expect(raw.length / 2).toBeLessThanOrEqual(4_000_000);
    const { transactions } = readBlock(raw, block_hash, 1);
    expect(transactions[1]!.transaction === huge).toBe(true);
    // And those who look into blocks can read it too.
    expect(parseTx(transactions[1]!.transaction).witnesses[0]![0]!.length).toBe(2 * 3_999_700);
  });

  it('safety 17: with a witness of 500,000 items', () => {
    const many = txWith(Array.from({ length: 500_000 }, () => '51'), 2n);
    const { raw, block_hash } = blockOf([txWith([]), many]);
    const started = performance.now();
    const { transactions } = readBlock(raw, block_hash, 1);
    expect(parseTx(transactions[1]!.transaction).witnesses[0]).toHaveLength(500_000);
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});

describe('refused as nonsense', () => {
  const good = () => blockOf([txWith([], 1n), txWith(['aa'], 2n), txWith(['aa', 'bb'], 3n)]);

  it('is another block than the one asked for', () => {
    expect(codeOf(() => readBlock(good().raw, hex32('22'.repeat(32)), 1))).toBe('chain_nonsense');
  });

  it('are transactions other than the header commits to', () => {
    const { raw, block_hash } = good();
    const header = raw.slice(0, 160);
    expect(codeOf(() => readBlock(`${header}01${txWith([], 9n)}`, block_hash, 1))).toBe('chain_nonsense');
    expect(codeOf(() => readBlock(`${header}00`, block_hash, 1))).toBe('chain_nonsense');
  });

  it('is a block whose last transactions are repeated, though the root is the same', () => {
    const { raw, block_hash } = good();
    const transactions = [txWith([], 1n), txWith(['aa'], 2n), txWith(['aa', 'bb'], 3n), txWith(['aa', 'bb'], 3n)];
    expect(merkleRoot(transactions.map((tx) => reverseHex32(parseTx(tx).txid)))).toBe(raw.slice(72, 136));
    expect(codeOf(() => readBlock(raw.slice(0, 160) + compact(4) + transactions.join(''), block_hash, 1))).toBe('chain_nonsense');
  });

  it('is more than a block can be, and a count that claims more than there is', () => {
    const { raw, block_hash } = good();
    expect(codeOf(() => readBlock('00'.repeat(4_000_001), block_hash, 1))).toBe('chain_nonsense');
    expect(codeOf(() => readBlock(`${raw.slice(0, 160)}ffffffffffffffff7f`, block_hash, 1))).toBe('chain_nonsense');
  });

  it('is anything that is cut off, longer, or changed outside the witnesses', () => {
    const { raw, block_hash } = good();
    const bytes = raw.length / 2;
    fc.assert(fc.property(fc.integer({ min: 0, max: bytes - 1 }), (at) => codeOf(() => readBlock(raw.slice(0, 2 * at), block_hash, 1)) === 'chain_nonsense'));
    expect(codeOf(() => readBlock(`${raw}00`, block_hash, 1))).toBe('chain_nonsense');
    fc.assert(fc.property(fc.integer({ min: 0, max: bytes - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = raw.slice(0, 2 * at) + (parseInt(raw.slice(2 * at, 2 * at + 2), 16) ^ flip).toString(16).padStart(2, '0') + raw.slice(2 * at + 2);
      const read = codeOf(() => readBlock(changed, block_hash, 1));
      // The Merkle root leaves witnesses out: there alone another block may pass as this one, and its txids are the same.
      return read === 'chain_nonsense' || (typeof read === 'object' && read !== null && 'transactions' in read);
    }));
  });
});
