/** The repository's own files as the tidy tests see them: paths from its root, text, and what each imports. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Import {
  /** As written: `../primitives.ts`, `zod`, `node:fs`. */
  readonly specifier: string;
  /** `import type`: gone at run time. */
  readonly typeOnly: boolean;
}

export interface SourceFile {
  /** From the root, with `/`: `src/bolt/tlv.ts`. */
  readonly path: string;
  readonly text: string;
  /** The text without comments, so that prose may speak of what code may not use. */
  readonly code: string;
  readonly imports: readonly Import[];
}

export const readText = (path: string): string => readFileSync(join(root, path), 'utf8');

/** All files below some folders (or files) that end in one of the extensions; a folder that is not there is empty. */
export function filesIn(folders: readonly string[], extensions: readonly string[] = ['.ts', '.mjs']): SourceFile[] {
  return folders
    .flatMap(pathsBelow)
    .filter((path) => extensions.some((extension) => path.endsWith(extension)))
    .map(sourceFile);
}

function pathsBelow(folder: string): string[] {
  if (!existsSync(join(root, folder))) return [];
  if (/\.\w+$/.test(folder)) return [folder];
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => posix.join(entry.parentPath.slice(root.length), entry.name))
    .sort();
}

function sourceFile(path: string): SourceFile {
  const text = readText(path);
  const code = withoutComments(text);
  return { path, text, code, imports: importsOf(code) };
}

const withoutComments = (text: string): string =>
  text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '$1');

const STATIC = /^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm;
const DYNAMIC = /\b(?:import|require)\(\s*'([^'$]+)'\s*\)/g;

function importsOf(code: string): Import[] {
  const fixed = [...code.matchAll(STATIC)].map((match) => ({ specifier: match[2]!, typeOnly: match[1] !== undefined }));
  const lazy = [...code.matchAll(DYNAMIC)].map((match) => ({ specifier: match[1]!, typeOnly: false }));
  return [...fixed, ...lazy];
}

/** What an import names: a path from the root for files of ours, the bare package name for others. */
export function importTarget(file: SourceFile, { specifier }: Import): string {
  if (specifier.startsWith('.')) return posix.join(posix.dirname(file.path), specifier);
  if (specifier.startsWith('node:')) return specifier;
  return specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
}

/** Paths that git tracks or would track; undefined where there is no git (an unpacked archive). */
export function trackedPaths(): string[] | undefined {
  try {
    const question = ['ls-files', '--cached', '--others', '--exclude-standard'];
    const list = execFileSync('git', question, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return list.split('\n').filter((path) => path !== '' && existsSync(join(root, path)));
  } catch {
    return undefined;
  }
}
