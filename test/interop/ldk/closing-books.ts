/** A close, told by the chain: what each side had, what it found there, what miners and anchors took. Nothing may be missing. */
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import { confirmedClaims } from '../../../src/domain/onchain/claims.ts';
import { until } from '../../../src/playground/waiting.ts';
import { type Link, mustBe, type World } from './world.ts';

const ANCHOR_SAT = 330n;
/** Beyond LDK's to_self_delay of 144 blocks and six for the sweep. */
const MOST_BLOCKS = 200;
const BLOCKS_AT_ONCE = 8;

/** All in sat. */
export interface ClosingBooks {
  readonly kind: string;
  readonly reason: string;
  readonly funding: bigint;
  /** What came to our wallet, and what its sweep cost. */
  readonly ours: bigint;
  readonly sweep_fee: bigint;
  readonly theirs: bigint;
  readonly anchors: bigint;
  readonly fee: bigint;
}

/** Closes, mines until both sides have taken what is theirs, and adds up. Throws when a sat is missing. */
export async function booksOfClose(world: World, link: Link, close: () => Promise<void>): Promise<ClosingBooks> {
  const { ours } = link;
  const balances = await world.agree(link);
  const before = await world.nodes.wallet(ours);
  await close();
  await until('the transaction that closes', async () => ((await world.isSpent(link)) ? [] : ['a spend of the funding']));
  for (let mined = 0; mined < MOST_BLOCKS && !(await isOver(world, link)); mined += BLOCKS_AT_ONCE) await world.mine(BLOCKS_AT_ONCE);
  const state = world.state(link);
  if (state.phase !== 'closed' || state.spend === undefined) throw new Error(`${ours} is ${state.phase} still`);
  const { funding_satoshis: funding, format, role } = state.terms;
  const values = parseTx(state.spend.transaction).outputs.map(({ value }) => value);
  const { reason, claimed_sat } = (await world.closedOf(link))!;
  const { kind } = state.spend;
  const books: ClosingBooks = {
    kind,
    reason,
    funding,
    ours: (await world.nodes.wallet(ours)) - before,
    sweep_fee: sum(confirmedClaims(state).map(({ fee_satoshis }) => fee_satoshis)),
    theirs: claimed_sat,
    anchors: kind !== 'mutual' && format === 'anchors_zero_fee_htlc_tx' ? sum(values.filter((value) => value === ANCHOR_SAT)) : 0n,
    fee: funding - sum(values),
  };
  mustBe('all sats of the channel', funding, books.ours + books.sweep_fee + books.theirs + books.anchors + books.fee);
  // Parts of a sat on both sides make one that no output can hold: it goes to the miner, at nobody's further cost.
  const shares = { ours: balances.ours / 1000n, theirs: balances.theirs / 1000n };
  const cost = books.fee + books.anchors - (funding - shares.ours - shares.theirs);
  mustBe('our share', shares.ours - (role === 'opener' ? cost : 0n), books.ours + books.sweep_fee);
  mustBe("LDK's share", shares.theirs - (role === 'opener' ? 0n : cost), books.theirs);
  return books;
}

const sum = (values: readonly bigint[]): bigint => values.reduce((total, value) => total + value, 0n);

async function isOver(world: World, link: Link): Promise<boolean> {
  return world.state(link).phase === 'closed' && ((await world.closedOf(link))?.claimed_sat ?? 0n) > 0n;
}

export function describeClose({ kind, reason, funding, ours, sweep_fee, theirs, anchors, fee }: ClosingBooks): readonly string[] {
  const sats = (amount: bigint) => amount.toLocaleString('en');
  return [`${sats(funding)} sat = ${sats(ours)} to us + ${sats(sweep_fee)} for our sweep + ${sats(theirs)} to LDK + ${sats(anchors)} in anchors + ${sats(fee)} of fee (${kind}; LDK: ${reason})`];
}
