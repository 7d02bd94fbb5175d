/** The in-process regtest chain: blocks, the mempool's refusals in Bitcoin Core's words, reorganisations, listeners. */
import { Block as BitcoinBlock } from 'bitcoinjs-lib';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createRegtestChain, type RegtestChain } from '../../../src/adapters/chain/regtest.ts';
import { p2wpkhScriptCode } from '../../../src/bolt/03-transactions/scripts.ts';
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import { derSignature, serialize } from '../../../src/bolt/03-transactions/tx.ts';
import { chooseCryptoBackend } from '../../../src/bolt/crypto-native.ts';
import { type Hex, type Hex32, hex32, sat, type Signature, toHex, ZERO_32 } from '../../../src/bolt/primitives.ts';
import type { ChainEvent } from '../../../src/domain/ports.ts';
import { codeOf, draft, FINAL, fundKey, type Key, type KeyCoin, keyNumber, pays, signInput, spend } from '../../support/coins.ts';

let chain: RegtestChain;
let alice: Key;
let bob: Key;

beforeAll(() => chooseCryptoBackend());
beforeEach(() => {
  chain = createRegtestChain();
  [alice, bob] = [keyNumber(1), keyNumber(2)];
});

const txidOf = (raw: Hex): Hex32 => parseTx(raw).txid;
const waiting = () => chain.mempool().map(({ txid }) => txid);

describe('blocks', () => {
  it("start at regtest's genesis", () => {
    expect(chain.chain_hash).toBe('06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f');
    expect(chain.blockAt(0)!.block_hash).toBe('0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206');
  });

  it('are blocks to another library: linked headers, Merkle roots, witness commitments', () => {
    fundKey(chain, alice, 100_000n);
    fundKey(chain, bob, 100_000n, { unconfirmed: true });
    fundKey(chain, bob, 200_000n, { unconfirmed: true });
    const [block] = chain.mineBlocks(1);
    const count = block!.transactions.length.toString(16).padStart(2, '0');
    const read = BitcoinBlock.fromHex(block!.header + count + block!.transactions.map(({ transaction }) => transaction).join(''));
    expect(read.getId()).toBe(block!.block_hash);
    expect(read.transactions).toHaveLength(3);
    expect(read.checkTxRoots()).toBe(true);
    expect(toHex(read.prevHash!.slice().reverse())).toBe(chain.blockAt(block!.height - 1)!.block_hash);
  });

  it('are the same for the same calls', () => {
    const story = () => {
      const world = createRegtestChain({ initial_blocks: 101 });
      world.fund(alice.script, sat(50_000));
      return world.mineBlocks(3).map(({ block_hash }) => block_hash);
    };
    expect(story()).toEqual(story());
  });

  it('pay the subsidy and the fees to whom the miner says, after 100 blocks', async () => {
    fundKey(chain, bob, 100_000n, { unconfirmed: true });
    const fee = chain.mempool()[0]!.fee;
    const [block] = chain.mineBlocks(1, { coinbase_script: alice.script });
    const reward: KeyCoin = { txid: block!.transactions[0]!.txid, index: 0, value: sat(5_000_000_000n + fee), key: alice };
    expect(await chain.unspentOutput(reward)).toEqual({ value: reward.value, script_pubkey: alice.script, block_height: 102 });
    const raw = spend([reward], [pays(bob.script, 4_999_990_000n)]);
    chain.mineBlocks(98);
    expect(await chain.broadcast(raw)).toMatchObject({ ok: false, code: 'bad-txns-premature-spend-of-coinbase', permanent: false });
    chain.mineBlocks(1);
    expect(await codeOf(chain.broadcast(raw))).toBe('ok');
  });

  it('leave out what the miner does not want, and its children', async () => {
    const coin = fundKey(chain, alice, 100_000n);
    const parent = spend([coin], [pays(alice.script, 99_000n)]);
    const child = spend([{ ...coin, txid: txidOf(parent), value: sat(99_000) }], [pays(bob.script, 98_000n)]);
    for (const raw of [parent, child]) expect(await codeOf(chain.broadcast(raw))).toBe('ok');
    const [block] = chain.mineBlocks(1, { include: ({ txid }) => txid !== txidOf(parent) });
    expect(block!.transactions).toHaveLength(1);
    expect(chain.mineBlocks(1)[0]!.transactions.map(({ txid }) => txid).slice(1)).toEqual([txidOf(parent), txidOf(child)]);
  });

  it('hold what a miner forces in, though the mempool had a rival', async () => {
    const coin = fundKey(chain, alice, 100_000n);
    const rival = spend([coin], [pays(bob.script, 99_000n)], { sequence: FINAL });
    const dusty = spend([coin], [pays(bob.script, 100n), pays(alice.script, 99_900n)], { sequence: FINAL });
    expect(await codeOf(chain.broadcast(rival))).toBe('ok');
    chain.mineBlocks(1, { transactions: [dusty] });
    expect(await chain.confirmedTransaction(txidOf(dusty))).toMatchObject({ block_height: 103, transaction_index: 1, transaction: dusty });
    expect(waiting()).toEqual([]);
    expect(() => chain.mineBlocks(1, { transactions: [rival] })).toThrow(/missingorspent/);
  });

  it('know the median time past', async () => {
    const coin = fundKey(chain, alice, 100_000n);
    const time = chain.blockAt(102)!.time;
    const raw = spend([coin], [pays(bob.script, 99_000n)], { locktime: time });
    expect(await codeOf(chain.broadcast(raw))).toBe('non-final');
    chain.mineBlocks(5);
    expect(await codeOf(chain.broadcast(raw)), 'the median is the tip itself').toBe('non-final');
    chain.mineBlocks(1);
    expect(await codeOf(chain.broadcast(raw))).toBe('ok');
  });
});

