/** The transactions that wait for a block: admission as Bitcoin Core's, replacement by BIP 125. */
import { parseTx, type ParsedTx, TxParseError } from '../../bolt/03-transactions/tx-parse.ts';
import type { Hex, Hex32 } from '../../bolt/primitives.ts';
import { type Coin, coinsOf, keyOf, type OutPointKey } from './coins.ts';
import {
  checkAmounts, checkFinal, checkRelayFee, checkSequenceLocks, checkStandard, checkTransaction, feeOf, forNow, permanently, type Reject, type TipView, virtualSize,
} from './policy.ts';
import type { ScriptVerifier } from './script-verifier.ts';

export interface MempoolEntry {
  readonly txid: Hex32;
  /** Raw, with witnesses. */
  readonly transaction: Hex;
  readonly tx: ParsedTx;
  /** In sat. */
  readonly fee: bigint;
}

/** What the mempool asks of the chain below it. */
export interface ConfirmedView extends TipView {
  /** A confirmed, unspent output. */
  coin(key: OutPointKey): Coin | undefined;
  isConfirmed(txid: Hex32): boolean;
}

/** `relay`: as a node; `reorg`: fees were judged before; `miner`: consensus alone, and conflicts give way. */
export type Admittance = 'relay' | 'reorg' | 'miner';

export type Admission = { readonly added: MempoolEntry } | { readonly known: Hex32 } | { readonly rejected: Reject };

/** BIP 125, rule 5. */
const MAX_REPLACED = 100;
/** Below this an input's sequence says: replaceable. */
const NOT_REPLACEABLE = 0xfffffffe;

export class Mempool {
  /** Parents stand before their children, always. */
  readonly #entries = new Map<Hex32, MempoolEntry>();
  readonly #spenders = new Map<OutPointKey, Hex32>();
  readonly #chain: ConfirmedView;
  readonly #verifyScripts: ScriptVerifier;

  constructor(chain: ConfirmedView, verifyScripts: ScriptVerifier) {
    this.#chain = chain;
    this.#verifyScripts = verifyScripts;
  }

