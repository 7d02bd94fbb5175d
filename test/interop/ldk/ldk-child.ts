/** The child's side of ldk-process.ts: one LDK node, asked over IPC. Started by fork, never imported. */
import * as ldk from 'lightningdevkit';
import { fromHex, type Hex32, type Msat, msat, reverseHex32, sat, type ShortChannelId, toHex, toHex32, toPoint } from '../../../src/bolt/primitives.ts';
import { defaultConfig, LdkNode } from './ldk-node.ts';
import type { LdkOutput } from './ldk-notes.ts';
import { createTill, type LdkTill } from './ldk-payments.ts';
import type { LdkCall, LdkChannel, LdkMethods, LdkOpening, LdkStart, LdkWord } from './ldk-process.ts';
import { isNull, loadLdk, none, ok, scidOf, some } from './wasm.ts';
import { dial, listen } from './wire.ts';

const say = (word: LdkWord): void => void process.send!(word);

/** Blocks between ticks would do: real time, since a peer's ping must be answered. */
const TICK_MS = 10_000;
const SWEEP_FEERATE_PER_KW = 253;

/** What the node does of itself: accepts channels, asks for funding, claims what is its own on the chain. */
class Steward {
  readonly counts: Record<string, number> = {};
  readonly #wishes = new Map<number, ldk.Event_FundingGenerationReady>();
  readonly #node: LdkNode;
  readonly #till: LdkTill;
  readonly #sweepScript: string | undefined;
  #lastWish = 0;

  constructor(node: LdkNode, till: LdkTill, sweepScript: string | undefined) {
    this.#node = node;
    this.#till = till;
    this.#sweepScript = sweepScript;
  }

  take(event: ldk.Event): void {
    const name = event.constructor.name.replace('Event_', '');
    this.counts[name] = (this.counts[name] ?? 0) + 1;
    if (this.#till.take(event)) return;
    if (event instanceof ldk.Event_OpenChannelRequest) this.#accept(event);
    else if (event instanceof ldk.Event_FundingGenerationReady) this.#wish(event);
    else if (event instanceof ldk.Event_ChannelClosed) this.#node.notes.channelClosed(toHex32(event.channel_id.get_a()), { reason: describeReason(event.reason) });
    else if (event instanceof ldk.Event_SpendableOutputs) this.#claim(event);
  }

  /** LDK trusts everybody who asks it to. */
  #accept({ temporary_channel_id, counterparty_node_id, channel_type }: ldk.Event_OpenChannelRequest): void {
    const { manager } = this.#node;
    const accepted = channel_type.requires_zero_conf()
      ? manager.accept_inbound_channel_from_trusted_peer_0conf(temporary_channel_id, counterparty_node_id, 1n)
      : manager.accept_inbound_channel(temporary_channel_id, counterparty_node_id, 1n);
    ok(accepted, 'to accept a channel');
  }