describe('the mempool takes', () => {
  it('a good transaction, twice, and once more when a block has it', async () => {
    const raw = spend([fundKey(chain, alice, 100_000n)], [pays(bob.script, 99_000n)]);
    expect(await chain.broadcast(raw)).toEqual({ ok: true });
    expect(await chain.broadcast(raw)).toEqual({ ok: true });
    chain.mineBlocks(1);
    expect(await chain.broadcast(raw)).toEqual({ ok: true });
    expect(waiting()).toEqual([]);
  });

  it.each([
    ['P2WSH', `0020${'11'.repeat(32)}`, 330n],
    ['P2WPKH', `0014${'11'.repeat(20)}`, 294n],
    ['P2PKH', `76a914${'11'.repeat(20)}88ac`, 546n],
    ['P2SH', `a914${'11'.repeat(20)}87`, 540n],
    ['P2TR', `5120${'11'.repeat(32)}`, 330n],
    ['P2A', '51024e73', 240n],
    ['OP_RETURN', '6a0411111111', 0n],
  ])("%s outputs from Bitcoin Core's dust limit on", async (_kind, script, limit) => {
    const coin = fundKey(chain, alice, 100_000n);
    if (limit > 0n) expect(await chain.broadcast(spend([coin], [pays(script, limit - 1n), pays(alice.script, 90_000n)]))).toMatchObject({ ok: false, code: 'dust', permanent: true });
    expect(await codeOf(chain.broadcast(spend([coin], [pays(script, limit), pays(alice.script, 90_000n)])))).toBe('ok');
  });

  it('a replacement that pays more, in all and by the byte', async () => {
    const coin = fundKey(chain, alice, 100_000n);
    const first = spend([coin], [pays(bob.script, 99_000n)]);
    const child = spend([{ ...coin, txid: txidOf(first), value: sat(99_000), key: bob }], [pays(bob.script, 98_000n)]);
    for (const raw of [first, child]) expect(await codeOf(chain.broadcast(raw))).toBe('ok');
    // 2000 sat are in the mempool: first and child.
    for (const value of [99_000n - 1n, 98_000n]) {
      expect(await codeOf(chain.broadcast(spend([coin], [pays(alice.script, value)])))).toBe('insufficient fee');
    }
    const better = spend([coin], [pays(alice.script, 97_000n)]);
    expect(await codeOf(chain.broadcast(better))).toBe('ok');
    expect(waiting()).toEqual([txidOf(better)]);
  });
});

