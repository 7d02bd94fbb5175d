/** What the pure folders must not touch: the rules have no clock, no chance and no waiting; the browser's folders no Node. */
import { describe, expect, it } from 'vitest';
import { type SourceFile, filesIn } from './source-files.ts';

/** In src/domain the same command on the same state must give the same events, for ever. */
const IMPURE: readonly (readonly [string, RegExp])[] = [
  ['a clock (facts carry the time)', /\bDate\b|\bperformance\./],
  ['chance (facts carry the entropy)', /\bMath\.random\b|\bgetRandomValues\b|\brandomBytes\b/],
  ['waiting (rules answer at once)', /\bPromise\b|\basync\b|\bawait\b|\bsetTimeout\b|\bsetInterval\b/],
  ['the outside world', /\bfetch\(|\bprocess\.|\bconsole\./],
];

/** Run unchanged by an auditor's browser. */
const BROWSER_FOLDERS = ['src/bolt', 'src/events', 'src/domain', 'src/projections/audit.ts', 'src/projections/audit'];

/** One detection of Buffer for speed, and the native backend, which browsers do not load. */
const MAY_KNOW_NODE = new Set(['src/bolt/primitives.ts', 'src/bolt/crypto-native.ts']);
const NODE_GLOBAL = /\bBuffer\b|\bprocess\.|\b__dirname\b|\bsetImmediate\b/;

/** `path:line: text` of each line of code that matches. */
function linesWith({ path, code }: SourceFile, pattern: RegExp): string[] {
  return code
    .split('\n')
    .flatMap((line) => (pattern.test(withoutStrings(line)) ? [`${path}: ${line.trim().slice(0, 120)}`] : []));
}

const withoutStrings = (line: string): string => line.replaceAll(/'(?:[^'\\]|\\.)*'/g, "''");

/** Types of the world's answers; holds no rule. */
const PORTS = 'src/domain/ports.ts';

describe('src/domain', () => {
  const rules = filesIn(['src/domain']).filter(({ path }) => path !== PORTS);

  it.each(IMPURE)('does not know %s', (_what, pattern) => {
    const found = rules.flatMap((file) => linesWith(file, pattern));
    expect(found.join('\n')).toBe('');
  });
});

describe("the browser's folders", () => {
  const files = filesIn(BROWSER_FOLDERS).filter(({ path }) => !MAY_KNOW_NODE.has(path));

  it('use no global of Node', () => {
    const found = files.flatMap((file) => linesWith(file, NODE_GLOBAL));
    expect(found.join('\n')).toBe('');
  });

  it('import nothing of Node', () => {
    const found = files.flatMap(({ path, imports }) =>
      imports.filter(({ specifier }) => specifier.startsWith('node:')).map(({ specifier }) => `${path}: ${specifier}`),
    );
    expect(found.join('\n')).toBe('');
  });
});