  #wish(event: ldk.Event_FundingGenerationReady): void {
    this.#wishes.set(++this.#lastWish, event);
    say({ wish: this.#lastWish, script_pubkey: toHex(event.output_script), value: sat(event.channel_value_satoshis) });
  }

  fund(wish: number, transaction: string): void {
    const { temporary_channel_id, counterparty_node_id } = this.#wishes.get(wish)!;
    ok(this.#node.manager.funding_transaction_generated(temporary_channel_id, counterparty_node_id, fromHex(transaction)), 'a funding transaction');
    this.#node.poll();
  }

  #claim({ outputs, channel_id }: ldk.Event_SpendableOutputs): void {
    this.#node.notes.channelClosed(toHex32(channel_id.get_a()), { outputs: outputs.map(outputOf) });
    if (this.#sweepScript === undefined) return;
    const sweep = this.#node.keys.as_OutputSpender().spend_spendable_outputs(outputs, [], fromHex(this.#sweepScript), SWEEP_FEERATE_PER_KW, none.u32());
    say({ broadcast: [toHex(ok<Uint8Array>(sweep, 'a sweep'))] });
  }
}

function outputOf(descriptor: ldk.SpendableOutputDescriptor): LdkOutput {
  const { outpoint, output } = partsOf(descriptor);
  return { place: `${reverseHex32(toHex32(outpoint.get_txid()))}:${outpoint.get_index()}`, value: sat(output.value) };
}

function partsOf(descriptor: ldk.SpendableOutputDescriptor): { readonly outpoint: ldk.OutPoint; readonly output: ldk.TxOut } {
  if (descriptor instanceof ldk.SpendableOutputDescriptor_StaticOutput) return descriptor;
  const { delayed_payment_output: delayed } = descriptor as ldk.SpendableOutputDescriptor_DelayedPaymentOutput;
  const payment = delayed ?? (descriptor as ldk.SpendableOutputDescriptor_StaticPaymentOutput).static_payment_output;
  return { outpoint: payment.get_outpoint(), output: payment.get_output() };
}

function claimableOf(node: LdkNode): readonly string[] {
  return node.monitors.get_claimable_balances(node.manager.list_channels()).map((balance) => {
    const { amount_satoshis, claimable_height, confirmation_height, timeout_height } = balance as Partial<ldk.Balance_MaybeTimeoutClaimableHTLC & ldk.Balance_ClaimableAwaitingConfirmations & ldk.Balance_ContentiousClaimable>;
    return `${balance.constructor.name.replace('Balance_', '')} of ${amount_satoshis} sat, height ${claimable_height ?? confirmation_height ?? timeout_height}`;
  });
}

function purseOf({ purse, notes }: LdkNode): Awaited<ReturnType<LdkMethods['purse']>> {
  const values = [...notes.coins.values()];
  return { script_pubkey: purse.script_pubkey, coins: values.length, total_sat: sat(values.reduce((sum, value) => sum + value, 0n)) };
}

function describeReason(reason: ldk.ClosureReason): string {
  const name = reason.constructor.name.replace('ClosureReason_', '');
  const { err } = reason as ldk.ClosureReason_ProcessingError;
  return err === undefined ? name : `${name}: ${err}`;
}

function describeChannel(channel: ldk.ChannelDetails): LdkChannel {
  const type = channel.get_channel_type();
  const scid = some<bigint>(channel.get_short_channel_id());
  return {
    channel_id: toHex32(channel.get_channel_id().get_a()),
    peer_id: toPoint(channel.get_counterparty().get_node_id()),
    short_channel_id: scid === undefined ? undefined : scidOf(scid),
    format: isNull(type) ? 'other' : type.supports_anchors_zero_fee_htlc_tx() ? 'anchors_zero_fee_htlc_tx' : type.supports_static_remote_key() ? 'static_remotekey' : 'other',
    opener: Boolean(channel.get_is_outbound()),
    usable: Boolean(channel.get_is_usable()),
    announced: Boolean(channel.get_is_announced()),
    funding_satoshis: sat(channel.get_channel_value_satoshis()),
    balance_msat: balanceOf(channel),
    htlcs: channel.get_pending_inbound_htlcs().length + channel.get_pending_outbound_htlcs().length,
  };
}

/** LDK tells capacities: what is left above the reserve of its own, and above the peer's. Either gives the balance. */
function balanceOf(channel: ldk.ChannelDetails): Msat | undefined {
  const reserve = (some<bigint>(channel.get_unspendable_punishment_reserve()) ?? 0n) * 1000n;
  const [out, into] = [channel.get_outbound_capacity_msat(), channel.get_inbound_capacity_msat()];
  if (out > 0n) return msat(out + reserve);
  const theirs = channel.get_counterparty().get_unspendable_punishment_reserve() * 1000n;
  return into > 0n ? msat(channel.get_channel_value_satoshis() * 1000n - into - theirs) : undefined;
}

function openChannel(node: LdkNode, { peer_id, funding_satoshis, push_msat = msat(0), anchors = true, announce = true }: LdkOpening): void {
  const config = defaultConfig({ anchors, announce });
  ok(node.manager.create_channel(fromHex(peer_id), funding_satoshis, push_msat, 7n, null, config), 'create_channel');
}

function closeChannel(node: LdkNode, channel_id: Hex32, peer_id: string, force: boolean): void {
  const [id, peer] = [ldk.ChannelId.constructor_new(fromHex(channel_id)), fromHex(peer_id)];
  if (force) ok(node.manager.force_close_broadcasting_latest_txn(id, peer, 'asked for by the user'), 'to force a close');
  else ok(node.manager.close_channel(id, peer), 'to close');
}

/** Both ends of an edge have said their terms. The view locks the graph until it is freed. */
function knownEdges(node: LdkNode): readonly ShortChannelId[] {
  const view = node.graph.read_only();
  const bothWays = (channel: ldk.ChannelInfo) => !isNull(channel.get_one_to_two()) && !isNull(channel.get_two_to_one());
  const known = Array.from(view.list_channels()).filter((scid) => bothWays(view.channel(scid)));
  view.free();
  return known.map(scidOf);
}

type Sync = { readonly [K in keyof LdkMethods]: (...args: Parameters<LdkMethods[K]>) => Awaited<ReturnType<LdkMethods[K]>> | ReturnType<LdkMethods[K]> };

function methodsOf(node: LdkNode, till: LdkTill, steward: Steward, port: number): Sync {
  /** LDK only decides; what it wants to send leaves with the next poll. */
  const then = <T>(value: T): T => {
    node.settle();
    return value;
  };
  return {
    about: () => ({ node_id: toPoint(fromHex(node.node_id)), host: '127.0.0.1', port }),
    height: () => node.height,
    connectBlocks: (blocks) => node.connectBlocks(blocks),
    connect: ({ node_id, host, port: theirs }) => dial(node, fromHex(node_id), host, theirs),
    disconnect: (peer_id) => then(node.peers.disconnect_by_node_id(fromHex(peer_id))),
    peers: () => node.peers.list_peers().map((peer) => toPoint(peer.get_counterparty_node_id())),
    channels: () => node.manager.list_channels().map(describeChannel),
    edges: () => knownEdges(node),
    openChannel: (opening) => then(openChannel(node, opening)),
    fund: (wish, transaction) => steward.fund(wish, transaction),
    closeChannel: (channel_id, peer_id, { force = false } = {}) => then(closeChannel(node, channel_id, peer_id, force)),
    setFeerate(feerate_per_kw) {
      node.feerate_per_kw = feerate_per_kw;
      node.tick();
    },
    invoices: (count, amount_msat) => till.invoices(count, amount_msat),
    refuse: (bolt11) => till.refuse(bolt11),
    heldInvoice: (amount_msat, final_cltv) => till.heldInvoice(amount_msat, final_cltv),
    held: () => [...till.held],
    release: (bolt11, how) => till.release(bolt11, how),
    begin: (bolt11) => till.begin(bolt11),
    ends: () => node.notes.ends,
    payAll: (bolt11s, inFlight) => till.payAll(bolt11s, inFlight),
    pendingPayments: () => node.manager.list_recent_payments().filter((payment) => payment instanceof ldk.RecentPaymentDetails_Pending).length,
    counts: () => steward.counts,
    closed: () => [...node.notes.closed.values()],
    claimable: () => claimableOf(node),
    purse: () => purseOf(node),
    // In one turn: a monitor written after the manager makes LDK give its channels up at the next start.
    halt() {
      node.save();
      process.exit();
    },
  };
}

async function serve({ options, sweep_script }: LdkStart): Promise<void> {
  await loadLdk();
  const node = new LdkNode(options);
  const till = createTill(node);
  const steward = new Steward(node, till, sweep_script);
  node.onEvent = (event) => steward.take(event);
  node.onBroadcast = (broadcast) => say({ broadcast });
  const { port } = await listen(node, options.port);
  const methods = methodsOf(node, till, steward, port);
  setInterval(() => node.tick(), TICK_MS).unref();
  process.on('message', (message: LdkCall) => void answer(methods, message));
  process.on('disconnect', () => process.exit());
  say({ ready: true });
}

async function answer(methods: Sync, { id, call, args }: LdkCall): Promise<void> {
  try {
    const method = methods[call] as (...args: readonly unknown[]) => unknown;
    say({ id, value: await method(...args) });
  } catch (error) {
    say({ id, error: (error as Error).stack ?? String(error) });
  }
}

process.once('message', (start: LdkStart) => void serve(start));
