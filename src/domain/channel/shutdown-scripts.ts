/** BOLT 2, "Closing Initiation": which script a side may be paid to by a mutual close. */
import { isValidShutdownScript, type ShutdownScriptRules } from '../../bolt/03-transactions/shutdown-script.ts';
import type { Hex } from '../../bolt/primitives.ts';
import { refuse, type Refusal } from '../decider.ts';

/** The script that a side has bound itself to; one of zero length binds nobody. */
export const boundTo = (upfront: Hex | undefined): Hex | undefined => (upfront === '' ? undefined : upfront);

/** Undefined when the script is of a form that these features allow, and the one its side has promised. */
export function scriptBreach(scriptpubkey: Hex, upfront: Hex | undefined, rules: ShutdownScriptRules, answer: Refusal['answer'] = 'to_caller'): { readonly refused: Refusal } | undefined {
  const promised = boundTo(upfront);
  if (promised !== undefined && promised !== scriptpubkey) return refuse('upfront_shutdown_script_differs', { expected: promised, got: scriptpubkey }, answer);
  // What was promised at the opening was judged there.
  if (promised === undefined && !isValidShutdownScript(scriptpubkey, rules)) return refuse('invalid_shutdown_script', { expected: formsOf(rules), scriptpubkey }, answer);
  return undefined;
}

/** BOLT 2, open_channel and accept_channel: a script that is promised must be one that a close can pay. */
export function upfrontBreach(upfront: Hex | undefined, rules: ShutdownScriptRules = { anysegwit: true, simple_close: true }): { readonly refused: Refusal } | undefined {
  const promised = boundTo(upfront);
  return promised === undefined ? undefined : scriptBreach(promised, undefined, rules, 'warning');
}

const formsOf = ({ anysegwit, simple_close, legacy = true }: ShutdownScriptRules): string =>
  ['P2WPKH', 'P2WSH', ...(anysegwit ? ['a later witness version'] : []), ...(simple_close ? ['OP_RETURN with 6 to 80 bytes'] : []), ...(legacy ? ['P2PKH', 'P2SH'] : [])].join(', ');
