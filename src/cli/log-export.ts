/** `fulgurite log export PATH -o FILE`: one log as a bundle that can be audited anywhere. */
import { createWriteStream, existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { writeBundle, type BundleHeader } from '../events/bundle.ts';
import { readEntry } from '../events/canonical.ts';
import { decodeEvent } from '../events/registry.ts';
import { CommandFailed, createProgress, printLine, toJson, WrongUsage, type Io } from './output.ts';
import { chooseNode, describeWaiting, openSources, type LogSource } from './sources.ts';

export interface LogExportCommand {
  readonly path: string;
  readonly node?: string;
  /** Where the bundle goes; standard output if left out. */
  readonly output?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

export async function logExportCommand({ output, json = false, ...command }: LogExportCommand, io: Io): Promise<number> {
  const { header, checkpoints, beyond } = await written({ output, ...command }, io);
  for (const line of beyond) await printLine(io.stderr, line);
  if (output === undefined) return 0;
  await printLine(io.stdout, json ? toJson({ file: output, ...header, checkpoints }, 2) : `${output}: ${header.size} events of node ${header.node_id}`);
  return 0;
}

/** The same into a file, without a word: answers what was written. */
export async function exportLog(command: Omit<LogExportCommand, 'json'> & { readonly output: string }, io: Io): Promise<Header> {
  return (await written(command, io)).header;
}

async function written({ path, node, output, force = false }: Omit<LogExportCommand, 'json'>, io: Io): Promise<Written> {
  if (output !== undefined && !force && existsSync(output)) throw new CommandFailed('file_exists', `${output} exists: expected a new file, or --force`);
  const sources = openSources(path);
  try {
    const chosen = chooseNode(sources, node);
    if (chosen.length > 1) throw new WrongUsage('node_required', `a bundle holds one log: expected --node, got ${chosen.length} logs (${chosen.map(({ name }) => name).join(', ')})`);
    const source = chosen[0]!;
    const header = await headerOf(source);
    await (output === undefined ? writeOut(source, header, io) : writeFile(source, header, output, io));
    return { header, checkpoints: source.checkpoints.length, beyond: describeWaiting(source) };
  } finally {
    for (const source of sources) source.close();
  }
}

type Header = Omit<BundleHeader, 'format' | 'version'>;

interface Written {
  readonly header: Header;
  readonly checkpoints: number;
  /** What the log has beyond the bundle, in words. */
  readonly beyond: readonly string[];
}

/** The log's first event says whose it is. */
async function headerOf(source: LogSource): Promise<Header> {
  let [size, first] = [0, undefined as string | undefined];
  for await (const line of source.lines()) {
    if (line.kind !== 'entry') continue;
    first ??= line.entry;
    size += 1;
  }
  const { type, data } = first === undefined ? { type: 'nothing', data: {} } : readEntry(first);
  const event = first === undefined ? undefined : decodeEvent(type, data);
  if (event?.type !== 'NodeInitialized') throw new CommandFailed('no_node', `${source.file}: expected NodeInitialized as the first event, got ${type}`);
  return { node_id: event.node_id, log_public_key: event.log_public_key, size };
}

async function* bundleOf(source: LogSource, header: Header, { stderr }: Io): AsyncGenerator<string> {
  const progress = createProgress(stderr, `exporting ${source.name}, events`);
  const checkpoints = [...source.checkpoints];
  async function* entries() {
    let count = 0;
    for await (const line of source.lines()) {
      if (line.kind === 'checkpoint') checkpoints.push(line.note);
      if (line.kind !== 'entry') continue;
      progress.at((count += 1), header.size);
      yield line.entry;
    }
  }
  yield* writeBundle(header, entries(), checkpoints);
  progress.done();
}

async function writeOut(source: LogSource, header: Header, io: Io): Promise<void> {
  for await (const line of bundleOf(source, header, io)) await printLine(io.stdout, line.trimEnd());
}

/** Under another name until it is whole. */
async function writeFile(source: LogSource, header: Header, output: string, io: Io): Promise<void> {
  const unfinished = `${output}.unfinished`;
  try {
    await pipeline(Readable.from(bundleOf(source, header, io)), createWriteStream(unfinished, { mode: 0o600 }));
    await rename(unfinished, output);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}
