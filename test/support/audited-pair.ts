/** Two nodes with one channel between them, in memory and without a network: real keys, real signatures, real facts, written as logs. */
import { createSigner } from '../../src/adapters/signer/local-signer.ts';
import { openMemoryStore } from '../../src/adapters/store/memory.ts';
import { createMemoryDisk, type MemoryDisk } from '../../src/adapters/store/memory-storage.ts';
import type { LogStore } from '../../src/adapters/store/log-store.ts';
import { signedClosing } from '../../src/bolt/03-transactions/closing-tx.ts';
import { buildCommitment, signedCommitment } from '../../src/bolt/03-transactions/commitment-tx.ts';
import { fundingScript, p2wpkh, p2wsh } from '../../src/bolt/03-transactions/scripts.ts';
import { parseTx } from '../../src/bolt/03-transactions/tx-parse.ts';
import { serialize } from '../../src/bolt/03-transactions/tx.ts';
import { CHANNEL_TYPES, features as featuresOf } from '../../src/bolt/09-features/features.ts';
import { encodeInvoice } from '../../src/bolt/11-payment-encoding/invoice.ts';
import { crypto } from '../../src/bolt/crypto.ts';
import type { Message } from '../../src/bolt/messages.ts';
import { NETWORKS } from '../../src/bolt/networks.ts';
import { fromHex, hex32, msat, sat, toHex32, toSignature, type Hex, type Hex32 } from '../../src/bolt/primitives.ts';
import { commitmentParams, commitmentSpec } from '../../src/domain/channel/commitment-spec.ts';
import type { ChannelCommand, ChannelPolicy } from '../../src/domain/channel/commands.ts';
import { commitmentIsDue } from '../../src/domain/channel/committing.ts';
import { decideChannel } from '../../src/domain/channel/decide.ts';
import { effectsOf, type Effect } from '../../src/domain/channel/effects.ts';
import { evolveChannel } from '../../src/domain/channel/evolve.ts';
import { assertInvariants } from '../../src/domain/channel/invariants.ts';
import { closingOf, negotiationIsDue, ourClosing, shutdownIsDue, type ClosingState } from '../../src/domain/channel/shutdown.ts';
import type { ResolvingState } from '../../src/domain/channel/spending.ts';
import { initialChannel, isEstablished, type ChannelState, type EstablishedState } from '../../src/domain/channel/state.ts';
import { claimTransaction, findClaim } from '../../src/domain/onchain/claims.ts';
import { plannedClaims } from '../../src/domain/onchain/planning.ts';
import type { ClaimKey, WatchedSpend } from '../../src/domain/onchain/types.ts';
import { logKeyStatement } from '../../src/events/checkpoint.ts';
import type { ChannelEvent } from '../../src/events/channel/index.ts';
import type { Hop, Origin } from '../../src/events/channel/updates.ts';
import type { Event } from '../../src/events/registry.ts';
import type { StreamId } from '../../src/events/store.ts';

const NETWORK = NETWORKS['bitcoin-regtest'];
const FEERATE = 1000;
export const FUNDING = sat(1_000_000n);

const policy: ChannelPolicy = {
  dust_limit_satoshis: sat(354n),
  max_htlc_value_in_flight_msat: msat(900_000_000n),
  reserve_millionths: 10_000,
  htlc_minimum_msat: msat(1n),
  to_self_delay: 6,
  max_accepted_htlcs: 30,
  minimum_depth: 3,
  min_funding_satoshis: sat(10_000n),
  max_funding_satoshis: sat(16_000_000n),
  max_to_self_delay: 2016,
  min_feerate_per_kw: 253,
  max_feerate_per_kw: 50_000,
  max_dust_exposure_msat: msat(50_000_000n),
};

export const sha256 = (hex: Hex): Hex32 => toHex32(crypto().sha256(fromHex(hex)));
/** A 32-byte value named by a word. */
export const named = (word: string): Hex32 => toHex32(crypto().sha256(new TextEncoder().encode(word)));

