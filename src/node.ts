/** A node without its rim: rules, loops, stories and inboxes tied together over the ports they are given. Any store, chain, signer or wire will do. */
import { decodeChannelType } from './bolt/09-features/channel-types.ts';
import { CHANNEL_TYPES } from './bolt/09-features/features.ts';
import { decodeAddress } from './bolt/address.ts';
import type { Currency } from './bolt/11-payment-encoding/invoice.ts';
import { NETWORKS, type NetworkName } from './bolt/networks.ts';
import { msat, type BlockHeight, type Hex, type Hex32, type Msat, type NodeId, type Sat } from './bolt/primitives.ts';
import { rememberAttachments } from './commands/attachments.ts';
import { ChainInbox } from './commands/chain-inbox.ts';
import type { ChannelContext } from './commands/channel-context.ts';
import { Channels, isChannelStream } from './commands/channels.ts';
import { createInvoices, type InvoiceRequest, type InvoiceResult } from './commands/create-invoice.ts';
import { promiseBreach } from './commands/close-channel.ts';
import { createDispatch } from './commands/dispatch.ts';
import { createFeerates } from './commands/feerates.ts';
import { createFeeUpdates } from './commands/fee-updates.ts';
import { createGossipInbox } from './commands/gossip-inbox.ts';
import { startInvoiceTimeouts } from './commands/invoice-timeouts.ts';
import { initializeNode } from './commands/node.ts';
import type { ChannelLimits } from './commands/opening-limits.ts';
import { typeToOpen } from './commands/opening-type.ts';
import { createOwnGossip, gossipPort } from './commands/own-gossip.ts';
import { createPayments, type Payments } from './commands/pay.ts';
import { createPrivateChannels } from './commands/private-channels.ts';
import { PeerInbox } from './commands/peer-inbox.ts';
import { createQuietStreams } from './commands/quiet-streams.ts';
import { fundingPurpose, reclaimFunding, reclaimLost } from './commands/reclaim-funding.ts';
import { createChainContact } from './commands/onchain/chain-contact.ts';
import { anchorReserve, reserveBreach } from './commands/onchain/anchor-reserve.ts';
import { createClaimDesk } from './commands/onchain/claim-desk.ts';
import { watchMempool } from './commands/onchain/mempool.ts';
import { revokedSpec } from './commands/onchain/revoked-spec.ts';
import { createSender, type SentCoins } from './commands/send-coins.ts';
import { createSafekeeping, readLog, type RecoveryStatus, type RecoveryWish } from './commands/safekeeping.ts';
import { startSagaRunner, type SagaRunner } from './commands/saga-runner.ts';
import { createWallet, type Wallet, type WalletOptions } from './commands/wallet.ts';
import type { ChainTrouble, ContactLimits } from './domain/chain-contact.ts';
import type { ChannelPolicy } from './domain/channel/commands.ts';
import { commitmentFeerate } from './domain/channel/fee-policy.ts';
import type { ChannelState } from './domain/channel/state.ts';
import { describeRefusal, type Refusal } from './domain/decider.ts';
import type { Feerates } from './domain/feerates.ts';
import type { Chain, SafeKeeping, Signer } from './domain/ports.ts';
import type { ForwardingPolicy } from './domain/relay/commands.ts';
import type { RoutingGraph } from './domain/routing/graph.ts';
import type { EventStore, StreamId } from './events/store.ts';
import { DEFAULT_FEES, DEFAULT_FORWARDING, DEFAULT_POLICY, OUR_FEATURES, type FeeOptions } from './node-defaults.ts';
import { allSagas } from './sagas/index.ts';

export { DEFAULT_FEES, DEFAULT_FORWARDING, DEFAULT_POLICY, OUR_FEATURES, type FeeOptions } from './node-defaults.ts';

export const VERSION = '0.1.0';

