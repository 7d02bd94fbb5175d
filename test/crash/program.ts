/** The child's program and the store's thread, compiled once a run: a node then starts in half the time, and what is killed is one and the same code throughout. */
import { createRequire } from 'node:module';
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type * as Esbuild from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Program {
  readonly file: string;
  /** The same without option_simple_close: such nodes close by closing_signed. */
  readonly legacy: string;
  remove(): void;
}

/** Stands in node_modules, so that the packages it imports are found. */
export function compileProgram(): Program {
  const cache = join(root, 'node_modules', '.cache', 'fulgurite');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'crash-'));
  const esbuild = createRequire(import.meta.url)('esbuild') as typeof Esbuild;
  esbuild.buildSync({
    entryPoints: { 'node-child': join(root, 'test/support/node-child.ts'), 'sqlite-worker': join(root, 'src/adapters/store/sqlite-worker.ts') },
    outdir: folder,
    outExtension: { '.js': '.js' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    target: 'node20',
    sourcemap: 'inline',
  });
  const file = join(folder, 'node-child.js');
  return { file, legacy: withoutSimpleClose(file, join(folder, 'node-child-legacy.js')), remove: () => rmSync(folder, { recursive: true, force: true }) };
}

function withoutSimpleClose(file: string, legacy: string): string {
  const parts = readFileSync(file, 'utf8').split('option_simple_close: "optional",');
  if (parts.length !== 2) throw new Error(`option_simple_close is offered ${parts.length - 1} times in the program, expected once`);
  writeFileSync(legacy, parts.join(''));
  return legacy;
}