describe('the mempool refuses', () => {
  let coin: KeyCoin;
  beforeEach(() => {
    coin = fundKey(chain, alice, 100_000n);
  });

  const refusals: readonly (readonly [string, boolean, () => Hex])[] = [
    ['TX decode failed', true, () => 'deadbeef'],
    ['bad-txns-vout-empty', true, () => spend([coin], [])],
    ['bad-txns-inputs-duplicate', true, () => spend([coin, coin], [pays(bob.script, 90_000n)])],
    ['bad-txns-in-belowout', true, () => spend([coin], [pays(bob.script, 100_001n)])],
    ['bad-txns-txouttotal-toolarge', true, () => spend([coin], [pays(bob.script, 2_100_000_000_000_001n)])],
    ['min relay fee not met', false, () => spend([coin], [pays(bob.script, 99_950n)])],
    ['bad-txns-inputs-missingorspent', false, () => spend([{ ...coin, txid: hex32('ab'.repeat(32)) }], [pays(bob.script, 90_000n)])],
    ['bad-txns-inputs-missingorspent', true, () => spend([{ ...coin, index: 9 }], [pays(bob.script, 90_000n)])],
    ['non-final', false, () => spend([coin], [pays(bob.script, 90_000n)], { locktime: 103 })],
    ['non-BIP68-final', false, () => spend([coin], [pays(bob.script, 90_000n)], { sequence: 2 })],
    ['non-BIP68-final', false, () => spend([coin], [pays(bob.script, 90_000n)], { sequence: 0x400002 })],
    ['version', true, () => spend([coin], [pays(bob.script, 90_000n)], { version: 4 })],
    ['scriptpubkey', true, () => spend([coin], [pays('ac', 90_000n)])],
    ['tx-size', true, () => spend([coin], Array.from({ length: 3300 }, () => pays(bob.script, 294n)))],
    ['multi-op-return', true, () => spend([coin], [pays('6a', 0n), pays('6a', 0n)])],
    ['coinbase', true, () => serialize({ version: 2, locktime: 0, inputs: [{ txid: ZERO_32, index: 0xffffffff, sequence: FINAL, script_sig: '0000' }], outputs: [pays(bob.script, 1000n)] })],
    ['mandatory-script-verify-flag-failed', true, () => spend([{ ...coin, key: bob }], [pays(bob.script, 90_000n)])],
    ['mandatory-script-verify-flag-failed', true, () => spend([{ ...coin, value: sat(99_999) }], [pays(bob.script, 90_000n)])],
    ['mandatory-script-verify-flag-failed', true, () => serialize(draft([coin], [pays(bob.script, 90_000n)]))],
    ['non-mandatory-script-verify-flag', true, () => highS(coin)],
  ];
  it.each(refusals)('%s (permanent: %s)', async (code, permanent, make) => {
    const answer = await chain.broadcast(make());
    expect(answer).toMatchObject({ ok: false, code, permanent });
    expect(waiting()).toEqual([]);
  });

  /** The other signature of the same key and message, which anyone can make of the first: BIP 146 keeps it from being relayed. */
  function highS(of: KeyCoin): Hex {
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
    const tx = draft([of], [pays(bob.script, 90_000n)]);
    const low = signInput(tx, 0, p2wpkhScriptCode(of.key.point), of.value, of.key);
    const high = (low.slice(0, 64) + (order - BigInt(`0x${low.slice(64)}`)).toString(16).padStart(64, '0')) as Signature;
    return serialize(tx, [[derSignature(high), of.key.point]]);
  }

  it('but a block may hold a signature with a high S', () => {
    const raw = highS(coin);
    chain.mineBlocks(1, { transactions: [raw] });
    expect(chain.blockAt(103)!.transactions[1]!.txid).toBe(txidOf(raw));
  });

  it('a second spend of what cannot be replaced', async () => {
    expect(await codeOf(chain.broadcast(spend([coin], [pays(bob.script, 99_000n)], { sequence: FINAL })))).toBe('ok');
    expect(await chain.broadcast(spend([coin], [pays(alice.script, 90_000n)]))).toMatchObject({ ok: false, code: 'txn-mempool-conflict', permanent: false });
    chain.mineBlocks(1);
    expect(await chain.broadcast(spend([coin], [pays(alice.script, 90_000n)]))).toMatchObject({ ok: false, code: 'bad-txns-inputs-missingorspent', permanent: true });
  });

  it('a relative lock of 512 seconds until the median time has passed it', async () => {
    const raw = spend([coin], [pays(bob.script, 90_000n)], { sequence: 0x400003 });
    expect(await codeOf(chain.broadcast(raw))).toBe('non-BIP68-final');
    chain.mineBlocks(1);
    expect(await codeOf(chain.broadcast(raw))).toBe('non-BIP68-final');
    chain.mineBlocks(1);
    expect(await codeOf(chain.broadcast(raw))).toBe('ok');
  });
});

