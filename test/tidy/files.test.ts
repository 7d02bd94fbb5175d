/** The shape of our files: a header that says what each is, no file that grew a second job, no trace of a machine. */
import { describe, expect, it } from 'vitest';
import { filesIn, readText, trackedPaths } from './source-files.ts';

const LONGEST = 400;
const files = filesIn(['src', 'test', 'bench', 'bin']);

describe('every source file', () => {
  it('opens with a comment that says what it is', () => {
    const bare = files.filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text));
    const complaints = bare.map(({ path, text }) => `${path}: expected "/** ...", got "${text.split('\n')[0]}"`);
    expect(complaints.join('\n')).toBe('');
  });

  it(`has at most ${LONGEST} lines`, () => {
    const long = files.map(({ path, text }) => ({ path, lines: text.split('\n').length })).filter(({ lines }) => lines > LONGEST);
    const complaints = long.map(({ path, lines }) => `${path}: expected at most ${LONGEST} lines, got ${lines}; give its second job a file`);
    expect(complaints.join('\n')).toBe('');
  });

  it('ends with a line feed, and uses no carriage return and no tabulator', () => {
    const untidy = files.filter(({ text }) => !text.endsWith('\n') || /[\r\t]/.test(text)).map(({ path }) => path);
    expect(untidy).toEqual([]);
  });
});

/** Spelt in parts, so that this file does not trip over itself. */
const FORBIDDEN: readonly (readonly [string, RegExp])[] = [
  ['a path of one machine', new RegExp(`(^|[\\s"'\`(=])/(${['work', 'root', 'home', 'Users'].join('|')})/`)],
  ['an address of a package registry', new RegExp(`${['registry', 'npmjs'].join('\\.')}|"${'resol' + 'ved"'}`)],
  ['a private key', new RegExp(`BEGIN ${'[A-Z ]*'}PRIVATE KEY`)],
];

describe('the repository', () => {
  const paths = trackedPaths();

  it.skipIf(paths === undefined).each(FORBIDDEN)('holds nowhere %s', (_what, pattern) => {
    const text = paths!.filter((path) => !/\.(png|jpg|gz|sqlite|wasm)$/.test(path));
    const complaints = text.flatMap((path) => {
      const line = readText(path).split('\n').findIndex((l) => pattern.test(l));
      return line < 0 ? [] : [`${path}:${line + 1}`];
    });
    expect(complaints.join('\n')).toBe('');
  });
});
