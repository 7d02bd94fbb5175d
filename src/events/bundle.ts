/** A log as one text that can be sent and audited anywhere: NDJSON of a header, every canonical entry, and signed checkpoints, each right after the last event it covers. */
import { isHex, type Hex, type NodeId } from '../bolt/primitives.ts';
import { canonicalJson, MAX_ENTRY_BYTES } from './canonical.ts';
import { parseCheckpoint } from './checkpoint.ts';
import { StoreError } from './store.ts';

export interface BundleHeader {
  readonly format: 'fulgurite-bundle';
  readonly version: 1;
  readonly node_id: NodeId;
  /** Ed25519, 32 bytes; the log's first event binds it to the node. */
  readonly log_public_key: Hex;
  /** Number of events. */
  readonly size: number;
}

export type BundleLine =
  | { readonly kind: 'header'; readonly header: BundleHeader }
  | { readonly kind: 'entry'; readonly position: bigint; readonly entry: string }
  | { readonly kind: 'checkpoint'; readonly note: string };

/** A text that is no bundle: names the line and what was expected there. */
export class InvalidBundle extends StoreError {
  constructor(line: number, expected: string, got: string) {
    super('invalid_bundle', `line ${line} of the bundle: expected ${expected}, got ${got.slice(0, 200)}`, {
      line,
      expected,
      got: got.slice(0, 200),
    });
  }
}

/** The lines of a bundle, each with its newline. `entries` are canonical texts in position order; checkpoints beyond them are left out. */
export async function* writeBundle(
  header: Omit<BundleHeader, 'format' | 'version'>,
  entries: AsyncIterable<string> | Iterable<string>,
  checkpoints: readonly string[],
): AsyncGenerator<string> {
  const notes = new Map(checkpoints.map((note) => [parseCheckpoint(note).size, note]));
  let written = 0;
  yield `${canonicalJson({ format: 'fulgurite-bundle', version: 1, ...header })}\n`;
  for await (const entry of entries) {
    yield `${entry}\n`;
    written += 1;
    const note = notes.get(written);
    if (note !== undefined) yield `${canonicalJson({ checkpoint: note })}\n`;
  }
}

/** Reads a bundle from chunks of any size: feed entries and checkpoints to a log verifier as they come. Throws InvalidBundle. */
export async function* readBundle(
  chunks: AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>,
): AsyncGenerator<BundleLine> {
  let [line, header, entries] = [0, undefined as BundleHeader | undefined, 0];
  for await (const text of splitLines(chunks)) {
    line += 1;
    if (header === undefined) {
      header = parseHeader(text);
      yield { kind: 'header', header };
    } else if (text.startsWith('{"checkpoint":')) {
      yield { kind: 'checkpoint', note: parseNote(line, text) };
    } else {
      yield { kind: 'entry', position: BigInt(entries), entry: text };
      entries += 1;
    }
  }
  if (header === undefined) throw new InvalidBundle(1, 'a header', 'nothing');
  if (entries !== header.size) throw new InvalidBundle(line, `${header.size} entries`, `${entries}`);
}

/** Canonical entries may hold any character: in bytes a line is at most the largest entry. */
const MAX_LINE = MAX_ENTRY_BYTES;

/** Lines of a text that arrives in pieces. A line longer than any entry stops it: memory stays bounded. */
export async function* splitLines(
  chunks: AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>,
): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let [rest, line] = ['', 1];
  for await (const chunk of chunks) {
    const lines = (rest + decode(decoder, chunk, line)).split('\n');
    rest = lines.pop()!;
    for (const text of lines) {
      if (text.length > MAX_LINE) throw new InvalidBundle(line, `at most ${MAX_LINE} characters`, `${text.length}`);
      yield text;
      line += 1;
    }
    if (rest.length > MAX_LINE)
      throw new InvalidBundle(line, `at most ${MAX_LINE} characters`, `${rest.length} or more`);
  }
  if (rest !== '') throw new InvalidBundle(line, 'a newline at the end', rest);
}

function decode(decoder: TextDecoder, chunk: Uint8Array | string, line: number): string {
  if (typeof chunk === 'string') return chunk;
  try {
    return decoder.decode(chunk, { stream: true });
  } catch {
    throw new InvalidBundle(line, 'UTF-8', 'other bytes');
  }
}

function parseHeader(text: string): BundleHeader {
  const header = parseJson(1, text) as Partial<BundleHeader> | null;
  if (header?.format !== 'fulgurite-bundle') throw new InvalidBundle(1, 'format fulgurite-bundle', text);
  if (header.version !== 1) throw new InvalidBundle(1, 'version 1', String(header.version));
  const { node_id, log_public_key, size } = header;
  const fits =
    isHex(String(node_id), 33) && isHex(String(log_public_key), 32) && Number.isSafeInteger(size) && size! >= 0;
  if (!fits) throw new InvalidBundle(1, 'node_id, log_public_key and size', text);
  return header as BundleHeader;
}

function parseNote(line: number, text: string): string {
  const { checkpoint } = (parseJson(line, text) ?? {}) as { checkpoint?: unknown };
  if (typeof checkpoint !== 'string') throw new InvalidBundle(line, 'a checkpoint', text);
  try {
    parseCheckpoint(checkpoint);
  } catch (error) {
    throw new InvalidBundle(line, 'a checkpoint', (error as Error).message);
  }
  return checkpoint;
}

function parseJson(line: number, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new InvalidBundle(line, 'JSON', text);
  }
}
