/** Two ways to end a channel: both sign, or one publishes its commitment and waits. What each wallet gains is known before. */
import { anchorsCost, commitmentFee } from '../bolt/03-transactions/fees.ts';
import type { ClosingState } from '../domain/channel/closing-fee.ts';
import { completeCloses, payerOf } from '../domain/channel/mutual-closes.ts';
import type { ChannelState } from '../domain/channel/state.ts';
import { confirmedClaims } from '../domain/onchain/claims.ts';
import type { Name } from './cast.ts';
import type { Network } from './network.ts';
import { channelOf, type OpenedChannel } from './opening.ts';
import type { Stage } from './story.ts';
import { mustBe, PlaygroundError, until } from './waiting.ts';

type ClosedState = Extract<ChannelState, { phase: 'closed' }>;

/** Blocks after which any ending here is settled: the delay, the sweep and their confirmations. */
const MOST_BLOCKS = 60;

/** BOLT 2, "Channel Close": shutdown, closing_complete and closing_sig both ways; each side's wallet gains its balance, whose transaction confirms pays the fee. */
export async function closeTogether(stage: Stage, channel: OpenedChannel): Promise<void> {
  const { network, books, tally, say } = stage;
  const { from, to, stream } = channel;
  const before = await walletsOf(network, channel);
  await network.node(from).closeChannel(stream, { reason: 'the story asks for it' });
  const closing = await whenAgreed(network, channel);
  await until('the closing transaction', () => (network.chain.mempool().length > 0 ? [] : ['a transaction in the mempool']));
  const [own] = await whenClosed(network, channel);
  mustBe('the kind of close', 'mutual', own.spend!.kind);
  const fee = completeCloses(closing).find(({ closing_txid }) => closing_txid === own.spend!.txid)!.closing.fee_satoshis;
  const payer = payerOf(closing, own.spend!.txid) === 'local' ? from : to;
  for (const name of [from, to]) await expectGain(network, name, before[name]!, books.owned(channel, name) / 1000n - (name === payer ? fee : 0n));
  books.strike(channel);
  tally.closes.mutual += 1;
  say(`${from} and ${to} closed ${channel.short_channel_id} together for a fee of ${fee} sat, paid by ${payer}`);
}

/** BOLT 5: `by`, the opener, publishes its commitment; both sweep what is theirs, `by` only after to_self_delay. */
export async function closeByForce(stage: Stage, channel: OpenedChannel, by: Name): Promise<void> {
  const { network, books, tally, say } = stage;
  const { from, to, stream } = channel;
  mustBe('who closes by force', from, by);
  const before = await walletsOf(network, channel);
  const cost = commitmentCost(channelOf(network, from, stream)!.state);
  await network.node(by).closeChannel(stream, { force: true, reason: 'the story asks for it' });
  await until('the commitment', () => (network.chain.mempool().length > 0 ? [] : ['a transaction in the mempool']));
  const [own, theirs] = await whenClosed(network, channel);
  mustBe(`the kind of close as ${by} sees it`, 'local', own.spend!.kind);
  mustBe(`the kind of close as ${to} sees it`, 'remote', theirs.spend!.kind);
  await expectGain(network, from, before[from]!, books.owned(channel, from) / 1000n - cost - sweepFee(own));
  await expectGain(network, to, before[to]!, books.owned(channel, to) / 1000n - sweepFee(theirs));
  books.strike(channel);
  tally.closes.force += 1;
  tally.sweeps += confirmedClaims(own).length + confirmedClaims(theirs).length;
  const delay = own.onchain!.outputs.find(({ kind }) => kind === 'to_local')!.spent!.block_height - own.spend!.block_height;
  say(`${by} closed ${channel.short_channel_id} by force and swept its share ${delay} blocks later (to_self_delay ${own.terms.remote.to_self_delay})`);
}

/** Both ends' states, once nothing of the channel is left to do. */
async function whenClosed(network: Network, { from, to, stream, peerStream }: OpenedChannel): Promise<readonly [ClosedState, ClosedState]> {
  const open = () => ([[from, stream], [to, peerStream]] as const)
    .map(([name, own]) => ({ name, own, phase: channelOf(network, name, own)!.state.phase }))
    .filter(({ phase }) => phase !== 'closed');
  await network.mineUntil('the channel to be closed', () => open().map(({ name, own, phase }) => `${own} of ${name} is ${phase}`), MOST_BLOCKS);
  return [closedState(network, from, stream), closedState(network, to, peerStream)];
}

function closedState(network: Network, name: Name, stream: string): ClosedState {
  const { state } = channelOf(network, name, stream)!;
  if (state.phase !== 'closed') throw new PlaygroundError('channel_not_closed', `${stream} of ${name}: expected closed, got ${state.phase}`);
  return state;
}

type Wallets = Partial<Record<Name, bigint>>;

async function walletsOf(network: Network, { from, to }: OpenedChannel): Promise<Wallets> {
  return { [from]: await walletOf(network, from), [to]: await walletOf(network, to) };
}

const walletOf = async (network: Network, name: Name): Promise<bigint> => (await network.node(name).wallet.balance()).total_sat;

/** `gain` in sat. */
async function expectGain(network: Network, name: Name, before: bigint, gain: bigint): Promise<void> {
  await until(`the coins of ${name}`, async () => {
    const got = await walletOf(network, name);
    return got === before + gain ? [] : [`expected ${before + gain} sat, got ${got} sat`];
  }, { timeoutMs: 5_000 });
}

/** Both ends have said all that there is to say; answers the end of `from`, with every close that both have signed. */
async function whenAgreed(network: Network, { from, to, stream, peerStream }: OpenedChannel): Promise<ClosingState> {
  const done = ([[from, stream], [to, peerStream]] as const).map(([name, own]) => (): ClosingState | undefined => {
    const { state } = channelOf(network, name, own)!;
    return state.phase === 'closing' && state.proposal === 'done' ? state : undefined;
  });
  await until('closing_sig from both', () => (done.some((end) => end() === undefined) ? [`the close of ${from} and ${to}`] : []));
  return done[0]!()!;
}

/** What the opener's output bears: the commitment's fee and both anchors, sat. */
function commitmentCost(state: ChannelState): bigint {
  if (state.phase !== 'normal') throw new PlaygroundError('channel_not_open', `expected an open channel, got phase ${state.phase}`);
  const { format } = state.terms;
  return commitmentFee(format, state.commitments.fees[0]!.feerate_per_kw, 0) + anchorsCost(format);
}

const sweepFee = (state: ClosedState): bigint => confirmedClaims(state).reduce((sum, { fee_satoshis }) => sum + fee_satoshis, 0n);
