/** Two peers of a channel before a real chain: every script runs, every block is heard, whatever is owed is broadcast. Coins of a test wallet pay for claims. */
import { createRegtestChain, type RegtestChain } from '../../src/adapters/chain/regtest.ts';
import { crypto } from '../../src/bolt/crypto.ts';
import { feeOf } from '../../src/bolt/03-transactions/fees.ts';
import type { CommitmentSpec } from '../../src/bolt/03-transactions/commitment-tx.ts';
import { fundingScript, p2wpkh, p2wsh } from '../../src/bolt/03-transactions/scripts.ts';
import { parseTx, type ParsedTx } from '../../src/bolt/03-transactions/tx-parse.ts';
import { sat, toPoint, toSignature, type Hex, type Hex32, type Msat, type Sat } from '../../src/bolt/primitives.ts';
import { commitmentSpec } from '../../src/domain/channel/commitment-spec.ts';
import { evolveChannel } from '../../src/domain/channel/evolve.ts';
import { owedToChain } from '../../src/domain/channel/effects.ts';
import { revokedNumber } from '../../src/domain/channel/spending.ts';
import { initialChannel, isEstablished, type ChannelState } from '../../src/domain/channel/state.ts';
import { watchedOutputs } from '../../src/domain/onchain/decide.ts';
import { plannedClaims } from '../../src/domain/onchain/planning.ts';
import type { Claim, FundedClaim, PlannedClaim, WatchedSpend } from '../../src/domain/onchain/types.ts';
import type { Feerates } from '../../src/domain/feerates.ts';
import { transactionFor } from '../../src/commands/perform.ts';
import { accepted, hashOf, preimageOf, scriptOf, type Pair, type PairOptions, type Peer } from './channel-pair.ts';
import { ONION_HASH, seedOf } from './channel-peer.ts';

type Name = Peer['name'];

/** Blocks that either side waits for its main output. */
export const DELAY = 10;
const COIN = sat(60_000);
const COINS = 70;

interface Coin {
  readonly txid: Hex32;
  readonly output_index: number;
  readonly value: Sat;
  readonly script_pubkey: Hex;
}

/** A broadcast that the chain refused. */
export interface Refused {
  readonly by: Name;
  readonly txid: Hex32;
  readonly code: string;
}

export class Stage {
  readonly chain: RegtestChain;
  readonly pair: Pair;
  readonly refused: Refused[] = [];
  feerates: Feerates = { urgent: 2_000, normal: 1_000, economic: 500 };
  /** A commitment of the other side that waits in the mempool. */
  waiting_commitment: Hex32 | undefined;
  /** Who hears of blocks; the other is asleep, or a thief. */
  awake: Name[] = ['alice', 'bob'];
  readonly #coins: Record<Name, Coin[]> = { alice: [], bob: [] };
  /** The coin of each purpose: a dearer claim spends it again. */
  readonly #spoken = new Map<string, { coin: Coin; fee: bigint }>();

  private constructor(chain: RegtestChain, pair: Pair) {
    this.chain = chain;
    this.pair = pair;
    for (const peer of pair.peers) peer.signCoin = (_script, sighash) => this.#sign(peer, sighash);
  }

  /** A channel in phase normal, its funding deep in the chain, and coins for both wallets. */
  static async open(options: PairOptions = {}): Promise<Stage> {
    const policies = { alice: { to_self_delay: DELAY, ...options.policies?.alice }, bob: { to_self_delay: DELAY, ...options.policies?.bob } };
    const pair = accepted({ ...options, policies });
    const stage = new Stage(createRegtestChain({ initial_blocks: 110 }), pair);
    stage.#openChannel();
    for (const peer of pair.peers) stage.#fillWallet(peer);
    await stage.mine(1);
    return stage;
  }