/** The ports of a node, and what it is told about itself. */
export interface NodeParts {
  /** Also the alias the node announces. */
  readonly name: string;
  readonly network: NetworkName;
  /** Open and verified; closing it is for the caller. */
  readonly store: EventStore;
  readonly signer: Signer;
  readonly chain: Chain;
  /** The wallet's keys, and how it chooses coins. */
  readonly coins: Pick<WalletOptions, 'keys' | 'selectCoins'>;
  /** Cryptographic randomness, bytes. */
  readonly entropy: (length: number) => Uint8Array;
  readonly now: () => Date;
  readonly crypto_backend: string;
  readonly policy?: Partial<ChannelPolicy>;
  readonly forwarding?: Partial<ForwardingPolicy>;
  readonly fees?: Partial<FeeOptions>;
  readonly limits?: Partial<ChannelLimits>;
  /** Whose channels we use before their funding is in a block: they could take back what they send us. */
  readonly trusted_peers?: readonly NodeId[];
  readonly onLog?: (line: string) => void;
  /** First block that can concern us. */
  readonly fromHeight?: BlockHeight;
  /** What payments out of the wallet leave in it for each channel with anchors, sat. */
  readonly anchor_reserve_sat?: Sat;
  /** From when on a chain that is silent, or that we are behind, keeps new payments out. */
  readonly chainLimits?: Partial<ContactLimits>;
  /** What is kept apart from the log: without it, only peers can tell that the log is an old one. */
  readonly keeping?: SafeKeeping;
  readonly recovery?: RecoveryWish;
}

export interface OpenChannelRequest {
  readonly peer_id: NodeId;
  readonly funding_satoshis: Sat;
  readonly push_msat?: Msat;
  readonly announce?: boolean;
  /** Used before its funding is in a block: for peers that trust us with that. */
  readonly zero_conf?: boolean;
  /** anchors_zero_fee_htlc_tx unless told; what is not announced gets option_scid_alias where the peer can do it. */
  readonly channel_type?: Hex;
  /** An address: the only one that a mutual close will pay us to (option_upfront_shutdown_script). */
  readonly close_to?: string;
  /** The same one again asks for the same channel: nothing is opened twice. */
  readonly command_id?: Hex32;
}

export interface CloseOptions {
  readonly force?: boolean;
  readonly reason?: string;
  /** sat per 1000 weight; today's for six blocks unless told. */
  readonly feerate_per_kw?: number;
  /** An address; one of our wallet unless told. */
  readonly to?: string;
}

/** What can be asked of a node, whatever carries its messages. */
export interface NodeControl {
  readonly name: string;
  readonly node_id: NodeId;
  readonly wallet: Wallet;
  readonly crypto_backend: string;
  peers(): readonly NodeId[];
  /** Resolves when open_channel is owed to the peer; the funding and its confirmations follow. Throws NodeRefusal. */
  openChannel(request: OpenChannelRequest): Promise<StreamId>;
  createInvoice(request: InvoiceRequest): Promise<InvoiceResult>;
  /** Resolves at the payment's end. */
  pay: Payments['pay'];
  readonly payments: Payments;
  /**
   * Begins the close: by agreement, or with `force` by our own commitment. `feerate_per_kw` and the address `to` are for the
   * agreement; on a close under way they replace its transaction (option_simple_close). Throws NodeRefusal or AddressError.
   */
  closeChannel(stream: StreamId, options?: CloseOptions): Promise<void>;
  /** A new feerate for both commitments of a channel that we opened, sat per 1000 weight. Throws NodeRefusal. */
  setFeerate(stream: StreamId, feerate_per_kw: number): Promise<void>;
  channels(): readonly { readonly stream: StreamId; readonly state: ChannelState; readonly usable: boolean }[];
  /** Pays an address from the wallet. The same command_id again sends nothing new. Throws WalletRefusal or AddressError. */
  sendCoins(request: { readonly address: string; readonly amount_sat: Sat; readonly feerate_per_kw?: number; readonly command_id?: Hex32 }): Promise<SentCoins>;
  /** Channels of others we know of, and both ends' policies. */
  graph(): RoutingGraph;
  height(): BlockHeight;
  /** Why no deadline could be kept now, so that no payment is taken; undefined while all is well. */
  chainTrouble(): ChainTrouble | undefined;
  /** Today's, as far as the chain can be believed; `trouble` says why some are older than the last block. */
  feerates(): Feerates & { readonly trouble?: string | undefined };
  /** The log is older than what the node did: nothing new may begin, and this is what is left to get back. Undefined in normal times. */
  recovery(): RecoveryStatus | undefined;
  /** Resolves once the node has heard of blocks up to `height`. */
  reached(height: BlockHeight): Promise<void>;
  /** Resolves when mailboxes and sagas are quiet. */
  settled(): Promise<void>;
}

