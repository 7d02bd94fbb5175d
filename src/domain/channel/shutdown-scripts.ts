/** BOLT 2, "Closing Initiation": which script a side may be paid to by a mutual close. */
import { isValidShutdownScript } from '../../bolt/03-transactions/shutdown-script.ts';
import type { Hex } from '../../bolt/primitives.ts';
import { refuse, type Refusal } from '../decider.ts';
import type { CloseFeatures } from './commands.ts';

/** The script that a side has bound itself to; one of zero length binds nobody. */
export const boundTo = (upfront: Hex | undefined): Hex | undefined => (upfront === '' ? undefined : upfront);

/** Undefined when the script is of a form that these features allow, and the one its side has promised. */
export function scriptBreach(scriptpubkey: Hex, upfront: Hex | undefined, common: CloseFeatures, answer: Refusal['answer'] = 'to_caller'): { readonly refused: Refusal } | undefined {
  const promised = boundTo(upfront);
  if (promised !== undefined && promised !== scriptpubkey) return refuse('upfront_shutdown_script_differs', { expected: promised, got: scriptpubkey }, answer);
  // What was promised at the opening was judged there.
  if (promised === undefined && !isValidShutdownScript(scriptpubkey, common)) return refuse('invalid_shutdown_script', { scriptpubkey }, answer);
  return undefined;
}