  #openChannel(): void {
    const { alice } = this.pair;
    const { local, remote, funding_satoshis } = (alice.state as Extract<ChannelState, { terms: unknown }>).terms;
    const paid = this.chain.fund(p2wsh(fundingScript(local.keys.funding_pubkey, remote.keys.funding_pubkey)), funding_satoshis);
    alice.decide({ type: 'CreateFunding', funding_txid: paid.txid, funding_output_index: paid.output_index, funding_transaction: paid.transaction });
    this.pair.deliverAll();
    const block = this.chain.mineBlocks(6)[0]!;
    const transaction_index = block.transactions.findIndex(({ txid }) => txid === paid.txid);
    for (const peer of this.pair.peers) {
      peer.decide({ type: 'ConfirmFunding', funding_txid: paid.txid, funding_transaction: paid.transaction, block_height: block.height, transaction_index, next_per_commitment_point: peer.point(1n) });
    }
    this.pair.deliverAll();
  }

  get height(): number {
    return this.chain.blockAt(0) === undefined ? 0 : this.#tip();
  }

  #tip(): number {
    let height = this.#known;
    while (this.chain.blockAt(height + 1) !== undefined) height++;
    while (this.chain.blockAt(height) === undefined) height--;
    return (this.#known = height);
  }

  #known = 0;

  // ---- the channel

  /** An HTLC with its deadline so many blocks from now, committed on both sides. `amount` in sat. */
  offer(from: Peer, { amount = 20_000n, blocks = 30, payment = 1 }: { amount?: bigint; blocks?: number; payment?: number } = {}): bigint {
    const { next_offered_id } = from.established.commitments;
    this.propose(from, { amount, blocks, payment });
    this.pair.settle();
    return next_offered_id;
  }

  /** The same, and no message is delivered. */
  propose(from: Peer, { amount = 20_000n, blocks = 30, payment = 1 }: { amount?: bigint; blocks?: number; payment?: number } = {}): void {
    const height = this.height;
    const decision = from.decide({
      type: 'OfferHtlc', origin: { kind: 'payment', payment: `payment-${from.name}-${payment}`, attempt: 0 }, amount_msat: (amount * 1000n) as Msat,
      payment_hash: hashOf(preimageOf(payment)), cltv_expiry: height + blocks, onion_hash: ONION_HASH, height, connected: true, policy: from.policy,
    });
    if (!('accepted' in decision) || decision.accepted[0]?.type !== 'UpdateAddHtlcSent') throw new Error(`the offer was declined: ${JSON.stringify(decision, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))}`);
  }

  /** The raw commitment that a peer could publish now; kept, it is a thief's tool. */
  commitmentOf(peer: Peer): { raw: Hex; twin: Peer } {
    const twin = peer.fork();
    twin.signCoin = peer.signCoin;
    twin.decide({ type: 'ForceClose', reason: 'test' });
    return { raw: twin.broadcasts.find(({ what }) => what === 'commitment')!.raw, twin };
  }

  // ---- the chain

  async publish(raw: Hex, by: Name = 'alice'): Promise<boolean> {
    const result = await this.chain.broadcast(raw);
    if (!result.ok) this.refused.push({ by, txid: parseTx(raw).txid, code: result.code });
    return result.ok;
  }

  /** Blocks, one by one; all that are awake hear of each and do what it asks. */
  async mine(blocks = 1, transactions: readonly Hex[] = []): Promise<void> {
    for (let n = 0; n < blocks; n++) {
      this.chain.mineBlocks(1, n === 0 ? { transactions } : {});
      for (const name of this.awake) await this.hear(this.pair[name], this.height);
    }
  }

  /** Until a height of the chain. */
  async mineTo(height: number): Promise<void> {
    await this.mine(Math.max(0, height - this.height));
  }

  /** A peer takes up one block, and acts on it if it is the newest. */
  async hear(peer: Peer, height: number): Promise<void> {
    if (!isEstablished(peer.state) || peer.state.phase === 'closed') return;
    this.takeBlock(peer, height);
    if (height === this.height) await this.act(peer);
  }

  takeBlock(peer: Peer, height: number): void {
    const { transactions } = this.chain.blockAt(height)!;
    const parsed = transactions.map(({ transaction }) => ({ raw: transaction, tx: parseTx(transaction) }));
    for (let first = true, told = new Set<string>(); ; first = false) {
      const spends = spendsOf(peer, parsed, height).filter(({ txid, output_index }) => !told.has(`${txid}:${output_index}`));
      const funding_spend = first ? this.#fundingSpend(peer, parsed, height) : undefined;
      if (!first && spends.length === 0) return;
      for (const { txid, output_index } of spends) told = told.add(`${txid}:${output_index}`);
      peer.decide({ type: 'ReceiveBlock', height, spends, funding_spend });
    }
  }

  #fundingSpend(peer: Peer, parsed: readonly { raw: Hex; tx: ParsedTx }[], block_height: number) {
    const { txid, output_index } = peer.established.funding;
    const spend = parsed.find(({ tx }) => tx.inputs.some((input) => input.txid === txid && input.index === output_index));
    if (spend === undefined) return undefined;
    const number = revokedNumber(peer.established, spend.raw);
    return { txid: spend.tx.txid, transaction: spend.raw, block_height, revoked_spec: number === undefined ? undefined : specOf(peer, number) };
  }

  /** Plans, pays for and starts claims, then broadcasts all that is owed. */
  async act(peer: Peer): Promise<void> {
    const height = this.height;
    const planned = plannedClaims(peer.state, { height, feerates: this.feerates, waiting_commitment: this.waiting_commitment });
    const claims = planned.flatMap((claim) => this.#fund(peer, claim) ?? []);
    if (claims.length > 0) peer.decide({ type: 'ReceiveBlock', height, claims });
    for (const effect of owedToChain(peer.state)) {
      if (effect.kind !== 'broadcast') continue;
      for (const raw of transactionFor(effect, peer.state, peer.context)) await this.publish(raw, peer.name);
    }
  }

  /** Blocks are taken off; whoever is awake hears how far. */
  reorg(depth: number, drop: readonly Hex32[] = []): void {
    const { height } = this.chain.reorg(depth, { drop });
    for (const name of this.awake) this.pair[name].decide({ type: 'RollBack', to_height: height });
  }

  /** What the mempool holds shows its preimages to a peer. */
  showMempool(peer: Peer): void {
    for (const { txid, transaction } of this.chain.mempool()) peer.decide({ type: 'ReceiveMempoolTransaction', txid, transaction });
  }

  // ---- wallets

  #key(name: Name): Uint8Array {
    return seedOf(`coins of ${name}`);
  }

  #sign({ name }: Peer, sighash: Uint8Array) {
    const key = this.#key(name);
    return { signature: toSignature(crypto().sign(sighash, key)), pubkey: toPoint(crypto().publicKey(key)) };
  }

  #fillWallet({ name }: Peer): void {
    const script_pubkey = p2wpkh(toPoint(crypto().publicKey(this.#key(name))));
    for (let n = 0; n < COINS; n++) {
      const { txid, output_index } = this.chain.fund(script_pubkey, COIN);
      this.#coins[name].push({ txid, output_index, value: COIN, script_pubkey });
    }
  }

  #fund({ name }: Peer, planned: PlannedClaim): FundedClaim | undefined {
    const { kind, inputs, feerate_per_kw, replaces, needs, base } = planned;
    const claim = { kind, inputs, feerate_per_kw, replaces };
    if (needs === 'nothing') return claim;
    if (needs === 'destination_script') return { ...claim, destination_script: walletScript(name) };
    const purpose = `${name} ${inputs[0]!.txid}:${inputs[0]!.output_index} ${inputs.length}`;
    const before = this.#spoken.get(purpose);
    const coin = before?.coin ?? this.#coins[name].shift();
    if (coin === undefined) return undefined;
    const weight = base!.weight + 273 + 124;
    const own = feeOf(feerate_per_kw, weight) + 1n;
    const together = base!.parent === undefined ? 0n : feeOf(feerate_per_kw, weight + base!.parent.weight) - base!.parent.fee_satoshis;
    const dearer = before === undefined ? 0n : before.fee + feeOf(250, weight) + 1n;
    const fee = [own, together, dearer].reduce((most, each) => (each > most ? each : most));
    const change = (base!.value_in + coin.value - base!.tx.outputs.reduce((sum, { value }) => sum + value, 0n) - fee) as Sat;
    if (change < 294n) return undefined;
    this.#spoken.set(purpose, { coin, fee });
    return { ...claim, wallet: { inputs: [coin], change: { script_pubkey: coin.script_pubkey, value: change } } };
  }
}

