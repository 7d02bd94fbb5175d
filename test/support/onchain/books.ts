/**
 * What two wallets must hold once a channel is resolved, reckoned without asking either node: the balances and HTLCs that were
 * agreed on, how each HTLC was meant to end, and the fees that the transactions in blocks really paid.
 */
import { commitmentFee, type CommitmentFormat, anchorsCost, ANCHOR_SAT, isTrimmed } from '../../../src/bolt/03-transactions/fees.ts';
import { type Hex, type Hex32, msatToSat, sat, type Msat } from '../../../src/bolt/primitives.ts';
import type { PlacedTransaction } from './world.ts';

export type Side = 'ours' | 'theirs';
export const other = (side: Side): Side => (side === 'ours' ? 'theirs' : 'ours');

export interface BookedHtlc {
  readonly by: Side;
  readonly amount_msat: Msat;
  /** Who has its value in the end. */
  readonly winner: Side;
}

/** The state that was published, by our own bookkeeping. */
export interface BookedState {
  readonly format: CommitmentFormat;
  readonly feerate_per_kw: number;
  readonly opener: Side;
  /** Whose commitment it is. */
  readonly owner: Side;
  /** Without what hangs in HTLCs, msat. */
  readonly balances: Readonly<Record<Side, bigint>>;
  readonly htlcs: readonly BookedHtlc[];
  /** Whoever is set here has it all: the owner cheated. */
  readonly spoils?: Side;
}

export interface Wallets {
  readonly ours: ReadonlySet<Hex>;
  readonly theirs: ReadonlySet<Hex>;
}

/** A transaction that followed from the commitment, or that a wallet made meanwhile. */
export interface Follower {
  readonly txid: Hex32;
  readonly height: number;
  readonly by: Side | 'nobody';
  readonly fee: bigint;
  /** Anchors it took. */
  readonly anchors: number;
}

/** What each side has of the commitment's outputs, before any fee. Sat. */
export function claims({ format, feerate_per_kw, opener, owner, balances, htlcs, spoils }: BookedState): Readonly<Record<Side, bigint>> {
  const trims = ({ by, amount_msat }: BookedHtlc) => isTrimmed(format, feerate_per_kw, DUST, { direction: by === owner ? 'offered' : 'received', amount_msat });
  const alive = htlcs.filter((htlc) => !trims(htlc));
  const cost = commitmentFee(format, feerate_per_kw, alive.length) + anchorsCost(format);
  const total: Record<Side, bigint> = { ours: 0n, theirs: 0n };
  for (const side of ['ours', 'theirs'] as const) {
    const left = balances[side] / 1000n - (side === opener ? cost : 0n);
    total[spoils ?? side] += left >= DUST ? left : 0n;
  }
  for (const { amount_msat, winner } of alive) total[spoils ?? winner] += msatToSat(amount_msat);
  return total;
}

const DUST = sat(354);

/** Untrimmed HTLCs of a booked state. */
export const outputsOf = (state: BookedState): number =>
  state.htlcs.filter(({ by, amount_msat }) => !isTrimmed(state.format, state.feerate_per_kw, DUST, { direction: by === state.owner ? 'offered' : 'received', amount_msat })).length;

/** Every transaction in a block that spends, directly or through others, the commitment; and every one that spends a coin of the two wallets after it. */
export function followers(commitment: Hex32, transactions: ReadonlyMap<Hex32, PlacedTransaction>, wallets: Wallets, owner: Side): readonly Follower[] {
  const since = transactions.get(commitment)!.height;
  const later = [...transactions.values()].filter(({ height, txid }) => height >= since && txid !== commitment);
  const family = new Set<Hex32>([commitment]);
  for (let grown = -1; grown !== family.size; ) {
    grown = family.size;
    for (const { txid, inputs } of later) if (inputs.some((input) => family.has(input.txid))) family.add(txid);
  }
  const coin = ({ txid, index }: { txid: Hex32; index: number }) => transactions.get(txid)?.outputs[index];
  const ownerOf = (script: Hex | undefined): Side | undefined => (script === undefined ? undefined : wallets.ours.has(script) ? 'ours' : wallets.theirs.has(script) ? 'theirs' : undefined);
  return later.flatMap((tx): readonly Follower[] => {
    const payer = tx.inputs.map((input) => ownerOf(coin(input)?.script_pubkey)).find((side) => side !== undefined);
    if (!family.has(tx.txid) && payer === undefined) return [];
    const payee = tx.outputs.map(({ script_pubkey }) => ownerOf(script_pubkey)).find((side) => side !== undefined);
    const strangers = tx.inputs.some((input) => !family.has(input.txid) && ownerOf(coin(input)?.script_pubkey) === undefined);
    const taken = tx.inputs.reduce((sum, input) => sum + (coin(input)?.value ?? 0n), 0n);
    const given = tx.outputs.reduce((sum, { value }) => sum + value, 0n);
    const anchors = tx.inputs.filter((input) => input.txid === commitment && coin(input)?.value === ANCHOR_SAT).length;
    // A stranger's coin pays for it all: the thief's.
    const by = payer ?? payee ?? (strangers ? 'nobody' : owner);
    return [{ txid: tx.txid, height: tx.height, by, fee: taken - given, anchors }];
  });
}

/** In the end each wallet has grown by this, in sat; less than nothing where fees were more. */
export function gains(state: BookedState, found: readonly Follower[]): Readonly<Record<Side, bigint>> {
  const total = { ...claims(state) };
  for (const { by, fee, anchors } of found) {
    if (by === 'nobody') continue;
    const side = state.spoils ?? by;
    total[side] += BigInt(anchors) * ANCHOR_SAT - fee;
  }
  return total;
}

/** What the scripts of a wallet hold unspent on the best chain, sat: a second opinion on the node's own figure. */
export function unspentOf(scripts: ReadonlySet<Hex>, transactions: ReadonlyMap<Hex32, PlacedTransaction>): bigint {
  const spent = new Set([...transactions.values()].flatMap(({ inputs }) => inputs.map(({ txid, index }) => `${txid}:${index}`)));
  let total = 0n;
  for (const { txid, outputs } of transactions.values()) {
    for (const [index, { script_pubkey, value }] of outputs.entries()) if (scripts.has(script_pubkey) && !spent.has(`${txid}:${index}`)) total += value;
  }
  return total;
}
