/** A network without channels: real payments, invoices, relays, onions and sagas; only the channel between two nodes is pretended. */
import { createFailurePacket, encodeFailure, wrapFailurePacket } from '../../src/bolt/04-onion-routing/failure.ts';
import { decodePayload } from '../../src/bolt/04-onion-routing/payload.ts';
import { onionEphemeralKey, peelOnion } from '../../src/bolt/04-onion-routing/sphinx.ts';
import { crypto } from '../../src/bolt/crypto.ts';
import { fromHex, toHex32, type Hex, type Hex32, type Msat, type NodeId, type ShortChannelId } from '../../src/bolt/primitives.ts';
import { createSigner } from '../../src/adapters/signer/local-signer.ts';
import { openMemoryStore } from '../../src/adapters/store/memory.ts';
import { createInvoices } from '../../src/commands/create-invoice.ts';
import { createDispatch, type ChannelPort, type Outcome } from '../../src/commands/dispatch.ts';
import type { ChannelIntent } from '../../src/commands/intents.ts';
import { createPayments } from '../../src/commands/pay.ts';
import { createQuietStreams } from '../../src/commands/quiet-streams.ts';
import { startSagaRunner } from '../../src/commands/saga-runner.ts';
import type { ForwardingPolicy } from '../../src/domain/relay/commands.ts';
import { addChannel, createGraph, setPolicy } from '../../src/domain/routing/graph.ts';
import type { Hop, HtlcFailure, Origin } from '../../src/events/channel/updates.ts';
import type { Event } from '../../src/events/registry.ts';
import type { Attachment, Cause, EventStore, StreamId } from '../../src/events/store.ts';
import { allSagas } from '../../src/sagas/index.ts';
import { amount, hash, scid } from './words.ts';

export const POLICY: ForwardingPolicy = { fee_base_msat: 1_000, fee_proportional_millionths: 100, cltv_expiry_delta: 40, htlc_minimum_msat: amount(1) };

const sha256 = (bytes: Hex): Hex32 => toHex32(crypto().sha256(fromHex(bytes)));

/** The world all nodes share, and may be turned by a test. */
export interface World {
  height: number;
  now: number;
}

export interface TestNodeOptions {
  /** Wraps the node's store, to make it fail. */
  readonly wrap?: (store: EventStore) => EventStore;
}

export type TestNode = Awaited<ReturnType<typeof startTestNode>>;

export async function startTestNode(name: string, world: World, { wrap = (store) => store }: TestNodeOptions = {}) {
  const signer = createSigner(fromHex(hash(`seed of ${name}`)), { network: 'bitcoin-regtest' });
  const store = wrap(await openMemoryStore());
  const graph = createGraph();
  const ends = new Map<StreamId, PretendedChannel>();
  let drawn = 0;
  const entropy = (): Uint8Array => fromHex(hash(`${name} draws ${drawn++}`));
  const facts = { now: () => world.now, height: () => world.height };
  const quiet = createQuietStreams({
    store,
    signer,
    currency: 'bcrt',
    graph: () => graph,
    firstHops: () => [...ends.values()].filter((end) => end.usable).map((end) => end.firstHop()),
    policy: POLICY,
    outgoingChannel(short_channel_id) {
      const end = [...ends.values()].find((candidate) => candidate.short_channel_id === short_channel_id);
      return end === undefined ? undefined : { channel: end.stream, usable: end.usable };
    },
    ...facts,
  });
  const dispatch = createDispatch({ channels: (stream) => ends.get(stream), quiet: quiet.execute });
  const parked: unknown[] = [];
  const runner = await startSagaRunner({ store, saga: allSagas, dispatch, onParked: (_, error) => void parked.push(error) });
  return {
    name,
    signer,
    node_id: signer.nodeId,
    store,
    graph,
    ends,
    quiet,
    dispatch,
    runner,
    parked,
    payments: createPayments({ quiet, entropy }),
    createInvoice: createInvoices({ quiet, signer, currency: 'bcrt', now: facts.now, entropy }),
    async events(): Promise<readonly Event[]> {
      const all: Event[] = [];
      for await (const { event } of store.readAll()) all.push(event);
      return all;
    },
  };
}

