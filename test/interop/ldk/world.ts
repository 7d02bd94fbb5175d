/** Ours and LDK on one litecoind: blocks for both, channels between them, and the books of both held against each other. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { hash, hashes, rawHex, txOut } from '../../../src/adapters/chain/bitcoind/answers.ts';
import { readBlock } from '../../../src/adapters/chain/bitcoind/raw-block.ts';
import { encodeAddress } from '../../../src/bolt/address.ts';
import { CHANNEL_TYPES } from '../../../src/bolt/09-features/features.ts';
import { type ParsedTx, parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import { type Hex, type Hex32, type Msat, type Sat, sat, satToMsat } from '../../../src/bolt/primitives.ts';
import type { PaymentResult } from '../../../src/commands/pay.ts';
import { type ChannelState, type EstablishedState, isEstablished } from '../../../src/domain/channel/state.ts';
import { auditFile } from '../../../src/playground/audits.ts';
import type { AuditReport } from '../../../src/projections/audit.ts';
import { until } from '../../../src/playground/waiting.ts';
import { type ChainNodes, startChainNodes } from '../../support/chain-nodes.ts';
import type { LdkBlock } from './ldk-node.ts';
import type { ChainReader } from './family.ts';
import type { LdkClosed, LdkEnd, Place } from './ldk-notes.ts';
import { type LdkChannel, type LdkProcess, startLdk } from './ldk-process.ts';

export type Format = 'anchors_zero_fee_htlc_tx' | 'static_remotekey';
export const FORMATS: readonly Format[] = ['anchors_zero_fee_htlc_tx', 'static_remotekey'];
/** LDK asks for six, and so does the announcement of a channel. */
export const DEPTH = 6;
const CONNECT_TRIES = 5;
const CONNECT_PAUSE_MS = 200;
/** With these LDK pays for anchors and HTLC transactions: several, for claims that do not wait for each other. */
const PURSE = { coins: 12, each: sat(150_000) };

/** A channel between one of ours and an LDK. */
export interface Link {
  readonly ours: string;
  readonly theirs: string;
  readonly channel_id: Hex32;
  readonly stream: string;
}

export interface Opening {
  readonly format: Format;
  readonly funding_satoshis: Sat;
  readonly push_msat?: Msat;
  readonly announce?: boolean;
  /** Used before its funding is in a block: it is not mined, either. */
  readonly zero_conf?: boolean;
}

/** What both sides say they have, msat. */
export interface Balances {
  readonly ours: bigint;
  readonly theirs: bigint;
}

export interface NodeAudit {
  readonly name: string;
  readonly report: AuditReport;
}

/** Of a log of ours; sums in msat. */
export interface Totals {
  readonly paid_msat: bigint;
  readonly received_msat: bigint;
  readonly payments: number;
  readonly invoices: number;
  /** Payments of ours that have not ended. */
  readonly underWay: number;
}

export class World {
  readonly nodes: ChainNodes;
  readonly ours: readonly string[];
  readonly #ldks = new Map<string, LdkProcess>();
  readonly #ports = new Map<string, number>();
  readonly #feerates = new Map<string, number>();
  readonly #sending = new Set<Promise<void>>();
  readonly #blocks = new Map<Hex32, LdkBlock>();
  /** Transactions of LDK's that the daemon did not take. */
  readonly refused: string[] = [];
  #sweepScript: Hex = '';

  constructor(nodes: ChainNodes, ours: readonly string[]) {
    this.nodes = nodes;
    this.ours = ours;
  }

  static async start(ours: readonly string[], theirs: readonly string[]): Promise<World> {
    const nodes = await startChainNodes(ours);
    const world = new World(nodes, ours);
    const address = await nodes.daemon.rpc.call('getnewaddress', ['', 'bech32'], z.string());
    world.#sweepScript = (await nodes.daemon.rpc.call('getaddressinfo', [address], z.object({ scriptPubKey: rawHex }))).scriptPubKey;
    for (const name of theirs) await world.fillPurse(await world.startLdk(name));
    for (const name of ours) await nodes.give(name, sat(200_000_000));
    await world.caughtUp();
    return world;
  }

  // ---- processes

