/** The child's program and the store's thread, compiled once a run: a node then starts in half the time, and what is killed is one and the same code throughout. */
import { createRequire } from 'node:module';
import { mkdtempSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type * as Esbuild from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Program {
  readonly file: string;
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
  return { file: join(folder, 'node-child.js'), remove: () => rmSync(folder, { recursive: true, force: true }) };
}
