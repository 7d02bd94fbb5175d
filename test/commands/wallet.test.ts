/** The wallet on a chain: it hands out addresses, finds its coins, pays, lives through reorganisations and restarts. */
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createRegtestChain, type MineOptions, type RegtestChain } from '../../src/adapters/chain/regtest.ts';
import { openMemoryStore } from '../../src/adapters/store/memory.ts';
import { selectCoins } from '../../src/adapters/wallet/coin-selection.ts';
import { createHdKeys } from '../../src/adapters/wallet/hd-keys.ts';
import { decodeAddress } from '../../src/bolt/address.ts';
import { parseTx } from '../../src/bolt/03-transactions/tx-parse.ts';
import { weightOf } from '../../src/bolt/03-transactions/tx.ts';
import { crypto } from '../../src/bolt/crypto.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { type Hex, sat } from '../../src/bolt/primitives.ts';
import { createWallet, type Wallet, WalletRefusal } from '../../src/commands/wallet.ts';
import { evolveAll } from '../../src/domain/decider.ts';
import { walletDecider } from '../../src/domain/wallet/decide.ts';
import { balanceOf } from '../../src/domain/wallet/state.ts';
import type { EventStore } from '../../src/events/store.ts';
import type { WalletEvent } from '../../src/events/wallet.ts';

const SEED = new Uint8Array(64).fill(5);
const ELSEWHERE = `0020${'ee'.repeat(32)}`;

let chain: RegtestChain;
let store: EventStore;
let wallet: Wallet;
let entropies = 0;

beforeAll(() => chooseCryptoBackend());
beforeEach(async () => {
  chain = createRegtestChain();
  store = await openMemoryStore();
  wallet = await start();
});

/** A wallet that follows the chain from where its log ends. */
async function start(over: EventStore = store): Promise<Wallet> {
  const made = createWallet({
    store: over, chain, selectCoins, keys: createHdKeys(SEED, 'bitcoin-regtest'),
    entropy: () => crypto().sha256(Uint8Array.of(entropies++ & 0xff, entropies >> 8)),
  });
  chain.follow(await made.resumeHeight(), (event) => made.onChainEvent(event));
  await chain.settled();
  return made;
}

async function receive(value: bigint): Promise<void> {
  chain.fund((await wallet.address('test')).script_pubkey, sat(value));
  await mine();
}

async function mine(count = 1, options?: MineOptions): Promise<void> {
  chain.mineBlocks(count, options);
  await chain.settled();
}

async function events(over: EventStore = store): Promise<readonly WalletEvent[]> {
  const found: WalletEvent[] = [];
  for await (const { event } of over.read('wallet')) found.push(event as WalletEvent);
  return found;
}

const balance = async () => Object.fromEntries(Object.entries(await wallet.balance()).filter(([, amount]) => amount > 0n));

describe('addresses', () => {
  it('are new each time, also when asked for at once', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, (_, i) => (i % 2 === 0 ? wallet.address('same') : wallet.destinationScript('same').then((script_pubkey) => ({ script_pubkey })))));
    expect(new Set(all.map(({ script_pubkey }) => script_pubkey)).size).toBe(8);
  });

  it('stand for their scripts', async () => {
    const { address, script_pubkey } = await wallet.address('test');
    expect(decodeAddress(address, 'bitcoin-regtest')).toBe(script_pubkey);
  });
});

describe('coins', () => {
  it('arrive with their block', async () => {
    const { script_pubkey } = await wallet.address('deposit');
    chain.fund(script_pubkey, sat(100_000));
    await chain.settled();
    expect(await balance()).toEqual({});
    await mine();
    expect(await balance()).toEqual({ confirmed_sat: 100_000n, total_sat: 100_000n });
  });

  it('earned by mining wait for a hundred blocks', async () => {
    const { script_pubkey } = await wallet.address('mining');
    await mine(1, { coinbase_script: script_pubkey });
    expect(await balance()).toEqual({ immature_sat: 5_000_000_000n, total_sat: 5_000_000_000n });
    await expect(wallet.fund({ purpose: 'early', script_pubkey: ELSEWHERE, amount_sat: sat(1000), feerate_per_kw: 253 })).rejects.toThrow(/insufficient_funds/);
    await mine(99);
    expect(await balance()).toEqual({ confirmed_sat: 5_000_000_000n, total_sat: 5_000_000_000n });
    const { transaction } = await wallet.fund({ purpose: 'ripe', script_pubkey: ELSEWHERE, amount_sat: sat(1000), feerate_per_kw: 253 });
    expect(await chain.broadcast(transaction)).toEqual({ ok: true });
  });

  it('sent to a later address of the same seed are found without a log', async () => {
    const scripts = [];
    for (let i = 0; i < 15; i++) scripts.push((await wallet.address('old life')).script_pubkey);
    chain.fund(scripts[14]!, sat(70_000));
    await mine();
    const later = await openMemoryStore();
    wallet = await start(later);
    expect(await balance()).toEqual({ confirmed_sat: 70_000n, total_sat: 70_000n });
    expect((await wallet.address('new life')).script_pubkey).not.toBe(scripts[14]);
    expect(scripts).not.toContain((await wallet.address('new life')).script_pubkey);
  });
});

