/** Coins of the wallet in transactions that are not its own: they pay the fee, may be replaced by a dearer one, and come home. */
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createRegtestChain, type RegtestChain } from '../../src/adapters/chain/regtest.ts';
import { openMemoryStore } from '../../src/adapters/store/memory.ts';
import { selectCoins } from '../../src/adapters/wallet/coin-selection.ts';
import { createHdKeys } from '../../src/adapters/wallet/hd-keys.ts';
import { p2wsh } from '../../src/bolt/03-transactions/scripts.ts';
import { parseTx } from '../../src/bolt/03-transactions/tx-parse.ts';
import { derSignature, serialize, type UnsignedTx, weightOf, witnessSighasher } from '../../src/bolt/03-transactions/tx.ts';
import { crypto } from '../../src/bolt/crypto.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { type Hex, type Hex32, sat } from '../../src/bolt/primitives.ts';
import { createWallet, type Wallet } from '../../src/commands/wallet.ts';
import type { Contribution, ContributionRequest } from '../../src/domain/wallet/contribution.ts';
import type { EventStore } from '../../src/events/store.ts';
import type { WalletEvent } from '../../src/events/wallet.ts';

const keys = createHdKeys(new Uint8Array(64).fill(5), 'bitcoin-regtest');
/** Anyone may spend it: a claim without signatures. */
const ANYONE: Hex = '51';
const ELSEWHERE: Hex = `0014${'ee'.repeat(20)}`;
const CLAIM_SAT = sat(20_000);

let chain: RegtestChain;
let store: EventStore;
let wallet: Wallet;
let entropies = 0;
let reserve = sat(0);

beforeAll(() => chooseCryptoBackend());
beforeEach(async () => {
  chain = createRegtestChain();
  store = await openMemoryStore();
  reserve = sat(0);
  wallet = await start();
});

async function start(): Promise<Wallet> {
  const made = createWallet({ store, chain, selectCoins, keys, reserve: () => reserve, entropy: () => crypto().sha256(Uint8Array.of(entropies++ & 0xff, entropies >> 8)) });
  chain.follow(await made.resumeHeight(), (event) => made.onChainEvent(event));
  await chain.settled();
  return made;
}

async function mine(include: () => boolean = () => true): Promise<void> {
  chain.mineBlocks(1, { include });
  await chain.settled();
}

async function receive(...values: readonly bigint[]): Promise<void> {
  for (const value of values) chain.fund((await wallet.address('test')).script_pubkey, sat(value));
  await mine();
}

/** An output on chain that a claim takes whole: it leaves nothing for a fee. */
async function claim(feerate_per_kw = 1000, value = CLAIM_SAT): Promise<ContributionRequest> {
  const { txid, output_index } = chain.fund(p2wsh(ANYONE), value);
  await mine();
  const tx: UnsignedTx = { version: 2, locktime: 0, inputs: [{ txid, index: output_index, sequence: 0xfffffffd }], outputs: [{ value, script_pubkey: ELSEWHERE }] };
  return { purpose: `claim of ${txid}`, tx, weight: weightOf(tx, [[ANYONE]]), value_in: value, feerate_per_kw };
}

/** The whole transaction, with the claim's witness and the wallet's. */
function signed({ tx }: ContributionRequest, { inputs, change }: Contribution): Hex {
  const whole: UnsignedTx = {
    ...tx,
    inputs: [...tx.inputs, ...inputs.map(({ txid, output_index }) => ({ txid, index: output_index, sequence: 0xfffffffd }))],
    outputs: change === undefined ? tx.outputs : [...tx.outputs, change],
  };
  const sighash = witnessSighasher(whole);
  const witnesses = inputs.map(({ script_pubkey, value }, i) => {
    const { signature, pubkey } = wallet.signCoin(script_pubkey, sighash(tx.inputs.length + i, `76a9${script_pubkey.slice(2)}88ac`, value));
    return [derSignature(signature), pubkey];
  });
  return serialize(whole, [...tx.inputs.map(() => [ANYONE]), ...witnesses]);
}

const feerateOf = (raw: Hex, fee: bigint): number => (Number(fee) * 1000) / weightOf(parseTx(raw), parseTx(raw).witnesses);
const balance = async () => Object.fromEntries(Object.entries(await wallet.balance()).filter(([, amount]) => amount > 0n));
async function events(): Promise<readonly WalletEvent[]> {
  const found: WalletEvent[] = [];
  for await (const { event } of store.read('wallet')) found.push(event as WalletEvent);
  return found;
}

