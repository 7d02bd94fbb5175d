/** The composition root: ports and adapters, rules and loops become one running node. The only file that knows everyone. */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createSigner } from './adapters/signer/local-signer.ts';
import { loadOrCreateSeed } from './adapters/signer/seed.ts';
import { createHdKeys } from './adapters/wallet/hd-keys.ts';
import { selectCoins } from './adapters/wallet/coin-selection.ts';
import type { PeerConnection } from './adapters/peer/connection.ts';
import { createDialer, type PeerAddress } from './adapters/peer/dialer.ts';
import { listenPeers } from './adapters/peer/server.ts';
import type { LogStore } from './adapters/store/log-store.ts';
import { openSqliteStore } from './adapters/store/sqlite.ts';
import { CHANNEL_TYPES, features } from './bolt/09-features/features.ts';
import { chooseCryptoBackend } from './bolt/crypto-native.ts';

import { NETWORKS, type NetworkName } from './bolt/networks.ts';
import { msat, sat, type BlockHeight, type Hex, type Msat, type NodeId, type Sat } from './bolt/primitives.ts';
import { rememberAttachments } from './commands/attachments.ts';
import { ChainInbox } from './commands/chain-inbox.ts';
import type { ChannelContext, Session } from './commands/channel-context.ts';
import { Channels, isChannelStream } from './commands/channels.ts';
import { createInvoices, type InvoiceRequest, type InvoiceResult } from './commands/create-invoice.ts';
import { createDispatch } from './commands/dispatch.ts';
import { createGossipInbox } from './commands/gossip-inbox.ts';
import { createOwnGossip, gossipPort } from './commands/own-gossip.ts';
import { startInvoiceTimeouts } from './commands/invoice-timeouts.ts';
import { initializeNode } from './commands/node.ts';
import { createPayments, type PaymentResult, type PayRequest } from './commands/pay.ts';
import { PeerInbox } from './commands/peer-inbox.ts';
import { createQuietStreams } from './commands/quiet-streams.ts';
import { startSagaRunner } from './commands/saga-runner.ts';
import { createWallet, type Wallet } from './commands/wallet.ts';
import type { ChannelPolicy } from './domain/channel/commands.ts';
import type { ChannelState } from './domain/channel/state.ts';
import { describeRefusal } from './domain/decider.ts';
import type { Chain } from './domain/ports.ts';
import type { ForwardingPolicy } from './domain/relay/commands.ts';
import type { RoutingGraph } from './domain/routing/graph.ts';
import type { StreamId } from './events/store.ts';
import { allSagas } from './sagas/index.ts';

export const VERSION = '0.1.0';

export interface NodeOptions {
  /** Also the alias the node announces. */
  readonly name: string;
  /** Holds `<name>/log.sqlite` and `<name>/seed`. */
  readonly dataDir: string;
  readonly network: NetworkName;
  readonly chain: Chain;
  /** Where peers reach us; loopback and any free port unless told. */
  readonly host?: string;
  readonly port?: number;
  readonly policy?: Partial<ChannelPolicy>;
  readonly forwarding?: Partial<ForwardingPolicy>;
  readonly onLog?: (line: string) => void;
  /** First block that can concern us. */
  readonly fromHeight?: BlockHeight;
  readonly now?: () => Date;
}

export interface OpenChannelRequest {
  readonly peer_id: NodeId;
  readonly funding_satoshis: Sat;
  readonly push_msat?: Msat;
  readonly announce?: boolean;
  /** anchors_zero_fee_htlc_tx unless told. */
  readonly channel_type?: Hex;
}