/** Opens a pretended channel and tells every node of its two policies. */
export function link(a: TestNode, b: TestNode, id: string, everyone: readonly TestNode[], available = amount(1_000_000_000)): void {
  const short_channel_id = scid(id);
  const [endA, endB] = [new PretendedChannel(a, b.node_id, short_channel_id, available), new PretendedChannel(b, a.node_id, short_channel_id, available)];
  endA.other = endB;
  endB.other = endA;
  a.ends.set(endA.stream, endA);
  b.ends.set(endB.stream, endB);
  const [node_id_1, node_id_2] = [a.node_id, b.node_id].sort() as [NodeId, NodeId];
  const policy = { ...POLICY, htlc_minimum_msat: 1, htlc_maximum_msat: 1e12, disabled: false, timestamp: 1 };
  for (const { graph } of everyone) {
    addChannel(graph, { short_channel_id, node_id_1, node_id_2 });
    for (const direction of [0, 1]) setPolicy(graph, short_channel_id, direction, policy);
  }
}

/** Every node quiet at once. */
export async function quietness(nodes: readonly TestNode[]): Promise<void> {
  for (let round = 0; round < 1_000; round++) {
    await Promise.all(nodes.map((node) => node.runner.settled()));
    await Promise.all(nodes.flatMap((node) => [...node.ends.values()].map((end) => end.settled())));
    if (nodes.every((node) => node.runner.counters().outstanding === 0 && [...node.ends.values()].every((end) => end.isQuiet))) return;
  }
  throw new Error('the network does not come to rest');
}

interface Received {
  readonly payment_hash: Hex32;
  readonly sharedSecret: Uint8Array;
}