/** A node that runs, and waits for peers to be handed to it. */
export interface AssembledNode extends NodeControl {
  /** Where whoever holds the wire brings sessions and messages. */
  readonly inbox: Pick<PeerInbox, 'connected' | 'disconnected' | 'receive' | 'session'>;
  /** What the stories between streams have met so far. */
  readonly sagas: Pick<SagaRunner, 'counters'>;
  /** Finishes what is under way, then rests. The sessions have ended before, the store is closed after. */
  stop(): Promise<void>;
  /** Lets go at once, the store being dead already. */
  abandon(): Promise<void>;
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

/** Brings a node up on its log: channels and stories are rebuilt from it, the chain is followed, sagas go on where they stood. */
export async function assembleNode(parts: NodeParts): Promise<AssembledNode> {
  const { name, network, signer, chain, entropy, crypto_backend, onLog = () => undefined } = parts;
  const store = rememberAttachments(parts.store);
  const unixNow = (): number => Math.floor(parts.now().getTime() / 1000);
  const policy: ChannelPolicy = { ...DEFAULT_POLICY, ...parts.policy };
  const forwarding: ForwardingPolicy = { ...DEFAULT_FORWARDING, ...parts.forwarding };
  const currency = NETWORKS[network].bolt11_prefix as Currency;

  const size_at_start = ((await store.head()) ?? -1n) + 1n;
  await initializeNode({ store, signer, alias: name, network, chain_hash: chain.chain_hash, version: VERSION, crypto_backend });
  const wallet = createWallet({ store, chain, ...parts.coins, entropy, birthday: parts.fromHeight, reserve: () => anchorReserve(channels.all().map(({ state }) => state), parts.anchor_reserve_sat) });

  const fees: FeeOptions = { ...DEFAULT_FEES, ...parts.fees };
  const feerates = createFeerates({ chain, ceiling_per_kw: fees.ceiling_per_kw, log: onLog });

  const sender = createSender({ wallet, chain, feerate: () => feerates.current.normal, entropy, log: onLog });

  // ---- channels, rebuilt from the log
  const context: ChannelContext = {
    store,
    signer,
    chain,
    policy,
    height: () => chainInbox.newest,
    feerate: () => feerates.current.normal,
    feerates: () => feerates.current,
    destinationScript: (purpose) => wallet.destinationScript(purpose),
    fund: ({ stream, ...request }) => wallet.fund({ ...request, purpose: fundingPurpose(stream) }),
    signCoin: (script_pubkey, sighash) => wallet.signCoin(script_pubkey, sighash),
    chainTrouble: () => contact.trouble(),
    onTurn: (stream, state) => {
      safekeeping.onTurn(stream, state);
      chainInbox.consider(stream);
      ownGossip.onChannel(stream, state);
      privateChannels.onChannel(stream, state);
      if (state.phase === 'abandoned') void reclaimFunding(wallet, stream, state.reason).catch((error: Error) => onLog(error.message));
    },
    log: onLog,
  };
  const channels = new Channels(context, { entropy, limits: parts.limits, trusted: (peer_id) => parts.trusted_peers?.includes(peer_id) === true });
  const reader = readLog();
  for await (const envelope of store.readAll()) {
    reader.take(envelope);
    if (isChannelStream(envelope.stream)) channels.replay(envelope);
  }

  const feeUpdates = createFeeUpdates({ ...fees, channels, feerates, policy, log: onLog });

  // ---- payments, invoices, relays
  const quiet = createQuietStreams({
    store,
    signer,
    currency,
    graph: () => gossip.graph(),
    firstHops: () => channels.firstHops(),
    height: () => chainInbox.height,
    now: unixNow,
    policy: forwarding,
    chainTrouble: () => contact.trouble(),
    outgoingChannel: (scid) => {
      const loop = channels.byShortChannelId(scid);
      return loop === undefined ? undefined : { channel: loop.stream, usable: loop.usable };
    },
  });
  const dispatch = createDispatch({ channels: (stream) => channels.get(stream), quiet: quiet.execute });
  const createInvoice = createInvoices({ quiet, signer, currency, now: unixNow, entropy, hints: (amount_msat) => privateChannels.hints(amount_msat) });
  const payments = createPayments({ quiet, entropy, chainTrouble: () => contact.trouble() });

  // ---- gossip, chain, peers
  const gossip = await createGossipInbox({ store, chain, signer, now: unixNow, log: onLog, min_confirmations: policy.minimum_depth });
  const ownGossip = createOwnGossip({ gossip, node_id: signer.nodeId, policy: forwarding, node: { alias: name, features: OUR_FEATURES, addresses: [] }, log: onLog });
  const contact = createChainContact({ chain, height: () => chainInbox.height, now: unixNow, limits: parts.chainLimits, log: onLog });
  const mempool = watchMempool({ chain, channels, onCommitment: (stream) => chainInbox.consider(stream), log: onLog });
  const chainInbox: ChainInbox = new ChainInbox({
    chain,
    channels,
    signer,
    onEvent: (event) => wallet.onChainEvent(event),
    revokedSpec: (stream, commitment_number) => revokedSpec(store, stream, commitment_number),
    claims: createClaimDesk({ channels, wallet, chain, feerates: () => feerates.current, waitingCommitment: (loop) => mempool.waitingCommitment(loop), log: onLog }),
    feerates,
    afterBlock: (height) => {
      void feeUpdates.onBlock(height);
      void sender.rebroadcast().catch((error: Error) => onLog(`coins on their way could not be sent again: ${error.message}`));
      safekeeping.storage?.onBlock();
    },
    log: onLog,
  });
  const privateChannels = createPrivateChannels({ channels, session: (peer_id) => peerInbox.session(peer_id), signer, chain_hash: chain.chain_hash, policy: forwarding, now: unixNow, log: onLog });
  const safekeeping = createSafekeeping({
    store, node_id: signer.nodeId, keeping: parts.keeping, wish: parts.recovery ?? {}, reader, size_at_start, channels, chain, birthday: parts.fromHeight ?? 0,
    height: () => chainInbox.newest, session: (peer_id) => peerInbox.session(peer_id), entropy, now: unixNow, log: onLog,
  });
  const refusal = (): Refusal | undefined => safekeeping.refusal();
  const peerInbox: PeerInbox = new PeerInbox({ channels, gossip: gossipPort(gossip, privateChannels), storage: safekeeping.storage, refusal, log: onLog });
  await safekeeping.begin();
  await channels.replayed();
  await reclaimLost(wallet, channels);
  // The wallet notes each block before the channels have it, and resumes well before its newest: no block is missed.
  await chainInbox.start(await wallet.resumeHeight());
  await contact.look();
  contact.start();
  await safekeeping.started();
  for (const { stream, state } of channels.all()) ownGossip.onChannel(stream, state);
  const sagas = await startSagaRunner({
    store,
    saga: allSagas,
    dispatch,
    onRefused: ({ stream, revision }, { to, intent }, refusal) => onLog(`${stream}@${revision}: ${intent.type} to ${to} was refused: ${describeRefusal(refusal)}`),
    onParked: ({ stream, revision }, error) => onLog(`${stream}@${revision}: a saga is parked: ${(error as Error).message}`),
    onRetry: ({ stream, revision }, error, delay) => onLog(`${stream}@${revision}: ${error.message}; again in ${delay} ms`),
  });
  const timeouts = startInvoiceTimeouts({ store, quiet, now: unixNow, entropy });

  return {
    name,
    node_id: signer.nodeId,
    wallet,
    crypto_backend,
    inbox: peerInbox,
    payments: { ...payments, start: unlessRecovering(refusal, payments.start), pay: unlessRecovering(refusal, payments.pay) },
    sagas,
    peers: () => peerInbox.peers(),
    openChannel: unlessRecovering(refusal, async ({ peer_id, funding_satoshis, push_msat = msat(0), announce = true, zero_conf = false, channel_type: basic = CHANNEL_TYPES.anchors_zero_fee_htlc_tx, close_to, command_id }: OpenChannelRequest) => {
      const before = command_id && channels.openedAs(peer_id, command_id);
      if (before !== undefined) return before.stream;
      const session = peerInbox.session(peer_id);
      if (session === undefined) throw new NodeRefusal('peer_not_connected', `there is no connection to ${peer_id}: connect first`);
      const wanted = typeToOpen({ peer_id, funding_satoshis, announce, zero_conf, channel_type: basic, common: session.features });
      if ('refused' in wanted) throw new NodeRefusal(wanted.refused.code, describeRefusal(wanted.refused));
      const upfront_shutdown_script = close_to === undefined ? undefined : decodeAddress(close_to, network);
      const broken = upfront_shutdown_script === undefined ? undefined : promiseBreach(upfront_shutdown_script, session.features);
      if (broken !== undefined) throw new NodeRefusal(broken.refused.code, describeRefusal(broken.refused));
      const format = decodeChannelType(wanted.channel_type)?.format ?? 'anchors_zero_fee_htlc_tx';
      const poor = reserveBreach(await wallet.balance(), { funding_satoshis, format }, channels.all().map(({ state }) => state), parts.anchor_reserve_sat);
      if (poor !== undefined) throw new NodeRefusal(poor.refused.code, describeRefusal(poor.refused));
      const opened = await channels.open({ peer_id, funding_satoshis, push_msat, announce, ...wanted, upfront_shutdown_script, feerate_per_kw: commitmentFeerate(format, feerates.current), temporary_channel_id: command_id }, session);
      if ('refused' in opened) throw new NodeRefusal(opened.refused.code, describeRefusal(opened.refused));
      return opened.stream;
    }),
    createInvoice: unlessRecovering(refusal, createInvoice),
    pay: unlessRecovering(refusal, payments.pay),
    recovery: () => safekeeping.status(),
    async closeChannel(stream, { force = false, reason = 'asked for by the user', feerate_per_kw, to } = {}) {
      const loop = channels.get(stream);
      if (loop === undefined) throw new NodeRefusal('unknown_channel', `there is no channel ${stream}`);
      const wish = { ...(feerate_per_kw === undefined ? {} : { feerate_per_kw }), ...(to === undefined ? {} : { scriptpubkey: decodeAddress(to, network) }) };
      const outcome = force ? await loop.run({ type: 'ForceClose', reason }) : await loop.close(wish);
      if ('refused' in outcome) throw new NodeRefusal(outcome.refused.code, describeRefusal(outcome.refused));
    },
    async setFeerate(stream, feerate_per_kw) {
      const loop = channels.get(stream);
      if (loop === undefined) throw new NodeRefusal('unknown_channel', `there is no channel ${stream}`);
      const outcome = await loop.run({ type: 'UpdateFee', feerate_per_kw, policy });
      if ('refused' in outcome) throw new NodeRefusal(outcome.refused.code, describeRefusal(outcome.refused));
      feeUpdates.setByUser(stream, chainInbox.height);
    },
    channels: () => channels.all().map(({ stream, state, usable }) => ({ stream, state, usable })),
    sendCoins: ({ address, ...request }) => sender.send({ script_pubkey: decodeAddress(address, network), ...request }),
    graph: () => gossip.graph(),
    height: () => chainInbox.height,
    chainTrouble: () => contact.trouble(),
    feerates: () => ({ ...feerates.current, trouble: feerates.trouble }),
    reached: (height) => chainInbox.reached(height),
    async settled() {
      await sagas.settled();
      await Promise.all([gossip.settled(), ...channels.all().map((loop) => loop.idle())]);
    },
    async stop() {
      chainInbox.stop();
      contact.stop();
      mempool.stop();
      timeouts.stop();
      await Promise.all(channels.all().map((loop) => loop.idle()));
      await safekeeping.stop();
      await sagas.stop();
      await gossip.stop();
    },
    async abandon() {
      chainInbox.stop();
      contact.stop();
      mempool.stop();
      timeouts.stop();
      await Promise.allSettled([sagas.stop(), gossip.stop()]);
    },
  };
}

/** A verb that begins something new: refused while the node only recovers. */
const unlessRecovering = <A extends readonly unknown[], R>(refusal: () => Refusal | undefined, verb: (...args: A) => Promise<R>) =>
  async (...args: A): Promise<R> => {
    const refused = refusal();
    if (refused !== undefined) throw new NodeRefusal(refused.code, describeRefusal(refused));
    return verb(...args);
  };
