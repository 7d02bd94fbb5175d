/** Bitcoin Core's checks of one transaction, with its reject strings: consensus first, then what nodes relay. */
import type { ParsedTx } from '../../bolt/03-transactions/tx-parse.ts';
import { weightOf } from '../../bolt/03-transactions/tx.ts';
import type { Hex } from '../../bolt/primitives.ts';
import { type Coin, keyOf } from './coins.ts';

/** `code` is Bitcoin Core's word; `permanent` when the same transaction can never be accepted. */
export interface Reject {
  readonly code: string;
  readonly reason: string;
  readonly permanent: boolean;
}

export const permanently = (code: string, detail: string): Reject => ({ code, reason: `${code}: ${detail}`, permanent: true });
export const forNow = (code: string, detail: string): Reject => ({ code, reason: `${code}: ${detail}`, permanent: false });

/** What the checks ask of the chain. Heights in blocks, times in seconds. */
export interface TipView {
  readonly height: number;
  /** BIP 113 median time past of a block. */
  medianTimeAt(height: number): number;
}

const MAX_MONEY = 2_100_000_000_000_000n;
const MAX_BLOCK_WEIGHT = 4_000_000;
const MAX_STANDARD_WEIGHT = 400_000;
/** A coinbase can be spent in the block this far above its own. */
export const COINBASE_MATURITY = 100;

/** Consensus on a transaction by itself. */
export function checkTransaction(tx: ParsedTx): Reject | undefined {
  if (tx.outputs.length === 0) return permanently('bad-txns-vout-empty', 'it pays nothing');
  const total = tx.outputs.reduce((sum, output) => sum + output.value, 0n);
  if (total > MAX_MONEY) return permanently('bad-txns-txouttotal-toolarge', `${total} sat, at most ${MAX_MONEY}`);
  const spent = tx.inputs.map(keyOf);
  if (new Set(spent).size < spent.length) return permanently('bad-txns-inputs-duplicate', `${spent.length} inputs, ${new Set(spent).size} different`);
  if (tx.inputs.some(isNull)) return permanently('coinbase', 'a coinbase comes with its block alone');
  const weight = weightOf(tx, tx.witnesses);
  return weight > MAX_BLOCK_WEIGHT ? permanently('bad-txns-oversize', `weight ${weight}, at most ${MAX_BLOCK_WEIGHT}`) : undefined;
}

const isNull = (input: { readonly index: number; readonly txid: string }) => input.index === 0xffffffff && /^0+$/.test(input.txid);

/** Relay policy on a transaction by itself. */
export function checkStandard(tx: ParsedTx): Reject | undefined {
  if (tx.version < 1 || tx.version > 3) return permanently('version', `version ${tx.version}, 1 to 3`);
  const weight = weightOf(tx, tx.witnesses);
  if (weight > MAX_STANDARD_WEIGHT) return permanently('tx-size', `weight ${weight}, at most ${MAX_STANDARD_WEIGHT}`);
  for (const [i, { script_pubkey, value }] of tx.outputs.entries()) {
    if (!isStandardScript(script_pubkey)) return permanently('scriptpubkey', `output ${i} pays ${script_pubkey.slice(0, 80)}`);
    const threshold = dustThreshold(script_pubkey);
    if (value < threshold) return permanently('dust', `output ${i} pays ${value} sat, at least ${threshold}`);
  }
  return tx.outputs.filter(({ script_pubkey }) => script_pubkey.startsWith('6a')).length > 1
    ? permanently('multi-op-return', 'one OP_RETURN at most')
    : undefined;
}

/** P2PKH, P2SH, witness programs of any version, P2PK, small OP_RETURNs. */
const STANDARD_SCRIPTS = [
  /^76a914.{40}88ac$/, /^a914.{40}87$/, /^00(14.{40}|20.{64})$/, /^(5[1-9a-f]|60)/, /^21(02|03).{64}ac$/, /^6a.{0,164}$/,
];

function isStandardScript(script: Hex): boolean {
  const program = witnessProgramBytes(script);
  if (/^(5[1-9a-f]|60)/.test(script)) return program !== undefined;
  return STANDARD_SCRIPTS.some((form) => form.test(script));
}

