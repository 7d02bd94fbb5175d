/** Whole nodes on a litecoind: each with a connection and a data folder of its own, and books about what their wallets must hold. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BitcoindChain, openBitcoindChain } from '../../src/adapters/chain/bitcoind/chain.ts';
import { msat, type Msat, type Sat } from '../../src/bolt/primitives.ts';
import type { ChannelState } from '../../src/domain/channel/state.ts';
import { type RunningNode, startNode } from '../../src/main.ts';
import { until } from '../../src/playground/waiting.ts';
import { hashes } from '../../src/adapters/chain/bitcoind/answers.ts';
import { type Litecoind, startLitecoind } from './litecoind.ts';

export const TO_SELF_DELAY = 8;
export const MINIMUM_DEPTH = 3;

export interface ChainNodes {
  readonly daemon: Litecoind;
  /** Each node's folder is in it, by its name. */
  readonly dataDir: string;
  node(name: string): RunningNode;
  /** What a node has said so far. */
  readonly log: readonly string[];
  /** Starts a node, on its folder if it had one. */
  start(name: string): Promise<RunningNode>;
  halt(name: string): Promise<void>;
  /** Ends a node as a power cut would. */
  kill(name: string): Promise<void>;
  connect(from: string, to: string): Promise<void>;
  /** Mines and waits until every node has handed each block to its channels. */
  mine(blocks: number): Promise<void>;
  /** Waits until every node stands where the daemon does. */
  caughtUp(): Promise<void>;
  /** Pays a node's wallet from outside, and mines a block. */
  give(name: string, value: Sat): Promise<void>;
  /** Opens a channel that waits for its first confirmation. */
  propose(from: string, to: string, funding_satoshis: Sat, push_msat?: Msat): Promise<ChainChannel>;
  /** Opens a channel and mines until both ends can use it. */
  open(from: string, to: string, funding_satoshis: Sat, push_msat?: Msat): Promise<ChainChannel>;
  pay(from: string, to: string, amount_msat: Msat): Promise<void>;
  wallet(name: string): Promise<bigint>;
  stop(): Promise<void>;
}

export interface ChainChannel {
  /** The two ends' streams, and their states now. */
  readonly ends: Readonly<Record<string, () => ChannelState>>;
  readonly streamOf: Readonly<Record<string, string>>;
}

export async function startChainNodes(names: readonly string[]): Promise<ChainNodes> {
  const dataDir = await mkdtemp(join(tmpdir(), 'fulgurite-nodes-'));
  const daemon = await startLitecoind();
  const running = new Map<string, { readonly node: RunningNode; readonly chain: BitcoindChain }>();
  const log: string[] = [];
  const { url, cookieFile } = daemon;
  const birthday = await daemon.height();

  async function start(name: string): Promise<RunningNode> {
    const onLog = (line: string) => void log.push(`${name}: ${line}`);
    const chain = await openBitcoindChain({ url, cookieFile, network: 'bitcoin-regtest', genesis: 'stand-in', pollMs: 50, onLog });
    const policy = { to_self_delay: TO_SELF_DELAY, minimum_depth: MINIMUM_DEPTH };
    const node = await startNode({ name, dataDir, network: 'bitcoin-regtest', chain, policy, fromHeight: birthday, onLog });
    running.set(name, { node, chain });
    return node;
  }

  async function end(name: string, how: 'stop' | 'kill'): Promise<void> {
    const { node, chain } = running.get(name)!;
    running.delete(name);
    await node[how]();
    await chain.close();
  }
  const halt = (name: string) => end(name, 'stop');
  const kill = (name: string) => end(name, 'kill');

  const nodes: ChainNodes = {
    daemon, dataDir, log, start, halt, kill,
    node: (name) => running.get(name)!.node,
    async connect(from, to) {
      const { node_id, host, port } = nodes.node(to);
      await nodes.node(from).connect({ node_id, host, port });
      await until('the connection', () => (nodes.node(to).peers().includes(nodes.node(from).node_id) ? [] : [`${from} at ${to}`]));
    },
    async mine(blocks) {
      await daemon.mine(blocks);
      await nodes.caughtUp();
    },
    async caughtUp() {
      const height = await daemon.height();
      await until('the newest block at every node', () => [...running].filter(([, { node }]) => node.height() !== height).map(([name, { node }]) => `${name} is at ${node.height()} of ${height}`), { timeoutMs: 60_000 });
      await Promise.all([...running.values()].map(({ node }) => node.settled()));
    },
    async give(name, value) {
      await daemon.pay((await nodes.node(name).wallet.address('from outside')).script_pubkey, value);
      await nodes.mine(1);
    },
    async propose(from, to, funding_satoshis, push_msat = msat(0)) {
      const before = new Set(nodes.node(to).channels().map(({ stream }) => stream));
      const stream = await nodes.node(from).openChannel({ peer_id: nodes.node(to).node_id, funding_satoshis, push_msat });
      const peerStream = () => nodes.node(to).channels().find((channel) => !before.has(channel.stream))?.stream;
      await until('the funding transaction', async () => (isFunded(stateOf(nodes, from, stream)) && (await waiting(daemon)) > 0 ? [] : [stream]));
      const streamOf = { [from]: stream, [to]: peerStream()! };
      return { streamOf, ends: { [from]: () => stateOf(nodes, from, streamOf[from]!), [to]: () => stateOf(nodes, to, streamOf[to]!) } };
    },
    async open(from, to, funding_satoshis, push_msat) {
      const channel = await nodes.propose(from, to, funding_satoshis, push_msat);
      await nodes.mine(MINIMUM_DEPTH);
      await whenUsable(nodes, channel);
      return channel;
    },
    async pay(from, to, amount_msat) {
      const invoice = await nodes.node(to).createInvoice({ amount_msat, description: 'a story' });
      if (invoice.status !== 'created') throw new Error(`no invoice: ${invoice.refusal.code}`);
      const result = await nodes.node(from).pay({ bolt11: invoice.bolt11 });
      if (result.status !== 'succeeded') throw new Error(`the payment did not succeed: ${JSON.stringify(result, (_, value) => (typeof value === 'bigint' ? value.toString() : value))}`);
      await until('no HTLC under way', () => [from, to].filter((name) => nodes.node(name).channels().some(({ state }) => 'commitments' in state && state.phase === 'normal' && (state.commitments.htlcs.length > 0 || state.commitments.remote.awaiting_revocation))));
    },
    wallet: async (name) => (await nodes.node(name).wallet.balance()).total_sat,
    async stop() {
      for (const name of names) if (running.has(name)) await halt(name);
      await daemon.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
  for (const name of names) await start(name);
  return nodes;
}

/** Both ends let updates flow. */
export async function whenUsable(nodes: ChainNodes, { streamOf }: ChainChannel): Promise<void> {
  await until('a usable channel', () => Object.entries(streamOf)
    .filter(([name, stream]) => !nodes.node(name).channels().find((channel) => channel.stream === stream)?.usable)
    .map(([name, stream]) => `${stream} at ${name} is ${nodes.node(name).channels().find((channel) => channel.stream === stream)?.state.phase}`));
}

/** Transactions in the daemon's mempool. */
export const waiting = async ({ rpc }: Litecoind): Promise<number> => (await rpc.call('getrawmempool', [], hashes)).length;


const stateOf = (nodes: ChainNodes, name: string, stream: string): ChannelState => nodes.node(name).channels().find((channel) => channel.stream === stream)!.state;
const isFunded = (state: ChannelState): boolean => state.phase === 'normal' || (state.phase === 'opening' && state.step === 'funded');
