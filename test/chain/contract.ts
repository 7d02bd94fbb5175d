/** What every chain adapter promises, as stories that run on each: blocks in order, roll-backs, look-ups, broadcasts, estimates. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseTx } from '../../src/bolt/03-transactions/tx-parse.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { type Hex, type Hex32, hex32, type Sat, sat } from '../../src/bolt/primitives.ts';
import type { Chain, ChainEvent } from '../../src/domain/ports.ts';
import { codeOf, FINAL, type Key, type KeyCoin, keyNumber, pays, spend } from '../support/coins.ts';

/** A chain, and what the world can do to it. */
export interface ChainWorld {
  readonly chain: Chain;
  /** It can look up every transaction, not only those that somebody waited for. */
  readonly knowsAll: boolean;
  mine(blocks: number): Promise<void>;
  /** Pays a script, into the mempool. */
  pay(script_pubkey: Hex, value: Sat): Promise<Hex32>;
  /** Takes blocks off; their transactions wait again. */
  reorg(depth: number): Promise<void>;
  /** Every listener has heard what happened so far. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

export function describeChain(name: string, create: () => Promise<ChainWorld>): void {
  describe(name, () => {
    let world: ChainWorld;
    let chain: Chain;
    let [alice, bob]: Key[] = [];
    beforeAll(async () => {
      await chooseCryptoBackend();
      [alice, bob] = [keyNumber(1), keyNumber(2)];
      world = await create();
      chain = world.chain;
    });
    afterAll(() => world?.stop());

    const named = (event: ChainEvent) => (event.type === 'block_connected' ? `+${event.block.height}` : `back to ${event.tip.height}`);
    const height = async () => (await chain.tip()).height;
    const txidOf = (raw: Hex): Hex32 => parseTx(raw).txid;

    async function fund(key: Key, value: bigint, { unconfirmed = false } = {}): Promise<KeyCoin> {
      const txid = await world.pay(key.script, sat(value));
      for (let index = 0; index < 3; index++) {
        const output = await chain.unspentOutput({ txid, index });
        if (output?.script_pubkey !== key.script || output.value !== value) continue;
        if (!unconfirmed) await world.mine(1);
        return { txid, index, value: sat(value), key };
      }
      throw new Error(`no output of ${txid} pays ${value} sat to the key`);
    }

    describe('a follower', () => {
      it('hears of each block from where it asks, in order, and each stands on the one before', async () => {
        const from = (await height()) - 3;
        const blocks: (ChainEvent & { type: 'block_connected' })[] = [];
        const stop = chain.follow(from, (event) => void (event.type === 'block_connected' && blocks.push(event)));
        await world.mine(2);
        await world.settled();
        stop();
        expect(blocks.map(({ block }) => block.height)).toEqual([0, 1, 2, 3, 4, 5].map((i) => from + i));
        blocks.slice(1).forEach(({ block }, i) => expect(block.previous_block_hash).toBe(blocks[i]!.block.block_hash));
        for (const { block } of blocks) for (const { txid, transaction } of block.transactions) expect(txidOf(transaction)).toBe(txid);
        expect(blocks.at(-1)!.block.block_hash).toBe((await chain.tip()).block_hash);
      });

      it('hears of a roll-back, and of what comes instead', async () => {
        const from = (await height()) + 1;
        const heard: string[] = [];
        const stop = chain.follow(from, (event) => void heard.push(named(event)));
        await world.mine(3);
        await world.settled();
        await world.reorg(2);
        await world.mine(3);
        await world.settled();
        stop();
        expect(heard).toEqual([`+${from}`, `+${from + 1}`, `+${from + 2}`, `back to ${from}`, `+${from + 1}`, `+${from + 2}`, `+${from + 3}`]);
      });

      it('hears of a roll-back deeper than where it began', async () => {
        await world.mine(3);
        const from = (await height()) - 1;
        const heard: string[] = [];
        const stop = chain.follow(from, (event) => void heard.push(named(event)));
        await world.settled();
        await world.reorg(4);
        await world.mine(5);
        await world.settled();
        stop();
        expect(heard.slice(0, 4)).toEqual([`+${from}`, `+${from + 1}`, `back to ${from - 3}`, `+${from - 2}`]);
        expect(heard.at(-1)).toBe(`+${from + 2}`);
      });

      it('waits for a block that is not there yet', async () => {
        const from = (await height()) + 2;
        const heard: string[] = [];
        const stop = chain.follow(from, (event) => void heard.push(named(event)));
        await world.mine(1);
        await world.settled();
        expect(heard).toEqual([]);
        await world.mine(1);
        await world.settled();
        stop();
        expect(heard).toEqual([`+${from}`]);
      });

      it('that is slow or fails does not stop the others, and hears nothing after it stops', async () => {
        const from = await height();
        const [failing, quick]: [string[], string[]] = [[], []];
        const stops = [
          chain.follow(from, (event) => {
            failing.push(named(event));
            throw new Error('not today');
          }),
          chain.follow(from, (event) => void quick.push(named(event))),
        ];
        await world.mine(1);
        await world.settled();
        for (const stop of stops) stop();
        await world.mine(1);
        await world.settled();
        expect([failing, quick]).toEqual([[`+${from}`, `+${from + 1}`], [`+${from}`, `+${from + 1}`]]);
      });
    });

    describe('a look-up', () => {
      it('finds an output that waits, then in its block, and no more once it is spent', async () => {
        const coin = await fund(alice!, 100_000n, { unconfirmed: true });
        expect(await chain.unspentOutput(coin)).toEqual({ value: 100_000n, script_pubkey: alice!.script, block_height: undefined });
        await world.mine(1);
        expect(await chain.unspentOutput(coin)).toEqual({ value: 100_000n, script_pubkey: alice!.script, block_height: await height() });
        expect(await codeOf(chain.broadcast(spend([coin], [pays(bob!.script, 99_000n)])))).toBe('ok');
        expect(await chain.unspentOutput(coin), 'spent by what waits').toBeUndefined();
        expect(await chain.unspentOutput({ txid: hex32('ab'.repeat(32)), index: 0 })).toBeUndefined();
      });

      it('finds a transaction once a block holds it, with its place, and not when the block is gone', async () => {
        const coin = await fund(alice!, 100_000n);
        const raw = spend([coin], [pays(bob!.script, 99_000n)]);
        await chain.broadcast(raw);
        expect(await chain.confirmedTransaction(txidOf(raw))).toBeUndefined();
        await world.mine(2);
        const found = await chain.confirmedTransaction(txidOf(raw));
        expect(found).toEqual({ txid: txidOf(raw), transaction: raw, block_height: (await height()) - 1, transaction_index: found!.transaction_index });
        expect(found!.transaction_index).toBeGreaterThan(0);
        await world.reorg(2);
        expect(await chain.confirmedTransaction(txidOf(raw))).toBeUndefined();
        expect(await chain.unspentOutput({ txid: txidOf(raw), index: 0 }), 'it waits again').toMatchObject({ block_height: undefined });
        await world.mine(3);
        expect(await chain.confirmedTransaction(txidOf(raw))).toMatchObject({ block_height: (await height()) - 2 });
        expect(await chain.confirmedTransaction(hex32('ab'.repeat(32)))).toBeUndefined();
      });
    });

    describe('a broadcast', () => {
      it('is idempotent: waiting, confirmed, and when its outputs are spent again', async () => {
        const coin = await fund(alice!, 100_000n);
        const raw = spend([coin], [pays(alice!.script, 99_000n)]);
        for (let i = 0; i < 2; i++) expect(await chain.broadcast(raw)).toEqual({ ok: true });
        await world.mine(1);
        expect(await chain.broadcast(raw)).toEqual({ ok: true });
        await world.settled();
        const child = spend([{ ...coin, txid: txidOf(raw), index: 0, value: sat(99_000) }], [pays(bob!.script, 98_000n)]);
        expect(await codeOf(chain.broadcast(child))).toBe('ok');
        await world.mine(1);
        expect(await chain.broadcast(raw)).toEqual({ ok: true });
      });

      const refusals: readonly (readonly [string, boolean, (coin: KeyCoin) => Hex])[] = [
        ['TX decode failed', true, () => 'deadbeef'],
        ['bad-txns-vout-empty', true, (coin) => spend([coin], [])],
        ['bad-txns-inputs-duplicate', true, (coin) => spend([coin, coin], [pays(bob!.script, 90_000n)])],
        ['bad-txns-in-belowout', true, (coin) => spend([coin], [pays(bob!.script, 100_001n)])],
        ['min relay fee not met', false, (coin) => spend([coin], [pays(bob!.script, 99_950n)])],
        ['bad-txns-inputs-missingorspent', false, (coin) => spend([{ ...coin, txid: hex32('ab'.repeat(32)) }], [pays(bob!.script, 90_000n)])],
        ['bad-txns-inputs-missingorspent', true, (coin) => spend([{ ...coin, index: 9 }], [pays(bob!.script, 90_000n)])],
        ['non-final', false, (coin) => spend([coin], [pays(bob!.script, 90_000n)], { locktime: 400_000_000 })],
        ['non-BIP68-final', false, (coin) => spend([coin], [pays(bob!.script, 90_000n)], { sequence: 20 })],
        ['scriptpubkey', true, (coin) => spend([coin], [pays('ac', 90_000n)])],
        ['mandatory-script-verify-flag', true, (coin) => spend([{ ...coin, key: bob! }], [pays(bob!.script, 90_000n)])],
      ];
      it.each(refusals)('is refused: %s (permanent: %s)', async (code, permanent, make) => {
        const answer = await chain.broadcast(make(await fund(alice!, 100_000n)));
        expect(answer).toMatchObject({ ok: false, code: expect.stringContaining(code), permanent: permanent && (world.knowsAll || !code.includes('missing')) });
      });

      it.each([['P2WSH', `0020${'11'.repeat(32)}`, 330n], ['P2WPKH', `0014${'11'.repeat(20)}`, 294n], ['P2TR', `5120${'11'.repeat(32)}`, 330n]])(
        "is held to Bitcoin Core's dust limit: %s", async (_kind, script, limit) => {
          const coin = await fund(alice!, 100_000n);
          const dusty = spend([coin], [pays(script, limit - 1n), pays(alice!.script, 90_000n)]);
          expect(await chain.broadcast(dusty)).toMatchObject({ ok: false, code: 'dust', permanent: true });
          expect(await codeOf(chain.broadcast(spend([coin], [pays(script, limit), pays(alice!.script, 90_000n)])))).toBe('ok');
        });

      it('replaces what says that it may be, for a better fee alone', async () => {
        const coin = await fund(alice!, 100_000n);
        expect(await codeOf(chain.broadcast(spend([coin], [pays(bob!.script, 99_000n)])))).toBe('ok');
        expect(await chain.broadcast(spend([coin], [pays(alice!.script, 98_950n)]))).toMatchObject({ ok: false, code: 'insufficient fee', permanent: false });
        expect(await codeOf(chain.broadcast(spend([coin], [pays(alice!.script, 97_000n)])))).toBe('ok');
      });

      it('of a rival fails for now while the first waits, and for ever once a block has it (where that can be known)', async () => {
        const coin = await fund(alice!, 100_000n);
        expect(await codeOf(chain.broadcast(spend([coin], [pays(bob!.script, 99_000n)], { sequence: FINAL })))).toBe('ok');
        const rival = spend([coin], [pays(alice!.script, 90_000n)]);
        expect(await chain.broadcast(rival)).toMatchObject({ ok: false, code: 'txn-mempool-conflict', permanent: false });
        await world.mine(1);
        expect(await chain.broadcast(rival)).toMatchObject({ ok: false, code: 'bad-txns-inputs-missingorspent', permanent: world.knowsAll });
      });
    });

    it('tells of waiting transactions, each once, until the listener stops', async () => {
      const heard: Hex32[] = [];
      const stop = chain.onMempoolTransaction(({ txid, transaction }) => {
        expect(txidOf(transaction)).toBe(txid);
        heard.push(txid);
      });
      const raw = spend([await fund(alice!, 100_000n)], [pays(bob!.script, 99_000n)]);
      for (let i = 0; i < 2; i++) {
        await chain.broadcast(raw);
        await world.settled();
      }
      expect(heard.filter((txid) => txid === txidOf(raw))).toHaveLength(1);
      stop();
      const before = heard.length;
      await fund(bob!, 50_000n, { unconfirmed: true });
      await world.settled();
      expect(heard).toHaveLength(before);
    });

    it('estimates a feerate that relays', async () => {
      for (const blocks of [1, 6, 144, 100_000]) expect(await chain.estimateFeerate(blocks)).toBeGreaterThanOrEqual(253);
    });
  });
}
