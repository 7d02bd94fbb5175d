/** Two channel peers in memory: alice opens, bob accepts. Real rules, keys, signatures and message bytes; queues in place of sockets, lists in place of logs. */
import type { CommitmentFormat } from '../../src/bolt/03-transactions/commitment-tx.ts';
import { fundingScript, p2wsh } from '../../src/bolt/03-transactions/scripts.ts';
import { serialize, txidOf, type UnsignedTx } from '../../src/bolt/03-transactions/tx.ts';
import { encodeChannelType } from '../../src/bolt/09-features/channel-types.ts';
import { msat, sat, toHex32, type Hex, type Hex32, type Msat, type Sat } from '../../src/bolt/primitives.ts';
import type { ChannelCommand, ChannelPolicy } from '../../src/domain/channel/commands.ts';
import type { Decision } from '../../src/domain/decider.ts';
import type { ChannelEvent } from '../../src/events/channel/index.ts';
import { Peer, POLICY, REGTEST_CHAIN_HASH, scriptOf, seedOf } from './channel-peer.ts';

export { hashOf, HEIGHT, Peer, POLICY, preimageOf, REGTEST_CHAIN_HASH, scriptOf } from './channel-peer.ts';

/** Where the funding transaction stands. */
export const FUNDING_BLOCK = 799_990;

export interface PairOptions {
  readonly format?: CommitmentFormat;
  readonly funding_satoshis?: Sat;
  readonly push_msat?: Msat;
  readonly feerate_per_kw?: number;
  readonly announce?: boolean;
  /** Variations of the channel type. */
  readonly scid_alias?: boolean;
  readonly zero_conf?: boolean;
  readonly policies?: { readonly alice?: Partial<ChannelPolicy>; readonly bob?: Partial<ChannelPolicy> };
  /** Both know option_simple_close. */
  readonly simple_close?: boolean;
  readonly upfront?: { readonly alice?: Hex; readonly bob?: Hex };
}

export class Pair {
  readonly alice: Peer;
  readonly bob: Peer;

  constructor(alice: Peer, bob: Peer) {
    this.alice = alice;
    this.bob = bob;
    alice.peerId = bob.signer.nodeId;
    bob.peerId = alice.signer.nodeId;
  }

  fork(): Pair {
    return new Pair(this.alice.fork(), this.bob.fork());
  }

  get peers(): readonly [Peer, Peer] {
    return [this.alice, this.bob];
  }

  other(peer: Peer): Peer {
    return peer === this.alice ? this.bob : this.alice;
  }

  /** Hands the oldest message on its way to `to` over. Answers the decision, or undefined when nothing is on its way. */
  deliver(to: Peer): Decision<ChannelEvent> | undefined {
    const bytes = this.other(to).outbox.shift();
    return bytes === undefined ? undefined : to.receive(bytes);
  }

  /** Delivers everything there is, and nothing that follows from it by itself. */
  deliverAll(): void {
    while (this.alice.outbox.length > 0 || this.bob.outbox.length > 0) {
      this.deliver(this.bob);
      this.deliver(this.alice);
    }
  }

  /** Delivers and lets both act, until both rest. */
  settle(): this {
    for (let turns = 0; turns < 200; turns++) {
      this.deliverAll();
      for (const peer of this.peers) peer.followUp();
      if (this.alice.outbox.length === 0 && this.bob.outbox.length === 0) return this;
    }
    throw new Error('the peers do not come to rest');
  }

  disconnect(): this {
    for (const peer of this.peers) peer.disconnect();
    return this;
  }

  reconnect(): this {
    for (const peer of this.peers) peer.reconnect();
    return this;
  }
}

/** Both peers before their first message. */
export function strangers({ policies = {}, simple_close = false, zero_conf = false }: PairOptions = {}): Pair {
  const pair = new Pair(new Peer('alice', { ...POLICY, ...policies.alice }), new Peer('bob', { ...POLICY, ...policies.bob }));
  if (simple_close) for (const peer of pair.peers) peer.features = new Set(['option_shutdown_anysegwit', 'option_simple_close']);
  pair.bob.trusts = zero_conf;
  return pair;
}

