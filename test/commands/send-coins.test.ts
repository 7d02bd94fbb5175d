/** Coins sent away: once for one wish, and again with each block until one holds them. */
import { beforeAll, beforeEach, expect, it } from 'vitest';
import { createRegtestChain, type RegtestChain } from '../../src/adapters/chain/regtest.ts';
import { openMemoryStore } from '../../src/adapters/store/memory.ts';
import { selectCoins } from '../../src/adapters/wallet/coin-selection.ts';
import { createHdKeys } from '../../src/adapters/wallet/hd-keys.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { crypto } from '../../src/bolt/crypto.ts';
import { hex32, sat } from '../../src/bolt/primitives.ts';
import { createSender, type Sender } from '../../src/commands/send-coins.ts';
import { createWallet, type Wallet } from '../../src/commands/wallet.ts';
import type { BroadcastResult } from '../../src/domain/ports.ts';

const ELSEWHERE = `0014${'ee'.repeat(20)}`;
const wish = { script_pubkey: ELSEWHERE, amount_sat: sat(60_000), command_id: hex32('ab'.repeat(32)) };

let chain: RegtestChain;
let wallet: Wallet;
let sender: Sender;
let log: string[];
let refusal: BroadcastResult | undefined;
let entropies = 0;

beforeAll(() => chooseCryptoBackend());
beforeEach(async () => {
  chain = createRegtestChain();
  refusal = undefined;
  log = [];
  const entropy = () => crypto().sha256(Uint8Array.of(entropies++));
  wallet = createWallet({ store: await openMemoryStore(), chain, selectCoins, keys: createHdKeys(new Uint8Array(64).fill(5), 'bitcoin-regtest'), entropy });
  chain.follow(await wallet.resumeHeight(), (event) => wallet.onChainEvent(event));
  const broadcast = async (transaction: string) => refusal ?? chain.broadcast(transaction);
  sender = createSender({ wallet, chain: { broadcast }, feerate: () => 1000, entropy, log: (line) => log.push(line) });
  chain.fund((await wallet.address('test')).script_pubkey, sat(200_000));
  await mine();
});

async function mine(): Promise<void> {
  chain.mineBlocks(1);
  await chain.settled();
}

it('are sent once, however often it is asked', async () => {
  const sent = await sender.send(wish);
  expect(await sender.send(wish)).toEqual(sent);
  expect(chain.mempool().map(({ txid }) => txid)).toEqual([sent.txid]);
  await mine();
  expect(await sender.send(wish)).toEqual(sent);
  expect((await wallet.balance()).total_sat).toBe(140_000n - sent.fee_satoshis);
});

it('are sent again until the chain takes them', async () => {
  refusal = { ok: false, code: 'mempool full', reason: 'mempool full', permanent: false };
  const { txid } = await sender.send(wish);
  expect(chain.mempool()).toEqual([]);
  expect(log).toEqual([`the transaction ${txid} was refused: mempool full (mempool full); it is tried again with each block`]);
  refusal = undefined;
  await sender.rebroadcast();
  expect(chain.mempool().map((entry) => entry.txid)).toEqual([txid]);
  await mine();
  await sender.rebroadcast();
  expect(await wallet.unconfirmed()).toEqual([]);
});

it('cost what the wish says', async () => {
  const dear = await sender.send({ ...wish, feerate_per_kw: 5000 });
  expect(dear.fee_satoshis).toBeGreaterThan(5n * 500n);
  await expect(sender.send({ ...wish, command_id: undefined, amount_sat: sat(1_000_000) })).rejects.toThrow(/insufficient_funds/);
});
