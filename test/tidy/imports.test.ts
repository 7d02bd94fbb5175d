/** The import table of docs/ARCHITECTURE.md, enforced: each folder knows only the folders below it. */
import { describe, expect, it } from 'vitest';
import { type Import, type SourceFile, filesIn, importTarget } from './source-files.ts';

interface Rule {
  /** Folders and files of ours, by the beginning of their path; the folder itself is always allowed. */
  readonly ours: readonly string[];
  /** Allowed as types only, which are gone at run time. */
  readonly types?: readonly string[];
  /** Packages, by the beginning of their name; `node:` allows Node's own. */
  readonly packages: readonly string[];
}

const BOLT_PACKAGES = ['@noble/', '@scure/', 'bitcoinjs-lib'];

/** Left to right: bolt, events, domain, commands, sagas; projections beside commands; adapters at the rim. */
const TABLE: Readonly<Record<string, Rule>> = {
  'src/bolt/': { ours: [], packages: BOLT_PACKAGES },
  'src/events/': { ours: ['src/bolt/'], types: ['rxjs'], packages: ['zod'] },
  'src/domain/': { ours: ['src/bolt/', 'src/events/'], packages: [] },
  'src/commands/': {
    ours: ['src/bolt/', 'src/events/', 'src/domain/', 'src/projections/routing-graph.ts'],
    types: ['src/sagas/saga.ts'],
    packages: ['rxjs', 'pino'],
  },
  'src/projections/': { ours: ['src/bolt/', 'src/events/', 'src/domain/'], packages: ['rxjs'] },
  'src/sagas/': {
    ours: ['src/bolt/', 'src/events/', 'src/domain/'],
    types: ['src/commands/intents.ts', 'src/commands/dispatch.ts'],
    packages: [],
  },
  'src/adapters/': { ours: ['src/bolt/', 'src/events/'], types: ['src/domain/ports.ts'], packages: ['*', 'node:'] },
  'src/http/': {
    ours: ['src/bolt/', 'src/events/', 'src/projections/', 'src/commands/dispatch.ts'],
    packages: ['fastify', '@fastify/', 'zod', 'rxjs', 'pino', 'node:'],
  },
  'src/cli/': {
    // Also a composition root: it opens the stores whose logs it shows, and starts the playground or a node.
    ours: ['src/bolt/', 'src/events/', 'src/projections/', 'src/adapters/store/', 'src/adapters/logger.ts', 'src/playground/', 'src/daemon/', 'src/config.ts', 'src/main.ts'],
    packages: ['commander', 'zod', 'rxjs', 'node:'],
  },
  'src/daemon/': {
    // One node for real use: configuration, seed, chain, store and API put together. Like main.ts it knows the adapters.
    ours: ['src/bolt/', 'src/domain/', 'src/http/', 'src/adapters/', 'src/config.ts', 'src/main.ts'],
    packages: ['zod', 'node:'],
  },
  'src/playground/': {
    // A world of nodes: what a person at the keyboard does to them, and what an onlooker sees.
    ours: ['src/bolt/', 'src/events/', 'src/domain/', 'src/projections/', 'src/http/', 'src/main.ts', 'src/adapters/chain/', 'src/adapters/store/read-only.ts'],
    types: ['src/commands/pay.ts'],
    packages: ['rxjs', 'node:'],
  },
};

/** The only files of the pure folders that may touch Node: a browser's bundle never imports them. */
const NODE_ONLY: Readonly<Record<string, readonly string[]>> = {
  'src/bolt/crypto-native.ts': ['node:crypto', 'node:module', 'secp256k1'],
};

describe.each(Object.entries(TABLE))('%s', (folder, rule) => {
  it('imports only what the table allows', () => {
    const strangers = filesIn([folder]).flatMap((file) => file.imports.flatMap((i) => complaint(folder, rule, file, i)));
    expect(strangers.join('\n')).toBe('');
  });
});

describe('the table', () => {
  it('has a row for every folder of src', () => {
    const folders = filesIn(['src']).map(({ path }) => path.split('/').slice(0, 2).join('/') + '/');
    const open = new Set(folders.filter((folder) => !folder.endsWith('.ts/')));
    expect([...open].filter((folder) => !(folder in TABLE))).toEqual([]);
  });

  it('is told of no import by a file that names a folder to its right', () => {
    const file: SourceFile = { path: 'src/bolt/x.ts', text: '', code: '', imports: [] };
    const upwards: Import = { specifier: '../events/store.ts', typeOnly: false };
    expect(complaint('src/bolt/', TABLE['src/bolt/']!, file, upwards)).toHaveLength(1);
  });
});

function complaint(folder: string, rule: Rule, file: SourceFile, found: Import): string[] {
  const target = importTarget(file, found);
  const values = [folder, ...rule.ours, ...rule.packages, ...(NODE_ONLY[file.path] ?? [])];
  const allowed = found.typeOnly ? [...values, ...(rule.types ?? [])] : values;
  if (allowed.some((prefix) => target.startsWith(prefix) || (prefix === '*' && isPackage(target)))) return [];
  return [`${file.path}: expected an import of ${allowed.join(', ')}; got ${found.typeOnly ? 'the type of ' : ''}${target}`];
}

const isPackage = (target: string): boolean => !/^(src\/|node:)/.test(target);
