/** Children's programs, compiled once: they start in half the time, run as the product does, and what is measured or killed is one and the same code throughout. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type * as Esbuild from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Compiled {
  /** `<folder>/<name>.js` */
  readonly file: (name: string) => string;
  remove(): void;
}

/** `sources`: name -> path from the repository's root. Stands in node_modules, so that the packages it imports are found. */
export function compile(sources: Readonly<Record<string, string>>): Compiled {
  const cache = join(root, 'node_modules', '.cache', 'fulgurite');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'compiled-'));
  const esbuild = createRequire(import.meta.url)('esbuild') as typeof Esbuild;
  esbuild.buildSync({
    entryPoints: Object.fromEntries(Object.entries(sources).map(([name, source]) => [name, join(root, source)])),
    outdir: folder,
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    target: 'node20',
    sourcemap: 'inline',
  });
  return { file: (name) => join(folder, `${name}.js`), remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** A node in a process of its own (node-processes.ts), with its store's thread beside it. */
export const NODE_CHILD = { 'node-child': 'test/support/node-child.ts', 'sqlite-worker': 'src/adapters/store/sqlite-worker.ts' };