describe('a payment', () => {
  const request = { purpose: 'funding of a channel', script_pubkey: ELSEWHERE, amount_sat: sat(60_000), feerate_per_kw: 1500 };

  it('is signed, keeps its coins back, pays the feerate, and comes home with the change', async () => {
    await receive(100_000n);
    const { transaction, txid, output_index, fee_satoshis } = await wallet.fund(request);
    const tx = parseTx(transaction);
    expect([tx.txid, tx.outputs[output_index]]).toEqual([txid, { value: 60_000n, script_pubkey: ELSEWHERE }]);
    const weight = weightOf(tx, tx.witnesses);
    expect(Number(fee_satoshis)).toBeGreaterThanOrEqual(Math.floor(weight * 1.5));
    expect(Number(fee_satoshis)).toBeLessThan((weight + 8) * 1.5);
    const change = 40_000n - fee_satoshis;
    expect(await balance()).toEqual({ pending_sat: change, reserved_sat: 100_000n, total_sat: change });
    expect((await wallet.unconfirmed()).map((waiting) => waiting.txid)).toEqual([txid]);
    expect(await chain.broadcast(transaction)).toEqual({ ok: true });
    await mine();
    expect(await balance()).toEqual({ confirmed_sat: change, total_sat: change });
    expect(await wallet.unconfirmed()).toEqual([]);
  });

  it('asked for twice at once spends two coins; asked for again with `reuse`, none', async () => {
    await receive(100_000n);
    await receive(100_000n);
    const [a, b] = await Promise.all([wallet.fund(request), wallet.fund(request)]);
    expect(a!.txid).not.toBe(b!.txid);
    for (const { transaction } of [a!, b!]) expect(await chain.broadcast(transaction)).toEqual({ ok: true });
    const before = (await events()).length;
    expect(await wallet.fund({ ...request, reuse: true })).toEqual(b);
    expect((await events()).length).toBe(before);
  });

  it('may spend change that still waits', async () => {
    await receive(200_000n);
    const first = await wallet.fund(request);
    const second = await wallet.fund({ ...request, purpose: 'another' });
    for (const { transaction } of [first, second]) expect(await chain.broadcast(transaction)).toEqual({ ok: true });
    await mine();
    expect(await wallet.unconfirmed()).toEqual([]);
  });

  it('that nobody can pay is refused with the figures, and leaves no trace', async () => {
    await receive(50_000n);
    const before = await events();
    const refused = await wallet.fund(request).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(WalletRefusal);
    expect((refused as WalletRefusal).message).toBe('insufficient_funds: amount_sat 60000, confirmed_sat 50000, pending_sat 0, feerate_per_kw 1500');
    expect(await events()).toEqual(before);
  });

  it('of dust, or of more than there is money, is refused', async () => {
    await receive(50_000n);
    await expect(wallet.fund({ ...request, amount_sat: sat(329) })).rejects.toThrow('amount_below_dust: amount_sat 329, dust_limit_sat 330');
    await expect(wallet.fund({ ...request, amount_sat: sat(2n ** 63n) })).rejects.toThrow(/insufficient_funds/);
  });

  it('that will not be sent gives its coins back', async () => {
    await receive(100_000n);
    const { txid } = await wallet.fund(request);
    await wallet.abandon(txid, 'the peer went away');
    expect(await balance()).toEqual({ confirmed_sat: 100_000n, total_sat: 100_000n });
    await expect(wallet.abandon(txid, 'again')).rejects.toThrow(/unknown_transaction/);
  });

  it('loses to another spend of its coin by the same seed', async () => {
    await receive(100_000n);
    const twin = await start(await copyOf(store));
    const ours = await wallet.fund(request);
    const theirs = await twin.fund({ ...request, amount_sat: sat(70_000) });
    expect(await chain.broadcast(theirs.transaction)).toEqual({ ok: true });
    await mine();
    expect(await wallet.unconfirmed()).toEqual([]);
    expect((await events()).at(-1)).toMatchObject({ type: 'TransactionAbandoned', txid: ours.txid });
    expect(await balance()).toEqual({ confirmed_sat: 30_000n - theirs.fee_satoshis, total_sat: 30_000n - theirs.fee_satoshis });
  });
});

