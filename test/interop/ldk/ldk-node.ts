/** An LDK node as a small wallet would build it: manager, monitors, gossip and router, fed with blocks and driven by its events. */
import { randomBytes } from 'node:crypto';
import * as ldk from 'lightningdevkit';
import { fromHex, type Hex, type Hex32, reverseHex32, toHex } from '../../../src/bolt/primitives.ts';
import { type LdkNotes, openNotes } from './ldk-notes.ts';
import { type LdkPurse, openPurse } from './ldk-purse.ts';
import { type LdkFolder, openFolder, type PersistMode } from './persistence.ts';
import { ok, quietLogger } from './wasm.ts';

export interface LdkBlock {
  readonly height: number;
  /** 80 bytes. */
  readonly header: Hex;
  /** In the block's order. */
  readonly transactions: readonly Hex[];
}

export interface LdkOptions {
  readonly folder: string;
  readonly persist: PersistMode;
  /** Where it begins to follow the chain; regtest's genesis block unless told. */
  readonly tip?: { readonly block_hash: Hex32; readonly height: number };
  /** Any free one unless told. */
  readonly port?: number;
  /** sat per 1000 weight, until told another. */
  readonly feerate_per_kw?: number;
}

/** What LDK pays, at the least, for claims that somebody else could outrun: above its commitments' feerate, so that anchors have work to do. */
const URGENT_FEERATE_PER_KW = 1_000;
const NETWORK = ldk.Network.LDKNetwork_Regtest;
const unixNow = (): number => Math.floor(Date.now() / 1000);

/** What survives no restart: the parts that stand around a ChannelManager. */
export class LdkNode {
  readonly keys: ldk.KeysManager;
  readonly router: ldk.Router;
  readonly monitors: ldk.ChainMonitor;
  readonly manager: ldk.ChannelManager;
  readonly peers: ldk.PeerManager;
  readonly graph: ldk.NetworkGraph;
  readonly notes: LdkNotes;
  readonly purse: LdkPurse;
  feerate_per_kw: number;
  /** Called with each event of LDK, the manager's and the monitors'. What it throws ends the process: LDK could not bear it. */
  onEvent: (event: ldk.Event) => void = () => undefined;
  onBroadcast: (transactions: readonly Hex[]) => void = () => undefined;
  /** Called when nothing is left to do: answers whether it did something itself. */
  onIdle: () => boolean = () => false;
  readonly #folder: LdkFolder;
  readonly #persistManager: boolean;
  readonly #handler: ldk.EventHandler;
  readonly #bumper: ldk.BumpTransactionEventHandler;
  readonly #listeners: { readonly manager: ldk.Listen; readonly monitors: ldk.Listen };
  readonly #events: { readonly manager: ldk.EventsProvider; readonly monitors: ldk.EventsProvider };
  #monitorHeight: number;
  #handled = 0;
  /** Bindings hold traits by weak references only. */
  readonly #held: unknown[] = [];

