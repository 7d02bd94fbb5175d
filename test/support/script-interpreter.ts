/** Runs Bitcoin's script rules over one input, with the flags of relay policy: what we sign must pass an engine that is not ours. */
import { createRequire } from 'node:module';
import type { TxOutput } from '../../src/bolt/03-transactions/tx.ts';
import type { Hex } from '../../src/bolt/primitives.ts';

interface Interpreter {
  errstr: string;
  verify(scriptSig: unknown, scriptPubkey: unknown, tx: unknown, input: number, flags: number, witness: readonly Buffer[], satoshis: number): boolean;
}

interface Bitcore {
  Script: { new (): unknown; fromHex(hex: Hex): unknown; Interpreter: { new (): Interpreter } & Record<string, number> };
  Transaction: new (raw: Hex) => { inputs: { witnesses: Buffer[] }[] };
}

const { Script, Transaction } = createRequire(import.meta.url)('bitcore-lib') as Bitcore;

// Without CLEANSTACK, which this interpreter misreads for witnesses; segwit itself asks for a clean stack.
const POLICY = [
  'P2SH', 'DERSIG', 'STRICTENC', 'LOW_S', 'NULLDUMMY', 'MINIMALDATA', 'CHECKLOCKTIMEVERIFY', 'CHECKSEQUENCEVERIFY',
  'WITNESS', 'MINIMALIF', 'NULLFAIL', 'WITNESS_PUBKEYTYPE',
].reduce((flags, name) => flags | Script.Interpreter[`SCRIPT_VERIFY_${name}`]!, 0);

/** Answers `ok`, or the interpreter's own name for what is wrong. Locks are checked against the transaction's own fields only. */
export function runScript(raw: Hex, input: number, spent: TxOutput): string {
  const tx = new Transaction(raw);
  const interpreter = new Script.Interpreter();
  const ok = interpreter.verify(
    new Script(), Script.fromHex(spent.script_pubkey), tx, input, POLICY, tx.inputs[input]!.witnesses, Number(spent.value),
  );
  return ok ? 'ok' : interpreter.errstr;
}