/** Facts of one append, in the order of the whole log. */
interface Written {
  readonly stream: StreamId;
  readonly events: readonly Event[];
}

export interface Node {
  readonly name: string;
  readonly signer: ReturnType<typeof createSigner>;
  readonly stream: StreamId;
  readonly log: Written[];
  readonly broadcasts: Hex[];
  readonly inbox: Message[];
  channel: ChannelState;
}

function createNode(name: string, peer: string): Node {
  const signer = createSigner(fromHex(named(`seed of ${name}`)), { network: 'bitcoin-regtest' });
  const log_public_key = Buffer.from(crypto().ed25519PublicKey(signer.logKeySeed())).toString('hex');
  const claim = { node_id: signer.nodeId, chain_hash: NETWORK.chain_hash, log_public_key };
  const signature = signer.signAnnouncement(logKeyStatement(claim));
  const first: Event = { type: 'NodeInitialized', ...claim, alias: name, network: NETWORK.name, signature };
  return { name, signer, stream: `channel-${peer}-1`, log: [{ stream: 'node', events: [first] }], broadcasts: [], inbox: [], channel: initialChannel };
}

export interface ChannelPair {
  readonly alice: Node;
  readonly bob: Node;
  command(node: Node, command: ChannelCommand): void;
  /** Delivers messages and signs what is due until both are at rest. */
  settle(): void;
  /** Writes facts of another stream. */
  write(node: Node, stream: StreamId, ...events: Event[]): void;
}

/** An open channel of 1,000,000 sat that alice funds, 100,000 sat pushed to bob. */
export function openPair(channel_type: Hex = CHANNEL_TYPES.anchors_zero_fee_htlc_tx): ChannelPair {
  const pair = createPair();
  const { alice, bob } = pair;
  pair.command(alice, {
    type: 'OpenChannel', peer_id: bob.signer.nodeId, local: localKeys(alice), chain_hash: NETWORK.chain_hash, temporary_channel_id: named('temporary channel id'),
    funding_satoshis: FUNDING, push_msat: msat(100_000_000n), feerate_per_kw: FEERATE, announce: false, channel_type, policy,
  });
  pair.settle();
  const funding = fundingTransaction(alice.channel);
  const funding_txid = parseTx(funding).txid;
  pair.command(alice, { type: 'CreateFunding', funding_txid, funding_output_index: 0, funding_transaction: funding });
  pair.settle();
  for (const node of [alice, bob]) {
    const next_per_commitment_point = node.signer.perCommitmentPoint(1, 1n);
    pair.command(node, { type: 'ConfirmFunding', funding_txid, funding_transaction: funding, block_height: 110, transaction_index: 1, next_per_commitment_point });
  }
  pair.settle();
  return pair;
}

const localKeys = ({ signer }: Node) => ({ key_index: 1, keys: signer.channelKeys(1), first_per_commitment_point: signer.perCommitmentPoint(1, 0n) });

function fundingTransaction(state: ChannelState): Hex {
  if (state.phase !== 'opening' || state.step !== 'accepted') throw new Error(`no funding in phase ${state.phase}`);
  const script_pubkey = p2wsh(fundingScript(state.terms.local.keys.funding_pubkey, state.terms.remote.keys.funding_pubkey));
  return serialize({ version: 2, locktime: 0, inputs: [{ txid: named('a coin'), index: 0, sequence: 0xfffffffd }], outputs: [{ value: FUNDING, script_pubkey }] }, [['aa']]);
}

