/** A close, told by the chain: what each side had, what it found there, what miners and anchors took. Nothing may be missing. */
import { anchorsCost, commitmentFee, isTrimmed } from '../../../src/bolt/03-transactions/fees.ts';
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import type { Hex, Hex32 } from '../../../src/bolt/primitives.ts';
import type { EstablishedState, FundingSpend, Htlc } from '../../../src/domain/channel/state.ts';
import { confirmedClaims } from '../../../src/domain/onchain/claims.ts';
import { channelFees, type FeeRow, toFeeLedger, walletFees } from '../../../src/projections/fee-ledger.ts';
import { until } from '../../../src/playground/waiting.ts';
import { type Family, familyOf, type Member, type Side } from './family.ts';
import { grouped } from './story.ts';
import { type Link, mustBe, type World } from './world.ts';

/** Beyond the expiry of an HTLC that crosses two channels, LDK's to_self_delay of 144 blocks, and six for each step. */
const MOST_BLOCKS = 400;
/** Until here one block at a time: both sides react to the close. Then eight, and many once nobody races anybody any more. */
const CAREFULLY = 8;
const ALL_PREIMAGES_USED = 24;

/** A channel before its close, as our state has it: LDK's is the same, or HTLC signatures would not have fit. */
export interface Opened {
  readonly state: EstablishedState;
  readonly wallet: bigint;
  readonly purse: bigint;
  readonly height: number;
  /** What our wallet had paid for transactions of its own, sat. */
  readonly wallet_fees: bigint;
}

/** Who has an HTLC's value in the end, by its payment hash. */
export type Winners = ReadonlyMap<Hex32, Side>;

/** Of one side, sat: its share of the close, what it had of it, what its transactions cost. */
export interface SideBooks {
  readonly share: bigint;
  readonly got: bigint;
  readonly fees: bigint;
}

export interface ClosingBooks extends Readonly<Record<Side, SideBooks>> {
  readonly kind: FundingSpend['kind'];
  readonly reason: string;
  readonly funding: bigint;
  readonly close_fee: bigint;
  readonly anchors: bigint;
  readonly transactions: number;
}

export async function openBooks(world: World, link: Link): Promise<Opened> {
  const { ours, theirs } = link;
  const [wallet, purse, { wallet_fees }] = await Promise.all([world.nodes.wallet(ours), world.ldk(theirs).purse(), accountsOf(world, link)]);
  return { state: world.established(link), wallet, purse: purse.total_sat, height: world.nodes.node(ours).height(), wallet_fees };
}

/** What our log says of fees, and which scripts are our wallet's. */
interface Accounts {
  readonly rows: readonly FeeRow[];
  readonly scripts: ReadonlySet<Hex>;
  /** Confirmed transactions that the wallet made for itself, sat. */
  readonly wallet_fees: bigint;
}

async function accountsOf(world: World, link: Link): Promise<Accounts> {
  const scripts = new Set<Hex>();
  let wallet = walletFees.initial();
  for await (const envelope of world.nodes.node(link.ours).store.readAll()) {
    wallet = walletFees.apply(wallet, envelope);
    if (envelope.event.type === 'AddressIssued') scripts.add(envelope.event.script_pubkey);
  }
  const own = toFeeLedger(new Map(), wallet).rows.filter(({ kind, status }) => kind === 'payment' && status === 'confirmed');
  return { scripts, rows: channelFees(link.stream, world.state(link)), wallet_fees: own.reduce((sum, { fee_sat }) => sum + fee_sat, 0n) };
}

/** Closes a channel without HTLCs, mines until both sides have taken what is theirs, and adds up. */
export async function booksOfClose(world: World, link: Link, close: () => Promise<void>): Promise<ClosingBooks> {
  await world.agree(link);
  const before = await openBooks(world, link);
  await close();
  await closeIsSent(world, link);
  await mineUntilOver(world, link);
  return closeBooks(world, link, before, new Map());
}