export interface RunningNode {
  readonly name: string;
  readonly node_id: NodeId;
  readonly host: string;
  readonly port: number;
  readonly store: LogStore;
  readonly wallet: Wallet;
  readonly crypto_backend: string;
  /** Connects, and keeps reconnecting until the node stops. Rejects when the first attempt fails. */
  connect(peer: PeerAddress): Promise<void>;
  peers(): readonly NodeId[];
  /** Resolves when open_channel is owed to the peer; the funding and its confirmations follow. Throws NodeRefusal. */
  openChannel(request: OpenChannelRequest): Promise<StreamId>;
  createInvoice(request: InvoiceRequest): Promise<InvoiceResult>;
  /** Resolves at the payment's end. */
  pay(request: PayRequest): Promise<PaymentResult>;
  /** Begins the close: by agreement, or with `force` by our own commitment. Throws NodeRefusal. */
  closeChannel(stream: StreamId, options?: { readonly force?: boolean; readonly reason?: string }): Promise<void>;
  channels(): readonly { readonly stream: StreamId; readonly state: ChannelState; readonly usable: boolean }[];
  /** Channels of others we know of, and both ends' policies. */
  graph(): RoutingGraph;
  height(): BlockHeight;
  /** Resolves once the node has heard of blocks up to `height`. */
  reached(height: BlockHeight): Promise<void>;
  /** Resolves when mailboxes and sagas are quiet. */
  settled(): Promise<void>;
  stop(): Promise<void>;
  /** Ends as a power cut would: nothing is flushed, nobody is told. */
  kill(): Promise<void>;
}

/** A wish that the rules or the moment refuse; `code` and both values are in the message. */
export class NodeRefusal extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'NodeRefusal';
    this.code = code;
  }
}

export const DEFAULT_POLICY: ChannelPolicy = {
  dust_limit_satoshis: sat(354),
  max_htlc_value_in_flight_msat: msat(2_000_000_000_000n),
  reserve_millionths: 10_000,
  htlc_minimum_msat: msat(1),
  to_self_delay: 144,
  max_accepted_htlcs: 483,
  minimum_depth: 3,
  min_funding_satoshis: sat(20_000),
  max_funding_satoshis: sat(1_000_000_000n),
  max_to_self_delay: 2016,
  min_feerate_per_kw: 253,
  max_feerate_per_kw: 100_000,
  max_dust_exposure_msat: msat(50_000_000),
};

export const DEFAULT_FORWARDING: ForwardingPolicy = {
  fee_base_msat: 1_000,
  fee_proportional_millionths: 100,
  cltv_expiry_delta: 40,
  htlc_minimum_msat: msat(1),
};

const OUR_FEATURES = features({
  option_data_loss_protect: 'compulsory',
  option_upfront_shutdown_script: 'optional',
  gossip_queries: 'optional',
  var_onion_optin: 'compulsory',
  option_static_remotekey: 'compulsory',
  payment_secret: 'compulsory',
  basic_mpp: 'optional',
  option_support_large_channel: 'optional',
  option_anchors: 'optional',
  option_shutdown_anysegwit: 'optional',
  option_channel_type: 'optional',
});

