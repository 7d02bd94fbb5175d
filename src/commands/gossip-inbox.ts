/** What peers say of the network is checked, kept and told on; our own channels and our node are announced (BOLT 7). */
import {
  channelAnnouncementDigest,
  channelUpdateDigest,
  nodeAnnouncementDigest,
  verifyChannelAnnouncement,
  verifyChannelUpdate,
  verifyNodeAnnouncement,
  type Verification,
} from '../bolt/07-routing-gossip/verify.ts';
import { decodeMessage, encodeMessage, type Message, type MessageOf } from '../bolt/messages.ts';
import { fromHex, toHex, type Hex, type Msat, type NodeId, type Sat, type ShortChannelId } from '../bolt/primitives.ts';
import { describeRefusal, type Refusal } from '../domain/decider.ts';
import type { GossipCommand } from '../domain/gossip/commands.ts';
import { decideGossip, worthReading, type Announcement } from '../domain/gossip/decide.ts';
import {
  signedChannelAnnouncement,
  unsignedChannelAnnouncement,
  unsignedChannelUpdate,
  unsignedNodeAnnouncement,
  type EndSignatures,
  type OwnChannel,
  type OwnNode,
} from '../domain/gossip/own-announcements.ts';
import type { Signer } from '../domain/ports.ts';
import type { ForwardingPolicy } from '../domain/relay/commands.ts';
import type { RoutingGraph } from '../domain/routing/graph.ts';
import type { EventStore } from '../events/store.ts';
import { EarlyUpdates } from './early-updates.ts';
import { createFundingWatch, type FundingWatch, type GossipChain } from './gossip-chain.ts';
import { openGossipLog, type GossipLog } from './gossip-log.ts';
import { createGossipPeers, type GossipPeer, type GossipPeers } from './gossip-peers.ts';

export { GOSSIP_STREAM } from './gossip-log.ts';
export type { GossipPeer } from './gossip-peers.ts';

export interface GossipOptions {
  readonly store: EventStore;
  readonly chain: GossipChain;
  readonly signer: Pick<Signer, 'nodeId' | 'signAnnouncement' | 'signChannelAnnouncement'>;
  /** Unix seconds. */
  readonly now: () => number;
  /** Of a channel's funding before we believe its announcement. BOLT 7 asks for 6 on a chain with strangers. */
  readonly min_confirmations?: number;
  /** For people. */
  readonly log?: (line: string) => void;
}

/** A channel of ours whose two announcement_signatures are there. */
export interface OwnAnnouncement extends Omit<OwnChannel, 'chain_hash'> {
  readonly key_index: number;
  readonly remote_signatures: EndSignatures;
  readonly capacity: Sat;
  readonly policy: ForwardingPolicy;
  readonly htlc_maximum_msat: Msat;
}

export interface OwnPolicy {
  readonly short_channel_id: ShortChannelId;
  readonly remote: NodeId;
  readonly policy: ForwardingPolicy;
  readonly htlc_maximum_msat: Msat;
  readonly disabled: boolean;
}

export interface GossipInbox {
  /** True when the message was gossip: it is taken care of in its turn. Never throws on what a peer sent. */
  onMessage(from: NodeId, message: Message): boolean;
  /** Tells the peer what is our own, and asks for the rest. */
  onPeerConnected(peer: GossipPeer): void;
  onPeerDisconnected(node_id: NodeId): void;
  /** Signs our half, keeps and tells the announcement and our first update. Idempotent. Rejects when the peer's signatures are wrong. */
  announceOwnChannel(channel: OwnAnnouncement): Promise<void>;
  /** Our fees or our readiness have changed. Nothing happens while the channel is not announced. */
  announceOwnPolicy(policy: OwnPolicy): Promise<void>;
  /** Nothing happens while no channel of ours is announced, or when the last announcement said the same: a restart is no news. */
  announceOwnNode(node: Pick<OwnNode, 'alias' | 'features' | 'addresses' | 'rgb_color'>): Promise<void>;
  /** The network as known now: read it, do not keep it. */
  graph(): RoutingGraph;
  /** Resolves when what came in so far is dealt with. */
  settled(): Promise<void>;
  counters(): { readonly channels: number; readonly nodes: number; readonly waiting: number; readonly dropped: number; readonly refused: number };
  stop(): Promise<void>;
}

/** Messages waiting to be checked, at most; more are dropped, and can be asked for again. */
const MAX_WAITING = 20_000;
/** Messages checked before others have their turn: signatures take time that payments need. */
const BATCH = 16;

export async function createGossipInbox(options: GossipOptions): Promise<GossipInbox> {
  const log = await openGossipLog(options.store);
  const peers = createGossipPeers({ self: options.signer.nodeId, chain_hash: options.chain.chain_hash, state: () => log.state() });
  const inbox = new Inbox(options, log, peers);
  await inbox.open();
  return inbox;
}