function createPair(): ChannelPair {
  const alice = createNode('alice', 'bob');
  const bob = createNode('bob', 'alice');
  const peerOf = (node: Node) => (node === alice ? bob : alice);

  function command(node: Node, wanted: ChannelCommand): void {
    const decision = decideChannel(wanted, node.channel);
    if ('refused' in decision) throw new Error(`${node.name}: ${wanted.type} refused: ${decision.refused.code} ${JSON.stringify(decision.refused.detail, (_k, v: unknown) => (typeof v === 'bigint' ? String(v) : v))}`);
    if (decision.accepted.length === 0) return;
    node.log.push({ stream: node.stream, events: decision.accepted });
    node.channel = decision.accepted.reduce<ChannelState>((state, event) => checked(evolveChannel(state, event)), node.channel);
    for (const effect of effectsOf(decision.accepted, node.channel)) perform(node, peerOf(node), effect, decision.accepted);
  }

  function settle(): void {
    for (let busy = true; busy; ) {
      busy = false;
      for (const node of [alice, bob]) {
        for (let message = node.inbox.shift(); message !== undefined; message = node.inbox.shift()) {
          command(node, receive(node, peerOf(node), message));
          busy = true;
        }
        for (const due of dueCommands(node)) {
          command(node, due);
          busy = true;
        }
      }
    }
  }

  return { alice, bob, command, settle, write: (node, stream, ...events) => void node.log.push({ stream, events }) };
}

function checked(state: ChannelState): ChannelState {
  assertInvariants(state);
  return state;
}

function dueCommands({ channel, name }: Node): readonly ChannelCommand[] {
  if (commitmentIsDue(channel)) return [{ type: 'SignCommitment' }];
  if (shutdownIsDue(channel)) return [{ type: 'CloseChannel', scriptpubkey: closeScript(name) }];
  return negotiationIsDue(channel) ? [{ type: 'NegotiateClosing', feerate_per_kw: FEERATE }] : [];
}

export const closeScript = (name: string): Hex => `0014${named(`script of ${name}`).slice(0, 40)}`;

/** What the loop gathers around a message of the peer's. */
function receive({ signer, channel }: Node, peer: Node, message: Message): ChannelCommand {
  switch (message.type) {
    case 'open_channel':
      return { type: 'ReceiveOpenChannel', peer_id: peer.signer.nodeId, message, local: { key_index: 1, keys: signer.channelKeys(1), first_per_commitment_point: signer.perCommitmentPoint(1, 0n) }, chain_hash: NETWORK.chain_hash, policy };
    case 'accept_channel':
      return { type: 'ReceiveAcceptChannel', message, policy };
    case 'funding_created':
      return { type: 'ReceiveFundingCreated', message, height: 0 };
    case 'funding_signed':
      return { type: 'ReceiveFundingSigned', message };
    case 'channel_ready':
      return { type: 'ReceiveChannelReady', message, height: 0 };
    case 'update_add_htlc':
      return { type: 'ReceiveUpdateAddHtlc', message, onion_hash: named(`onion of ${message.payment_hash}`), hop: finalHop(message.amount_msat, message.cltv_expiry), policy };
    case 'update_fulfill_htlc':
      return { type: 'ReceiveUpdateFulfillHtlc', message };
    case 'update_fail_htlc':
      return { type: 'ReceiveUpdateFailHtlc', message, reason_hash: sha256(message.reason) };
    case 'update_fee':
      return { type: 'ReceiveUpdateFee', message, policy };
    case 'commitment_signed':
      return { type: 'ReceiveCommitmentSigned', message, next_per_commitment_point: signer.perCommitmentPoint(1, (channel as EstablishedState).commitments.local.number + 2n) };
    case 'revoke_and_ack':
      return { type: 'ReceiveRevokeAndAck', message };
    case 'shutdown':
      return { type: 'ReceiveShutdown', message };
    case 'closing_signed':
      return { type: 'ReceiveClosingSigned', message, feerate_per_kw: FEERATE };
    default:
      throw new Error(`no rule for ${message.type}`);
  }
}

