/** Few dependencies, each pinned, each used, each with a line in docs/DEPENDENCIES.md that says why. */
import { describe, expect, it } from 'vitest';
import { filesIn, importTarget, readText } from './source-files.ts';

const manifest = JSON.parse(readText('package.json')) as Record<'dependencies' | 'devDependencies', Record<string, string>>;
const all = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });

/** Needed only where the sources run as they are, never by what is compiled. */
const FROM_SOURCE_ONLY = new Set(['esbuild', 'tsx']);

describe('dependencies', () => {
  it.each(all)('%s is pinned to one version', (name, version) => {
    expect(version, `${name}: expected one exact version, got "${version}"`).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/);
  });

  it('the lock file asks for the same versions', () => {
    const lock = JSON.parse(readText('package-lock.json')) as { packages: Record<string, typeof manifest> };
    expect({ ...lock.packages['']?.dependencies, ...lock.packages['']?.devDependencies }).toEqual(Object.fromEntries(all));
  });

  it('docs/DEPENDENCIES.md has one line for each, and none for others', () => {
    const rows = [...readText('docs/DEPENDENCIES.md').matchAll(/^\| `([^`]+)` \|/gm)].map((row) => row[1]!);
    expect(rows.toSorted()).toEqual(all.map(([name]) => name).toSorted());
  });

  it('src imports only what is installed with it', () => {
    const named = filesIn(['src']).flatMap((file) => file.imports.map((found) => importTarget(file, found)));
    const packages = new Set(named.filter((target) => !target.startsWith('src/') && !target.startsWith('node:')));
    expect([...packages].filter((name) => !(name in manifest.dependencies) && !FROM_SOURCE_ONLY.has(name))).toEqual([]);
  });
});
