/** Builds one script for a browser out of modules of ours, and runs it where there is nothing but JavaScript and web globals. */
import vm from 'node:vm';
import { type Plugin, build } from 'esbuild';
import { root } from '../tidy/source-files.ts';

/** Bundles modules into one script whose exports are the global `fulgurite`. Rejects when one of them needs Node. */
export async function bundleForBrowser(modules: Readonly<Record<string, string>>): Promise<string> {
  const lines = Object.entries(modules).map(([name, path]) => `export * as ${name} from './${path}';`);
  const result = await build({
    stdin: { contents: lines.join('\n'), resolveDir: root, loader: 'ts' },
    bundle: true,
    write: false,
    platform: 'browser',
    format: 'iife',
    globalName: 'fulgurite',
    target: 'es2022',
    logLevel: 'silent',
    plugins: [refuseNode],
  });
  return result.outputFiles[0]!.text;
}

/** esbuild would let a browser's empty stand-in through: here any import of Node's own is an error that names who asks. */
const refuseNode: Plugin = {
  name: 'refuse-node',
  setup(bundler) {
    bundler.onResolve({ filter: /^(node:|(fs|path|os|net|crypto|buffer|stream|util|worker_threads)$)/ }, (found) => ({
      errors: [{ text: `expected no module of Node in a browser's bundle, got "${found.path}" from ${found.importer}` }],
    }));
  },
};

/** Runs a bundle in a context of its own that has what any browser has, and neither Buffer, process nor require. */
export function runInBrowser<T>(script: string): T {
  const { TextEncoder, TextDecoder, atob, btoa, URL, setTimeout, clearTimeout, queueMicrotask } = globalThis;
  const context = vm.createContext({ TextEncoder, TextDecoder, atob, btoa, URL, setTimeout, clearTimeout, queueMicrotask });
  vm.runInContext(script, context, { filename: 'fulgurite.browser.js' });
  return vm.runInContext('fulgurite', context) as T;
}