const finalHop = (amt_to_forward: ReturnType<typeof msat>, outgoing_cltv_value: number): Hop =>
  ({ kind: 'final', amt_to_forward, outgoing_cltv_value, payment_secret_hash: named('payment secret'), total_msat: amt_to_forward });

function perform(node: Node, peer: Node, effect: Effect, events: readonly ChannelEvent[]): void {
  const send = (message: Message) => void peer.inbox.push(message);
  const { signer, channel } = node;
  const here = channel as EstablishedState;
  switch (effect.kind) {
    case 'send':
      return send(effect.message);
    case 'send_add':
      return send({ ...effect.message, onion_routing_packet: '00'.repeat(1366) });
    case 'send_fail':
      return send({ type: 'update_fail_htlc', channel_id: effect.channel_id, id: effect.htlc.id, reason: '00'.repeat(292), tlvs: {} });
    case 'send_funding_created': {
      const { terms, funding } = here;
      return send({ type: 'funding_created', temporary_channel_id: terms.temporary_channel_id, funding_txid: funding.txid, funding_output_index: funding.output_index, signature: signRemote(node).signature, tlvs: {} });
    }
    case 'send_funding_signed':
      return send({ type: 'funding_signed', channel_id: here.funding.channel_id, signature: signRemote(node).signature, tlvs: {} });
    case 'send_commitment_signed':
      return send({ type: 'commitment_signed', channel_id: here.funding.channel_id, ...signRemote(node), tlvs: {} });
    case 'send_revoke_and_ack': {
      const event = events.find((one) => one.type === 'RevokeAndAckSent');
      const per_commitment_secret = signer.revealPerCommitmentSecret(1, effect.commitment_number);
      return send({ type: 'revoke_and_ack', channel_id: here.funding.channel_id, per_commitment_secret, next_per_commitment_point: event!.next_per_commitment_point, tlvs: {} });
    }
    case 'send_closing_signed': {
      const closing = ourClosing(channel as ClosingState, effect.fee_satoshis)!;
      const tlvs = effect.fee_range === undefined ? {} : { fee_range: effect.fee_range };
      return send({ type: 'closing_signed', channel_id: here.funding.channel_id, fee_satoshis: effect.fee_satoshis, signature: signer.signClosing(1, closing), tlvs });
    }
    case 'broadcast':
      return void node.broadcasts.push(transactionOf(node, effect));
    case 'send_error':
    case 'send_announcement_signatures':
      return;
  }
}

function signRemote({ signer, channel }: Node) {
  const state = channel as EstablishedState;
  const params = commitmentParams(state, 'remote');
  const spec = commitmentSpec(state, 'remote');
  return signer.signRemoteCommitment(1, buildCommitment(params, spec), params, spec);
}

function transactionOf({ signer, channel }: Node, { what, claim_txid }: Extract<Effect, { kind: 'broadcast' }>): Hex {
  if (!isEstablished(channel)) throw new Error(`nothing to broadcast in phase ${channel.phase}`);
  switch (what) {
    case 'funding':
      return channel.funding.transaction!;
    case 'commitment': {
      const params = commitmentParams(channel, 'local');
      const commitment = buildCommitment(params, commitmentSpec(channel, 'local'));
      return signedCommitment(commitment, params, signer.signLocalCommitment(1, commitment), channel.commitments.local.signature!);
    }
    case 'closing': {
      const state = channel as ClosingState;
      const closing = closingOf(state, state.agreed!)!;
      return signedClosing(closing, signer.signClosing(1, closing), state.agreed!.signature);
    }
    case 'claim': {
      const claim = claimTransaction(channel as ResolvingState, findClaim(channel, claim_txid!)!)!;
      return serialize(claim.tx, claim.inputs.map(({ sighash, key, witness }) => witness(signer.signSweepInput(1, key as Exclude<ClaimKey, { kind: 'wallet' }>, sighash))));
    }
    case 'sweep':
      throw new Error('a sweep is of older logs');
  }
}

