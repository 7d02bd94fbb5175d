/** Questions to a person at a terminal; what is secret is not shown while it is typed. */
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { CommandFailed } from './output.ts';

/** Somebody is there to answer. */
export const isInteractive = (): boolean => process.stdin.isTTY === true && process.stderr.isTTY === true;

/** One line. Throws CommandFailed when the person leaves. */
export async function ask(question: string, { hidden = false }: { readonly hidden?: boolean } = {}): Promise<string> {
  // With an output of its own that shows nothing, readline echoes nothing; it takes over before anybody is asked to type.
  const output = hidden ? new Writable({ write: (_chunk, _encoding, done) => done() }) : process.stderr;
  const lines = createInterface({ input: process.stdin, output, terminal: true });
  if (hidden) process.stderr.write(question);
  const left = new AbortController();
  lines.once('SIGINT', () => left.abort()).once('close', () => left.abort());
  try {
    return await lines.question(hidden ? '' : question, { signal: left.signal });
  } catch {
    throw new CommandFailed('cancelled', 'nothing was done');
  } finally {
    lines.close();
    if (hidden) process.stderr.write('\n');
  }
}

/** Everything on standard input, for words that come through a pipe; 64 kB at most. */
export async function readInput(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += chunk as string;
    if (text.length > 65_536) throw new CommandFailed('input_too_long', 'standard input: expected at most 65,536 characters');
  }
  return text;
}
