/** A page's console blocks as steps: what is typed, and what must be printed; and whether something printed is that. */

export interface Step {
  /** Of the page, from 1. */
  readonly line: number;
  readonly command: string;
  /** As on the page: `<name>` for what differs, `...` for lines left out. */
  readonly expected: readonly string[];
}

/** The lines behind `$` of all ```console blocks, with those that follow each. */
export function stepsOf(page: string): readonly Step[] {
  const steps: Step[] = [];
  let inside = false;
  for (const [index, text] of page.split('\n').entries()) {
    if (text.startsWith('```')) inside = text === '```console';
    else if (inside && text.startsWith('$ ')) steps.push({ line: index + 1, command: text.slice(2), expected: [] });
    else if (inside) (steps.at(-1)!.expected as string[]).push(text);
  }
  return steps;
}

/** Undefined when the printed lines are what the page says; else the first difference in a sentence. */
export function difference(expected: readonly string[], printed: readonly string[]): string | undefined {
  const [said, got] = [withoutEnd(expected), withoutEnd(printed)];
  return matches(said, got) ? undefined : `the page says\n${indent(said)}\nbut it printed\n${indent(got)}`;
}

/** `...` takes any number of lines; the rest match one by one. */
function matches([first, ...rest]: readonly string[], printed: readonly string[]): boolean {
  if (first === undefined) return printed.length === 0;
  if (first === '...') return Array.from({ length: printed.length + 1 }, (_, skipped) => skipped).some((skipped) => matches(rest, printed.slice(skipped)));
  return printed.length > 0 && patternOf(first).test(printed[0]!) && matches(rest, printed.slice(1));
}

/** What the placeholders may be. Others are not allowed, so that a slip does not match everything. */
const PLACEHOLDERS: Readonly<Record<string, string>> = {
  version: '\\d+\\.\\d+\\.\\d+',
  node_id: '0[23][0-9a-f]{64}',
  txid: '[0-9a-f]{64}',
  hash: '[0-9a-f]{64}',
  id: '[0-9a-f.]+',
  number: '\\d[\\d,]*',
  time: '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z',
  channel: '\\d+x\\d+x\\d+',
  path: '/\\S+',
  fields: '\\S.*',
};

/** A placeholder has another width than what stands for it: blanks count as one. */
function patternOf(line: string): RegExp {
  const source = squeezed(line)
    .split(/(<[a-z_]+>)/)
    .map((part) => {
      const name = /^<([a-z_]+)>$/.exec(part)?.[1];
      if (name === undefined) return part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll(' ', ' +');
      const pattern = PLACEHOLDERS[name];
      if (pattern === undefined) throw new Error(`the page has a placeholder <${name}>: expected one of ${Object.keys(PLACEHOLDERS).join(', ')}`);
      return pattern;
    })
    .join('');
  return new RegExp(`^ *${source}$`);
}

const squeezed = (line: string): string => line.trim().replaceAll(/ +/g, ' ');

const withoutEnd = (lines: readonly string[]): readonly string[] => lines.slice(0, lines.findLastIndex((line) => line.trim() !== '') + 1);

const indent = (lines: readonly string[]): string => (lines.length === 0 ? ['(nothing)'] : lines).map((line) => `    ${line}`).join('\n');