/** The length of a witness program (BIP 141), or undefined for any other script. */
function witnessProgramBytes(script: Hex): number | undefined {
  const bytes = script.length / 2 - 2;
  return /^(00|5[1-9a-f]|60)/.test(script) && bytes >= 2 && bytes <= 40 && parseInt(script.slice(2, 4), 16) === bytes ? bytes : undefined;
}

/** An output is dust when spending it costs more than a third of it, at 3 sat a virtual byte: 330 sat for a P2WSH. In sat. */
export function dustThreshold(script: Hex): bigint {
  if (script.startsWith('6a')) return 0n;
  const outputBytes = 8 + 1 + script.length / 2;
  const inputBytes = 32 + 4 + 1 + (witnessProgramBytes(script) === undefined ? 107 : Math.floor(107 / 4)) + 4;
  return 3n * BigInt(outputBytes + inputBytes);
}

const LOCKTIME_THRESHOLD = 500_000_000;
const FINAL_SEQUENCE = 0xffffffff;

/** nLockTime: may it stand in the next block? */
export function checkFinal(tx: ParsedTx, tip: TipView): Reject | undefined {
  if (tx.locktime === 0 || tx.inputs.every(({ sequence }) => sequence === FINAL_SEQUENCE)) return undefined;
  const reached = tx.locktime < LOCKTIME_THRESHOLD ? tip.height + 1 : tip.medianTimeAt(tip.height);
  return tx.locktime < reached ? undefined : forNow('non-final', `locktime ${tx.locktime}, the chain is at ${reached}`);
}

const SEQUENCE_DISABLED = 0x8000_0000;
const SEQUENCE_TIME = 0x0040_0000;

/** BIP 68: relative locks by blocks or by units of 512 seconds. A coin of the mempool counts as of the next block. */
export function checkSequenceLocks(tx: ParsedTx, spent: readonly Coin[], tip: TipView): Reject | undefined {
  if (tx.version < 2) return undefined;
  for (const [i, { sequence }] of tx.inputs.entries()) {
    if ((sequence & SEQUENCE_DISABLED) !== 0) continue;
    const delay = sequence & 0xffff;
    const height = spent[i]!.block_height ?? tip.height + 1;
    const [from, now, unit] = (sequence & SEQUENCE_TIME) === 0
      ? [height + delay, tip.height + 1, 'blocks']
      : [tip.medianTimeAt(Math.max(height - 1, 0)) + delay * 512, tip.medianTimeAt(tip.height), 'seconds'];
    if (now < from) return forNow('non-BIP68-final', `input ${i} waits until ${from}, the chain is at ${now} (${unit})`);
  }
  return undefined;
}

/** Consensus on what comes in and what goes out; `spent` in the order of the inputs. */
export function checkAmounts(tx: ParsedTx, spent: readonly Coin[], tip: TipView): Reject | undefined {
  for (const { coinbase, block_height } of spent) {
    const age = tip.height + 1 - (block_height ?? tip.height + 1);
    if (coinbase && age < COINBASE_MATURITY) return forNow('bad-txns-premature-spend-of-coinbase', `depth ${age}, at least ${COINBASE_MATURITY}`);
  }
  const fee = feeOf(tx, spent);
  return fee < 0n ? permanently('bad-txns-in-belowout', `it pays ${-fee} sat more than it spends`) : undefined;
}

/** Inputs less outputs, in sat. */
export function feeOf(tx: ParsedTx, spent: readonly Coin[]): bigint {
  return spent.reduce((sum, coin) => sum + coin.value, 0n) - tx.outputs.reduce((sum, output) => sum + output.value, 0n);
}

/** In virtual bytes: a quarter of the weight, rounded up. */
export const virtualSize = (tx: ParsedTx): number => Math.ceil(weightOf(tx, tx.witnesses) / 4);

/** 1 sat a virtual byte at the least. */
export function checkRelayFee(tx: ParsedTx, fee: bigint): Reject | undefined {
  const minimum = BigInt(virtualSize(tx));
  return fee < minimum ? forNow('min relay fee not met', `${fee} < ${minimum} sat`) : undefined;
}
