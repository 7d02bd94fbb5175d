/** One side of a channel in memory: what the loop, the store, the signer and the connection make of the rules, in their simplest form. */
import { createSigner, type LocalSigner } from '../../src/adapters/signer/local-signer.ts';
import { crypto } from '../../src/bolt/crypto.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import type { FeatureName } from '../../src/bolt/09-features/features.ts';
import { decodeMessage, encodeMessage, type Message, type MessageOf } from '../../src/bolt/messages.ts';
import { NETWORKS } from '../../src/bolt/networks.ts';
import { fromHex, msat, sat, toHex32, ZERO_32, shortChannelId, type Hex, type Hex32, type Msat, type NodeId, type ShortChannelId } from '../../src/bolt/primitives.ts';
import type { ChannelContext } from '../../src/commands/channel-context.ts';
import { closeFeatures, closingFollowUp } from '../../src/commands/close-channel.ts';
import { gatherMessage } from '../../src/commands/gather.ts';
import { messageFor, openingWords, reestablishMessage, transactionFor } from '../../src/commands/perform.ts';
import type { ChannelCommand, ChannelPolicy, LocalKeys } from '../../src/domain/channel/commands.ts';
import { commitmentIsDue } from '../../src/domain/channel/committing.ts';
import { decideChannel } from '../../src/domain/channel/decide.ts';
import { effectsOf, type Effect } from '../../src/domain/channel/effects.ts';
import { evolveChannel } from '../../src/domain/channel/evolve.ts';
import { assertInvariants } from '../../src/domain/channel/invariants.ts';
import { shutdownIsDue } from '../../src/domain/channel/shutdown.ts';
import { initialChannel, isEstablished, type ChannelState, type EstablishedState, type Htlc } from '../../src/domain/channel/state.ts';
import type { Decision, Refusal } from '../../src/domain/decider.ts';
import type { Feerates } from '../../src/domain/feerates.ts';
import { canonicalData } from '../../src/events/canonical.ts';
import type { ChannelEvent } from '../../src/events/channel/index.ts';
import type { HtlcFailure, Origin } from '../../src/events/channel/updates.ts';
import { decodeEvent } from '../../src/events/registry.ts';

// Stories of channels are full of signatures.
await chooseCryptoBackend();

export const HEIGHT = 800_000;
export const REGTEST_CHAIN_HASH = NETWORKS['bitcoin-regtest'].chain_hash;
const KEY_INDEX = 7;

export const POLICY: ChannelPolicy = {
  dust_limit_satoshis: sat(354),
  max_htlc_value_in_flight_msat: msat(800_000_000n),
  reserve_millionths: 10_000,
  htlc_minimum_msat: msat(1),
  to_self_delay: 144,
  max_accepted_htlcs: 30,
  minimum_depth: 3,
  min_funding_satoshis: sat(20_000),
  max_funding_satoshis: sat(10_000_000_000n),
  max_to_self_delay: 2016,
  min_feerate_per_kw: 253,
  max_feerate_per_kw: 100_000,
  max_dust_exposure_msat: msat(5_000_000n),
};

export type PeerName = 'alice' | 'bob';

/** The event as it stands in a log. */
interface Stored {
  readonly type: ChannelEvent['type'];
  readonly data: string;
}

export const seedOf = (name: string) => crypto().sha256(new TextEncoder().encode(`seed of ${name}`));
const sha256 = (bytes: Hex): Hex32 => toHex32(crypto().sha256(fromHex(bytes)));

/** Any node may be told this script to be paid to: P2WPKH of a name. */
export const scriptOf = (name: string): Hex => `0014${sha256(Buffer.from(name).toString('hex')).slice(0, 40)}`;
/** The preimage of the n-th payment of a test. */
export const preimageOf = (n: number): Hex32 => sha256(n.toString(16).padStart(8, '0'));
export const hashOf = (preimage: Hex32): Hex32 => sha256(preimage);

/** Not an onion, but of its size; what stands in it does not concern the channel. */
const ONION: Hex = '5a'.repeat(1366);
export const ONION_HASH = sha256(ONION);
const FAILURE_REASON: Hex = 'fa'.repeat(292);

/** One side of a channel: what the loop, the store and the connection make of the rules, in their simplest form. */
export class Peer {
  readonly name: PeerName;
  readonly policy: ChannelPolicy;
  state: ChannelState = initialChannel;
  /** Every fact, in the form in which a log keeps it, and as it was decided. */
  readonly log: Stored[] = [];
  readonly events: ChannelEvent[] = [];
  /** Messages on their way to the other peer, oldest first. */
  readonly outbox: Uint8Array[] = [];
  readonly refusals: Refusal[] = [];
  /** Raw transactions owed to the chain so far. */
  readonly broadcasts: { readonly what: string; readonly raw: Hex }[] = [];
  /** This peer uses the other's channels before their funding is in a block. */
  trusts = false;
  /** Signs for a coin of this peer's wallet. */
  signCoin: ChannelContext['signCoin'] = () => { throw new Error(`${this.name} has no wallet`); };
  /** channel_ids of other channels between the two. */
  readonly channelIdsInUse = new Set<Hex32>();
  connected = true;
  reestablished = true;
  peerId!: NodeId;
  /** sat per 1000 weight, for a mutual close. */
  closingFeerate = 1_000;
  wantsToClose = false;
  /** What both of us offer on this connection. */
  features: ReadonlySet<FeatureName> = new Set(['option_shutdown_anysegwit']);
  signer: LocalSigner;
  /** Each hears of every event once it is part of the state. */
  readonly listeners: ((peer: Peer, event: ChannelEvent, before: ChannelState) => void)[] = [];