describe('a contribution', () => {
  it('pays the feerate, is taken by the chain, and its change comes home', async () => {
    await receive(50_000n);
    const request = await claim(2000);
    const contribution = await wallet.contribute(request);
    const raw = signed(request, contribution);
    expect(parseTx(raw).txid).toBe(contribution.txid);
    expect(feerateOf(raw, contribution.fee_satoshis)).toBeGreaterThanOrEqual(2000);
    expect(feerateOf(raw, contribution.fee_satoshis)).toBeLessThan(2050);
    expect(await balance()).toEqual({ reserved_sat: 50_000n });
    expect(await chain.broadcast(raw)).toEqual({ ok: true });
    await mine();
    const left = 50_000n - contribution.fee_satoshis;
    expect(await balance()).toEqual({ confirmed_sat: left, total_sat: left });
    expect(await wallet.contributions()).toEqual([]);
  });

  it('takes the smallest coin that will do', async () => {
    await receive(1_000n, 9_000n, 40_000n, 7_000n);
    expect((await wallet.contribute(await claim(5000))).inputs.map(({ value }) => value)).toEqual([7_000n]);
  });

  it('takes several coins where none is enough alone', async () => {
    await receive(2_000n, 3_000n, 2_500n);
    const request = await claim(5000);
    const contribution = await wallet.contribute(request);
    expect(contribution.inputs.length).toBeGreaterThan(1);
    expect(await chain.broadcast(signed(request, contribution))).toEqual({ ok: true });
  });

  it('asked for again is the same one, after a restart too', async () => {
    await receive(50_000n, 50_000n);
    const request = await claim(2000);
    const first = await wallet.contribute(request);
    const count = (await events()).length;
    expect(await wallet.contribute(request)).toEqual(first);
    expect(await wallet.contribute({ ...request, feerate_per_kw: 1500 })).toEqual(first);
    wallet = await start();
    expect(await wallet.contribute(request)).toEqual(first);
    expect((await events()).length).toBe(count);
  });

  it('nobody can make is refused with the figures', async () => {
    await receive(500n);
    await expect(wallet.contribute(await claim(2000))).rejects.toThrow(/insufficient_funds: .*confirmed_sat 500, pending_sat 0, feerate_per_kw 2000/);
  });

  it('that costs more than it is worth is refused with both figures', async () => {
    await receive(50_000n);
    await expect(wallet.contribute({ ...(await claim(2000)), max_fee_satoshis: sat(700) })).rejects.toThrow(/not_worth_its_fee: .*fee_satoshis \d+, max_fee_satoshis 700/);
    expect(await wallet.contributions()).toEqual([]);
  });

  it('lifts a parent along with itself', async () => {
    await receive(50_000n);
    const request = { ...(await claim(1000)), parent: { weight: 1124, fee_satoshis: sat(284) } };
    const contribution = await wallet.contribute(request);
    const raw = signed(request, contribution);
    const together = weightOf(parseTx(raw), parseTx(raw).witnesses) + 1124;
    expect(Number(contribution.fee_satoshis + 284n) * 1000 / together).toBeGreaterThanOrEqual(1000);
    expect(Number(contribution.fee_satoshis + 284n) * 1000 / together).toBeLessThan(1020);
  });

  it('without any other output pays the rest back to us', async () => {
    await receive(50_000n);
    const base = await claim(1000, sat(330));
    const request = { ...base, tx: { ...base.tx, outputs: [] }, weight: base.weight - 124 };
    const { change, fee_satoshis } = await wallet.contribute(request);
    expect(change?.value).toBe(50_330n - fee_satoshis);
  });
});