/** One end of a channel: keeps the facts that the stories live on, hands HTLCs and their ends to the other end, forgets nothing, costs nothing. */
export class PretendedChannel implements ChannelPort {
  readonly stream: StreamId;
  readonly short_channel_id: ShortChannelId;
  other!: PretendedChannel;
  usable = true;
  /** Set by a test: what to answer to the next offers instead of taking them. */
  decline: { readonly code: string; readonly failure_code: number } | undefined;
  /** Set by a test: HTLCs are kept, and never answered. */
  mute = false;
  /** Set by a test: the answer to every HTLC is this reason, which no key of the route opens. */
  garble = false;
  readonly #node: TestNode;
  readonly #peer: NodeId;
  readonly #available: Msat;
  readonly #seen = new Set<Hex32>();
  readonly #offered = new Map<bigint, { readonly origin: Origin; readonly payment_hash: Hex32 }>();
  readonly #received = new Map<bigint, Received>();
  #revision: bigint | 'none' = 'none';
  #queue: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(node: TestNode, peer: NodeId, short_channel_id: ShortChannelId, available: Msat) {
    this.#node = node;
    this.#peer = peer;
    this.#available = available;
    this.short_channel_id = short_channel_id;
    this.stream = `channel-${peer}-${short_channel_id}`;
  }

  get isQuiet(): boolean {
    return this.#waiting === 0;
  }

  settled(): Promise<void> {
    return this.#queue;
  }

  firstHop() {
    return { channel: this.stream, short_channel_id: this.short_channel_id, peer: this.#peer, available_msat: this.#available };
  }

  submit(intent: ChannelIntent, cause: Cause): Promise<Outcome> {
    return this.#inTurn(async () => {
      if (this.#seen.has(cause.command_id)) return { accepted: 0 };
      const outcome = await this.#take(intent, cause);
      this.#seen.add(cause.command_id);
      return outcome;
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting++;
    const result = this.#queue.then(work).finally(() => this.#waiting--);
    this.#queue = result.then(() => undefined, () => undefined);
    return result;
  }

  async #take(intent: ChannelIntent, cause: Cause): Promise<Outcome> {
    switch (intent.type) {
      case 'OfferHtlc':
        return this.#offer(intent, cause);
      case 'FulfillHtlc': {
        if (!this.#received.delete(intent.htlc_id)) return { refused: { code: 'unknown_htlc', answer: 'to_caller', detail: intent } };
        await this.#append({ type: 'UpdateFulfillHtlcSent', id: intent.htlc_id, payment_preimage: intent.payment_preimage }, cause);
        if (!this.mute) void this.other.fulfilled(intent.htlc_id, intent.payment_preimage);
        return { accepted: 1 };
      }
      case 'FailHtlc': {
        const received = this.#received.get(intent.htlc_id);
        if (received === undefined) return { refused: { code: 'unknown_htlc', answer: 'to_caller', detail: intent } };
        this.#received.delete(intent.htlc_id);
        await this.#append({ type: 'UpdateFailHtlcSent', id: intent.htlc_id, failure: intent.failure }, cause);
        if (!this.mute) void this.other.failed(intent.htlc_id, await this.#reasonFor(received, intent.failure));
        return { accepted: 1 };
      }
      case 'FailMalformedHtlc': {
        const { htlc_id: id, failure_code, sha256_of_onion } = intent;
        await this.#append({ type: 'UpdateFailMalformedHtlcSent', id, failure_code, sha256_of_onion }, cause);
        void this.other.malformed(id, failure_code, sha256_of_onion);
        return { accepted: 1 };
      }
    }
  }

  async #offer(intent: Extract<ChannelIntent, { type: 'OfferHtlc' }>, cause: Cause): Promise<Outcome> {
    const { type: _, ...offer } = intent;
    const { origin, payment_hash, amount_msat } = offer;
    if (this.decline !== undefined) {
      await this.#append({ type: 'HtlcOfferDeclined', origin, payment_hash, amount_msat, detail: 'says the test', ...this.decline }, cause);
      return { accepted: 1 };
    }
    const id = BigInt(this.#offered.size);
    this.#offered.set(id, { origin, payment_hash });
    const onion = await this.#node.store.attachment(offer.onion_hash);
    if (onion === undefined) throw new Error('the onion was not kept with the fact that owes it');
    await this.#append({ type: 'UpdateAddHtlcSent', id, ...offer }, cause);
    void this.other.added(id, offer.amount_msat, payment_hash, offer.cltv_expiry, onion);
    return { accepted: 1 };
  }

  added(htlc_id: bigint, amount_msat: Msat, payment_hash: Hex32, cltv_expiry: number, onion: Hex): Promise<void> {
    return this.#inTurn(async () => {
      const sharedSecret = this.#node.signer.nodeEcdh(onionEphemeralKey(onion)!);
      const { hop, attachments } = readHop(onion, payment_hash, sharedSecret);
      this.#received.set(htlc_id, { payment_hash, sharedSecret });
      await this.#append({ type: 'IncomingHtlcCommitted', htlc_id, amount_msat, payment_hash, cltv_expiry, hop }, undefined, attachments);
    });
  }

  fulfilled(htlc_id: bigint, payment_preimage: Hex32): Promise<void> {
    return this.#inTurn(() => this.#append({ type: 'OutgoingHtlcFulfilled', htlc_id, payment_preimage, ...this.#offered.get(htlc_id)! }));
  }

  failed(htlc_id: bigint, reason: Hex): Promise<void> {
    const bytes = this.garble ? `${'00'.repeat(32)}${reason.slice(64)}` : reason;
    const reason_hash = sha256(bytes);
    return this.#inTurn(() =>
      this.#append({ type: 'OutgoingHtlcFailed', htlc_id, failure: { kind: 'reason', reason_hash }, ...this.#offered.get(htlc_id)! }, undefined, [{ hash: reason_hash, bytes }]),
    );
  }

  malformed(htlc_id: bigint, failure_code: number, sha256_of_onion: Hex32): Promise<void> {
    return this.#inTurn(() => this.#append({ type: 'OutgoingHtlcFailed', htlc_id, failure: { kind: 'malformed', failure_code, sha256_of_onion }, ...this.#offered.get(htlc_id)! }));
  }

  async #reasonFor({ sharedSecret }: Received, failure: HtlcFailure): Promise<Hex> {
    if (failure.kind === 'relayed') return wrapFailurePacket(sharedSecret, (await this.#node.store.attachment(failure.reason_hash))!);
    return createFailurePacket(sharedSecret, encodeFailure({ name: 'unknown', code: failure.failure_code, data: { raw: failure.failure_data } }));
  }

  async #append(event: Event, cause?: Cause, attachments?: readonly Attachment[]): Promise<void> {
    const command_id = hash(`${this.#node.name} ${this.stream} ${this.#revision}`);
    this.#revision = await this.#node.store.append(this.stream, this.#revision, [event], cause ?? { command_id, correlation_id: command_id }, attachments);
  }
}

function readHop(packet: Hex, payment_hash: Hex32, sharedSecret: Uint8Array): { readonly hop: Hop; readonly attachments: readonly Attachment[] } {
  const peeled = peelOnion({ packet, associated_data: fromHex(payment_hash), sharedSecret });
  if (!peeled.ok) return { hop: { kind: 'malformed', failure_code: 0xc005, sha256_of_onion: sha256(packet) }, attachments: [] };
  const payload = decodePayload(peeled.payload, { final: peeled.next_packet === undefined });
  if (payload.kind === 'forward') {
    const next_onion_hash = sha256(peeled.next_packet!);
    return { hop: { ...payload, next_onion_hash }, attachments: [{ hash: next_onion_hash, bytes: peeled.next_packet! }] };
  }
  if (payload.kind !== 'final') throw new Error(`the test network has no ${payload.kind}`);
  const { amt_to_forward, outgoing_cltv_value, payment_secret, total_msat } = payload;
  return { hop: { kind: 'final', amt_to_forward, outgoing_cltv_value, total_msat, payment_secret_hash: sha256(payment_secret!) }, attachments: [] };
}