/** Starts a node on its data folder: the log is verified, the channels rebuilt from it, the chain followed, peers let in. */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const { name, chain, network, host = '127.0.0.1', onLog = () => undefined, now = () => new Date() } = options;
  const backend = await chooseCryptoBackend();
  const folder = join(options.dataDir, name);
  mkdirSync(folder, { recursive: true });
  const { seed } = loadOrCreateSeed(join(folder, 'seed'));
  const signer = createSigner(seed, { network });
  const logStore = await openSqliteStore({ file: join(folder, 'log.sqlite'), nodeId: signer.nodeId, logKeySeed: signer.logKeySeed(), now });
  const store = rememberAttachments(logStore);
  const entropy = (length: number): Uint8Array => new Uint8Array(randomBytes(length));
  const unixNow = (): number => Math.floor(now().getTime() / 1000);
  const policy: ChannelPolicy = { ...DEFAULT_POLICY, ...options.policy };
  const forwarding: ForwardingPolicy = { ...DEFAULT_FORWARDING, ...options.forwarding };

  await initializeNode({ store, signer, alias: name, network, chain_hash: chain.chain_hash, version: VERSION, crypto_backend: backend.name });
  const wallet = createWallet({ store, chain, keys: createHdKeys(seed, network), selectCoins, entropy });

  // ---- channels, rebuilt from the log
  const context: ChannelContext = {
    store,
    signer,
    chain,
    policy,
    height: () => chainInbox.height,
    feerate: () => chainInbox.feerate,
    destinationScript: (purpose) => wallet.destinationScript(purpose),
    fund: ({ stream, ...request }) => wallet.fund({ ...request, purpose: fundingPurpose(stream) }),
    onTurn: (stream, state) => {
      ownGossip.onChannel(stream, state);
      if (state.phase === 'abandoned') void reclaimFunding(wallet, stream, state.reason).catch((error: Error) => onLog(error.message));
    },
    log: onLog,
  };
  const channels = new Channels(context, entropy);
  for await (const envelope of store.readAll()) if (isChannelStream(envelope.stream)) channels.replay(envelope);

  // ---- payments, invoices, relays
  const quiet = createQuietStreams({
    store,
    signer,
    currency: NETWORKS[network].bolt11_prefix as Parameters<typeof createInvoices>[0]['currency'],
    graph: () => gossip.graph(),
    firstHops: () => channels.firstHops(),
    height: () => chainInbox.height,
    now: unixNow,
    policy: forwarding,
    outgoingChannel: (scid) => {
      const loop = channels.byShortChannelId(scid);
      return loop === undefined ? undefined : { channel: loop.stream, usable: loop.usable };
    },
  });
  const dispatch = createDispatch({ channels: (stream) => channels.get(stream), quiet: quiet.execute });
  const createInvoice = createInvoices({ quiet, signer, currency: NETWORKS[network].bolt11_prefix as Parameters<typeof createInvoices>[0]['currency'], now: unixNow, entropy });
  const payments = createPayments({ quiet, entropy });

  // ---- gossip, chain, peers
  const gossip = await createGossipInbox({ store, chain, signer, now: unixNow, log: onLog, min_confirmations: policy.minimum_depth });
  const ownGossip = createOwnGossip({ gossip, node_id: signer.nodeId, policy: forwarding, node: { alias: name, features: OUR_FEATURES, addresses: [] }, log: onLog });
  const chainInbox: ChainInbox = new ChainInbox({
    chain,
    channels,
    signer,
    onEvent: (event) => wallet.onChainEvent(event),
    destinationScript: (purpose) => wallet.destinationScript(purpose),
    log: onLog,
  });
  const peerInbox = new PeerInbox({ channels, gossip: gossipPort(gossip), log: onLog });
  await channels.replayed();
  await reclaimLost(wallet, channels);
  const fromHeight = Math.max(options.fromHeight ?? 0, Math.min(await wallet.resumeHeight(), oldestHeight(channels)));
  await chainInbox.start(fromHeight);
  for (const { stream, state } of channels.all()) ownGossip.onChannel(stream, state);
  const sagas = await startSagaRunner({
    store,
    saga: allSagas,
    dispatch,
    onParked: ({ stream, revision }, error) => onLog(`${stream}@${revision}: a saga is parked: ${(error as Error).message}`),
    onRetry: ({ stream, revision }, error, delay) => onLog(`${stream}@${revision}: ${error.message}; again in ${delay} ms`),
  });
  const timeouts = startInvoiceTimeouts({ store, quiet, now: unixNow, entropy });

  const peerOptions = { keys: signer, features: OUR_FEATURES, chain_hashes: [chain.chain_hash] };
  const connections = new Set<PeerConnection>();
  const admit = (connection: PeerConnection): void => {
    const session: Session = {
      peer_id: connection.remoteNodeId,
      send: (message) => connection.send(message),
      close: (code, detail) => connection.close('closed_by_us', `${code}: ${detail}`),
    };
    connections.add(connection);
    peerInbox.connected(session);
    connection.onMessage((message) => peerInbox.receive(message, session));
    connection.onClose((reason) => {
      connections.delete(connection);
      onLog(`${connection.remoteNodeId}: ${reason.message}`);
      peerInbox.disconnected(session);
    });
  };
  const server = await listenPeers({ ...peerOptions, host, port: options.port ?? 0, onRejected: (reason, address) => onLog(`${address}: ${reason.message}`) }, admit);
  const dialer = createDialer({ ...peerOptions, isConnected: (id) => peerInbox.session(id) !== undefined, onConnection: admit });

  const closeWire = async (): Promise<void> => {
    dialer.stop();
    chainInbox.stop();
    timeouts.stop();
    for (const connection of connections) connection.close('closed_by_us', 'the node stops');
    await server.close();
  };

  return {
    name,
    node_id: signer.nodeId,
    host,
    port: server.port,
    store: logStore,
    wallet,
    crypto_backend: backend.name,
    connect: (peer) => dialer.keep(peer),
    peers: () => peerInbox.peers(),
    async openChannel({ peer_id, funding_satoshis, push_msat = msat(0), announce = true, channel_type = CHANNEL_TYPES.anchors_zero_fee_htlc_tx }) {
      const session = peerInbox.session(peer_id);
      if (session === undefined) throw new NodeRefusal('peer_not_connected', `there is no connection to ${peer_id}: connect first`);
      const opened = await channels.open({ peer_id, funding_satoshis, push_msat, announce, channel_type, feerate_per_kw: chainInbox.feerate }, session);
      if ('refused' in opened) throw new NodeRefusal(opened.refused.code, describeRefusal(opened.refused));
      return opened.stream;
    },
    createInvoice,
    pay: (request) => payments.pay(request),
    async closeChannel(stream, { force = false, reason = 'asked for by the user' } = {}) {
      const loop = channels.get(stream);
      if (loop === undefined) throw new NodeRefusal('unknown_channel', `there is no channel ${stream}`);
      const outcome = force ? await loop.run({ type: 'ForceClose', reason }) : await loop.close();
      if ('refused' in outcome) throw new NodeRefusal(outcome.refused.code, describeRefusal(outcome.refused));
    },
    channels: () => channels.all().map(({ stream, state, usable }) => ({ stream, state, usable })),
    graph: () => gossip.graph(),
    height: () => chainInbox.height,
    reached: (height) => chainInbox.reached(height),
    async settled() {
      await sagas.settled();
      await Promise.all([gossip.settled(), ...channels.all().map((loop) => loop.idle())]);
    },
    async stop() {
      await closeWire();
      await Promise.all(channels.all().map((loop) => loop.idle()));
      await sagas.stop();
      await gossip.stop();
      await logStore.close();
    },
    async kill() {
      await logStore.kill();
      await closeWire();
      await Promise.allSettled([sagas.stop(), gossip.stop()]);
    },
  };
}

