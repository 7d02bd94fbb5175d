/** A bundle: a whole log as text, from one end of a wire to the other. */
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/bolt/primitives.ts';
import { InvalidBundle, readBundle, writeBundle, type BundleLine } from '../../src/events/bundle.ts';
import { createLogVerifier, type VerifiedLog } from '../../src/events/verify.ts';
import { sampleEvents } from '../support/sample-events.ts';
import { logOf, node_id, nodeInitialized, publicKey } from './log-of.ts';

const events = sampleEvents()
  .filter((event) => event.type !== 'NodeInitialized')
  .slice(0, 12);
const { entries, checkpoints } = logOf([
  ['node', nodeInitialized()],
  ...events.map((event, index) => [`stream-${index % 3}`, event] as const),
]);
const header = { node_id, log_public_key: toHex(publicKey), size: entries.length };
const texts = entries.map(({ entry }) => entry);

async function collect<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const write = async (notes: readonly string[] = [checkpoints.at(-1)!]): Promise<string> =>
  (await collect(writeBundle(header, texts, notes))).join('');

/** The text in pieces of `size` bytes. */
function* pieces(text: string, size: number): Generator<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}

async function verify(lines: AsyncIterable<BundleLine>): Promise<VerifiedLog> {
  const verifier = createLogVerifier();
  for await (const line of lines) {
    if (line.kind === 'entry') verifier.add(line);
    if (line.kind === 'checkpoint') verifier.expect(line.note);
  }
  return verifier.finish();
}

describe('a bundle', () => {
  it('is a header, the entries and the checkpoint, one line each', async () => {
    const lines = (await write()).split('\n');
    expect(JSON.parse(lines[0]!)).toEqual({ format: 'fulgurite-bundle', version: 1, ...header });
    expect(lines.slice(1, -2)).toEqual(texts);
    expect(JSON.parse(lines.at(-2)!)).toEqual({ checkpoint: checkpoints.at(-1) });
    expect(lines.at(-1)).toBe('');
  });

  it.each([1, 7, 1000, 1_000_000])('reads back from pieces of %i bytes', async (size) => {
    const lines = await collect(readBundle(pieces(await write(), size)));
    expect(lines[0]).toMatchObject({ kind: 'header', header });
    expect(lines.filter((line) => line.kind === 'entry').map((line) => line.entry)).toEqual(texts);
    expect(lines.at(-1)).toEqual({ kind: 'checkpoint', note: checkpoints.at(-1) });
  });

  it('verifies while it is read, each checkpoint after the last event it covers', async () => {
    expect(await verify(readBundle(pieces(await write(checkpoints), 100)))).toMatchObject({
      size: 13,
      checkpoints: 13,
    });
  });

  it('is found out when an event is changed, cut or swapped', async () => {
    const text = await write();
    const lines = text.split('\n');
    const swapped = [...lines.slice(0, 2), lines[3]!, lines[2]!, ...lines.slice(4)].join('\n');
    const cut = [lines[0]!.replace(/"size":13/, '"size":12'), ...lines.slice(1, -3), ...lines.slice(-2)].join('\n');
    for (const damaged of [text.replace('1234567890123', '1234567890124'), swapped, cut]) {
      expect(damaged).not.toBe(text);
      await expect(verify(readBundle([damaged]))).rejects.toMatchObject({ code: 'log_corrupt' });
    }
  });

  it.each([
    ['nothing', () => ''],
    ['no JSON', () => 'x\n'],
    ['another format', (text: string) => text.replace('fulgurite-bundle', 'other-bundle')],
    ['a newer version', (text: string) => text.replace('"version":1', '"version":2')],
    ['a header without a size', (text: string) => text.replace('"size":13,', '')],
    ['too few entries', (text: string) => text.replace('"size":13', '"size":14')],
    ['too many entries', (text: string) => text.replace('"size":13', '"size":12')],
    ['no newline at the end', (text: string) => text.slice(0, -1)],
    ['a checkpoint that is none', (text: string) => text.replace(/\{"checkpoint":.*\n$/, '{"checkpoint":7}\n')],
    ['an endless line', (text: string) => text + 'x'.repeat(70_000)],
  ])('with %s is refused, and the line named', async (_name, damage) => {
    const read = collect(readBundle([damage(await write())]));
    await expect(read).rejects.toThrow(InvalidBundle);
    await expect(read).rejects.toThrow(/^line \d+ of the bundle: expected /);
  });

  it('that is no UTF-8 is refused', async () => {
    await expect(collect(readBundle([Uint8Array.of(0xff, 0xfe, 0x0a)]))).rejects.toThrow('expected UTF-8');
  });
});