class Inbox implements GossipInbox {
  readonly #options: GossipOptions;
  readonly #log: GossipLog;
  readonly #peers: GossipPeers;
  readonly #early = new EarlyUpdates();
  #waiting: { readonly from: NodeId; readonly message: Announcement }[] = [];
  #watch!: FundingWatch;
  /** One thing at a time is decided and written. */
  #turns: Promise<void> = Promise.resolve();
  #checking = false;
  #dropped = 0;
  #refused = 0;
  #stopped = false;

  constructor(options: GossipOptions, log: GossipLog, peers: GossipPeers) {
    this.#options = options;
    this.#log = log;
    this.#peers = peers;
  }

  async open(): Promise<void> {
    this.#watch = await createFundingWatch(this.#options.chain, (short_channel_id, block_height) =>
      this.#later(() => this.#decide({ type: 'CloseAnnouncedChannel', short_channel_id, block_height }, undefined)),
    );
    this.#later(() => this.#lookAgain());
  }

  /** Which channels were closed while we were away, and what to watch from now on. */
  async #lookAgain(): Promise<void> {
    const { height } = await this.#options.chain.tip();
    for (const short_channel_id of this.#log.state().channels.keys()) {
      if (this.#stopped) return;
      const funding = await this.#watch.look(short_channel_id);
      if (funding.kind === 'missing') await this.#decide({ type: 'CloseAnnouncedChannel', short_channel_id, block_height: height }, undefined);
    }
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const result = this.#turns.then(work);
    this.#turns = result.catch(() => undefined);
    return result;
  }

  /** A failure is told and forgotten: gossip comes again. */
  #later(work: () => Promise<void>): void {
    this.#inTurn(work).catch((error: unknown) => this.#options.log?.(`gossip: ${String(error)}`));
  }

  onMessage(from: NodeId, message: Message): boolean {
    switch (message.type) {
      case 'channel_announcement':
      case 'channel_update':
      case 'node_announcement':
        this.#receive(from, message);
        return true;
      default:
        return this.#peers.answer(from, message);
    }
  }

  #receive(from: NodeId, message: Announcement): void {
    if (this.#stopped) return;
    if (this.#waiting.length >= MAX_WAITING) {
      this.#dropped++;
      return;
    }
    this.#waiting.push({ from, message });
    if (this.#checking) return;
    this.#checking = true;
    this.#later(() => this.#checkAll());
  }

  async #checkAll(): Promise<void> {
    try {
      while (this.#waiting.length > 0 && !this.#stopped) {
        for (const { from, message } of this.#waiting.splice(0, BATCH)) await this.#check(from, message);
        await breathe();
      }
    } finally {
      this.#checking = false;
    }
  }

  async #check(from: NodeId, message: Announcement): Promise<void> {
    const command = await this.#gather(message);
    if (command === 'known') return;
    if (!('refused' in command)) return this.#decide(command, from);
    if (command.refused.code === 'unknown_channel' && message.type === 'channel_update') return this.#early.hold({ from, message });
    this.#refuse(from, command.refused);
  }

  /** Signatures, chain and clock; the dear facts only for what is news. */
  async #gather(message: Announcement): Promise<GossipCommand | 'known' | { readonly refused: Refusal }> {
    const { chain, min_confirmations = 1, now: clock } = this.#options;
    const { chain_hash } = chain;
    const now = clock();
    const worth = worthReading(message, this.#log.state(), chain_hash, now);
    if (worth !== 'yes') return worth;
    const raw = toHex(encodeMessage(message));
    switch (message.type) {
      case 'channel_announcement': {
        const verification = verifyChannelAnnouncement(message);
        const funding = verification === true ? await this.#watch.look(message.short_channel_id) : ({ kind: 'missing' } as const);
        return { type: 'ReceiveChannelAnnouncement', message, raw, now, chain_hash, verification, funding, min_confirmations };
      }
      case 'channel_update':
        return { type: 'ReceiveChannelUpdate', message, raw, now, chain_hash, verification: this.#verifyUpdate(message) };
      case 'node_announcement':
        return { type: 'ReceiveNodeAnnouncement', message, raw, now, verification: verifyNodeAnnouncement(message) };
    }
  }

  #verifyUpdate(message: MessageOf<'channel_update'>): Verification {
    const { node_id_1, node_id_2 } = this.#log.state().channels.get(message.short_channel_id)!;
    return verifyChannelUpdate(message, (message.channel_flags & 1) === 0 ? node_id_1 : node_id_2);
  }

  /** Kept first, told afterwards. `from`: who told us, absent for what is our own. */
  async #decide(command: GossipCommand, from: NodeId | undefined): Promise<void> {
    const decision = decideGossip(command, this.#log.state());
    if ('refused' in decision) return this.#refuse(from, decision.refused);
    await this.#log.write(decision.accepted);
    for (const event of decision.accepted) {
      this.#peers.tell(event, from);
      if (event.type === 'ChannelAnnounced') this.#catchUp(event.short_channel_id);
    }
  }

  /** Updates that overtook this announcement. */
  #catchUp(short_channel_id: ShortChannelId): void {
    for (const { from, message } of this.#early.take(short_channel_id)) this.#receive(from, message);
  }

  #refuse(from: NodeId | undefined, refusal: Refusal): void {
    this.#refused++;
    if (from !== undefined && refusal.answer !== 'to_caller') this.#peers.warn(from, refusal);
    this.#options.log?.(`gossip from ${from ?? 'ourselves'}: ${describeRefusal(refusal)}`);
  }

  onPeerConnected(peer: GossipPeer): void {
    this.#peers.connected(peer);
  }

  onPeerDisconnected(node_id: NodeId): void {
    this.#peers.disconnected(node_id);
  }

  announceOwnChannel(channel: OwnAnnouncement): Promise<void> {
    return this.#inTurn(async () => {
      const { short_channel_id, policy, htlc_maximum_msat } = channel;
      if (!this.#log.state().channels.has(short_channel_id)) await this.#announce(channel);
      await this.#updateOwn({ short_channel_id, remote: channel.remote.node_id, policy, htlc_maximum_msat, disabled: false });
    });
  }

  async #announce(channel: OwnAnnouncement): Promise<void> {
    const { signer, chain } = this.#options;
    const { short_channel_id, local, remote, features, capacity } = channel;
    const own: OwnChannel = { chain_hash: chain.chain_hash, short_channel_id, local, remote, features };
    const signatures = signer.signChannelAnnouncement(channel.key_index, channelAnnouncementDigest(unsignedChannelAnnouncement(own)));
    const announcement = signedChannelAnnouncement(own, signatures, channel.remote_signatures);
    const verification = verifyChannelAnnouncement(announcement);
    if (verification !== true) throw new Error(`the announcement of ${short_channel_id} cannot be made: wrong ${verification.reason}`);
    const { node_id_1, node_id_2 } = announcement;
    await this.#log.write([{ type: 'ChannelAnnounced', short_channel_id, node_id_1, node_id_2, capacity, raw: toHex(encodeMessage(announcement)) }]);
    await this.#watch.look(short_channel_id);
    this.#catchUp(short_channel_id);
  }

  announceOwnPolicy(policy: OwnPolicy): Promise<void> {
    return this.#inTurn(() => this.#updateOwn(policy));
  }

  /** By the same rules as for everyone: an update that says nothing new is dropped. */
  async #updateOwn({ remote, ...own }: OwnPolicy): Promise<void> {
    const { signer, chain, now } = this.#options;
    const { nodeId: local } = signer;
    const { chain_hash } = chain;
    const known = this.#log.state().channels.get(own.short_channel_id);
    if (known === undefined) return;
    const timestamp = after(known.updates[local < remote ? 0 : 1], now());
    const unsigned = unsignedChannelUpdate({ chain_hash, local, remote, timestamp, ...own });
    const message = { ...unsigned, signature: signer.signAnnouncement(channelUpdateDigest(unsigned)) };
    const raw = toHex(encodeMessage(message));
    await this.#decide({ type: 'ReceiveChannelUpdate', message, raw, now: timestamp, chain_hash, verification: true }, undefined);
  }

  announceOwnNode(node: Pick<OwnNode, 'alias' | 'features' | 'addresses' | 'rgb_color'>): Promise<void> {
    return this.#inTurn(async () => {
      const { signer, now } = this.#options;
      const { nodeId: node_id } = signer;
      const known = this.#log.state().nodes.get(node_id);
      if (known !== undefined && saysTheSame(known.raw, { ...node, node_id })) return;
      const timestamp = after(known, now());
      const unsigned = unsignedNodeAnnouncement({ ...node, node_id, timestamp });
      const message = { ...unsigned, signature: signer.signAnnouncement(nodeAnnouncementDigest(unsigned)) };
      const raw = toHex(encodeMessage(message));
      await this.#decide({ type: 'ReceiveNodeAnnouncement', message, raw, now: timestamp, verification: true }, undefined);
    });
  }

  graph(): RoutingGraph {
    return this.#log.graph();
  }

  async settled(): Promise<void> {
    do await this.#turns;
    while (this.#waiting.length > 0 && !this.#stopped);
  }

  counters() {
    const { channels, nodes } = this.#log.state();
    return { channels: channels.size, nodes: nodes.size, waiting: this.#waiting.length, dropped: this.#dropped, refused: this.#refused };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#watch.stop();
    this.#peers.stop();
    await this.#turns;
  }
}

/** Newer than what we said before, whatever our clock says. */
const after = (known: { readonly timestamp: number } | undefined, now: number): number => Math.max(now, (known?.timestamp ?? 0) + 1);

function saysTheSame(raw: Hex, node: Omit<OwnNode, 'timestamp'>): boolean {
  const { signature, timestamp } = decodeMessage(fromHex(raw)) as MessageOf<'node_announcement'>;
  return toHex(encodeMessage({ ...unsignedNodeAnnouncement({ ...node, timestamp }), signature })) === raw;
}

/** Lets other work have its turn. */
const breathe = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
