/** Which coins to spend: the `coinselect` package, kept to what it does well. */
import coinSelect from 'coinselect';

export interface SelectionRequest<C> {
  readonly coins: readonly C[];
  /** In sat. */
  readonly amount_sat: bigint;
  readonly feerate_per_kw: number;
  /** Of the transaction without any inputs or change, and of each coin in it, in weight units. */
  readonly base_weight: number;
  readonly coin_weight: number;
}

/**
 * Chooses coins for an amount and its fee, or undefined where all of them do not suffice. First without change, then by
 * falling value: coinselect's blackjack and accumulative, old and tested, and quick for thousands of coins.
 *
 * It counts in floats, takes whole fee rates only, and thinks every coin and its change P2PKH. So it is fed msat and weight
 * units, in which a feerate per 1000 weight is a whole number; and of its answer only the coins are taken: fee and
 * change are computed exactly elsewhere.
 */
export function selectCoins<C extends { readonly value: bigint }>(request: SelectionRequest<C>): readonly C[] | undefined {
  const { coins, amount_sat, feerate_per_kw, base_weight, coin_weight } = request;
  const utxos = coins.map((coin) => ({ coin, value: msat(coin.value), script: { length: coin_weight - INPUT_BASE } }));
  const outputs = [{ value: msat(amount_sat + 1n), script: { length: Math.max(1, base_weight - EMPTY_TX - OUTPUT_BASE) } }];
  return coinSelect(utxos, outputs, Math.ceil(feerate_per_kw)).inputs?.map(({ coin }) => coin);
}

/** What coinselect adds by itself, in its units, which are weight units here. */
const EMPTY_TX = 10;
const INPUT_BASE = 41;
const OUTPUT_BASE = 9;

/** 90,000 bitcoin: beyond it, sums of msat are no longer exact in a float. */
function msat(value: bigint): number {
  const amount = Number(value * 1000n);
  if (!Number.isSafeInteger(amount)) throw new RangeError(`an amount of ${value} sat is beyond what coin selection counts, ${Number.MAX_SAFE_INTEGER / 1000}`);
  return amount;
}
