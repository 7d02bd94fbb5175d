/** Fee estimates of a real daemon: none at first, then what transactions paid that did confirm. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type BitcoindChain, openBitcoindChain } from '../../src/adapters/chain/bitcoind/chain.ts';
import { parseTx } from '../../src/bolt/03-transactions/tx-parse.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { sat } from '../../src/bolt/primitives.ts';
import type { Block } from '../../src/domain/ports.ts';
import { type Key, type KeyCoin, keyNumber, pays, spend } from '../support/coins.ts';
import { type Litecoind, startLitecoind } from '../support/litecoind.ts';
import { describeWithLitecoind } from './with-litecoind.ts';

const FEERATE_PER_KW = 5_000;
/** One input, one output, both P2WPKH: 438 weight units at the most, 110 virtual bytes. */
const FEE = (5_000n * 440n) / 1_000n;
const COIN = 50_000n;
const BLOCKS = 25;
const PER_BLOCK = 8;

describeWithLitecoind('fee estimates of litecoind', () => {
  let daemon: Litecoind;
  let chain: BitcoindChain;
  let key: Key;
  beforeAll(async () => {
    await chooseCryptoBackend();
    key = keyNumber(3);
    daemon = await startLitecoind();
    const { url, cookieFile } = daemon;
    chain = await openBitcoindChain({ url, cookieFile, network: 'litecoin-regtest', fallbackFeerate: 1_234 });
  });
  /** Confirmed coins, so that each spend of one stands for itself. */
  async function splitCoins(): Promise<KeyCoin[]> {
    const outputs = Array.from({ length: BLOCKS * PER_BLOCK }, () => pays(key.script, COIN));
    const value = sat(COIN * BigInt(outputs.length) + 100_000n);
    const txid = await daemon.pay(key.script, value);
    const { transactions } = await blockWith();
    const index = parseTx(transactions.find((each) => each.txid === txid)!.transaction).outputs.findIndex((output) => output.value === value);
    const raw = spend([{ txid, index, value, key }], outputs);
    expect(await chain.broadcast(raw)).toEqual({ ok: true });
    await daemon.mine(1);
    return outputs.map((_, i) => ({ txid: parseTx(raw).txid, index: i, value: sat(COIN), key }));
  }

  /** Mines what waits, and answers the block. */
  async function blockWith(): Promise<Block> {
    await daemon.mine(1);
    const { height } = await chain.tip();
    let found: Block | undefined;
    const stop = chain.follow(height, (event) => void (event.type === 'block_connected' && (found = event.block)));
    await chain.refresh();
    stop();
    return found!;
  }

  afterAll(async () => {
    await chain?.close();
    await daemon?.stop();
  });

  it('are the fallback while the daemon has seen too little, and then what others paid', async () => {
    expect(await chain.estimateFeerate(6)).toBe(1_234);
    const coins = await splitCoins();
    for (let block = 0; block < BLOCKS; block++) {
      for (const coin of coins.splice(0, PER_BLOCK)) expect(await chain.broadcast(spend([coin], [pays(key.script, COIN - FEE)]))).toEqual({ ok: true });
      await daemon.mine(1);
    }
    const estimate = await chain.estimateFeerate(6);
    // The daemon sorts feerates into buckets that are 5 % wide.
    expect(estimate).toBeGreaterThan(0.9 * FEERATE_PER_KW);
    expect(estimate).toBeLessThan(1.1 * FEERATE_PER_KW);
  });
});
