/** A running node as the API sees it: its verbs in the API's words, its refusals as ControlRefusal. */
import type { AddressBook } from '../adapters/peer/address-book.ts';
import { CHANNEL_TYPES } from '../bolt/09-features/features.ts';
import { CURRENCIES, decodeInvoice, InvoiceError } from '../bolt/11-payment-encoding/invoice.ts';
import { sat, type Hex32, type NodeId } from '../bolt/primitives.ts';
import { describeTrouble } from '../domain/chain-contact.ts';
import { isEstablished, type ChannelState } from '../domain/channel/state.ts';
import { describeRefusal, type Refusal } from '../domain/decider.ts';
import type { Chain } from '../domain/ports.ts';
import { ControlRefusal, type ControlledNode, type NodeInfo, type RefusalKind } from '../http/control.ts';
import { VERSION, type RunningNode } from '../main.ts';
import { waitingOf } from './channel-progress.ts';

export interface ControlOptions {
  readonly chain: Chain;
  readonly peers: AddressBook;
  readonly started_at: Date;
  readonly onStop: () => void;
}

export function controlNode(node: RunningNode, { chain, peers, started_at, onStop }: ControlOptions): ControlledNode {
  const address = `${node.node_id}@${node.host.includes(':') ? `[${node.host}]` : node.host}:${node.port}`;
  /** Openings that have not been answered yet: the same wish at the same time is one. */
  const opening = new Map<Hex32, Promise<string>>();

  /** However many ask how a payment ended, and however often, one waits for it. */
  const ending = new Map<Hex32, ReturnType<ControlledNode['paymentEnded']>>();

  async function endOf(payment_id: Hex32): ReturnType<ControlledNode['paymentEnded']> {
    const ended = await attempt(() => node.payments.ended(payment_id));
    return ended?.status === 'refused' ? undefined : ended;
  }

  async function open({ channel_type = 'anchors_zero_fee_htlc_tx', ...wish }: Parameters<ControlledNode['openChannel']>[0]): Promise<string> {
    await mustAfford(wish.funding_satoshis);
    return attempt(() => node.openChannel({ ...wish, channel_type: CHANNEL_TYPES[channel_type] }));
  }

  /** The peer would hear of a channel that cannot be paid for. */
  async function mustAfford(funding_satoshis: bigint): Promise<void> {
    const { confirmed_sat, pending_sat } = await node.wallet.balance();
    const free = confirmed_sat + pending_sat;
    if (funding_satoshis >= free) throw new ControlRefusal('refused', 'insufficient_funds', `funding_satoshis: expected less than the wallet's ${free} sat, since the transaction costs a fee, got ${funding_satoshis}; receive more at an address of POST /v1/addresses`, { expected: free, got: funding_satoshis });
  }

  return {
    node_id: node.node_id,
    info: () => infoOf(node, address, chain, started_at),
    peers: () => node.peers().map((node_id) => ({ node_id, channels: channelsWith(node, node_id) })),
    async connect(peer) {
      if (peer.node_id === node.node_id) throw new ControlRefusal('refused', 'own_node_id', `address: expected that of another node, got our own ${node.node_id}`);
      const kept = peers.all().some(({ node_id }) => node_id === peer.node_id);
      try {
        await attempt(() => node.connect(peer));
      } catch (error) {
        // A slip in an address is not tried for ever; a peer that we know may come back.
        if (!kept && !node.peers().includes(peer.node_id)) node.disconnect(peer.node_id);
        throw error;
      }
      peers.add(peer);
    },
    disconnect(node_id) {
      const known = node.peers().includes(node_id) || peers.all().some((peer) => peer.node_id === node_id);
      if (!known) throw new ControlRefusal('missing', 'unknown_peer', `node_id: expected that of a peer, got ${node_id}`, { got: node_id });
      peers.remove(node_id);
      node.disconnect(node_id);
    },
    async openChannel(wish) {
      const same = wish.command_id && opening.get(wish.command_id);
      if (same !== undefined) return same;
      const done = open(wish);
      if (wish.command_id === undefined) return done;
      opening.set(wish.command_id, done);
      return done.finally(() => opening.delete(wish.command_id!));
    },
    async closeChannel(stream, { force, ...wish }) {
      const { phase } = node.channels().find((channel) => channel.stream === stream)?.state ?? {};
      if (phase === 'closed' || phase === 'abandoned') throw new ControlRefusal('conflict', 'channel_closed', `channel: expected one that is open, got ${stream}, which is ${phase}`);
      // Asked for before: it is on its way, and asking again changes nothing.
      const wished = wish.feerate_per_kw !== undefined || wish.to !== undefined;
      if (!wished && (phase === 'resolving' || (!force && (phase === 'shutdown' || phase === 'closing')))) return;
      await attempt(async () => node.closeChannel(stream, { force, ...wish }));
    },
    async channel(stream) {
      const found = node.channels().find((channel) => channel.stream === stream);
      if (found === undefined) return undefined;
      const { state, usable } = found;
      const peer_connected = node.peers().includes(peerOf(stream));
      const waiting = await attempt(() => waitingOf(state, { chain, height: node.height(), usable, connected: peer_connected }));
      return { stream, phase: state.phase, usable, peer_connected, waiting };
    },
    channelsNamed: (name) => node.channels().filter(({ stream, state }) => stream === name || namesOf(state).includes(name)).map(({ stream }) => stream),
    async createInvoice(wish) {
      const made = await attempt(() => node.createInvoice(wish));
      if (made.status === 'refused') throw refused(made.refusal);
      const { bolt11, payment_hash, expires_at } = made;
      return { bolt11, payment_hash, expires_at };
    },
    async startPayment(wish) {
      const started = await attempt(() => node.payments.start({ ...wish, bolt11: wish.bolt11.trim().replace(/^lightning:/i, '') }));
      if (started.status === 'refused') throw refused(started.refusal);
      return started;
    },
    paymentEnded(payment_id) {
      const known = ending.get(payment_id) ?? endOf(payment_id).finally(() => ending.delete(payment_id));
      ending.set(payment_id, known);
      return known;
    },
    decode: (text) => attemptNow(() => decodeInvoice(text.trim(), { networks: CURRENCIES })),
    newAddress: async (purpose) => (await attempt(() => node.wallet.address(purpose))).address,
    wallet: () => attempt(() => walletOf(node)),
    sendCoins: (wish) => attempt(async () => node.sendCoins(wish)),
    stop: onStop,
  };
}