  async startLdk(name: string): Promise<LdkProcess> {
    const { daemon, dataDir } = this.nodes;
    const height = await daemon.height();
    const options = { folder: join(dataDir, name), persist: 'full', port: this.#ports.get(name), feerate_per_kw: this.#feerates.get(name), tip: { height, block_hash: await daemon.hashAt(height) } } as const;
    const ldk = await startLdk(name, options, {
      broadcast: (transactions) => this.#broadcast(name, transactions),
      fund: (script_pubkey, value) => this.#fund(script_pubkey, value),
      sweep_script: this.#sweepScript,
    });
    this.#ldks.set(name, ldk);
    this.#ports.set(name, (await ldk.about()).port);
    await this.#feed(ldk);
    return ldk;
  }

  async fillPurse(ldk: LdkProcess): Promise<void> {
    const { script_pubkey } = await ldk.purse();
    for (let coin = 0; coin < PURSE.coins; coin++) await this.nodes.daemon.pay(script_pubkey, PURSE.each);
    await this.nodes.daemon.mine(1);
  }

  /** LDK ends as it stands, and is read back from its files. */
  async restartLdk(link: Pick<Link, 'ours' | 'theirs'>): Promise<void> {
    await this.haltLdk(link.theirs);
    await this.startLdk(link.theirs);
    await this.caughtUp();
    await this.connect(link.ours, link.theirs);
  }

  /** Ours ends as by a power cut, and dials everybody again. */
  async restartOurs(ours: string, theirs: readonly string[]): Promise<void> {
    await this.nodes.kill(ours);
    await this.nodes.start(ours);
    await this.caughtUp();
    for (const each of theirs) await this.connect(ours, each);
  }

  /** sat per 1000 weight, also after a restart: LDK's estimator is ours to keep. */
  async setFeerate(name: string, feerate_per_kw: number): Promise<void> {
    this.#feerates.set(name, feerate_per_kw);
    await this.ldk(name).setFeerate(feerate_per_kw);
  }

  async haltLdk(name: string): Promise<void> {
    await this.ldk(name).halt();
    this.#ldks.delete(name);
  }

  ldk(name: string): LdkProcess {
    return this.#ldks.get(name)!;
  }

  get theirs(): readonly string[] {
    return [...this.#ldks.keys()];
  }

  async stop(): Promise<void> {
    for (const ldk of this.#ldks.values()) await ldk.kill();
    await this.nodes.stop();
  }

  /** One of ours dials LDK, and keeps dialling. LDK hangs up on one of two connections that were made at once. */
  async connect(ours: string, theirs: string): Promise<void> {
    const peer = await this.ldk(theirs).about();
    for (let tries = 1; ; tries++) {
      try {
        return await this.nodes.node(ours).connect(peer);
      } catch (error) {
        if (tries === CONNECT_TRIES) throw error;
        await sleep(CONNECT_PAUSE_MS);
      }
    }
  }

  // ---- chain

  async mine(blocks: number): Promise<void> {
    await this.nodes.daemon.mine(blocks);
    await this.caughtUp();
  }

  /** Everyone stands where the daemon does, and what LDK wanted to say to the chain is said. */
  async caughtUp(): Promise<void> {
    await this.nodes.caughtUp();
    for (const ldk of this.#ldks.values()) await this.#feed(ldk);
    await Promise.all(this.#sending);
  }

  async #feed(ldk: LdkProcess): Promise<void> {
    const tip = await this.nodes.daemon.height();
    const blocks: LdkBlock[] = [];
    for (let height = (await ldk.height()) + 1; height <= tip; height++) blocks.push(await this.#block(height));
    if (blocks.length > 0) await ldk.connectBlocks(blocks);
  }

  async #block(height: number): Promise<LdkBlock> {
    const { daemon } = this.nodes;
    const block_hash = await daemon.hashAt(height);
    const known = this.#blocks.get(block_hash);
    if (known !== undefined) return known;
    const raw = await daemon.rpc.call('getblock', [block_hash, 0], rawHex);
    const block = { height, header: raw.slice(0, 160), transactions: readBlock(raw, block_hash, height).transactions.map(({ transaction }) => transaction) };
    this.#blocks.set(block_hash, block);
    return block;
  }

  /** What blocks above a height hold, and any transaction before. */
  async chainSince(height: number): Promise<ChainReader> {
    const { daemon } = this.nodes;
    const spenders = new Map<Place, ParsedTx>();
    for (let at = height + 1; at <= (await daemon.height()); at++) {
      for (const tx of (await this.#block(at)).transactions.map(parseTx)) for (const { txid, index } of tx.inputs) spenders.set(`${txid}:${index}`, tx);
    }
    return {
      spender: (place) => spenders.get(place),
      transaction: async (txid) => parseTx(await daemon.rpc.call('getrawtransaction', [txid, false], rawHex)),
    };
  }

  #broadcast(name: string, transactions: readonly Hex[]): void {
    const sending = (async () => {
      for (const raw of transactions) await this.#send(name, raw);
    })();
    this.#sending.add(sending);
    void sending.finally(() => this.#sending.delete(sending));
  }

  /** What the daemon has is fine, with whatever signature; so is what came second, where both sides publish the same close. */
  async #send(name: string, raw: Hex): Promise<void> {
    const { rpc } = this.nodes.daemon;
    const { txid, inputs } = parseTx(raw);
    try {
      await rpc.call('sendrawtransaction', [raw], hash);
    } catch (error) {
      const sources = await Promise.all(inputs.map((input) => rpc.call('gettxout', [input.txid, input.index, true], txOut)));
      if (!sources.includes(null)) this.refused.push(`${name}: ${txid}: ${(error as Error).message}`);
    }
  }

  /** From the daemon's own wallet; LDK sends it once it has our signature. */
  async #fund(script_pubkey: Hex, value: Sat): Promise<Hex> {
    const { rpc } = this.nodes.daemon;
    const made = z.object({ hex: rawHex });
    const bare = await rpc.call('createrawtransaction', [[], [{ [encodeAddress(script_pubkey, 'litecoin-regtest')]: Number(value) / 1e8 }]], rawHex);
    const funded = await rpc.call('fundrawtransaction', [bare, { lockUnspents: true }], made);
    return (await rpc.call('signrawtransactionwithwallet', [funded.hex], made)).hex;
  }

  async #mempool(): Promise<ReadonlySet<Hex32>> {
    return new Set(await this.nodes.daemon.rpc.call('getrawmempool', [], hashes));
  }

  /** The mempool or a block holds a transaction that takes the channel's money. */
  async isSpent(link: Link): Promise<boolean> {
    const { txid, output_index } = this.established(link).funding;
    return (await this.nodes.daemon.rpc.call('gettxout', [txid, output_index, true], txOut)) === null;
  }

  // ---- channels

  state({ ours, stream }: Pick<Link, 'ours' | 'stream'>): ChannelState {
    return this.nodes.node(ours).channels().find((channel) => channel.stream === stream)!.state;
  }

  established(link: Link): EstablishedState {
    const state = this.state(link);
    if (!isEstablished(state)) throw new Error(`${link.stream} is ${state.phase}`);
    return state;
  }

  async ldkChannel({ theirs, channel_id }: Link): Promise<LdkChannel | undefined> {
    return (await this.ldk(theirs).channels()).find((channel) => channel.channel_id === channel_id);
  }

  async openFromUs(ours: string, theirs: string, { format, zero_conf = false, ...wish }: Opening): Promise<Link> {
    const { node_id: peer_id } = await this.ldk(theirs).about();
    const stream = await this.nodes.node(ours).openChannel({ peer_id, ...wish, zero_conf, channel_type: CHANNEL_TYPES[format] });
    return this.#opened(ours, theirs, stream, zero_conf ? 0 : DEPTH);
  }

  async openFromLdk(theirs: string, ours: string, { format, funding_satoshis, push_msat }: Opening): Promise<Link> {
    const node = this.nodes.node(ours);
    const before = new Set(node.channels().map(({ stream }) => stream));
    await this.ldk(theirs).openChannel({ peer_id: node.node_id, funding_satoshis, push_msat, anchors: format === 'anchors_zero_fee_htlc_tx' });
    const found = () => node.channels().find(({ stream }) => !before.has(stream))?.stream;
    await until('open_channel of LDK', () => (found() === undefined ? [`a channel at ${ours}`] : []));
    return this.#opened(ours, theirs, found()!);
  }

  /** Mines until both ends use the channel. */
  async #opened(ours: string, theirs: string, stream: string, depth = DEPTH): Promise<Link> {
    await until('the funding transaction', async () => {
      const state = this.state({ ours, stream });
      if (state.phase === 'abandoned') throw new Error(`the opening was abandoned: ${state.code}: ${state.reason}`);
      return isEstablished(state) && (await this.#mempool()).has(state.funding.txid) ? [] : [`${stream} is ${state.phase}`];
    });
    if (depth > 0) await this.mine(depth);
    const link: Link = { ours, theirs, stream, channel_id: this.established({ ours, theirs, stream, channel_id: '' as Hex32 }).funding.channel_id };
    await this.usable(link);
    return link;
  }

  async usable(link: Link): Promise<void> {
    await until('a usable channel', async () => {
      const own = this.nodes.node(link.ours).channels().find(({ stream }) => stream === link.stream)!;
      const theirs = await this.ldkChannel(link);
      return [...(own.usable ? [] : [`${link.ours}: ${own.state.phase}`]), ...(theirs?.usable === true ? [] : [`${link.theirs}: not usable`])];
    });
  }

  // ---- books

  /** Both sides have no HTLC under way, and what they claim adds up to the channel. */
  async agree(link: Link): Promise<Balances> {
    let theirs: LdkChannel | undefined;
    await until('no HTLC under way', async () => {
      const { commitments } = this.established(link);
      theirs = await this.ldkChannel(link);
      const own = commitments.htlcs.length > 0 || commitments.remote.awaiting_revocation;
      return [...(own ? [`${link.ours} has ${commitments.htlcs.length} HTLCs`] : []), ...(theirs?.htlcs === 0 ? [] : [`${link.theirs} has ${theirs?.htlcs} HTLCs`])];
    }, { timeoutMs: 60_000 });
    const { commitments, terms } = this.established(link);
    const balances = { ours: commitments.local_msat, theirs: theirs!.balance_msat ?? -1n };
    mustBe('the two balances together', satToMsat(terms.funding_satoshis), balances.ours + balances.theirs);
    return balances;
  }

  async closeByLdk({ ours, theirs, channel_id }: Link, options?: { readonly force?: boolean }): Promise<void> {
    await this.ldk(theirs).closeChannel(channel_id, this.nodes.node(ours).node_id, options);
  }

  /** How a channel ended, as LDK says. */
  async closedOf({ theirs, channel_id }: Link): Promise<LdkClosed> {
    const closed = (await this.ldk(theirs).closed()).find((each) => each.channel_id === channel_id);
    if (closed === undefined) throw new Error(`${theirs} knows of no close of ${channel_id}`);
    return closed;
  }

  // ---- payments of ours

  async invoice(ours: string, amount_msat: Msat): Promise<string> {
    const made = await this.nodes.node(ours).createInvoice({ amount_msat, description: 'a story', expiry: 86_400 });
    if (made.status !== 'created') throw new Error(`no invoice: ${made.refusal.code}`);
    return made.bolt11;
  }

  /** Pays all, so many at once. */
  async payAll(ours: string, bolt11s: readonly string[], inFlight: number): Promise<readonly PaymentResult[]> {
    const node = this.nodes.node(ours);
    const results: PaymentResult[] = [];
    const rest = bolt11s.values();
    await Promise.all(Array.from({ length: inFlight }, async () => {
      for (const bolt11 of rest) results.push(await node.pay({ bolt11 }));
    }));
    return results;
  }

  /** What our log says has been paid and received so far. */
  async totals(ours: string): Promise<Totals> {
    let [paid_msat, received_msat, payments, invoices, underWay] = [0n, 0n, 0, 0, 0];
    for await (const { event } of this.nodes.node(ours).store.readAll()) {
      if (event.type === 'PaymentStarted') underWay++;
      if (event.type === 'PaymentFailed') underWay--;
      if (event.type === 'PaymentSucceeded') [underWay, payments, paid_msat] = [underWay - 1, payments + 1, paid_msat + event.amount_msat + event.fee_msat];
      if (event.type === 'InvoiceSettled') [invoices, received_msat] = [invoices + 1, received_msat + event.received_msat];
    }
    return { paid_msat, received_msat, payments, invoices, underWay };
  }

  /** How payments of ours ended, as our log says. */
  async ends(ours: string): Promise<ReadonlyMap<Hex32, LdkEnd>> {
    const hashes = new Map<string, Hex32>();
    const ends = new Map<Hex32, LdkEnd>();
    for await (const { event, stream } of this.nodes.node(ours).store.readAll()) {
      if (event.type === 'PaymentStarted') hashes.set(stream, event.payment_hash);
      if (event.type === 'PaymentSucceeded') ends.set(hashes.get(stream)!, 'sent');
      if (event.type === 'PaymentFailed') ends.set(hashes.get(stream)!, 'failed');
    }
    return ends;
  }

  /** Neither side has a payment under way, also none that waits to be offered. */
  async quiet({ ours, theirs }: Link): Promise<void> {
    await until('the end of every payment', async () => {
      const [{ underWay }, pending] = await Promise.all([this.totals(ours), this.ldk(theirs).pendingPayments()]);
      return [...(underWay > 0 ? [`${ours}: ${underWay}`] : []), ...(pending > 0 ? [`${theirs}: ${pending}`] : [])];
    }, { timeoutMs: 60_000, everyMs: 100 });
    await this.nodes.node(ours).settled();
  }

  /** Each of our logs, read from its file. */
  async audits(): Promise<readonly NodeAudit[]> {
    return Promise.all(this.ours.map(async (name) => ({ name, report: await auditFile(join(this.nodes.dataDir, name, 'log.sqlite')) })));
  }
}

export function mustBe(what: string, expected: unknown, got: unknown): void {
  if (expected !== got) throw new Error(`${what}: expected ${String(expected)}, got ${String(got)}`);
}