  constructor(name: PeerName, policy: ChannelPolicy) {
    this.name = name;
    this.policy = policy;
    this.signer = createSigner(seedOf(name), { network: 'bitcoin-regtest' });
  }

  /** The same peer at the same point of its story, going its own way from here. */
  fork(): Peer {
    const twin = new Peer(this.name, this.policy);
    twin.state = this.state;
    twin.log.push(...this.log);
    twin.events.push(...this.events);
    twin.peerId = this.peerId;
    twin.features = this.features;
    twin.signer = createSigner(seedOf(this.name), { network: 'bitcoin-regtest', highWater: [[KEY_INDEX, this.signer.highWater(KEY_INDEX)]] });
    return twin;
  }

  get established(): EstablishedState {
    if (!isEstablished(this.state)) throw new Error(`${this.name} is in phase ${this.state.phase}`);
    return this.state;
  }

  get localKeys(): LocalKeys {
    return { key_index: KEY_INDEX, keys: this.signer.channelKeys(KEY_INDEX), first_per_commitment_point: this.point(0n) };
  }

  point(commitment_number: bigint) {
    return this.signer.perCommitmentPoint(KEY_INDEX, commitment_number);
  }

  /** What this peer holds for right today; nothing is absurd to one that does not know. */
  feerates: Feerates | undefined;

  /** Alike for all channels of a name: there is only one. */
  freshAlias(): ShortChannelId {
    return shortChannelId(16_000_000, this.name === 'alice' ? 1 : 2, 7);
  }

  get context(): ChannelContext {
    return {
      signer: this.signer, signCoin: this.signCoin, policy: this.policy, feerate: () => this.closingFeerate, feerates: () => this.feerates, height: () => HEIGHT,
      names: { freshAlias: () => this.freshAlias(), claim: (_peer: NodeId, channel_id: Hex32) => !this.channelIdsInUse.has(channel_id) },
      chain: { chain_hash: REGTEST_CHAIN_HASH }, store: { recall: () => ONION },
    } as unknown as ChannelContext;
  }

  // ---- the turn: decide, remember, owe

  decide(command: ChannelCommand): Decision<ChannelEvent> {
    const decision = decideChannel(command, this.state);
    if ('refused' in decision) this.refusals.push(decision.refused);
    else this.take(decision.accepted);
    return decision;
  }

  private take(events: readonly ChannelEvent[]): void {
    for (const event of events) {
      const before = this.state;
      this.state = evolveChannel(before, event);
      assertInvariants(this.state);
      this.events.push(event);
      this.log.push({ type: event.type, data: canonicalData(event) });
      for (const listener of this.listeners) listener(this, event, before);
    }
    for (const effect of effectsOf(events, this.state)) this.perform(effect);
  }

  private perform(effect: Effect): void {
    if (effect.kind === 'broadcast') {
      this.broadcasts.push(...transactionFor(effect, this.state, this.context).map((raw) => ({ what: effect.what, raw })));
    } else if (effect.kind === 'send_fail') {
      this.send({ type: 'update_fail_htlc', channel_id: effect.channel_id, id: effect.htlc.id, reason: FAILURE_REASON, tlvs: {} });
    } else {
      this.send(messageFor(effect, this.state, this.context) as Message);
    }
  }

  /** What is owed before channel_reestablish has passed stays in the state and is sent again from there. */
  private send(message: Message): void {
    if (this.connected && (this.reestablished || message.type === 'error')) this.outbox.push(encodeMessage(message));
  }

  receive(bytes: Uint8Array): Decision<ChannelEvent> | undefined {
    const message = decodeMessage(bytes);
    if (message.type === 'unknown') throw new Error(`unknown message ${message.number}`);
    if (!this.reestablished && message.type !== 'channel_reestablish' && message.type !== 'error') throw new Error(`${message.type} came before channel_reestablish`);
    const command = this.gather(message);
    return command === undefined ? undefined : this.decide(command);
  }

  gather(message: Message): ChannelCommand | undefined {
    switch (message.type) {
      case 'open_channel':
        return { type: 'ReceiveOpenChannel', peer_id: this.peerId, message, local: this.localKeys, chain_hash: REGTEST_CHAIN_HASH, policy: this.policy, trusted: this.trusts };
      case 'update_add_htlc':
        return this.gatherAdd(message);
      case 'channel_reestablish':
        this.reestablished = true;
        return gatherMessage(message, this.state, this.context, this.features)?.command;
      default:
        return gatherMessage(message, this.state, this.context, this.features)?.command;
    }
  }