export const closeIsSent = (world: World, link: Link): Promise<void> =>
  until('the transaction that closes', async () => ((await world.isSpent(link)) ? [] : ['a spend of the funding']));

/** `between` is called after each time that blocks came, with their number so far. */
export async function mineUntilOver(world: World, link: Link, between: (mined: number) => Promise<void> = async () => undefined): Promise<void> {
  for (let mined = 0; !(await isOver(world, link)); ) {
    if (mined > MOST_BLOCKS) throw new Error(await unfinished(world, link, mined));
    const blocks = mined < CAREFULLY ? 1 : mined < ALL_PREIMAGES_USED ? 8 : 16;
    await world.mine(blocks);
    await between((mined += blocks));
  }
}

async function unfinished(world: World, link: Link, mined: number): Promise<string> {
  const claimable = await world.ldk(link.theirs).claimable();
  return `after ${mined} blocks ${link.ours} is ${world.state(link).phase}, and LDK at block ${await world.ldk(link.theirs).height()} still waits for ${claimable.join('; ') || 'nothing'}; refused by the daemon: ${world.refused.join('; ') || 'nothing'}`;
}

/** We say that all is resolved, and nothing more can come to LDK. */
async function isOver(world: World, link: Link): Promise<boolean> {
  return world.state(link).phase === 'closed' && (await world.ldk(link.theirs).claimable()).length === 0;
}

/** Adds up. Throws when a sat is missing, or is not where it belongs. */
export async function closeBooks(world: World, link: Link, before: Opened, winners: Winners): Promise<ClosingBooks> {
  const state = world.state(link);
  if (state.phase !== 'closed' || state.spend === undefined) throw new Error(`${link.ours} is ${state.phase} still`);
  const { spend, terms: { funding_satoshis: funding } } = state;
  const [{ reason, outputs }, accounts, purse] = await Promise.all([world.closedOf(link), accountsOf(world, link), world.ldk(link.theirs).purse()]);
  const owners = { ourScripts: accounts.scripts, theirScript: purse.script_pubkey, theirPlaces: new Set(outputs.map(({ place }) => place)), ourTxids: new Set(confirmedClaims(state).map(({ claim_txid }) => claim_txid)) };
  const family = await familyOf(parseTx(spend.transaction), await world.chainSince(before.height), owners);
  const shares = sharesOf(before.state, spend, winners, feeOf(family, 'close'));
  const books: ClosingBooks = {
    kind: spend.kind, reason, funding, close_fee: feeOf(family, 'close'), anchors: family.left, transactions: family.members.length,
    ours: sideOf(family, 'ours', shares), theirs: sideOf(family, 'theirs', shares),
  };
  agreeOn(books);
  mustBe('our wallet grew by', books.ours.got - (accounts.wallet_fees - before.wallet_fees), (await world.nodes.wallet(link.ours)) - before.wallet);
  const claimed = outputs.reduce((sum, { value }) => sum + value, 0n);
  mustBe("LDK's outputs and coins grew by", books.theirs.got, claimed + purse.total_sat - before.purse);
  agreeWithLedger(books, accounts.rows);
  return books;
}

function agreeOn({ funding, ours, theirs, anchors, close_fee }: ClosingBooks): void {
  mustBe('all sats of the channel', funding, ours.got + ours.fees + theirs.got + theirs.fees + anchors + close_fee);
  mustBe('our share', ours.share, ours.got + ours.fees);
  mustBe("LDK's share", theirs.share, theirs.got + theirs.fees);
}

/** Our fee ledger knows of the close and of our own transactions. */
function agreeWithLedger({ close_fee, ours }: ClosingBooks, rows: readonly FeeRow[]): void {
  const ended = rows.filter(({ kind, status }) => kind !== 'funding' && status === 'confirmed');
  const total = (kept: (row: FeeRow) => boolean) => ended.filter(kept).reduce((sum, { fee_sat }) => sum + fee_sat, 0n);
  const isClose = ({ kind }: FeeRow) => kind === 'mutual_close' || kind === 'commitment';
  mustBe('the fee of the close, in our ledger', close_fee, total(isClose));
  mustBe('the fees of our claims, in our ledger', ours.fees, total((row) => !isClose(row)));
  mustBe('fees that our ledger cannot explain', 0n, ended.flatMap(({ parts }) => parts).filter(({ by }) => by === 'unknown').reduce((sum, { amount_sat }) => sum + amount_sat, 0n));
}