/** alice's wish that begins a channel. */
export function openCommand({ alice, bob }: Pair, options: PairOptions = {}): Extract<ChannelCommand, { type: 'OpenChannel' }> {
  const { format = 'anchors_zero_fee_htlc_tx', scid_alias = false, zero_conf = false, funding_satoshis = sat(1_000_000), push_msat = msat(400_000_000n), feerate_per_kw = 1_000, announce = false, upfront } = options;
  return {
    type: 'OpenChannel', peer_id: bob.signer.nodeId, local: alice.localKeys, chain_hash: REGTEST_CHAIN_HASH, temporary_channel_id: toHex32(seedOf('temporary')),
    funding_satoshis, push_msat, feerate_per_kw, announce, channel_type: encodeChannelType({ format, scid_alias, zero_conf }), policy: alice.policy, upfront_shutdown_script: upfront?.alice,
  };
}

/** The transaction that alice's wallet makes for the channel: the funding output, and change. */
export function fundingTransaction({ alice }: Pair): { readonly tx: UnsignedTx; readonly raw: Hex; readonly txid: Hex32 } {
  const { state } = alice;
  if (!('terms' in state)) throw new Error('the funding needs both sides\' keys');
  const { local, remote, funding_satoshis } = state.terms;
  const tx: UnsignedTx = {
    version: 2, locktime: 0,
    inputs: [{ txid: toHex32(seedOf('coin')), index: 3, sequence: 0xfffffffd }],
    outputs: [
      { value: sat(77_777), script_pubkey: scriptOf('change') },
      { value: funding_satoshis, script_pubkey: p2wsh(fundingScript(local.keys.funding_pubkey, remote.keys.funding_pubkey)) },
    ],
  };
  return { tx, raw: serialize(tx), txid: txidOf(tx) };
}

/** Both terms are known; the funding transaction is not. */
export function accepted(options: PairOptions = {}): Pair {
  const pair = strangers(options);
  pair.alice.decide(openCommand(pair, options));
  const open = pair.bob.gather(pair.alice.saying[0]!) as Extract<ChannelCommand, { type: 'ReceiveOpenChannel' }>;
  pair.alice.outbox.length = 0;
  pair.bob.decide({ ...open, upfront_shutdown_script: options.upfront?.bob });
  pair.deliver(pair.alice);
  return pair;
}

/** Both sides hold a signed commitment 0; the chain has not spoken. */
export function funded(options: PairOptions = {}): Pair {
  const pair = accepted(options);
  createFunding(pair);
  pair.deliverAll();
  return pair;
}

export function createFunding(pair: Pair): Decision<ChannelEvent> {
  const { txid, raw } = fundingTransaction(pair);
  return pair.alice.decide({ type: 'CreateFunding', funding_txid: txid, funding_output_index: 1, funding_transaction: raw });
}

export function confirm(pair: Pair, peer: Peer): Decision<ChannelEvent> {
  const { txid, raw } = fundingTransaction(pair);
  return peer.decide({
    type: 'ConfirmFunding', funding_txid: txid, funding_transaction: raw, block_height: FUNDING_BLOCK, transaction_index: 4, next_per_commitment_point: peer.point(1n), short_channel_id_alias: peer.freshAlias(),
  });
}

/** A channel in phase normal: 1,000,000 sat, 400,000 of them pushed to bob, anchors, 1,000 sat per 1000 weight, unless told otherwise. */
export function opened(options: PairOptions = {}): Pair {
  const pair = funded(options);
  for (const peer of pair.peers) confirm(pair, peer);
  pair.deliverAll();
  return pair;
}

/** The code of a refusal, of a failure or of a declined offer; undefined when nothing went wrong. */
export function codeOf(decision: Decision<ChannelEvent> | undefined): string | undefined {
  if (decision === undefined) return undefined;
  if ('refused' in decision) return decision.refused.code;
  const bad = decision.accepted.find((event) => 'code' in event);
  return bad !== undefined && 'code' in bad ? bad.code : undefined;
}
