/** Four nodes on one chain: started on their folders, connected over loopback sockets, stopped, killed and started again. */
import { createRegtestChain, type RegtestChain } from '../adapters/chain/regtest.ts';
import { startNode, type RunningNode } from '../main.ts';
import { LINKS, NAMES, POLICY, type Name } from './cast.ts';
import { until, within } from './waiting.ts';

export interface NetworkOptions {
  /** Holds one folder per node. */
  readonly dataDir: string;
  /** What the nodes have to say to people, one line each. */
  readonly onLog?: (name: Name, line: string) => void;
}

export interface Network {
  readonly chain: RegtestChain;
  node(name: Name): RunningNode;
  all(): readonly RunningNode[];
  nameOf(node_id: string): Name | undefined;
  /** Finds blocks one after the other and waits until every node has taken each in. */
  mine(blocks: number): Promise<void>;
  /** Finds blocks until nothing is missing. Throws PlaygroundError `timeout` after `most` blocks. */
  mineUntil(what: string, missing: () => readonly string[] | Promise<readonly string[]>, most: number): Promise<void>;
  /** Ends a node as a power cut would. Its place in the cast stays empty until `start`. */
  kill(name: Name): Promise<void>;
  /** Starts a node from its folder, at the port its peers know, and connects it again. */
  start(name: Name): Promise<RunningNode>;
  /** Resolves when every mailbox, saga and chain listener is quiet; messages may still be on the wire. */
  settled(): Promise<void>;
  /** Resolves when no HTLC and no update is left on any open channel, at either end. */
  quiet(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts the cast in a folder and connects it. */
export async function startNetwork({ dataDir, onLog = () => undefined }: NetworkOptions): Promise<Network> {
  const chain = createRegtestChain();
  const running = new Map<Name, RunningNode>();
  const ports = new Map<Name, number>();
  const ids = new Map<string, Name>();

  async function launch(name: Name): Promise<RunningNode> {
    const port = ports.get(name) ?? 0;
    const node = await startNode({ name, dataDir, network: 'bitcoin-regtest', chain, port, policy: POLICY, onLog: (line) => onLog(name, line) });
    running.set(name, node);
    ports.set(name, node.port);
    ids.set(node.node_id, name);
    return node;
  }

  function node(name: Name): RunningNode {
    const found = running.get(name);
    if (found === undefined) throw new Error(`${name} is not running`);
    return found;
  }

  async function mine(blocks: number): Promise<void> {
    for (let i = 0; i < blocks; i++) {
      const { height } = chain.mineBlocks(1)[0]!;
      await within(`block ${height} at every node`, Promise.all([...running.values()].map((each) => each.reached(height))));
    }
  }

  const network: Network = {
    chain,
    node,
    all: () => NAMES.flatMap((name) => running.get(name) ?? []),
    nameOf: (node_id) => ids.get(node_id),
    mine,
    async mineUntil(what, missing, most) {
      for (let blocks = 0; blocks < most && (await missing()).length > 0; blocks++) {
        await mine(1);
        await network.settled();
      }
      await until(what, missing, { timeoutMs: 5_000 });
    },
    async kill(name) {
      const victim = node(name);
      running.delete(name);
      await victim.kill();
    },
    async start(name) {
      const started = await launch(name);
      for (const [from, to] of LINKS) if (from === name) await dial(network, from, to);
      await until(`the connections of ${name}`, () => missingLinks(network, name));
      return started;
    },
    async settled() {
      await chain.settled();
      await Promise.all([...running.values()].map((each) => each.settled()));
    },
    async quiet() {
      await network.settled();
      await until('channels without an update under way', () => network.all().flatMap(pendingOf));
    },
    async stop() {
      const ended = await Promise.allSettled([...running.values()].map((each) => each.stop()));
      await chain.close();
      for (const end of ended) if (end.status === 'rejected') throw end.reason;
    },
  };

  try {
    for (const name of NAMES) await launch(name);
    for (const [from, to] of LINKS) await dial(network, from, to);
    await until('the connections of all', () => NAMES.flatMap((name) => missingLinks(network, name)));
  } catch (error) {
    await network.stop().catch(() => undefined);
    throw error;
  }
  return network;
}

async function dial(network: Network, from: Name, to: Name): Promise<void> {
  const { node_id, host, port } = network.node(to);
  await within(`${from} calling ${to}`, network.node(from).connect({ node_id, host, port }));
}

/** A sentence per channel of a node whose two sides do not agree yet. */
function pendingOf(node: RunningNode): readonly string[] {
  return node.channels().flatMap(({ stream, state }) => {
    if (state.phase !== 'normal') return [];
    const { htlcs, remote } = state.commitments;
    const what = htlcs.length > 0 ? `${htlcs.length} HTLCs` : 'a commitment';
    return htlcs.length > 0 || remote.awaiting_revocation ? [`${what} of ${stream} at ${node.name}`] : [];
  });
}

function missingLinks(network: Network, name: Name): readonly string[] {
  return LINKS.filter((pair) => pair.includes(name))
    .filter(([from, to]) => !connected(network, from, to) || !connected(network, to, from))
    .map(([from, to]) => `${from} - ${to}`);
}

const connected = (network: Network, from: Name, to: Name): boolean => network.node(from).peers().includes(network.node(to).node_id);