describe('a dearer contribution', () => {
  it('spends the same coins, outbids the first by the rules of BIP 125, and the coin comes home once', async () => {
    await receive(50_000n, 60_000n);
    const request = await claim(1000);
    const first = await wallet.contribute(request);
    expect(await chain.broadcast(signed(request, first))).toEqual({ ok: true });
    const second = await wallet.contribute({ ...request, feerate_per_kw: 1001 });
    expect(second.inputs).toEqual(first.inputs);
    expect(second.change?.script_pubkey).toBe(first.change?.script_pubkey);
    expect(await chain.broadcast(signed(request, second))).toEqual({ ok: true });
    expect(await balance()).toEqual({ confirmed_sat: 60_000n, reserved_sat: 50_000n, total_sat: 60_000n });
    await mine();
    const left = 110_000n - second.fee_satoshis;
    expect(await balance()).toEqual({ confirmed_sat: left, total_sat: left });
    expect((await events()).at(-1)).toMatchObject({ type: 'TransactionAbandoned', txid: first.txid });
  });

  it('may be outrun by the one that it was to replace', async () => {
    await receive(3_000n, 60_000n);
    const request = await claim(1000);
    const first = await wallet.contribute(request);
    const second = await wallet.contribute({ ...request, feerate_per_kw: 8000 });
    expect(second.inputs.map(({ value }) => value)).toEqual([3_000n, 60_000n]);
    expect(await chain.broadcast(signed(request, first))).toEqual({ ok: true });
    await mine();
    expect(await wallet.contributions()).toEqual([]);
    expect(await balance()).toEqual({ confirmed_sat: 63_000n - first.fee_satoshis, total_sat: 63_000n - first.fee_satoshis });
  });

  it('adds no coin that is not in a block', async () => {
    await receive(3_000n, 60_000n);
    const request = await claim(1000);
    await wallet.contribute(request);
    await wallet.fund({ purpose: 'sent', script_pubkey: ELSEWHERE, amount_sat: sat(10_000), feerate_per_kw: 1000 });
    await expect(wallet.contribute({ ...request, feerate_per_kw: 8000 })).rejects.toThrow(/insufficient_funds/);
  });
});

describe('a claim that is lost', () => {
  it('gives its coins back', async () => {
    await receive(50_000n);
    const request = await claim();
    await wallet.contribute(request);
    await wallet.contribute({ ...request, feerate_per_kw: 2000 });
    expect((await wallet.contributions()).length).toBe(2);
    await wallet.release(request.purpose, 'the peer took the output');
    expect(await wallet.contributions()).toEqual([]);
    expect(await balance()).toEqual({ confirmed_sat: 50_000n, total_sat: 50_000n });
  });

  it('that comes back with a reorganisation has its coins reserved again', async () => {
    await receive(50_000n);
    const request = await claim();
    const { txid } = await wallet.contribute(request);
    expect(await chain.broadcast(signed(request, await wallet.contribute(request)))).toEqual({ ok: true });
    await mine();
    chain.invalidate(txid as Hex32);
    await chain.settled();
    expect(await balance()).toEqual({ reserved_sat: 50_000n });
    expect((await wallet.contribute(request)).txid).toBe(txid);
  });
});

describe('coins for many claims', () => {
  it('come of one, in one transaction, and each claim has its own', async () => {
    await receive(500_000n);
    const requests = [await claim(), await claim(), await claim()];
    const split = await wallet.provideCoins({ count: 3, each_sat: sat(5_000), feerate_per_kw: 1000 });
    expect(await chain.broadcast(split!)).toEqual({ ok: true });
    expect(await wallet.provideCoins({ count: 3, each_sat: sat(5_000), feerate_per_kw: 1000 })).toBeUndefined();
    const contributions = await Promise.all(requests.map((request) => wallet.contribute(request)));
    expect(new Set(contributions.map(({ inputs }) => `${inputs[0]!.txid}:${inputs[0]!.output_index}`)).size).toBe(3);
    for (const [i, request] of requests.entries()) expect(await chain.broadcast(signed(request, contributions[i]!))).toEqual({ ok: true });
    await mine();
    expect(await wallet.contributions()).toEqual([]);
    const fees = contributions.reduce((sum, { fee_satoshis }) => sum + fee_satoshis, 0n);
    expect((await wallet.balance()).total_sat).toBeGreaterThan(499_000n - fees);
  });

  it('are not made where the wallet is too poor', async () => {
    await receive(12_000n);
    await expect(wallet.provideCoins({ count: 3, each_sat: sat(5_000), feerate_per_kw: 1000 })).rejects.toThrow('insufficient_funds: count 3, each_sat 5000, largest_sat 12000');
  });
});

describe('the reserve', () => {
  it('is left by payments, and is there for claims', async () => {
    await receive(50_000n);
    reserve = sat(10_000);
    const request = { purpose: 'sent', script_pubkey: ELSEWHERE, feerate_per_kw: 1000 };
    await expect(wallet.fund({ ...request, amount_sat: sat(40_000) })).rejects.toThrow(/anchor_reserve: amount_sat 40000, fee_satoshis \d+, left_sat \d+, reserve_sat 10000/);
    await expect(wallet.fund({ ...request, amount_sat: sat(49_800) })).rejects.toThrow(/anchor_reserve|insufficient_funds/);
    await wallet.fund({ ...request, amount_sat: sat(39_000) });
    expect(await wallet.contribute(await claim(8000))).toBeDefined();
  });
});
