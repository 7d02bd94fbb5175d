/** Where the code of the store's thread is: beside this file when compiled, bundled on the spot when run from TypeScript sources. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type * as Esbuild from 'esbuild';

let bundled: URL | undefined;

/** The script to start a Worker with. */
export function workerScript(): URL {
  if (!import.meta.url.endsWith('.ts')) return new URL('./sqlite-worker.js', import.meta.url);
  return (bundled ??= bundle(fileURLToPath(new URL('./sqlite-worker.ts', import.meta.url))));
}

/** Tests open many stores: a bundle starts in a fifth of the time that a thread needs to load tsx. Development only. */
function bundle(source: string): URL {
  const esbuild = createRequire(import.meta.url)('esbuild') as typeof Esbuild;
  const settings = {
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    sourcemap: 'inline',
  } as const;
  const { contents } = esbuild.buildSync({ ...settings, entryPoints: [source], target: 'node20' }).outputFiles[0]!;
  // Inside node_modules, so that the packages it imports are found.
  const folder = new URL('../../../node_modules/.cache/fulgurite/', pathToFileURL(source));
  const script = new URL(
    `sqlite-worker-${createHash('sha256').update(contents).digest('hex').slice(0, 16)}.mjs`,
    folder,
  );
  if (!existsSync(script)) {
    const fresh = new URL(`${script.pathname}.${process.pid}`, folder);
    mkdirSync(folder, { recursive: true });
    writeFileSync(fresh, contents);
    renameSync(fresh, script);
  }
  return script;
}