  entries(): readonly MempoolEntry[] {
    return [...this.#entries.values()];
  }

  isSpent(key: OutPointKey): boolean {
    return this.#spenders.has(key);
  }

  /** The output at an outpoint, of the chain or of a transaction that waits; spent by a waiting one or not. */
  coin(key: OutPointKey): Coin | undefined {
    const parent = this.#entries.get(key.slice(0, 64) as Hex32);
    return this.#chain.coin(key) ?? (parent && new Map(coinsOf(parent.tx, undefined)).get(key));
  }

  /** Takes a transaction in, or says why not. */
  admit(transaction: Hex, admittance: Admittance = 'relay'): Admission {
    const tx = read(transaction);
    if ('code' in tx) return { rejected: tx };
    if (this.#entries.has(tx.txid) || this.#chain.isConfirmed(tx.txid)) return { known: tx.txid };
    const judged = this.#judge(transaction, tx, admittance);
    if ('code' in judged) return { rejected: judged };
    this.#add(judged);
    return { added: judged };
  }

  /** Removes a transaction; with `descendants` also all that spend from it (their parent is not in a block). */
  remove(txid: Hex32, descendants: 'with_descendants' | 'alone' = 'with_descendants'): readonly Hex32[] {
    const gone = descendants === 'alone' ? [txid] : this.#family(txid);
    for (const id of gone) {
      for (const input of this.#entries.get(id)?.tx.inputs ?? []) this.#spenders.delete(keyOf(input));
      this.#entries.delete(id);
    }
    return gone;
  }

  /** A block has these transactions: they leave, and what conflicts with them goes too. */
  confirmed(transactions: readonly ParsedTx[]): void {
    for (const tx of transactions) {
      if (this.#entries.has(tx.txid)) this.remove(tx.txid, 'alone');
      else for (const rival of this.#conflicts(tx)) this.remove(rival);
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#spenders.clear();
  }

  /** The checks in Bitcoin Core's order, cheap ones first, scripts last. */
  #judge(transaction: Hex, tx: ParsedTx, admittance: Admittance): MempoolEntry | Reject {
    const early = checkTransaction(tx)
      ?? (admittance === 'miner' ? undefined : checkStandard(tx))
      ?? checkFinal(tx, this.#chain)
      ?? (admittance === 'miner' ? undefined : this.#checkReplaceable(tx));
    if (early !== undefined) return early;
    const spent = this.#spentBy(tx);
    if ('code' in spent) return spent;
    const fee = feeOf(tx, spent);
    const late = checkSequenceLocks(tx, spent, this.#chain)
      ?? checkAmounts(tx, spent, this.#chain)
      ?? (admittance === 'relay' ? checkRelayFee(tx, fee) : undefined)
      ?? (admittance === 'relay' ? this.#checkReplacement(tx, fee) : undefined)
      ?? this.#checkScripts(transaction, tx, spent, admittance);
    return late ?? { txid: tx.txid, transaction, tx, fee };
  }

  #add(entry: MempoolEntry): void {
    for (const rival of this.#conflicts(entry.tx)) this.remove(rival);
    this.#entries.set(entry.txid, entry);
    for (const input of entry.tx.inputs) this.#spenders.set(keyOf(input), entry.txid);
  }

  #spentBy(tx: ParsedTx): readonly Coin[] | Reject {
    const coins: Coin[] = [];
    for (const input of tx.inputs) {
      const coin = this.coin(keyOf(input));
      if (coin !== undefined) coins.push(coin);
      // A parent that nobody has seen may still come; what a block has spent is gone.
      else return { ...forNow('bad-txns-inputs-missingorspent', `no output ${keyOf(input)}`), permanent: this.#chain.isConfirmed(input.txid) };
    }
    return coins;
  }

  #conflicts(tx: ParsedTx): readonly Hex32[] {
    return [...new Set(tx.inputs.flatMap((input) => this.#spenders.get(keyOf(input)) ?? []))];
  }

  /** BIP 125, rule 1: the replaced transactions must have said that they may be. */
  #checkReplaceable(tx: ParsedTx): Reject | undefined {
    const fixed = this.#conflicts(tx).find((txid) => !this.#signalsReplacement(txid));
    return fixed && forNow('txn-mempool-conflict', `${fixed} spends the same and cannot be replaced`);
  }

  #signalsReplacement(txid: Hex32): boolean {
    const entry = this.#entries.get(txid);
    return entry !== undefined && entry.tx.inputs.some((input) => input.sequence < NOT_REPLACEABLE || this.#signalsReplacement(input.txid));
  }

  /** BIP 125, rules 2 to 5: a better feerate than each, more than all fees together, and its own relay on top. */
  #checkReplacement(tx: ParsedTx, fee: bigint): Reject | undefined {
    const rivals = this.#conflicts(tx).map((txid) => this.#entries.get(txid)!);
    if (rivals.length === 0) return undefined;
    const size = virtualSize(tx);
    const better = rivals.find((rival) => fee * BigInt(virtualSize(rival.tx)) <= rival.fee * BigInt(size));
    if (better) return forNow('insufficient fee', `${fee} sat for ${size} vB is no better a feerate than ${better.txid}'s ${better.fee} for ${virtualSize(better.tx)}`);
    const replaced = [...new Set(rivals.flatMap(({ txid }) => this.#family(txid)))];
    if (replaced.length > MAX_REPLACED) return forNow('too many potential replacements', `${replaced.length}, at most ${MAX_REPLACED}`);
    const needed = replaced.reduce((sum, txid) => sum + this.#entries.get(txid)!.fee, BigInt(size));
    if (fee < needed) return forNow('insufficient fee', `${fee} sat, at least ${needed} to replace ${replaced.length} transactions`);
    return this.#checkReplacementInputs(tx, rivals, replaced);
  }

  #checkReplacementInputs(tx: ParsedTx, rivals: readonly MempoolEntry[], replaced: readonly Hex32[]): Reject | undefined {
    const before = new Set(rivals.flatMap((rival) => rival.tx.inputs.map(keyOf)));
    const evicted = tx.inputs.find(({ txid }) => replaced.includes(txid));
    if (evicted) return permanently('bad-txns-spends-conflicting-tx', `it spends ${evicted.txid}, which it replaces`);
    const added = tx.inputs.find((input) => this.#entries.has(input.txid) && !before.has(keyOf(input)));
    return added && forNow('replacement-adds-unconfirmed', `${keyOf(added)} is not in a block`);
  }

  #checkScripts(transaction: Hex, tx: ParsedTx, spent: readonly Coin[], admittance: Admittance): Reject | undefined {
    const verdict = this.#verifyScripts(transaction, tx, spent);
    if (verdict.ok || (admittance === 'miner' && !verdict.mandatory)) return undefined;
    const code = verdict.mandatory ? 'mandatory-script-verify-flag-failed' : 'non-mandatory-script-verify-flag';
    return permanently(code, `${verdict.error}, input ${verdict.input}`);
  }

  /** A transaction and all that descend from it, parents first. */
  #family(txid: Hex32): readonly Hex32[] {
    const family = new Set<Hex32>([txid]);
    for (const member of family) {
      for (const index of this.#entries.get(member)?.tx.outputs.keys() ?? []) {
        const child = this.#spenders.get(`${member}:${index}`);
        if (child !== undefined) family.add(child);
      }
    }
    return [...family];
  }
}

function read(transaction: Hex): ParsedTx | Reject {
  try {
    return parseTx(transaction);
  } catch (error) {
    if (error instanceof TxParseError) return permanently('TX decode failed', error.message);
    throw error;
  }
}