  constructor({ folder, persist, tip, feerate_per_kw = 253 }: LdkOptions) {
    this.feerate_per_kw = feerate_per_kw;
    this.#folder = openFolder(folder, persist);
    this.#persistManager = persist === 'full';
    const logger = quietLogger();
    const fees = ldk.FeeEstimator.new_impl({ get_est_sat_per_1000_weight: (target) => this.#feerateFor(target) });
    const broadcaster = ldk.BroadcasterInterface.new_impl({ broadcast_transactions: (transactions) => this.onBroadcast(transactions.map(toHex)) });
    this.keys = ldk.KeysManager.constructor_new(this.#folder.seed, BigInt(unixNow()), 42);
    this.monitors = ldk.ChainMonitor.constructor_new(ldk.Option_FilterZ.constructor_none(), broadcaster, logger, fees, this.#folder.persist);
    this.notes = openNotes(folder);
    this.purse = openPurse(this.#folder.seed, this.notes);
    const wallet = ldk.Wallet.constructor_new(this.purse.source, logger);
    const coins = wallet.as_CoinSelectionSource();
    this.#bumper = ldk.BumpTransactionEventHandler.constructor_new(broadcaster, coins, this.keys.as_SignerProvider(), logger);
    this.graph = ldk.NetworkGraph.constructor_new(NETWORK, logger);
    const entropy = this.keys.as_EntropySource();
    this.router = createRouter(this.graph, logger, entropy, this.#held);
    const parts = {
      logger, fees, broadcaster, entropy, signer: this.keys.as_NodeSigner(), signers: this.keys.as_SignerProvider(), watch: this.monitors.as_Watch(),
      router: this.router, messageRouter: ldk.DefaultMessageRouter.constructor_new(this.graph, entropy).as_MessageRouter(), config: defaultConfig(),
    };
    const { manager, monitorHeight } = this.#folder.saved === undefined ? create(parts, tip) : restore(parts, this.#folder.saved, this.#held);
    this.manager = manager;
    this.#monitorHeight = monitorHeight;
    const gossip = ldk.P2PGossipSync.constructor_new(this.graph, ldk.Option_UtxoLookupZ.constructor_none(), logger);
    const ignorer = ldk.IgnoringMessageHandler.constructor_new();
    const handlers = [manager.as_ChannelMessageHandler(), gossip.as_RoutingMessageHandler(), ignorer.as_OnionMessageHandler(), ignorer.as_CustomMessageHandler()] as const;
    this.peers = ldk.PeerManager.constructor_new(...handlers, unixNow(), new Uint8Array(randomBytes(32)), logger, parts.signer);
    this.#listeners = { manager: manager.as_Listen(), monitors: this.monitors.as_Listen() };
    this.#events = { manager: manager.as_EventsProvider(), monitors: this.monitors.as_EventsProvider() };
    this.#handler = ldk.EventHandler.new_impl({ handle_event: (event) => this.#handle(event) });
    this.#held.push(parts, gossip, ignorer, handlers, wallet, coins);
  }

  get node_id(): Hex {
    return toHex(this.manager.get_our_node_id());
  }

  /** The last block that manager and monitors both know. */
  get height(): number {
    return Math.min(this.manager.current_best_block().get_height(), this.#monitorHeight);
  }

  /** Handles events and sends what is pending, until nothing more happens here. */
  poll(): void {
    do {
      this.#handled = 0;
      this.#events.manager.process_pending_events(this.#handler);
      this.peers.process_events();
    } while (this.#handled > 0 || this.onIdle());
    if (this.#persistManager && this.manager.get_and_clear_needs_persistence()) this.save();
  }

  /** Each block must stand on the one before: a gap is the end of LDK. */
  connectBlocks(blocks: readonly LdkBlock[]): void {
    for (const { height, header, transactions } of blocks) {
      const pairs = () => transactions.map((raw, index) => ldk.TwoTuple_usizeTransactionZ.constructor_new(index, fromHex(raw)));
      if (height > this.#monitorHeight) this.#listeners.monitors.filtered_block_connected(fromHex(header), pairs(), (this.#monitorHeight = height));
      if (height > this.manager.current_best_block().get_height()) this.#listeners.manager.filtered_block_connected(fromHex(header), pairs(), height);
      this.purse.onBlock(transactions);
      this.settle();
    }
  }

  /** As `poll`, with what the monitors of channels have to say: spendable outputs, and transactions that want a fee. */
  settle(): void {
    do {
      this.poll();
      this.#handled = 0;
      this.#events.monitors.process_pending_events(this.#handler);
    } while (this.#handled > 0);
  }

  /** What LDK wants to be told every so often: feerates are looked at, silent peers pinged. */
  tick(): void {
    this.manager.timer_tick_occurred();
    this.peers.timer_tick_occurred();
    this.settle();
  }

  save(): void {
    this.#folder.saveManager(this.manager);
  }

  #feerateFor(target: ldk.ConfirmationTarget): number {
    const urgent = target === ldk.ConfirmationTarget.LDKConfirmationTarget_UrgentOnChainSweep;
    return urgent ? Math.max(this.feerate_per_kw, URGENT_FEERATE_PER_KW) : this.feerate_per_kw;
  }

  #handle(event: ldk.Event): ldk.Result_NoneReplayEventZ {
    this.#handled++;
    try {
      if (event instanceof ldk.Event_BumpTransaction) this.#bumper.handle_event(event.bump_transaction);
      this.onEvent(event);
    } catch (error) {
      console.error(error);
      process.exit(1);
    }
    return ldk.Result_NoneReplayEventZ.constructor_ok();
  }
}

interface Parts {
  readonly logger: ldk.Logger;
  readonly fees: ldk.FeeEstimator;
  readonly broadcaster: ldk.BroadcasterInterface;
  readonly entropy: ldk.EntropySource;
  readonly signer: ldk.NodeSigner;
  readonly signers: ldk.SignerProvider;
  readonly watch: ldk.Watch;
  readonly router: ldk.Router;
  readonly messageRouter: ldk.MessageRouter;
  readonly config: ldk.UserConfig;
}

interface Started {
  readonly manager: ldk.ChannelManager;
  readonly monitorHeight: number;
}

function create(parts: Parts, tip: LdkOptions['tip']): Started {
  const { fees, watch, broadcaster, router, messageRouter, logger, entropy, signer, signers, config } = parts;
  const best = tip === undefined ? ldk.BestBlock.constructor_from_network(NETWORK) : ldk.BestBlock.constructor_new(fromHex(reverseHex32(tip.block_hash)), tip.height);
  const parameters = ldk.ChainParameters.constructor_new(NETWORK, best);
  const manager = ldk.ChannelManager.constructor_new(fees, watch, broadcaster, router, messageRouter, logger, entropy, signer, signers, config, parameters, unixNow());
  return { manager, monitorHeight: tip?.height ?? 0 };
}

/** Reads the last run's manager and monitors back. Blocks follow from the oldest of them. */
function restore(parts: Parts, saved: NonNullable<LdkFolder['saved']>, held: unknown[]): Started {
  const { fees, watch, broadcaster, router, messageRouter, logger, entropy, signer, signers, config } = parts;
  const monitors = saved.monitors.map((bytes) =>
    ok<ldk.TwoTuple_ThirtyTwoBytesChannelMonitorZ>(ldk.UtilMethods.constructor_C2Tuple_ThirtyTwoBytesChannelMonitorZ_read(bytes, entropy, signers), 'a monitor').get_b());
  const read = ldk.UtilMethods.constructor_C2Tuple_ThirtyTwoBytesChannelManagerZ_read(
    saved.manager, entropy, signer, signers, fees, watch, broadcaster, router, messageRouter, logger, config, monitors);
  const pair = ok<ldk.TwoTuple_ThirtyTwoBytesChannelManagerZ>(read, 'the manager');
  const manager = pair.get_b();
  const heights = [manager.current_best_block().get_height(), ...monitors.map((monitor) => monitor.current_best_block().get_height())];
  for (const monitor of monitors) ok(watch.watch_channel(monitor.get_funding_txo().get_a(), monitor), 'to watch a channel');
  held.push(pair, monitors);
  return { manager, monitorHeight: Math.min(...heights) };
}

function createRouter(graph: ldk.NetworkGraph, logger: ldk.Logger, entropy: ldk.EntropySource, held: unknown[]): ldk.Router {
  const scorer = ldk.ProbabilisticScorer.constructor_new(ldk.ProbabilisticScoringDecayParameters.constructor_default(), graph, logger);
  const score = ldk.MultiThreadedLockableScore.constructor_new(scorer.as_Score());
  held.push(scorer, score);
  return ldk.DefaultRouter.constructor_new(graph, logger, entropy, score.as_LockableScore(), ldk.ProbabilisticScoringFeeParameters.constructor_default()).as_Router();
}

/** LDK's own defaults, but for what a test with many payments at once, anchors and both kinds of channel needs. */
export function defaultConfig({ anchors = true, announce = true } = {}): ldk.UserConfig {
  const handshake = ldk.ChannelHandshakeConfig.constructor_default();
  handshake.set_negotiate_anchors_zero_fee_htlc_tx(anchors);
  handshake.set_announce_for_forwarding(announce);
  // A tenth of the channel would not hold 30 payments, and a slot stays taken past PaymentSent.
  handshake.set_max_inbound_htlc_value_in_flight_percent_of_channel(100);
  handshake.set_our_max_accepted_htlcs(483);
  const limits = ldk.ChannelHandshakeLimits.constructor_default();
  limits.set_force_announced_channel_preference(false);
  const channel = ldk.ChannelConfig.constructor_default();
  // Without anchors 1,000 sat count as dust already, and the default lets three of them be in flight.
  channel.set_max_dust_htlc_exposure(ldk.MaxDustHTLCExposure.constructor_fixed_limit_msat(1_000_000_000n));
  const config = ldk.UserConfig.constructor_default();
  config.set_channel_handshake_config(handshake);
  config.set_channel_handshake_limits(limits);
  config.set_channel_config(channel);
  config.set_manually_accept_inbound_channels(true);
  config.set_accept_forwards_to_priv_channels(true);
  return config;
}