/** A payment from one end to the other, with the facts of both sides' payment and invoice streams. */
export function pay(pair: ChannelPair, from: Node, amount: bigint, word: string, outcome: 'fulfilled' | 'failed' = 'fulfilled'): void {
  const to = from === pair.alice ? pair.bob : pair.alice;
  const amount_msat = msat(amount);
  const payment_preimage = named(`preimage of ${word}`);
  const payment_hash = sha256(payment_preimage);
  const payment = `payment-${named(word)}`;
  const onion_hash = named(`onion of ${payment_hash}`);
  const origin: Origin = { kind: 'payment', payment, attempt: 0 };
  pair.write(to, `invoice-${payment_hash}`, {
    type: 'InvoiceCreated', payment_hash, payment_secret_hash: named('payment secret'), nonce: named(`nonce of ${word}`), amount_msat, description: word,
    created_at: 1_700_000_000, expiry: 3600, min_final_cltv_expiry_delta: 18,
  });
  pair.write(from, payment,
    { type: 'PaymentStarted', payment_id: named(word), payment_hash, destination: to.signer.nodeId, amount_msat, fee_limit_msat: msat(1000n), min_final_cltv_expiry_delta: 18, bolt11: invoiceOf(to, amount_msat, payment_hash, word), max_attempts: 1 },
    { type: 'AttemptPlanned', attempt: 0, payment_hash, channel: from.stream, amount_msat, fee_msat: msat(0n), cltv_expiry: 200, onion_hash, hops: [{ short_channel_id: scidOf(from), node_id: to.signer.nodeId, amount_msat, cltv_expiry: 200 }] },
  );
  pair.command(from, { type: 'OfferHtlc', origin, amount_msat, payment_hash, cltv_expiry: 200, onion_hash, height: 120, connected: true, policy });
  pair.settle();
  const htlc_id = committedId(to, payment_hash);
  if (outcome === 'fulfilled') {
    pair.write(to, `invoice-${payment_hash}`,
      { type: 'InvoiceHtlcAccepted', channel: to.stream, htlc_id, amount_msat, total_msat: amount_msat, accepted_at: 1_700_000_100 },
      { type: 'InvoiceSettled', payment_preimage, received_msat: amount_msat, htlcs: [{ channel: to.stream, htlc_id }] });
    pair.command(to, { type: 'FulfillHtlc', htlc_id, payment_preimage });
  } else {
    pair.write(to, `invoice-${payment_hash}`, { type: 'InvoiceHtlcRefused', channel: to.stream, htlc_id, amount_msat, failure_code: 0x400f, failure_data: '' });
    pair.command(to, { type: 'FailHtlc', htlc_id, failure: { kind: 'local', failure_code: 0x400f, failure_data: '' } });
  }
  pair.settle();
  if (outcome === 'fulfilled') {
    pair.write(from, payment, { type: 'AttemptSucceeded', attempt: 0, payment_preimage }, { type: 'PaymentSucceeded', payment_preimage, amount_msat, fee_msat: msat(0n) });
  } else {
    pair.write(from, payment,
      { type: 'AttemptFailed', attempt: 0, failure_code: 0x400f, failure_name: 'incorrect_or_unknown_payment_details', failure_data: '', erring_hop: 1, erring_node: to.signer.nodeId, reason: 'the payee does not know the payment' },
      { type: 'PaymentFailed', code: 'payment_failed', reason: 'the payee does not know the payment', failure_code: 0x400f, failure_name: 'incorrect_or_unknown_payment_details', erring_node: to.signer.nodeId });
  }
}

function invoiceOf({ signer }: Node, amount_msat: ReturnType<typeof msat>, payment_hash: Hex32, description: string): string {
  const features = featuresOf({ var_onion_optin: 'compulsory', payment_secret: 'compulsory' });
  return encodeInvoice({ currency: 'bcrt', amount_msat, timestamp: 1_700_000_000, payment_hash, payment_secret: named('payment secret'), description, features }, (digest) => signer.signInvoice(digest));
}

