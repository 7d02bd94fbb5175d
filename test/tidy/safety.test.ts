/** docs/SAFETY.md and the tests that it names stay true to each other: every row of the register has its tests, and every such test its row. */
import { describe, expect, it } from 'vitest';
import { filesIn, readText } from './source-files.ts';

/** Rows of the register: 01 to 29. */
const ROWS = Array.from({ length: 29 }, (_, index) => String(index + 1).padStart(2, '0'));

interface Row {
  readonly number: string;
  readonly open: boolean;
  readonly files: readonly string[];
}

const page: readonly Row[] = [...readText('docs/SAFETY.md').matchAll(/^\| (\d\d) \|(.*)\|$/gm)].map(([, number = '', text = '']) => ({
  number,
  open: text.includes('**open**'),
  files: [...text.matchAll(/`(test\/[^`]+)`/g)].map(([, path = '']) => path),
}));

/** `safety 07`, `safety 23, 28` and `safety 02 and 16` name rows. */
const rowsNamedIn = (text: string): ReadonlySet<string> =>
  new Set([...text.matchAll(/safety (\d\d(?:(?:, | and )\d\d)*)/gi)].flatMap(([, numbers = '']) => numbers.split(/, | and /)));

const tests = new Map(filesIn(['test'], ['.test.ts']).filter(({ path }) => !path.startsWith('test/tidy/')).map(({ path, text }) => [path, rowsNamedIn(text)]));

describe('the safety register', () => {
  it('has each row once, in order', () => {
    expect(page.map(({ number }) => number)).toEqual(ROWS);
  });

  it.each(page)('row $number names tests that are named after it', ({ number, open, files }) => {
    expect(open ? 'open' : files.length > 0, `row ${number} names a test, or says that it is open`).toBe(open ? 'open' : true);
    const strangers = files.filter((path) => tests.get(path)?.has(number) !== true);
    expect(strangers, `expected "safety ${number}" in each file that row ${number} names`).toEqual([]);
  });

  it('knows every test that is named after a row', () => {
    const missing = [...tests].flatMap(([path, numbers]) => [...numbers].filter((number) => page.find((row) => row.number === number)?.files.includes(path) !== true).map((number) => `row ${number}: ${path}`));
    expect(missing, 'tests that docs/SAFETY.md should name').toEqual([]);
  });
});