const fundingPurpose = (stream: StreamId): string => `funding ${stream}`;

/** Gives back the coins of a funding transaction that was never broadcast. */
async function reclaimFunding(wallet: Wallet, stream: StreamId, reason: string): Promise<void> {
  const lost = (await wallet.unconfirmed()).find(({ purpose }) => purpose === fundingPurpose(stream));
  if (lost !== undefined) await wallet.abandon(lost.txid, reason);
}

/** After a crash between the wallet's transaction and the channel's fact of it. */
async function reclaimLost(wallet: Wallet, channels: Channels): Promise<void> {
  for (const { purpose, txid } of await wallet.unconfirmed()) {
    const stream = purpose.startsWith('funding ') ? purpose.slice('funding '.length) : undefined;
    if (stream === undefined) continue;
    const phase = channels.get(stream)?.state.phase ?? 'abandoned';
    if (phase === 'abandoned') await wallet.abandon(txid, 'the opening it was for did not survive a restart');
  }
}

/** Where to look at the chain again, so that no spend of a living channel is missed. */
function oldestHeight(channels: Channels): BlockHeight {
  const heights = channels.all().flatMap(({ state }) => {
    if (!('funding' in state) || state.phase === 'closed') return [];
    return [state.funding.confirmed?.block_height ?? 0];
  });
  return heights.length === 0 ? Number.MAX_SAFE_INTEGER : Math.min(...heights);
}