const scidOf = ({ channel }: Node) => (channel as EstablishedState).funding.confirmed!.short_channel_id;

function committedId({ log, stream }: Node, payment_hash: Hex32): bigint {
  const events = log.filter((written) => written.stream === stream).flatMap((written) => written.events);
  const committed = events.find((event) => event.type === 'IncomingHtlcCommitted' && event.payment_hash === payment_hash);
  if (committed?.type !== 'IncomingHtlcCommitted') throw new Error(`no committed HTLC with payment_hash ${payment_hash}`);
  return committed.htlc_id;
}

/** Both sides agree to close; the closing transaction confirms at height 130. */
export function closeTogether(pair: ChannelPair): void {
  pair.command(pair.alice, { type: 'CloseChannel', scriptpubkey: closeScript('alice') });
  pair.settle();
  for (const node of [pair.alice, pair.bob]) spendFunding(pair, node, node.broadcasts.at(-1)!);
}

/** One side publishes its commitment; each sweeps what is its own, and the channel is settled at height 150. */
export function forceClose(pair: ChannelPair, node: Node): void {
  pair.command(node, { type: 'ForceClose', reason: 'as asked' });
  const commitment = node.broadcasts.at(-1)!;
  for (const each of [pair.alice, pair.bob]) spendFunding(pair, each, commitment);
}

function spendFunding(pair: ChannelPair, node: Node, transaction: Hex): void {
  const txid = parseTx(transaction).txid;
  pair.command(node, { type: 'ReceiveBlock', height: 130, funding_spend: { txid, transaction, block_height: 130 } });
  const destination_script = p2wpkh(node.signer.paymentPoint(1));
  for (let height = 131; height <= 150; height++) {
    const feerates = { urgent: FEERATE, normal: FEERATE, economic: FEERATE };
    const claims = plannedClaims(node.channel, { height, feerates }).map((claim) => ({ ...claim, destination_script }));
    pair.command(node, { type: 'ReceiveBlock', height, claims, spends: height === 137 ? spendsOf(node, txid, height) : [] });
  }
}

/** Whatever the node broadcast from the outputs of a commitment, now in a block. */
function spendsOf(node: Node, commitment_txid: Hex32, block_height: number): readonly WatchedSpend[] {
  return node.broadcasts.flatMap((transaction) => {
    const tx = parseTx(transaction);
    return tx.inputs.flatMap(({ txid, index: output_index }, input_index) =>
      txid === commitment_txid ? [{ txid, output_index, spending_txid: tx.txid, input_index, transaction, block_height }] : []);
  });
}

/** The node's facts as a log in memory, one second between appends; what the memory store hashes and signs. */
export async function writeLog(node: Node, disk: MemoryDisk = createMemoryDisk()): Promise<LogStore> {
  return appendAll(node, await openMemoryStore({ ...logOptions(node), disk }));
}

/** What a store needs to be the node's. */
export function logOptions({ signer }: Node) {
  let time = Date.parse('2026-01-01T00:00:00.000Z');
  return { nodeId: signer.nodeId, logKeySeed: signer.logKeySeed(), now: () => new Date((time += 1000)) };
}

/** Writes all that the node has to say. */
export async function appendAll(node: Node, store: LogStore): Promise<LogStore> {
  const revisions = new Map<StreamId, bigint>();
  for (const [index, { stream, events }] of node.log.entries()) {
    const command_id = named(`${node.name} ${index}`);
    revisions.set(stream, await store.append(stream, revisions.get(stream) ?? 'none', events, { command_id, correlation_id: command_id }));
  }
  return store;
}

/** A signature that fits nothing. */
export const WRONG_SIGNATURE = toSignature(crypto().sign(fromHex(hex32('11'.repeat(32))), fromHex(hex32('22'.repeat(32)))));