describe('a reorganisation', () => {
  it('gives the transactions of the lost blocks back to the mempool, parents first', async () => {
    const coin = fundKey(chain, alice, 100_000n);
    const parent = spend([coin], [pays(alice.script, 99_000n)]);
    const child = spend([{ ...coin, txid: txidOf(parent), value: sat(99_000) }], [pays(bob.script, 98_000n)]);
    await chain.broadcast(parent);
    chain.mineBlocks(1);
    await chain.broadcast(child);
    const lost = chain.blockAt(103)!.block_hash;
    expect(chain.reorg(1)).toEqual({ height: 102, block_hash: chain.blockAt(102)!.block_hash });
    expect(waiting()).toEqual([txidOf(parent), txidOf(child)]);
    expect(await chain.confirmedTransaction(txidOf(parent))).toBeUndefined();
    expect(await chain.unspentOutput(coin), 'spent by what waits').toBeUndefined();
    const [again] = chain.mineBlocks(1);
    expect(again!.block_hash).not.toBe(lost);
    expect(again!.transactions).toHaveLength(3);
  });

  it('drops what is told to vanish, and what spends from it', async () => {
    const coin = fundKey(chain, alice, 100_000n);
    const parent = spend([coin], [pays(alice.script, 99_000n)]);
    const child = spend([{ ...coin, txid: txidOf(parent), value: sat(99_000) }], [pays(bob.script, 98_000n)]);
    for (const raw of [parent, child]) await chain.broadcast(raw);
    chain.mineBlocks(3);
    expect(chain.invalidate(txidOf(parent)).height).toBe(102);
    expect(waiting()).toEqual([]);
    expect(await chain.unspentOutput(coin)).toMatchObject({ value: 100_000n, block_height: 102 });
    expect(await codeOf(chain.broadcast(spend([coin], [pays(bob.script, 90_000n)]))), 'the coin is free for a rival').toBe('ok');
  });

  it('drops what is not valid any more: a coinbase too young, a lock not yet open', async () => {
    const locked = spend([fundKey(chain, alice, 100_000n)], [pays(bob.script, 99_000n)], { sequence: 2 });
    chain.mineBlocks(1);
    expect(await codeOf(chain.broadcast(locked))).toBe('ok');
    chain.mineBlocks(1);
    chain.reorg(2);
    expect(waiting()).toEqual([]);
  });

  it('restores every coin: what was unspent before is unspent after', async () => {
    const coins = [fundKey(chain, alice, 100_000n), fundKey(chain, bob, 200_000n)];
    const before = await Promise.all(coins.map((coin) => chain.unspentOutput(coin)));
    const raw = spend(coins, [pays(bob.script, 299_000n)]);
    await chain.broadcast(raw);
    chain.mineBlocks(5);
    chain.reorg(5, { drop: [txidOf(raw)] });
    expect(await Promise.all(coins.map((coin) => chain.unspentOutput(coin)))).toEqual(before);
  });

  it('cannot take the genesis block', () => {
    expect(() => chain.reorg(102)).toThrow(/depth 102/);
  });
});