/** The same events in another store. */
async function copyOf(from: EventStore): Promise<EventStore> {
  const copy = await openMemoryStore();
  const cause = { command_id: chain.chain_hash, correlation_id: chain.chain_hash };
  await copy.append('wallet', 'none', await events(from), cause);
  return copy;
}

describe('a reorganisation', () => {
  it('takes coins away, and brings them back with another block', async () => {
    await receive(100_000n);
    chain.reorg(1);
    await chain.settled();
    expect(await balance()).toEqual({});
    await mine();
    expect(await balance()).toEqual({ confirmed_sat: 100_000n, total_sat: 100_000n });
  });

  it('makes a payment wait again', async () => {
    await receive(100_000n);
    const { transaction, fee_satoshis } = await wallet.fund({ purpose: 'test', script_pubkey: ELSEWHERE, amount_sat: sat(60_000), feerate_per_kw: 1000 });
    await chain.broadcast(transaction);
    await mine(3);
    chain.reorg(3);
    await chain.settled();
    expect(await balance()).toEqual({ pending_sat: 40_000n - fee_satoshis, reserved_sat: 100_000n, total_sat: 40_000n - fee_satoshis });
    await mine();
    expect(await balance()).toEqual({ confirmed_sat: 40_000n - fee_satoshis, total_sat: 40_000n - fee_satoshis });
  });
});

describe('after a restart', () => {
  it('the log and the chain give the same wallet', async () => {
    await receive(100_000n);
    await wallet.fund({ purpose: 'test', script_pubkey: ELSEWHERE, amount_sat: sat(60_000), feerate_per_kw: 1000 });
    const [before, log] = [await wallet.balance(), await events()];
    wallet = await start();
    expect(await wallet.balance()).toEqual(before);
    expect(await events(), 'blocks seen before are no news').toEqual(log);
    const { height } = await chain.tip();
    expect(balanceOf(evolveAll(walletDecider, walletDecider.initial, log), height)).toEqual(before);
  });

  it('what the chain did meanwhile is found', async () => {
    const { script_pubkey } = await wallet.address('test');
    await chain.close();
    chain.fund(script_pubkey, sat(100_000));
    chain.mineBlocks(250);
    wallet = await start();
    expect(await balance()).toEqual({ confirmed_sat: 100_000n, total_sat: 100_000n });
    expect(await wallet.resumeHeight()).toBeGreaterThanOrEqual(102);
  });

  it('a reorganisation slept through is found, to a longer chain and to a shorter one', async () => {
    await receive(100_000n);
    await receive(200_000n);
    const lost = chain.blockAt(103)!.transactions[1]!.txid;
    for (const blocks of [5, 0]) {
      await chain.close();
      chain.reorg((await chain.tip()).height - 102, { drop: [lost] });
      if (blocks > 0) chain.mineBlocks(blocks);
      wallet = await start();
      expect(await balance(), `${blocks} blocks later`).toEqual({ confirmed_sat: 100_000n, total_sat: 100_000n });
    }
  });

  it('two wallets that write to one log do not lose or double anything', async () => {
    const twin = await start();
    const scripts: Hex[] = await Promise.all([wallet, twin, wallet, twin].map((each) => each.destinationScript('race')));
    expect(new Set(scripts).size).toBe(4);
    chain.fund(scripts[0]!, sat(100_000));
    await mine();
    expect((await events()).filter(({ type }) => type === 'CoinReceived')).toHaveLength(1);
    expect(await twin.balance()).toEqual(await wallet.balance());
  });
});
