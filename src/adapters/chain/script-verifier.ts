/** Runs the scripts of a transaction's inputs (BIPs 16, 65, 66, 112, 141, 143, 147, 341, 342) with bitcore-lib's interpreter. */
import type { Transaction } from 'bitcore-lib';
import type { ParsedTx } from '../../bolt/03-transactions/tx-parse.ts';
import type { Witness } from '../../bolt/03-transactions/tx.ts';
import { hash256 } from '../../bolt/crypto.ts';
import { fromHex, type Hex, type Sat, toHex } from '../../bolt/primitives.ts';
import { bitcore } from './bitcore.ts';

export interface SpentOutput {
  readonly value: Sat;
  readonly script_pubkey: Hex;
}

export type ScriptVerdict =
  | { readonly ok: true }
  /** `mandatory`: a block with it would be invalid; else only nodes' relay policy is against it. */
  | { readonly ok: false; readonly input: number; readonly error: string; readonly mandatory: boolean };

/** Judges all inputs of a transaction; `spent` are the outputs that they spend, in order. Never throws. */
export type ScriptVerifier = (raw: Hex, tx: ParsedTx, spent: readonly SpentOutput[]) => ScriptVerdict;

/** Verdicts kept: what was judged on entering the mempool is not judged again in a block or after a reorganisation. */
const MAX_VERDICTS = 20_000;

/**
 * A verifier with a memory. A verdict never changes, for a witness txid commits to everything that the scripts see: the
 * transaction, and by their txids the outputs that it spends.
 */
export function createScriptVerifier(): ScriptVerifier {
  const verdicts = new Map<Hex, ScriptVerdict>();
  return (raw, tx, spent) => {
    const wtxid = toHex(hash256(fromHex(raw)));
    const verdict = verdicts.get(wtxid) ?? judge(raw, tx, spent);
    if (verdicts.size >= MAX_VERDICTS) verdicts.delete(verdicts.keys().next().value!);
    verdicts.set(wtxid, verdict);
    return verdict;
  };
}

function judge(raw: Hex, { witnesses }: ParsedTx, spent: readonly SpentOutput[]): ScriptVerdict {
  const tx = withSpentOutputs(new (bitcore().Transaction)(raw), spent);
  for (const [input, output] of spent.entries()) {
    const run = (flags: number) => runInput(tx, input, output, witnesses[input] ?? [], flags);
    const error = run(standardFlags());
    if (error !== undefined) return { ok: false, input, error, mandatory: run(mandatoryFlags()) !== undefined };
  }
  return { ok: true };
}

/** Taproot's digest commits to every output that the transaction spends. */
function withSpentOutputs(tx: Transaction, spent: readonly SpentOutput[]): Transaction {
  const { Script, Transaction: { Output } } = bitcore();
  for (const [i, { value, script_pubkey }] of spent.entries()) {
    tx.inputs[i]!.output = new Output({ script: new Script(script_pubkey), satoshis: Number(value) });
  }
  return tx;
}

/** Answers the interpreter's error, or undefined if the script agrees. */
function runInput(tx: Transaction, input: number, { value, script_pubkey }: SpentOutput, witness: Witness, flags: number): string | undefined {
  const { Script } = bitcore();
  const interpreter = new Script.Interpreter();
  try {
    // The interpreter consumes the stack that it is given: each run gets its own.
    const stack = witness.map((item) => Buffer.from(item, 'hex'));
    const agreed = interpreter.verify(tx.inputs[input]!.script, new Script(script_pubkey), tx, input, flags, stack, Number(value));
    return agreed ? undefined : interpreter.errstr || 'SCRIPT_ERR_UNKNOWN';
  } catch (error) {
    // The library throws on some malformed numbers and keys, where Bitcoin Core fails the script.
    return `SCRIPT_ERR_MALFORMED: ${(error as Error).message}`;
  }
}

const flagsOf = (names: readonly string[]): number =>
  names.reduce((flags, name) => flags | bitcore().Script.Interpreter[`SCRIPT_VERIFY_${name}`]!, 0);

/** Consensus today. */
const MANDATORY = ['P2SH', 'DERSIG', 'NULLDUMMY', 'CHECKLOCKTIMEVERIFY', 'CHECKSEQUENCEVERIFY', 'WITNESS', 'TAPROOT'] as const;

/**
 * What Bitcoin Core asks before it relays. Left out are the library's CLEANSTACK, which fails native segwit (whose stack
 * is always checked), and CONST_SCRIPTCODE, whose bit it shares with another chain's rules.
 */
const STANDARD = [...MANDATORY, 'STRICTENC', 'LOW_S', 'MINIMALDATA', 'MINIMALIF', 'NULLFAIL', 'WITNESS_PUBKEYTYPE', 'DISCOURAGE_UPGRADABLE_NOPS'] as const;

const mandatoryFlags = () => flagsOf(MANDATORY);
const standardFlags = () => flagsOf(STANDARD);
