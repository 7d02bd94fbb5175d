/** The composition root: a node (node.ts) on its adapters: a data folder, a seed, SQLite, and peers over TCP. The only file that knows them all. */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { PeerConnection } from './adapters/peer/connection.ts';
import { createDialer, type PeerAddress } from './adapters/peer/dialer.ts';
import { listenPeers } from './adapters/peer/server.ts';
import { openSafeKeeping, type OpenSafeKeeping, type SafeKeepingOptions } from './adapters/backup/safe-keeping.ts';
import { createSigner } from './adapters/signer/local-signer.ts';
import { loadOrCreateSeed } from './adapters/signer/seed.ts';
import type { LogStore } from './adapters/store/log-store.ts';
import { openSqliteStore, type SqliteStoreOptions } from './adapters/store/sqlite.ts';
import { selectCoins } from './adapters/wallet/coin-selection.ts';
import { createHdKeys } from './adapters/wallet/hd-keys.ts';
import { chooseCryptoBackend } from './bolt/crypto-native.ts';
import type { Message } from './bolt/messages.ts';
import type { NetworkName } from './bolt/networks.ts';
import type { BlockHeight, NodeId, Sat } from './bolt/primitives.ts';
import type { Session } from './commands/channel-context.ts';
import type { RecoveryWish } from './commands/safekeeping.ts';
import type { ChannelLimits } from './commands/opening-limits.ts';
import type { ContactLimits } from './domain/chain-contact.ts';
import type { ChannelPolicy } from './domain/channel/commands.ts';
import type { Chain } from './domain/ports.ts';
import type { ForwardingPolicy } from './domain/relay/commands.ts';
import { assembleNode, OUR_FEATURES, type FeeOptions, type NodeControl, type NodeParts } from './node.ts';

export type { RecoveryStatus, RecoveryWish } from './commands/safekeeping.ts';
export { DEFAULT_FORWARDING, DEFAULT_POLICY, NodeRefusal, VERSION, type NodeControl, type OpenChannelRequest } from './node.ts';

interface CommonOptions {
  /** Also the alias the node announces. */
  readonly name: string;
  readonly network: NetworkName;
  readonly chain: Chain;
  /** Where peers reach us; loopback and any free port unless told. */
  readonly host?: string;
  readonly port?: number;
  readonly policy?: Partial<ChannelPolicy>;
  readonly forwarding?: Partial<ForwardingPolicy>;
  readonly limits?: Partial<ChannelLimits>;
  /** What payments out of the wallet leave in it for each channel with anchors, sat. */
  readonly anchor_reserve_sat?: Sat;
  /** From when on a chain that is silent, or that we are behind, keeps new payments out. */
  readonly chainLimits?: Partial<ContactLimits>;
  /** Whose channels we use before their funding is in a block: they could take back what they send us. */
  readonly trusted_peers?: readonly NodeId[];
  readonly fees?: Partial<FeeOptions>;
  readonly onLog?: (line: string) => void;
  /** Hears each message before it is sent, and before it is taken: for a record of the wire. */
  readonly onMessage?: (way: 'sent' | 'received', peer_id: NodeId, message: Message) => void;
  /** First block that can concern us. */
  readonly fromHeight?: BlockHeight;
  /** What the user says of the log. */
  readonly recovery?: RecoveryWish;
  readonly now?: () => Date;
}

export interface NodeOptions extends CommonOptions {
  /** Holds `<name>/log.sqlite` and `<name>/seed`. */
  readonly dataDir: string;
}

/** What a store is opened with: whose log it is, and how its checkpoints are signed. */
export type StoreIdentity = Pick<SqliteStoreOptions, 'nodeId' | 'logKeySeed' | 'now'>;

export interface RunOptions extends CommonOptions {
  /** BIP 39's 64 bytes. */
  readonly seed: Uint8Array;
  /** Opens the log. The node closes it. */
  readonly openStore: (identity: StoreIdentity) => Promise<LogStore>;
  /** Where the signer's marks, static backups and peers' blobs are. Without it nothing tells an old log but the peers. */
  readonly keep?: Pick<SafeKeepingOptions, 'folder' | 'addresses'>;
}

export interface RunningNode extends NodeControl {
  readonly host: string;
  readonly port: number;
  readonly store: LogStore;
  /** Connects, and keeps reconnecting until the node stops. Rejects when the first attempt fails. */
  connect(peer: PeerAddress): Promise<void>;
  /** Ends the connection of a peer, if there is one, and does not seek it again. The peer may come back by itself. */
  disconnect(node_id: NodeId): void;
  stop(): Promise<void>;
  /** Ends as a power cut would: nothing is flushed, nobody is told. */
  kill(): Promise<void>;
}

