/** Mutual closes on a real daemon: at a feerate and to an address of one's choice, replaced while they wait, mined in a version that nobody published last. To the sat. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { hashes } from '../../src/adapters/chain/bitcoind/answers.ts';
import { encodeAddress } from '../../src/bolt/address.ts';
import { parseTx } from '../../src/bolt/03-transactions/tx-parse.ts';
import { msat, sat, type Hex } from '../../src/bolt/primitives.ts';
import type { ClosingState } from '../../src/domain/channel/closing-fee.ts';
import { bestClose, payerOf } from '../../src/domain/channel/mutual-closes.ts';
import { isEstablished, type ChannelState } from '../../src/domain/channel/state.ts';
import { until } from '../../src/playground/waiting.ts';
import { type ChainChannel, type ChainNodes, startChainNodes } from '../support/chain-nodes.ts';
import { describeWithLitecoind } from './with-litecoind.ts';

const FUNDING = 1_000_000n;
const ELSEWHERE: Hex = `5120${'77'.repeat(32)}`;
const elsewhere = encodeAddress(ELSEWHERE, 'bitcoin-regtest');

describeWithLitecoind('a mutual close on litecoind', () => {
  let nodes: ChainNodes;
  beforeAll(async () => {
    nodes = await startChainNodes(['alice', 'bob']);
    await nodes.connect('alice', 'bob');
    await nodes.give('alice', sat(50_000_000));
  });
  afterAll(() => nodes?.stop());

  type Name = 'alice' | 'bob';
  const open = () => nodes.open('alice', 'bob', sat(FUNDING), msat(400_000_000n));
  const stateOf = ({ ends }: ChainChannel, name: Name): ChannelState => ends[name]!();
  const mempool = (): Promise<readonly string[]> => nodes.daemon.rpc.call('getrawmempool', [], hashes);
  const close = (channel: ChainChannel, name: Name, options: { readonly feerate_per_kw?: number; readonly to?: string } = {}) => nodes.node(name).closeChannel(channel.streamOf[name]!, options);

  const said = (channel: ChainChannel) => until('closing_sig both ways', () => (['alice', 'bob'] as const).filter((name) => {
    const state = stateOf(channel, name);
    return !(state.phase === 'closing' && state.proposal === 'done');
  }));

  /** The close that pays most waits in the mempool, alone; answers its txid. */
  async function published(channel: ChainChannel): Promise<string> {
    await said(channel);
    const best = bestClose(stateOf(channel, 'alice') as ClosingState)!.closing_txid;
    await until('the dearest close in the mempool', async () => ((await mempool()).join() === best ? [] : [await mempool().then(String)]));
    return best;
  }

  /** The fees of all closes that wait, sat. */
  async function waitingFees(channel: ChainChannel): Promise<readonly bigint[]> {
    const state = stateOf(channel, 'alice');
    if (state.phase !== 'closing') throw new Error(`phase ${state.phase}`);
    const waiting = await mempool();
    return state.closes.signed.filter(({ closing_txid }) => waiting.includes(closing_txid)).map(({ fee_satoshis }) => fee_satoshis);
  }

  /** Mines until both ends are closed, and adds up what each side found: its balance, less the fee if it was the closer. */
  async function ended(channel: ChainChannel, before: Readonly<Record<Name, bigint>>, states: Readonly<Record<Name, ChannelState>>): Promise<{ readonly payer: Name; readonly fee: bigint; readonly outputs: readonly Hex[] }> {
    for (let blocks = 0; blocks < 20 && stateOf(channel, 'alice').phase + stateOf(channel, 'bob').phase !== 'closedclosed'; blocks++) await nodes.mine(1);
    const alice = stateOf(channel, 'alice');
    if (alice.phase !== 'closed' || !isEstablished(states.alice)) throw new Error(`alice is ${alice.phase}`);
    const { txid, kind, transaction } = alice.spend!;
    expect(kind).toBe('mutual');
    const payer = payerOf(states.alice, txid) === 'local' ? 'alice' : 'bob';
    const { outputs } = parseTx(transaction);
    const fee = outputs.reduce((left, { value }) => left - value, FUNDING);
    const away = outputs.filter(({ script_pubkey }) => script_pubkey === ELSEWHERE).reduce((sum, { value }) => sum + value, 0n);
    expect(await nodes.wallet('alice')).toBe(before.alice + (away > 0n ? 0n : 600_000n - (payer === 'alice' ? fee : 0n)));
    expect(await nodes.wallet('bob')).toBe(before.bob + 400_000n - (payer === 'bob' ? fee : 0n));
    if (away > 0n) expect(away).toBe(600_000n - (payer === 'alice' ? fee : 0n));
    return { payer, fee, outputs: outputs.map(({ script_pubkey }) => script_pubkey) };
  }

  const states = (channel: ChainChannel) => ({ alice: stateOf(channel, 'alice'), bob: stateOf(channel, 'bob') });
  const wallets = async () => ({ alice: await nodes.wallet('alice'), bob: await nodes.wallet('bob') });

  it('at a feerate and to an address of a user\'s choice', async () => {
    const channel = await open();
    const before = await wallets();
    await close(channel, 'alice', { feerate_per_kw: 3_000, to: elsewhere });
    await said(channel);
    const then = states(channel);
    await until('the dearer close', async () => ((await waitingFees(channel)).includes(2_172n) ? [] : [(await waitingFees(channel)).join()]));
    expect(await ended(channel, before, then)).toMatchObject({ payer: 'alice', fee: 2_172n, outputs: expect.arrayContaining([ELSEWHERE]) });
  });

  it('that is stuck is replaced by a dearer one, by either side, and the one before it is told what it would take', async () => {
    const channel = await open();
    const before = await wallets();
    await close(channel, 'bob');
    const first = await published(channel);
    await expect(close(channel, 'alice', { feerate_per_kw: 300 })).rejects.toThrow(/closing_fee_too_low: fee_satoshis \d+, min_fee_satoshis \d+/);
    await close(channel, 'bob', { feerate_per_kw: 4_000 });
    expect(await published(channel)).not.toBe(first);
    await close(channel, 'alice', { feerate_per_kw: 6_000 });
    await published(channel);
    const { payer, fee } = await ended(channel, before, states(channel));
    expect({ payer, fee }).toEqual({ payer: 'alice', fee: 4_056n });
  });

  it('confirms in a version that was replaced long ago: both know it', async () => {
    const channel = await open();
    const before = await wallets();
    await close(channel, 'alice');
    const first = await published(channel);
    const raw = await nodes.daemon.rpc.call('getrawtransaction', [first], z.string());
    await close(channel, 'alice', { feerate_per_kw: 9_000, to: elsewhere });
    expect(await published(channel)).not.toBe(first);
    const then = states(channel);
    await nodes.daemon.mineThese([raw]);
    await nodes.caughtUp();
    expect(states(channel)).toMatchObject({ alice: { phase: 'resolving', spend: { kind: 'mutual', txid: first } }, bob: { phase: 'resolving', spend: { kind: 'mutual', txid: first } } });
    expect((await ended(channel, before, then)).outputs).not.toContain(ELSEWHERE);
  });

  it('that a reorganisation takes away is owed again, and confirms in whatever version', async () => {
    const channel = await open();
    const before = await wallets();
    await close(channel, 'bob', { feerate_per_kw: 2_000 });
    await said(channel);
    const then = states(channel);
    await nodes.mine(3);
    expect(stateOf(channel, 'alice').phase).toBe('resolving');
    await nodes.daemon.invalidate(await nodes.daemon.hashAt((await nodes.daemon.height()) - 2));
    await nodes.daemon.forgetMempool();
    await nodes.daemon.mineEmpty();
    await nodes.caughtUp();
    await until('the close in the mempool again', async () => ((await mempool()).length > 0 ? [] : ['none']));
    await ended(channel, before, then);
  });

  it('survives the death of a node in its midst', async () => {
    const channel = await open();
    const before = await wallets();
    const closing = close(channel, 'alice');
    await until('a shutdown in the log', () => (stateOf(channel, 'alice').phase === 'normal' ? ['none'] : []));
    await nodes.kill('alice');
    await closing.catch(() => undefined);
    await nodes.start('alice');
    await nodes.connect('alice', 'bob');
    await said(channel);
    await ended(channel, before, states(channel));
  });
});