export const walletScript = (name: Name): Hex => scriptOf(`${name}'s wallet`);

/** The peer's commitment of that number, as the log tells it. */
function specOf(peer: Peer, number: bigint): CommitmentSpec | undefined {
  let state: ChannelState = initialChannel;
  for (const event of peer.events) {
    state = evolveChannel(state, event);
    if (isEstablished(state) && state.commitments.remote.number === number) return commitmentSpec(state, 'remote');
  }
  return undefined;
}

function spendsOf(peer: Peer, parsed: readonly { raw: Hex; tx: ParsedTx }[], block_height: number): WatchedSpend[] {
  return watchedOutputs(peer.state).flatMap(({ txid, output_index }) =>
    parsed.flatMap(({ raw, tx }) =>
      tx.inputs.flatMap((input, input_index) => (input.txid === txid && input.index === output_index ? [{ txid, output_index, spending_txid: tx.txid, input_index, transaction: raw, block_height }] : []))));
}

// ---- the books

/** A transaction of the chain and what it paid. */
export interface Booked {
  readonly tx: ParsedTx;
  readonly fee: bigint;
  readonly height: number;
}

/** Every transaction in a block, with its fee; the chain's own are left out. */
export function booksOf(chain: RegtestChain, tip: number): ReadonlyMap<Hex32, Booked> {
  const values = new Map<string, bigint>();
  const booked = new Map<Hex32, Booked>();
  for (let height = 0; height <= tip; height++) {
    for (const { transaction } of chain.blockAt(height)!.transactions) {
      const tx = parseTx(transaction);
      const given = tx.inputs.reduce((sum, { txid, index }) => sum + (values.get(`${txid}:${index}`) ?? 0n), 0n);
      tx.outputs.forEach(({ value }, index) => values.set(`${tx.txid}:${index}`, value));
      booked.set(tx.txid, { tx, fee: given - tx.outputs.reduce((sum, { value }) => sum + value, 0n), height });
    }
  }
  return booked;
}

export const claimsOf = (peer: Peer): readonly Claim[] => ('onchain' in peer.state ? (peer.state.onchain?.claims ?? []) : []);