/** Starts a node on its data folder: the log is verified, the channels rebuilt from it, the chain followed, peers let in. */
export async function startNode({ dataDir, ...options }: NodeOptions): Promise<RunningNode> {
  const folder = join(dataDir, options.name);
  mkdirSync(folder, { recursive: true });
  const { seed } = loadOrCreateSeed(join(folder, 'seed'));
  return runNode({ ...options, recovery: { adopt: true, ...options.recovery }, seed, keep: { folder }, openStore: (identity) => openSqliteStore({ file: join(folder, 'log.sqlite'), ...identity }) });
}

/** The same with a seed and a store from wherever they are kept. */
export async function runNode(options: RunOptions): Promise<RunningNode> {
  const { now = () => new Date() } = options;
  const { name: crypto_backend } = await chooseCryptoBackend();
  const { seed, network, keep } = options;
  const { nodeId: node_id } = createSigner(seed, { network });
  const keeping = keep && openSafeKeeping({ ...keep, seed, network, node_id });
  const signer = createSigner(seed, { network, onHighWater: keeping?.onHighWater, highWater: keeping?.marks.all() });
  let store: LogStore | undefined;
  try {
    store = await options.openStore({ nodeId: node_id, logKeySeed: signer.logKeySeed(), now });
    return await runOn(store, { ...options, signer, crypto_backend, now, keeping });
  } catch (error) {
    await store?.close();
    keeping?.close();
    throw error;
  }
}

type Assembly = RunOptions & Pick<NodeParts, 'signer' | 'crypto_backend' | 'now'> & { readonly keeping: OpenSafeKeeping | undefined };

async function runOn(store: LogStore, { seed, signer, crypto_backend, now, keeping, ...options }: Assembly): Promise<RunningNode> {
  const { name, network, chain, host = '127.0.0.1', onLog = () => undefined, onMessage = () => undefined } = options;
  const coins = { keys: createHdKeys(seed, network), selectCoins };
  const entropy = (length: number): Uint8Array => new Uint8Array(randomBytes(length));
  const { policy, forwarding, fees, limits, trusted_peers, fromHeight, anchor_reserve_sat, chainLimits } = options;
  const node = await assembleNode({ name, network, store, signer, chain, coins, entropy, now, crypto_backend, policy, forwarding, fees, limits, trusted_peers, anchor_reserve_sat, chainLimits, onLog, fromHeight, keeping, recovery: options.recovery });

  const connections = new Set<PeerConnection>();
  const admit = (connection: PeerConnection): void => {
    const peer_id = connection.remoteNodeId;
    const session: Session = {
      peer_id,
      features: connection.features,
      send(message) {
        onMessage('sent', peer_id, message);
        return connection.send(message);
      },
      close: (code, detail) => connection.close('closed_by_us', `${code}: ${detail}`),
    };
    connections.add(connection);
    node.inbox.connected(session);
    connection.onMessage((message) => {
      onMessage('received', peer_id, message);
      return node.inbox.receive(message, session);
    });
    connection.onClose((reason) => {
      connections.delete(connection);
      onLog(`${peer_id}: ${reason.message}`);
      node.inbox.disconnected(session);
    });
  };
  const peerOptions = { keys: signer, features: OUR_FEATURES, chain_hashes: [chain.chain_hash] };
  const onRejected = (reason: Error, address: string): void => onLog(`${address}: ${reason.message}`);
  const server = await listenPeers({ ...peerOptions, host, port: options.port ?? 0, onRejected }, admit).catch(async (error: unknown) => {
    await node.stop();
    throw error;
  });
  const dialer = createDialer({ ...peerOptions, isConnected: (id) => node.inbox.session(id) !== undefined, onConnection: admit });

  const closeWire = async (): Promise<void> => {
    dialer.stop();
    for (const connection of connections) connection.close('closed_by_us', 'the node stops');
    await server.close();
  };

  return {
    ...node,
    host,
    port: server.port,
    store,
    connect: (peer) => dialer.keep(peer),
    disconnect(node_id) {
      dialer.forget(node_id);
      node.inbox.session(node_id)?.close('disconnected', 'asked for by the user');
    },
    async stop() {
      await closeWire();
      await node.stop();
      await store.close();
      keeping?.close();
    },
    async kill() {
      await store.kill();
      await closeWire();
      await node.abandon();
      keeping?.close();
    },
  };
}