async function infoOf(node: RunningNode, address: string, chain: Chain, started_at: Date): Promise<NodeInfo> {
  const phases = node.channels().map(({ state }) => state.phase);
  const count = (...wanted: readonly string[]): number => phases.filter((phase) => wanted.includes(phase)).length;
  return {
    node_id: node.node_id, alias: node.name, version: VERSION, network: chain.network, chain_hash: chain.chain_hash, block_height: node.height(), address,
    peers: node.peers().length,
    channels: { opening: count('opening'), open: count('normal'), closing: count('shutdown', 'closing', 'resolving'), closed: count('closed') },
    graph: { channels: node.graph().channels.size },
    store: node.store.name,
    log: { position: await node.store.head(), checkpoint_key: node.store.vkey },
    crypto_backend: node.crypto_backend,
    feerates: node.feerates(),
    chain_trouble: troubleOf(node),
    recovery: recoveryOf(node),
    started_at: started_at.toISOString(),
  };
}

function troubleOf(node: RunningNode): NodeInfo['chain_trouble'] {
  const trouble = node.chainTrouble();
  return trouble && { code: trouble.code, reason: describeTrouble(trouble) };
}

function recoveryOf(node: RunningNode): NodeInfo['recovery'] {
  const status = node.recovery();
  return status && { code: status.code, reason: status.reason, channels_left: status.left };
}

async function walletOf({ wallet }: RunningNode) {
  const [balance, coins, unconfirmed] = [await wallet.balance(), await wallet.coins(), [...(await wallet.unconfirmed()), ...(await wallet.contributions())]];
  return {
    balance,
    coins: coins.map(({ txid, output_index, value, block_height }) => ({ txid, output_index, value_sat: sat(value), block_height })),
    unconfirmed: unconfirmed.map(({ txid, purpose, fee_satoshis }) => ({ txid, purpose, fee_satoshis })),
  };
}

/** Every name of a channel that people meet on pages, in explorers and at peers. */
function namesOf(state: ChannelState): readonly string[] {
  if (!isEstablished(state)) return [];
  const { channel_id, txid, output_index, confirmed } = state.funding;
  return [channel_id, `${txid}:${output_index}`, ...state.ready.local_aliases, ...(confirmed === undefined ? [] : [confirmed.short_channel_id])];
}

const peerOf = (stream: string): NodeId => stream.split('-')[1] as NodeId;
const channelsWith = (node: RunningNode, node_id: NodeId): readonly string[] => node.channels().filter(({ stream }) => peerOf(stream) === node_id).map(({ stream }) => stream);

const refused = (refusal: Refusal): ControlRefusal => new ControlRefusal('refused', refusal.code, describeRefusal(refusal), refusal.detail);

/** Errors that are answers, by the name of their class; whatever has another name is a bug, and stays one. */
const KINDS: Readonly<Record<string, RefusalKind>> = {
  NodeRefusal: 'refused', WalletRefusal: 'refused', PeerError: 'unreachable', HandshakeError: 'unreachable', ChainError: 'unavailable', StoreError: 'unavailable', InvoiceError: 'invalid', AddressError: 'invalid',
};
const CODES: Readonly<Record<string, RefusalKind>> = {
  peer_not_connected: 'conflict', unknown_channel: 'missing', channel_not_open: 'conflict', closing_sig_awaited: 'conflict', shutdown_script_differs: 'conflict',
};

async function attempt<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw translated(error);
  }
}

function attemptNow<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof InvoiceError ? translated(error) : error;
  }
}

function translated(error: unknown): unknown {
  const { name, code, message } = error as { name?: string; code?: string; message?: string };
  const kind = name === undefined ? undefined : KINDS[name];
  return kind === undefined || code === undefined || message === undefined ? error : new ControlRefusal(CODES[code] ?? kind, code, message);
}