describe('listeners', () => {
  const named = (event: ChainEvent) => (event.type === 'block_connected' ? `+${event.block.height}` : `back to ${event.tip.height}`);

  it('hear of each block from where they ask, in order, after the caller has finished', async () => {
    const heard: string[] = [];
    chain.follow(99, (event) => void heard.push(named(event)));
    chain.mineBlocks(2);
    expect(heard).toEqual([]);
    await chain.settled();
    expect(heard).toEqual(['+99', '+100', '+101', '+102', '+103']);
    chain.reorg(2);
    chain.mineBlocks(3);
    await chain.settled();
    expect(heard.slice(5)).toEqual(['back to 101', '+102', '+103', '+104']);
  });

  it('hear of a reorganisation deeper than where they began', async () => {
    const heard: string[] = [];
    chain.follow(102, (event) => void heard.push(named(event)));
    await chain.settled();
    chain.reorg(3);
    chain.mineBlocks(1);
    await chain.settled();
    expect(heard).toEqual(['back to 98', '+99']);
  });

  it('wait for a block that is not there yet', async () => {
    const heard: string[] = [];
    chain.follow(104, (event) => void heard.push(named(event)));
    chain.mineBlocks(2);
    await chain.settled();
    expect(heard).toEqual([]);
    chain.mineBlocks(1);
    await chain.settled();
    expect(heard).toEqual(['+104']);
  });

  it('that are slow or fail do not stop the others', async () => {
    const errors: unknown[] = [];
    const world = createRegtestChain({ onListenerError: (error) => errors.push(error) });
    const [slow, failing, quick]: [string[], string[], string[]] = [[], [], []];
    let release = () => {};
    const gate = new Promise<void>((resolve) => (release = resolve));
    world.follow(102, async (event) => {
      await gate;
      slow.push(named(event));
    });
    world.follow(102, (event) => {
      failing.push(named(event));
      throw new Error('not today');
    });
    world.follow(102, (event) => void quick.push(named(event)));
    world.mineBlocks(3);
    await Promise.resolve().then(() => new Promise((resolve) => setTimeout(resolve, 5)));
    expect([slow, failing, quick]).toEqual([[], ['+102', '+103', '+104'], ['+102', '+103', '+104']]);
    expect(errors).toHaveLength(3);
    // What came and went meanwhile, the slow one never hears of.
    world.reorg(1);
    release();
    await world.settled();
    expect(slow).toEqual(['+102', '+103']);
  });

  it('hear of waiting transactions, each once, until they stop', async () => {
    const heard: string[] = [];
    const stop = chain.onMempoolTransaction(({ txid }) => void heard.push(txid));
    const raw = spend([fundKey(chain, alice, 100_000n)], [pays(bob.script, 99_000n)]);
    for (let i = 0; i < 2; i++) await chain.broadcast(raw);
    await chain.settled();
    expect(heard.filter((txid) => txid === txidOf(raw))).toHaveLength(1);
    stop();
    fundKey(chain, bob, 50_000n);
    await chain.settled();
    expect(heard).toHaveLength(2);
  });

  it('may act on what they hear', async () => {
    const coin = fundKey(chain, alice, 100_000n);
    chain.follow(103, async () => void (await chain.broadcast(spend([coin], [pays(bob.script, 99_000n)]))));
    chain.mineBlocks(1);
    await chain.settled();
    expect(waiting()).toHaveLength(1);
  });

  it('hear nothing after close', async () => {
    const heard: string[] = [];
    chain.follow(102, (event) => void heard.push(named(event)));
    await chain.close();
    chain.mineBlocks(1);
    await chain.settled();
    expect(heard).toEqual([]);
  });
});

describe('the rest of the port', () => {
  it('estimates what it was told, never below the relay minimum', async () => {
    expect(await chain.estimateFeerate(6)).toBe(1000);
    chain.setFeerate(20_000);
    expect(await chain.estimateFeerate(6)).toBe(20_000);
    chain.setFeerate(1);
    expect(await chain.estimateFeerate(6)).toBe(253);
  });

  it('answers outputs that wait as unconfirmed', async () => {
    const coin = fundKey(chain, alice, 100_000n, { unconfirmed: true });
    expect(await chain.unspentOutput(coin)).toEqual({ value: 100_000n, script_pubkey: alice.script, block_height: undefined });
  });

  it('has a faucet that pays from waiting change too, and says when it is empty', () => {
    const world = createRegtestChain({ initial_blocks: 101 });
    for (let i = 0; i < 30; i++) world.fund(alice.script, sat(1_000_000));
    expect(world.mempool()).toHaveLength(30);
    expect(() => world.fund(alice.script, sat(11_000_000_000))).toThrow(/mine more blocks/);
  });
});
