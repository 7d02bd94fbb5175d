/** One channel from its opening to its end on the chain, under the blows of its story. */
import { createHash } from 'node:crypto';
import type { ParsedTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import { CHANNEL_TYPES } from '../../../src/bolt/09-features/features.ts';
import { decodeInvoice } from '../../../src/bolt/11-payment-encoding/invoice.ts';
import { msat, sat, toHex32, type Hex32 } from '../../../src/bolt/primitives.ts';
import type { PaymentResult } from '../../../src/commands/pay.ts';
import { sleep, until, within } from '../../../src/playground/waiting.ts';
import { other, type BookedHtlc, type Side } from '../../support/onchain/books.ts';
import { FUNDING, PUSHED, type Fate } from '../../support/onchain/channel.ts';
import { RunBroken, type Losses } from '../losses.ts';
import { seededChance, type Chance } from '../plan.ts';
import type { Program } from '../program.ts';
import { CAST, describeBlow, killsOf, nameOf, SIDES, type Blow, type Meanwhile, type Story, type Who } from './plan.ts';
import { Stage } from './stage.ts';
import { Thief, type ThiefOptions } from './thief.ts';

export interface Payment extends BookedHtlc {
  /** Whose money it is: `by`, or who pays through it. */
  readonly from: Who;
  readonly bolt11: string;
  readonly payment_hash: Hex32;
  readonly command_id: Hex32;
  readonly fate: Fate;
}

/** What a story leaves for its judges. */
export interface Told {
  readonly stage: Stage;
  /** Of the channel that ended. */
  readonly funding: { readonly txid: Hex32; readonly index: number };
  readonly payments: readonly Payment[];
  /** As the payers told them in the end. */
  readonly results: readonly (PaymentResult | undefined)[];
  /** What each wallet held before the end began, sat. */
  readonly before: Readonly<Record<Side, bigint>>;
  /** HTLCs in the transaction that ends the channel, if it is a commitment. */
  readonly booked: readonly Payment[];
  /** What each side holds beside them, msat. */
  readonly balances: Readonly<Record<Side, bigint>>;
}

export interface TellingOptions {
  readonly folder: string;
  readonly program: Program;
  readonly losses: Losses;
  readonly say: (line: string) => void;
  /** Hears of each kill. */
  readonly onKill: (kills: number) => void;
}

const DEPTH = 6;
const COINS = [sat(11_000_000), sat(200_000), sat(150_000), sat(100_000)];
/** What the thief spends after the commitment that it will go back to, msat. */
const SPENT_SINCE = msat(300_000_000);
/** A fuse that nothing burns down is cut. */
const LONGEST_FUSE_MS = 1_200;
/** Blocks in which everything must be resolved, in fair weather. */
const PATIENCE_BLOCKS = 90;

const PLAN: readonly (readonly [Side, Fate, number])[] = [
  ['ours', 'fulfilled', 71_000_000], ['theirs', 'fulfilled', 72_000_500], ['ours', 'timed_out', 73_000_000], ['theirs', 'timed_out', 74_000_001],
];

/** Something that begins, and is over when it says so; what was asked of one that died is asked again. */
interface Act {
  begin(): Promise<void>;
  finish(): Promise<void>;
}

export class Telling {
  readonly story: Story;
  readonly stage: Stage;
  readonly #options: TellingOptions;
  readonly #chance: Chance;
  readonly #payments: Payment[] = [];
  readonly #results = new Map<Payment, PaymentResult>();
  #funding!: { readonly txid: Hex32; readonly index: number };
  #began = 0;
  #before: Record<Side, bigint> = { ours: 0n, theirs: 0n };
  #booked: readonly Payment[] = [];
  #balances: Record<Side, bigint>;
  readonly #thief = new Thief();

  constructor(story: Story, options: TellingOptions) {
    this.story = story;
    this.#options = options;
    this.#chance = seededChance(story.seed);
    this.#balances = { ours: PUSHED, theirs: PUSHED, [story.opener]: FUNDING * 1_000n - PUSHED };
    const { losses, program, folder } = options;
    const policy = { to_self_delay: story.ending === 'theft' ? 40 : DEPTH, minimum_depth: 3 };
    this.stage = new Stage({ dataDir: folder, program: story.ending === 'closing_signed' ? program.legacy : program.file, losses, policy, weather: this.#chance });
  }

  get #cast(): readonly Who[] {
    return this.story.ending === 'relay' ? CAST : SIDES;
  }

  async tell(): Promise<Told> {
    await this.#open();
    await this.#load();
    for (const side of SIDES) this.#before[side] = (await this.stage.node(side)!.walletBalance()).total_sat;
    if (this.story.ending === 'theft') await this.#moveOn();
    this.#began = this.stage.height;
    // A theft would be over at once.
    const [blocks, oneIn] = this.story.ending === 'theft' ? [12, 1] : [6, 2];
    this.stage.holdBack(blocks, oneIn, (tx) => !this.#endsTheChannel(tx));
    const acts = [...this.#acts()];
    for (const blow of this.story.blows) await this.#strike(blow, acts.shift() ?? this.#anotherBlock());
    for (const act of acts) {
      await act.begin();
      await act.finish();
    }
    await this.#resolve();
    const results = await Promise.all(this.#payments.map((payment) => this.#resultOf(payment)));
    await this.stage.stop();
    return { stage: this.stage, funding: this.#funding, payments: this.#payments, results, before: this.#before, booked: this.#booked, balances: this.#balances };
  }

  // ---- up to the end

  async #open(): Promise<void> {
    const { stage, story } = this;
    await Promise.all(this.#cast.map((who) => stage.wake(who)));
    for (const who of this.#cast) await stage.fund(who, COINS);
    await stage.mine(DEPTH);
    await stage.connect();
    const request = { peer_id: stage.nodeId(other(story.opener)), funding_satoshis: FUNDING, push_msat: PUSHED, announce: false, channel_type: CHANNEL_TYPES[story.format] };
    await until('a connection', async () => (await stage.node(story.opener)!.openChannel(request).then(() => [], (error: Error) => [error.message])), { timeoutMs: 20_000, everyMs: 300 });
    await until('the funding transaction', () => (stage.chain.mempool().length > 0 ? [] : ['none']), { timeoutMs: 30_000 });
    const { txid, tx } = stage.chain.mempool()[0]!;
    this.#funding = { txid, index: tx.outputs.findIndex(({ value }) => value === FUNDING) };
    if (story.ending === 'relay') await this.#openUpstream();
    await stage.mine(DEPTH);
    await stage.both('a usable channel', ({ usable }) => !usable);
    if (story.ending === 'relay') await this.#waitFor('a way for the payer', async () => ((await stage.channel('payer'))?.usable === true ? [] : ['a usable channel']));
  }

  async #openUpstream(): Promise<void> {
    const { stage, story } = this;
    await stage.node('payer')!.openChannel({ peer_id: stage.nodeId('ours'), funding_satoshis: FUNDING, announce: false, channel_type: CHANNEL_TYPES[story.format] });
    await until('the funding of the payer', () => (stage.chain.mempool().length > 1 ? [] : ['none']), { timeoutMs: 30_000 });
  }

  /** HTLCs both ways, in flight: their payees take their time. */
  async #load(): Promise<void> {
    const { ending } = this.story;
    const alive = PLAN.filter(([, fate]) => fate === 'fulfilled' || !ending.startsWith('closing_'));
    for (const [by, fate, amount] of alive) await this.#offer(by, ending === 'theft' ? 'fulfilled' : fate, msat(amount));
    await this.stage.both('HTLCs in flight', ({ pending, committed }) => committed !== alive.length || pending !== alive.length);
    this.#booked = [...this.#payments];
    for (const { by, amount_msat } of this.#payments) this.#balances[by] -= amount_msat;
  }

  async #offer(by: Side, fate: Fate, amount_msat: ReturnType<typeof msat>): Promise<Payment> {
    const from: Who = by === 'ours' && this.story.ending === 'relay' ? 'payer' : by;
    const bolt11 = await this.#invoice(other(by), amount_msat, from === 'payer');
    const command_id = toHex32(new Uint8Array(createHash('sha256').update(`${this.story.seed} ${this.#payments.length}`).digest()));
    const payment = { by, from, fate, amount_msat, winner: fate === 'fulfilled' ? other(by) : by, bolt11, command_id, payment_hash: decodeInvoice(bolt11).payment_hash };
    this.#payments.push(payment);
    void this.stage.node(from)!.pay({ bolt11, command_id, max_attempts: 1 }).catch(() => undefined);
    return payment;
  }

  /** With a hint, where somebody has to find the way through ours. */
  async #invoice(payee: Side, amount_msat: ReturnType<typeof msat>, hinted: boolean): Promise<string> {
    let bolt11 = '';
    await this.#waitFor('an invoice with a hint', async () => {
      bolt11 = (await this.stage.node(payee)!.invoices(1, amount_msat))[0]!;
      return hinted && decodeInvoice(bolt11).routing_hints.length === 0 ? ['a hint'] : [];
    });
    return bolt11;
  }

  /** Everything is settled and spent again: what they held before is revoked. Then the thief's node is off for ever. */
  async #moveOn(): Promise<void> {
    const { stage } = this;
    await stage.letGo(this.#payments.map(({ payment_hash }) => payment_hash));
    await stage.both('HTLCs settled', ({ pending }) => pending > 0);
    const { payment_hash } = await this.#offer('theirs', 'fulfilled', SPENT_SINCE);
    await stage.letGo([payment_hash]);
    for (const payment of this.#payments) await this.#resultOf(payment);
    await stage.both('a channel at rest', ({ pending }) => pending > 0);
    await stage.node('theirs')!.stop();
    await stage.kill('theirs');
    stage.gone.add('theirs');
  }

  /** The thief's are known from before. */
  async #resultOf(payment: Payment): Promise<PaymentResult | undefined> {
    const result = this.#results.get(payment) ?? (await this.#ask(payment));
    if (result !== undefined) this.#results.set(payment, result);
    return result;
  }

  async #ask({ from, bolt11, command_id }: Payment): Promise<PaymentResult | undefined> {
    return await within('a payment', this.stage.node(from)!.pay({ bolt11, command_id, max_attempts: 1 }), 20_000).catch(() => undefined);
  }

  // ---- how it ends

  *#acts(): Iterable<Act> {
    switch (this.story.ending) {
      case 'closing_complete':
      case 'closing_signed':
        yield this.#wish([this.story.closer], false);
        yield this.#release();
        yield this.#agreement();
        return;
      case 'force close':
      case 'relay':
        yield this.#wish([this.story.closer], true);
        yield this.#release();
        return;
      case 'both force close':
        yield this.#wish(SIDES, true);
        yield this.#release();
        return;
      case 'theft':
        yield this.#theft();
        yield this.#secondStage();
    }
  }

  #wish(closers: readonly Side[], force: boolean): Act {
    const ask = async (side: Side): Promise<void> => {
      const channel = await this.stage.channel(side);
      if (channel?.phase === 'normal') await this.stage.node(side)!.closeChannel(channel.stream, force ? { force, reason: 'the story wants it' } : {}).catch(() => undefined);
    };
    return {
      begin: async () => void (await Promise.all(closers.map(ask))),
      finish: async () => {
        const open = async () => (await Promise.all(SIDES.map((side) => this.stage.channel(side)))).filter((channel) => channel?.phase === 'normal').length;
        for (let patience = 0; (await open()) > (force ? SIDES.length - 1 : 0) && patience < 100; patience += 1) {
          await Promise.all(closers.map(ask));
          await sleep(200);
        }
        if (force) await this.#untilSpent();
      },
    };
  }

  #release(): Act {
    const hashes = this.#payments.filter(({ fate }) => fate === 'fulfilled').map(({ payment_hash }) => payment_hash);
    return { begin: () => this.stage.letGo(hashes), finish: () => this.stage.quiet() };
  }

  /** Both have signed: the close waits in the mempool, or is in a block. */
  #agreement(): Act {
    return {
      begin: async () => undefined,
      finish: () => this.#waitFor('a mutual close', async () => (await this.#isSpent()) ? [] : await Promise.all(SIDES.map(async (side) => `${side} is ${(await this.stage.channel(side))?.phase}`))),
    };
  }

  #theft(): Act {
    return { begin: () => this.#thief.cheat(this.#thiefOptions), finish: () => this.#untilSpent() };
  }

  #secondStage(): Act {
    return {
      begin: async () => {
        await this.#thief.goOn(this.#thiefOptions, this.stage.height);
        this.stage.strikeBlock();
      },
      finish: () => this.stage.quiet(),
    };
  }

  get #thiefOptions(): ThiefOptions {
    const { stage } = this;
    return { chain: stage.chain, folder: stage.folder('theirs'), nodeId: stage.nodeId('theirs'), htlcs: PLAN.length };
  }

  #anotherBlock(): Act {
    return { begin: async () => this.stage.strikeBlock(), finish: () => this.stage.quiet() };
  }

  // ---- blows

  async #strike(blow: Blow, act: Act): Promise<void> {
    const { stage } = this;
    const victims = blow.kind === 'moment' ? blow.victims : [blow.victim];
    const onChain = await this.#isSpent();
    await this.#untilDeath(blow, act, onChain);
    await stage.kill(...victims);
    this.#options.onKill(killsOf(blow));
    this.#pass(blow.meanwhile, onChain);
    await this.#thief.insist(this.stage.chain);
    await Promise.all(victims.map((victim) => stage.wake(victim)));
    await stage.connect();
    await act.finish();
    const phases = await Promise.all(this.#cast.filter((side) => !stage.gone.has(side)).map(async (side) => `${side} is ${(await stage.channel(side))?.phase}`));
    this.#options.say(`  ${describeBlow(blow).padEnd(78)} ${phases.join(', ')}`);
  }

  async #untilDeath(blow: Blow, act: Act, onChain: boolean): Promise<void> {
    const { stage } = this;
    if (blow.kind === 'moment') {
      void act.begin().catch(() => undefined);
      return await sleep(blow.afterMs);
    }
    if (blow.kind === 'append') await stage.node(blow.victim)!.light(blow.fuse).catch(() => undefined);
    else {
      await stage.kill(blow.victim);
      if (onChain) stage.strikeBlock();
      if (!(await stage.wake(blow.victim, blow.fuse))) return void act.begin().catch(() => undefined);
      await stage.connect();
    }
    void act.begin().catch(() => undefined);
    // A block gives it something to write, if nothing else does.
    for (let i = 0; i < 2; i += 1) {
      if (i > 0 && onChain) stage.strikeBlock();
      if (await this.#dies(blow.victim)) return;
    }
  }

  async #dies(victim: Who): Promise<boolean> {
    let dead = false;
    void this.stage.node(victim)?.exited.then(() => (dead = true));
    await this.stage.died(victim, LONGEST_FUSE_MS);
    return dead;
  }

  /** What the dead miss. */
  #pass({ blocks, depth, forgets }: Meanwhile, onChain: boolean): void {
    const { stage } = this;
    const deep = Math.min(depth, stage.height - this.#began);
    if (deep > 0) stage.reorganise(deep, forgets ? this.#forgotten(deep) : []);
    if (onChain) for (let i = 0; i < blocks; i += 1) stage.strikeBlock();
  }

  /** Everything in the newest blocks but what the thief sent. */
  #forgotten(depth: number): readonly Hex32[] {
    const blocks = Array.from({ length: depth }, (_, i) => this.stage.chain.blockAt(this.stage.height - i)!);
    return blocks.flatMap(({ transactions }) => transactions.slice(1)).map(({ txid }) => txid).filter((txid) => !this.#thief.sent(txid));
  }

  // ---- the end

  /** The transaction that spends the funding output, and whatever the thief sent. */
  #endsTheChannel({ txid, inputs }: ParsedTx): boolean {
    return inputs.some((input) => input.txid === this.#funding.txid && input.index === this.#funding.index) || this.#thief.sent(txid);
  }

  async #isSpent(): Promise<boolean> {
    return (await this.stage.chain.unspentOutput(this.#funding)) === undefined;
  }

  /** The funding output is spent in a block. */
  async #untilSpent(): Promise<void> {
    await this.#waitFor('an end on the chain', async () => ((await this.#isSpent()) ? [] : ['the funding output is unspent']));
    await this.stage.mine(1);
  }

  async #waitFor(what: string, missing: () => Promise<readonly string[]>): Promise<void> {
    await until(what, missing, { timeoutMs: 30_000, everyMs: 50 }).catch((error: Error) => this.#break('resumed', error.message));
  }

  async #resolve(): Promise<void> {
    const left = async () => (await Promise.all(SIDES.filter((side) => !this.stage.gone.has(side)).map(async (side) => ({ side, channel: await this.stage.channel(side) })))).filter(({ channel }) => channel?.phase !== 'closed');
    for (let blocks = 0; blocks < PATIENCE_BLOCKS && (await left()).length > 0; blocks += 1) {
      await this.#thief.insist(this.stage.chain);
      if (blocks < 12) await this.stage.mineInAnyWeather();
      else await this.stage.mine(1);
    }
    if (this.story.ending === 'relay') await this.#waitFor('an upstream channel at rest', async () => ((await this.stage.channel('payer'))?.pending === 0 ? [] : ['HTLCs of the payer']));
    const open = await left();
    if (open.length > 0) this.#break('unresolved', open.map(({ side, channel }) => `${side} is ${channel?.phase} after ${PATIENCE_BLOCKS} blocks`).join(', '));
  }

  #break(kind: Parameters<Losses['add']>[0], what: string): never {
    this.#options.losses.add(kind, `${nameOf(this.story)}: ${what}`);
    throw new RunBroken(what);
  }
}
