/** BOLT 2, "Closing Initiation": which scripts a side may ask to be paid to, and their dust limits (BOLT 3, "Dust Limits"). */
import type { Hex, Sat } from '../primitives.ts';
import { DUST_LIMIT } from './fees.ts';

export type ScriptKind = keyof typeof DUST_LIMIT;

export interface ShutdownScriptRules {
  /** option_shutdown_anysegwit: witness versions 1 to 16. */
  readonly anysegwit?: boolean;
  /** option_simple_close: OP_RETURN with 6 to 80 bytes. */
  readonly simple_close?: boolean;
  /** P2PKH and P2SH, which old nodes still send. True unless said otherwise. */
  readonly legacy?: boolean;
}

/** True for a script that `shutdown` (or `shutdown_scriptpubkey` in opening messages) may carry under these features. */
export function isValidShutdownScript(script_pubkey: Hex, rules: ShutdownScriptRules = {}): boolean {
  switch (scriptKind(script_pubkey)) {
    case 'p2wpkh':
    case 'p2wsh':
      return true;
    case 'p2pkh':
    case 'p2sh':
      return rules.legacy ?? true;
    case 'unknown_segwit':
    case 'p2a':
      return rules.anysegwit === true;
    case 'op_return':
      return rules.simple_close === true;
    case undefined:
      return false;
  }
}

/** The form of an output script, or undefined for one that is not standard. `unknown_segwit` is any of versions 1 to 16, taproot too. */
export function scriptKind(script_pubkey: Hex): ScriptKind | undefined {
  return FORMS.find(([, form]) => form.test(script_pubkey))?.[0] ?? (isWitnessProgram(script_pubkey) ? 'unknown_segwit' : undefined);
}

/** Below this many sat an output to the script is not relayed; undefined for a script that is not standard. */
export function dustLimitOf(script_pubkey: Hex): Sat | undefined {
  const kind = scriptKind(script_pubkey);
  return kind === undefined ? undefined : DUST_LIMIT[kind];
}

const FORMS: readonly (readonly [ScriptKind, RegExp])[] = [
  ['p2wpkh', /^0014[0-9a-f]{40}$/],
  ['p2wsh', /^0020[0-9a-f]{64}$/],
  ['p2pkh', /^76a914[0-9a-f]{40}88ac$/],
  ['p2sh', /^a914[0-9a-f]{40}87$/],
  ['p2a', /^51024e73$/],
  ['op_return', opReturn()],
];

/** `OP_RETURN` with a push of 6 to 75 bytes, or `OP_RETURN 76` with one of 76 to 80. */
function opReturn(): RegExp {
  const push = (length: number) => `${length >= 76 ? '4c' : ''}${length.toString(16).padStart(2, '0')}[0-9a-f]{${2 * length}}`;
  const lengths = Array.from({ length: 75 }, (_, i) => i + 6);
  return new RegExp(`^6a(?:${lengths.map(push).join('|')})$`);
}

/** `OP_1` through `OP_16` followed by a single push of 2 to 40 bytes. */
function isWitnessProgram(script_pubkey: Hex): boolean {
  const match = /^(?:5[1-9a-f]|60)([0-9a-f]{2})([0-9a-f]*)$/.exec(script_pubkey);
  if (match === null) return false;
  const length = parseInt(match[1]!, 16);
  return length >= 2 && length <= 40 && match[2]!.length === 2 * length;
}