const sumOf = (members: readonly Member[], value: (member: Member) => bigint): bigint => members.reduce((sum, member) => sum + value(member), 0n);
const feeOf = ({ members }: Family, by: Member['by']): bigint => sumOf(members.filter((member) => member.by === by), ({ fee }) => fee);

/** Anchors come back to who spends them. */
function sideOf(family: Family, side: Side, shares: Readonly<Record<Side, bigint>>): SideBooks {
  const own = family.members.filter(({ by }) => by === side);
  return {
    share: shares[side] + sumOf(own, ({ anchors }) => anchors),
    got: sumOf(family.members, ({ taken, put_in }) => taken[side] - put_in[side]),
    fees: feeOf(family, side),
  };
}

/** What the close owes each side, by the state before it and the end that each HTLC was meant to have, sat. */
function sharesOf({ commitments, terms }: EstablishedState, spend: FundingSpend, winners: Winners, close_fee: bigint): Record<Side, bigint> {
  const { htlcs, local_msat, remote_msat } = commitments;
  const offered = (by: Side) => htlcs.filter(({ direction }) => (direction === 'offered') === (by === 'ours'));
  const base = { ours: local_msat - msatOf(offered('ours')), theirs: remote_msat - msatOf(offered('theirs')) };
  const won = (side: Side) => htlcs.filter(({ payment_hash }) => winners.get(payment_hash) === side);
  const opener: Side = terms.role === 'opener' ? 'ours' : 'theirs';
  if (spend.kind === 'mutual') {
    const shares = { ours: (base.ours + msatOf(won('ours'))) / 1000n, theirs: (base.theirs + msatOf(won('theirs'))) / 1000n };
    // Parts of a sat on both sides make one that no output can hold: it goes to the miner, at nobody's further cost.
    shares[opener] -= close_fee - (terms.funding_satoshis - shares.ours - shares.theirs);
    return shares;
  }
  const isAlive = (htlc: Htlc) => !isTrimmed(terms.format, feerate, spend.kind === 'local' ? terms.local.dust_limit_satoshis : terms.remote.dust_limit_satoshis, {
    direction: (htlc.direction === 'offered') === (spend.kind === 'local') ? 'offered' : 'received', amount_msat: htlc.amount_msat });
  const feerate = commitments.fees[0]!.feerate_per_kw;
  const satOf = (some: readonly Htlc[]) => some.filter(isAlive).reduce((sum, { amount_msat }) => sum + amount_msat / 1000n, 0n);
  const shares = { ours: base.ours / 1000n + satOf(won('ours')), theirs: base.theirs / 1000n + satOf(won('theirs')) };
  shares[opener] -= commitmentFee(terms.format, feerate, htlcs.filter(isAlive).length) + anchorsCost(terms.format);
  return shares;
}

const msatOf = (htlcs: readonly Htlc[]): bigint => htlcs.reduce((sum, { amount_msat }) => sum + amount_msat, 0n);

export function describeClose({ kind, reason, funding, ours, theirs, anchors, close_fee, transactions }: ClosingBooks): readonly string[] {
  return [
    `${grouped(funding)} sat = ${grouped(ours.got)} to us + ${grouped(ours.fees)} in fees of ours + ${grouped(theirs.got)} to LDK + ${grouped(theirs.fees)} in fees of LDK's ` +
    `+ ${grouped(anchors)} in anchors + ${grouped(close_fee)} of fee in the close (${kind}, ${transactions} transactions; LDK: ${reason})`,
  ];
}