  private gatherAdd(message: MessageOf<'update_add_htlc'>): ChannelCommand {
    const { amount_msat, cltv_expiry } = message;
    const hop = { kind: 'final', amt_to_forward: amount_msat, outgoing_cltv_value: cltv_expiry, payment_secret_hash: ZERO_32, total_msat: amount_msat } as const;
    return { type: 'ReceiveUpdateAddHtlc', message, onion_hash: ONION_HASH, hop, policy: this.policy };
  }

  /** What the state itself asks for when nothing waits to be read: a signature, a shutdown, a first closing_signed. */
  followUp(): void {
    if (!this.connected || !this.reestablished) return;
    if (commitmentIsDue(this.state)) this.decide({ type: 'SignCommitment' });
    if (shutdownIsDue(this.state) || this.wantsToClose) this.tryToClose();
    const closing = closingFollowUp(this.state, closeFeatures(this.features), { feerate_per_kw: this.closingFeerate, height: HEIGHT });
    if (closing !== undefined) this.decide(closing);
  }

  /** Once no update of ours is pending, as the loop does. */
  private tryToClose(): void {
    const decision = decideChannel({ type: 'CloseChannel', scriptpubkey: scriptOf(this.name) }, this.state);
    if ('refused' in decision) return;
    this.wantsToClose = false;
    this.take(decision.accepted);
  }

  // ---- wishes

  offer({ amount_msat = msat(10_000_000n), payment = 1, cltv_expiry = HEIGHT + 100, connected = this.connected && this.reestablished, policy = this.policy }: Offer = {}): Decision<ChannelEvent> {
    const origin: Origin = { kind: 'payment', payment: `payment-${this.name}-${payment}`, attempt: 0 };
    return this.decide({ type: 'OfferHtlc', origin, amount_msat, payment_hash: hashOf(preimageOf(payment)), cltv_expiry, onion_hash: ONION_HASH, height: HEIGHT, connected, policy });
  }

  fulfill(htlc_id: bigint, payment = 1): Decision<ChannelEvent> {
    return this.decide({ type: 'FulfillHtlc', htlc_id, payment_preimage: preimageOf(payment) });
  }

  fail(htlc_id: bigint, failure: HtlcFailure = { kind: 'local', failure_code: 0x2002, failure_data: '' }): Decision<ChannelEvent> {
    return this.decide({ type: 'FailHtlc', htlc_id, failure });
  }

  failMalformed(htlc_id: bigint, failure_code = 0xc005): Decision<ChannelEvent> {
    return this.decide({ type: 'FailMalformedHtlc', htlc_id, failure_code, sha256_of_onion: ONION_HASH });
  }

  setFee(feerate_per_kw: number): Decision<ChannelEvent> {
    return this.decide({ type: 'UpdateFee', feerate_per_kw, policy: this.policy });
  }

  close(scriptpubkey: Hex = scriptOf(this.name)): Decision<ChannelEvent> {
    return this.decide({ type: 'CloseChannel', scriptpubkey });
  }

  block(height: number, facts: Omit<Extract<ChannelCommand, { type: 'ReceiveBlock' }>, 'type' | 'height'> = {}): Decision<ChannelEvent> {
    return this.decide({ type: 'ReceiveBlock', height, ...facts });
  }

  // ---- what a story looks at

  htlc(direction: Htlc['direction'], id: bigint): Htlc | undefined {
    return this.established.commitments.htlcs.find((htlc) => htlc.direction === direction && htlc.id === id);
  }

  /** Its messages on the way, decoded. */
  get saying(): readonly Message[] {
    return this.outbox.map((bytes) => decodeMessage(bytes) as Message);
  }

  has<T extends ChannelEvent['type']>(type: T): readonly Extract<ChannelEvent, { type: T }>[] {
    return this.events.filter((event): event is Extract<ChannelEvent, { type: T }> => event.type === type);
  }

  // ---- trouble

  disconnect(): void {
    this.connected = false;
    this.reestablished = false;
    this.outbox.length = 0;
  }

  reconnect(): void {
    this.connected = true;
    for (const words of openingWords(this.state, this.context)) this.outbox.push(encodeMessage(words));
  }

  reestablishMessage(): Message {
    return reestablishMessage(this.established, this.context);
  }

  /** The state that the log alone tells of. */
  replayed(): ChannelState {
    return this.log.reduce((state, { type, data }) => evolveChannel(state, decodeEvent(type, JSON.parse(data)) as ChannelEvent), initialChannel);
  }

  /** The process ends and begins again: what is left is the log, the seed and the signer's marks. */
  restart(): void {
    this.disconnect();
    this.state = this.replayed();
    this.signer = createSigner(seedOf(this.name), { network: 'bitcoin-regtest', highWater: [[KEY_INDEX, this.signer.highWater(KEY_INDEX)]] });
  }
}

interface Offer {
  readonly amount_msat?: Msat;
  readonly payment?: number;
  readonly cltv_expiry?: number;
  readonly connected?: boolean;
  readonly policy?: ChannelPolicy;
}
