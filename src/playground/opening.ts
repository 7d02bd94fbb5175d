/** The beginning of every playground: coins for all, channels between neighbours, and a graph that everybody knows. */
import { isEstablished } from '../domain/channel/state.ts';
import type { StreamId } from '../events/store.ts';
import type { ShortChannelId } from '../bolt/primitives.ts';
import { ANNOUNCEMENT_DEPTH, CHANNELS, NAMES, POCKET_MONEY, type Name, type PlannedChannel } from './cast.ts';
import type { Network } from './network.ts';
import { until } from './waiting.ts';

/** A channel that is open, as its opener's log names it. */
export interface OpenedChannel extends PlannedChannel {
  /** In the log of `from`. */
  readonly stream: StreamId;
  /** In the log of `to`. */
  readonly peerStream: StreamId;
  readonly short_channel_id: ShortChannelId;
}

/** Pays each node's wallet from the faucet and waits for the block. */
export async function fundWallets(network: Network): Promise<void> {
  for (const name of NAMES) {
    const { script_pubkey } = await network.node(name).wallet.address('pocket money');
    network.chain.fund(script_pubkey, POCKET_MONEY);
  }
  await network.mine(1);
}

/** Opens every channel of the plan and resolves when each can carry payments and every node knows of all. */
export async function openChannels(network: Network, plan: readonly PlannedChannel[] = CHANNELS): Promise<readonly OpenedChannel[]> {
  const started: { readonly planned: PlannedChannel; readonly stream: StreamId }[] = [];
  for (const planned of plan) started.push({ planned, stream: await propose(network, planned) });
  await until('funding transactions', () => started.filter(({ planned, stream }) => !isFunded(network, planned.from, stream)).map(({ planned }) => nameOf(planned)));
  await network.mine(ANNOUNCEMENT_DEPTH);
  const opened = await Promise.all(started.map(({ planned, stream }) => whenOpen(network, planned, stream)));
  await until('the graph of every node', () => missingFromGraphs(network, opened));
  return opened;
}

async function propose(network: Network, { from, to, funding_satoshis, push_msat, channel_type }: PlannedChannel): Promise<StreamId> {
  const { node_id } = network.node(to);
  return network.node(from).openChannel({ peer_id: node_id, funding_satoshis, push_msat, channel_type });
}

/** The peer has signed our way out: the funding transaction is on its way to a block. */
function isFunded(network: Network, from: Name, stream: StreamId): boolean {
  const state = channelOf(network, from, stream)?.state;
  return state?.phase === 'normal' || (state?.phase === 'opening' && state.step === 'funded');
}

async function whenOpen(network: Network, planned: PlannedChannel, stream: StreamId): Promise<OpenedChannel> {
  await until(`the channel ${nameOf(planned)}`, () => (channelOf(network, planned.from, stream)?.usable === true ? [] : [`${stream} of ${planned.from}`]));
  const short_channel_id = shortChannelIdOf(network, planned.from, stream)!;
  const find = () => network.node(planned.to).channels().find((other) => other.usable && shortChannelIdOf(network, planned.to, other.stream) === short_channel_id);
  await until(`the channel ${nameOf(planned)}`, () => (find() === undefined ? [`${short_channel_id} at ${planned.to}`] : []));
  return { ...planned, stream, peerStream: find()!.stream, short_channel_id };
}

/** One sentence per node and channel that it cannot route over yet. */
export function missingFromGraphs(network: Network, opened: readonly OpenedChannel[]): readonly string[] {
  return network.all().flatMap((node) => {
    const { channels } = node.graph();
    return opened
      .filter(({ short_channel_id }) => !(channels.get(short_channel_id)?.policies.every((policy) => policy !== undefined && !policy.disabled) ?? false))
      .map(({ short_channel_id, from, to }) => `${node.name} does not know both policies of ${short_channel_id} (${from}-${to})`);
  });
}

export const channelOf = (network: Network, name: Name, stream: StreamId): ReturnType<ReturnType<Network['node']>['channels']>[number] | undefined =>
  network.node(name).channels().find((channel) => channel.stream === stream);

function shortChannelIdOf(network: Network, name: Name, stream: StreamId): ShortChannelId | undefined {
  const state = channelOf(network, name, stream)?.state;
  return state !== undefined && isEstablished(state) ? state.funding.confirmed?.short_channel_id : undefined;
}

const nameOf = ({ from, to, funding_satoshis }: PlannedChannel): string => `${from}-${to} of ${funding_satoshis} sat`;
