/** Two nodes on a real daemon: openings, reorganisations, both kinds of close, and a node that slept through 500 blocks. To the sat. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { placedTransaction } from '../../src/adapters/chain/bitcoind/answers.ts';
import { anchorsCost, commitmentFee } from '../../src/bolt/03-transactions/fees.ts';
import { parseTx } from '../../src/bolt/03-transactions/tx-parse.ts';
import { msat, sat } from '../../src/bolt/primitives.ts';
import { type ChannelState, isEstablished } from '../../src/domain/channel/state.ts';
import { confirmedClaims } from '../../src/domain/onchain/claims.ts';
import { until } from '../../src/playground/waiting.ts';
import { type ChainChannel, type ChainNodes, MINIMUM_DEPTH, startChainNodes, TO_SELF_DELAY, waiting, whenUsable } from '../support/chain-nodes.ts';
import { describeWithLitecoind } from './with-litecoind.ts';

describeWithLitecoind('two nodes on litecoind', () => {
  let nodes: ChainNodes;
  beforeAll(async () => {
    nodes = await startChainNodes(['alice', 'bob']);
    await nodes.connect('alice', 'bob');
    await nodes.give('alice', sat(20_000_000));
  });
  afterAll(() => nodes?.stop());

  const phases = ({ ends }: ChainChannel) => Object.values(ends).map((state) => state().phase);
  const fundingOf = (state: ChannelState) => (isEstablished(state) ? state.funding : undefined);
  const scidsOf = ({ ends }: ChainChannel) => Object.values(ends).map((state) => fundingOf(state())?.confirmed?.short_channel_id);
  const closed = (state: ChannelState) => (state.phase === 'closed' ? state : undefined);
  type Closed = Extract<ChannelState, { phase: 'closed' }>;
  /** What the claims that confirmed paid, sat. */
  const claimFees = (state: Closed) => confirmedClaims(state).reduce((sum, { fee_satoshis }) => sum + fee_satoshis, 0n);
  /** Blocks from the commitment to the claim of our output. */
  const claimedAfter = ({ onchain, spend }: Closed) => onchain!.outputs.find(({ spent }) => spent?.by === 'local')!.spent!.block_height - spend!.block_height;
  const eventsOf = async (name: string, stream: string) => {
    const types: string[] = [];
    for await (const { event } of nodes.node(name).store.read(stream)) types.push(event.type);
    return types;
  };
  const hashOfTip = async () => nodes.daemon.hashAt(await nodes.daemon.height());

  /** Mines, a block at a time, until both ends are closed. */
  async function mineUntilClosed(channel: ChainChannel): Promise<void> {
    for (let i = 0; i < 40 && !phases(channel).every((phase) => phase === 'closed'); i++) await nodes.mine(1);
    expect(phases(channel)).toEqual(['closed', 'closed']);
  }

  it('their wallets count what is paid to them, once a block has it', async () => {
    expect(await nodes.wallet('alice')).toBe(20_000_000n);
    expect(await nodes.wallet('bob')).toBe(0n);
  });

  it('a channel opens with its third confirmation, at the place the chain gives it', async () => {
    const channel = await nodes.propose('alice', 'bob', sat(1_000_000));
    await nodes.mine(MINIMUM_DEPTH - 1);
    expect(phases(channel)).toEqual(['opening', 'opening']);
    await nodes.mine(1);
    await whenUsable(nodes, channel);
    const { txid, output_index } = fundingOf(channel.ends['alice']!())!;
    const height = (await nodes.daemon.height()) - MINIMUM_DEPTH + 1;
    expect(scidsOf(channel)).toEqual([`${height}x1x${output_index}`, `${height}x1x${output_index}`]);
    expect(txid).toMatch(/^[0-9a-f]{64}$/);
    await nodes.pay('alice', 'bob', msat(300_000_000));
    await closeTogether(channel, 700_000n, 300_000n);
  });

  it('a funding that is reorganised out before it is deep enough confirms in another block', async () => {
    const channel = await nodes.propose('alice', 'bob', sat(1_000_000));
    await nodes.mine(2);
    await nodes.daemon.invalidate(await nodes.daemon.hashAt((await nodes.daemon.height()) - 1));
    await nodes.caughtUp();
    expect(phases(channel)).toEqual(['opening', 'opening']);
    // It waits again, and the next block has it.
    await nodes.mine(MINIMUM_DEPTH - 1);
    expect(phases(channel)).toEqual(['opening', 'opening']);
    await nodes.mine(1);
    await whenUsable(nodes, channel);
    await closeTogether(channel, 1_000_000n, 0n);
  });

  it('a funding that is reorganised out after it confirmed, and in again, carries payments as before', async () => {
    const channel = await nodes.open('alice', 'bob', sat(1_000_000));
    const places = scidsOf(channel);
    const block = await nodes.daemon.hashAt((await nodes.daemon.height()) - MINIMUM_DEPTH + 1);
    const height = await nodes.daemon.height();
    await nodes.daemon.invalidate(block);
    await nodes.caughtUp();
    expect(nodes.node('alice').height()).toBe(height - MINIMUM_DEPTH);
    expect(await waiting(nodes.daemon)).toBeGreaterThan(0);
    await nodes.daemon.reconsider(block);
    await nodes.caughtUp();
    expect(nodes.node('alice').height()).toBe(height);
    expect(scidsOf(channel)).toEqual(places);
    await nodes.pay('alice', 'bob', msat(100_000_000));
    await nodes.pay('bob', 'alice', msat(40_000_000));
    await closeTogether(channel, 940_000n, 60_000n);
  });

  it('a funding that is reorganised out after it confirmed, and into a later block, is still theirs', async () => {
    const channel = await nodes.open('alice', 'bob', sat(1_000_000));
    const height = await nodes.daemon.height();
    await nodes.daemon.invalidate(await nodes.daemon.hashAt(height - MINIMUM_DEPTH + 1));
    await nodes.caughtUp();
    await nodes.daemon.mineEmpty();
    await nodes.mine(MINIMUM_DEPTH + 2);
    const { rpc } = nodes.daemon;
    const { blockhash } = await rpc.call('getrawtransaction', [fundingOf(channel.ends['alice']!())!.txid, true], placedTransaction);
    expect(blockhash, 'a block later than before').toBe(await nodes.daemon.hashAt(height - MINIMUM_DEPTH + 2));
    expect(phases(channel)).toEqual(['normal', 'normal']);
    await nodes.pay('alice', 'bob', msat(30_000_000));
    await closeTogether(channel, 970_000n, 30_000n);
  });

  it('a funding that a reorganisation threw away is sent again, by either end', async () => {
    const channel = await nodes.open('alice', 'bob', sat(1_000_000));
    const height = await nodes.daemon.height();
    await nodes.daemon.invalidate(await nodes.daemon.hashAt(height - MINIMUM_DEPTH + 1));
    await nodes.daemon.forgetMempool();
    expect(await waiting(nodes.daemon)).toBe(0);
    await nodes.caughtUp();
    await nodes.mine(1);
    await until('the funding transaction', async () => ((await waiting(nodes.daemon)) > 0 ? [] : ['a transaction in the mempool']));
    await nodes.mine(2);
    await closeTogether(channel, 1_000_000n, 0n);
  });

  it('a close by force pays at once who did not ask for it, and who did after to_self_delay', async () => {
    const channel = await nodes.open('alice', 'bob', sat(1_000_000), msat(250_000_000));
    await nodes.pay('alice', 'bob', msat(50_000_000));
    const before = { alice: await nodes.wallet('alice'), bob: await nodes.wallet('bob') };
    const state = channel.ends['alice']!();
    if (state.phase !== 'normal') throw new Error(state.phase);
    const cost = commitmentFee(state.terms.format, state.commitments.fees[0]!.feerate_per_kw, 0) + anchorsCost(state.terms.format);
    await nodes.node('alice').closeChannel(channel.streamOf['alice']!, { force: true });
    await until('the commitment', async () => ((await waiting(nodes.daemon)) > 0 ? [] : ['a transaction in the mempool']));
    await mineUntilClosed(channel);
    const [alice, bob] = [closed(channel.ends['alice']!())!, closed(channel.ends['bob']!())!];
    expect([alice.spend!.kind, bob.spend!.kind]).toEqual(['local', 'remote']);
    expect(claimedAfter(alice)).toBe(TO_SELF_DELAY);
    expect(claimedAfter(bob)).toBeLessThan(TO_SELF_DELAY);
    expect(await nodes.wallet('alice')).toBe(before.alice + 700_000n - cost - claimFees(alice));
    expect(await nodes.wallet('bob')).toBe(before.bob + 300_000n - claimFees(bob));
  });

  it('a commitment that is reorganised out is owed to the chain again, and its sweep with it', async () => {
    const channel = await nodes.open('alice', 'bob', sat(1_000_000), msat(400_000_000));
    const before = { alice: await nodes.wallet('alice'), bob: await nodes.wallet('bob') };
    await nodes.node('bob').closeChannel(channel.streamOf['bob']!, { force: true });
    await until('the commitment', async () => ((await waiting(nodes.daemon)) > 0 ? [] : ['a transaction in the mempool']));
    await nodes.mine(1);
    const block = await hashOfTip();
    await nodes.mine(2);
    await nodes.daemon.invalidate(block);
    await nodes.caughtUp();
    expect(await eventsOf('alice', channel.streamOf['alice']!)).toContain('FundingUnspent');
    await mineUntilClosed(channel);
    const [alice, bob] = [closed(channel.ends['alice']!())!, closed(channel.ends['bob']!())!];
    expect([alice.spend!.kind, bob.spend!.kind]).toEqual(['remote', 'local']);
    expect(await nodes.wallet('bob')).toBe(before.bob + 400_000n - claimFees(bob));
    const { terms, commitments } = alice;
    const cost = commitmentFee(terms.format, commitments.fees[0]!.feerate_per_kw, 0) + anchorsCost(terms.format);
    expect(await nodes.wallet('alice')).toBe(before.alice + 600_000n - cost - claimFees(alice));
  });

  it('a backend that ends and comes back is waited for; what happened meanwhile is heard of', async () => {
    const channel = await nodes.open('alice', 'bob', sat(1_000_000));
    const { script_pubkey } = await nodes.node('bob').wallet.address('while the backend is away');
    const before = await nodes.wallet('bob');
    await nodes.daemon.halt();
    await until('a word about it', () => (nodes.log.some((line) => line.includes('the chain backend fails')) ? [] : ['a log line']));
    await nodes.pay('alice', 'bob', msat(20_000_000));
    await nodes.daemon.restart();
    await nodes.daemon.pay(script_pubkey, sat(77_777));
    await nodes.mine(2);
    expect(await nodes.wallet('bob')).toBe(before + 77_777n);
    expect(nodes.log.filter((line) => line.includes('the chain backend is back'))).not.toEqual([]);
    await closeTogether(channel, 980_000n, 20_000n);
  });

  it('a node that slept through 500 blocks catches up, finds its coins, and pays', async () => {
    const channel = await nodes.open('alice', 'bob', sat(1_000_000));
    const { script_pubkey } = await nodes.node('bob').wallet.address('while asleep');
    const before = await nodes.wallet('bob');
    await nodes.halt('bob');
    await nodes.daemon.pay(script_pubkey, sat(123_456));
    await nodes.mine(500);
    await nodes.start('bob');
    await nodes.caughtUp();
    expect(await nodes.wallet('bob')).toBe(before + 123_456n);
    await nodes.connect('alice', 'bob');
    await whenUsable(nodes, channel);
    await nodes.pay('alice', 'bob', msat(10_000_000));
    await closeTogether(channel, 990_000n, 10_000n);
  });

  it('a node that slept while its peer closed by force finds the close, and its money', async () => {
    const channel = await nodes.open('alice', 'bob', sat(1_000_000), msat(200_000_000));
    const before = await nodes.wallet('bob');
    await nodes.halt('bob');
    await nodes.node('alice').closeChannel(channel.streamOf['alice']!, { force: true });
    await until('the commitment', async () => ((await waiting(nodes.daemon)) > 0 ? [] : ['a transaction in the mempool']));
    await nodes.mine(30);
    await nodes.start('bob');
    await nodes.caughtUp();
    await mineUntilClosed(channel);
    const bob = closed(channel.ends['bob']!())!;
    expect(bob.spend!.kind).toBe('remote');
    expect(await nodes.wallet('bob')).toBe(before + 200_000n - claimFees(bob));
  });

  /** Closes by agreement; who is the closer of the transaction in the block pays its fee. Balances in sat. */
  async function closeTogether(channel: ChainChannel, alices: bigint, bobs: bigint): Promise<void> {
    const before = { alice: await nodes.wallet('alice'), bob: await nodes.wallet('bob') };
    await nodes.node('bob').closeChannel(channel.streamOf['bob']!);
    await until('the closing transaction', async () => ((await waiting(nodes.daemon)) > 0 ? [] : ['a transaction in the mempool']));
    await mineUntilClosed(channel);
    const { spend, terms } = closed(channel.ends['bob']!())!;
    expect(spend!.kind).toBe('mutual');
    const fee = parseTx(spend!.transaction).outputs.reduce((left, { value }) => left - value, terms.funding_satoshis as bigint);
    let payer: 'alice' | 'bob' | undefined;
    for await (const { event } of nodes.node('alice').store.read(channel.streamOf['alice']!)) {
      if ('closing_txid' in event && event.closing_txid === spend!.txid) payer = event.type === 'ClosingSigReceived' ? 'alice' : 'bob';
    }
    expect(payer).toBeDefined();
    expect(await nodes.wallet('alice')).toBe(before.alice + alices - (payer === 'alice' ? fee : 0n));
    expect(await nodes.wallet('bob')).toBe(before.bob + bobs - (payer === 'bob' ? fee : 0n));
  }
});
