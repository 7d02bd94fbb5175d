/** The child's program, compiled once a run, and the same program as a node of an older version. */
import { readFileSync, writeFileSync } from 'node:fs';
import { compile, NODE_CHILD } from '../support/compiled.ts';

export interface Program {
  readonly file: string;
  /** The same without option_simple_close: such nodes close by closing_signed. */
  readonly legacy: string;
  remove(): void;
}

export function compileProgram(): Program {
  const { file, remove } = compile(NODE_CHILD);
  return { file: file('node-child'), legacy: withoutSimpleClose(file('node-child'), file('node-child-legacy')), remove };
}

function withoutSimpleClose(file: string, legacy: string): string {
  const parts = readFileSync(file, 'utf8').split('option_simple_close: "optional",');
  if (parts.length !== 2) throw new Error(`option_simple_close is offered ${parts.length - 1} times in the program, expected once`);
  writeFileSync(legacy, parts.join(''));
  return legacy;
}
