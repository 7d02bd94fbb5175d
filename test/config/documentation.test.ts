/** docs/CONFIGURATION.md explains every setting in the schema's own words. `WRITE_DOCS=1 npx vitest run test/config/documentation.test.ts` writes them anew. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { SETTINGS, type Setting } from '../../src/config.ts';

const FILE = fileURLToPath(new URL('../../docs/CONFIGURATION.md', import.meta.url));
const [BEGIN, END] = ['<!-- settings: begin, written by test/config/documentation.test.ts -->', '<!-- settings: end -->'];

function rowOf({ key, flag, env, type, choices, default: value, description }: Setting): string {
  const values = choices === undefined ? type : choices.map((choice) => `\`${choice}\``).join(', ');
  return `| \`${key}\` | ${description} | ${values} | ${value === undefined ? '' : `\`${value}\``} | \`${flag}\`<br>\`${env}\` |`;
}

const table = (): string => ['| setting | what it is | values | default | flag and variable |', '|---|---|---|---|---|', ...SETTINGS.map(rowOf)].join('\n');

it('every setting is documented as the schema has it', () => {
  const text = readFileSync(FILE, 'utf8');
  const [before, rest] = text.split(BEGIN) as [string, string];
  const after = rest.split(END)[1]!;
  const expected = `${before}${BEGIN}\n${table()}\n${END}${after}`;
  if (process.env['WRITE_DOCS'] === '1') writeFileSync(FILE, expected);
  else expect(text).toBe(expected);
});

it('every setting has a description that is a sentence', () => {
  for (const { key, description } of SETTINGS) expect({ key, ends: description.at(-1), long: description.length > 20 }).toEqual({ key, ends: '.', long: true });
});
