/** `fulgurite log show PATH`: channels as transcripts of numbered BOLT messages, with what each message left. */
import type { StreamId } from '../events/store.ts';
import { isChannelStream } from '../projections/streams.ts';
import { describeFigures, describeLine, transcript, type ChannelFigures, type TranscriptLine } from '../projections/transcript.ts';
import { painter, printLine, toJson, WrongUsage, type Io, type Style } from './output.ts';
import { chooseNode, openSources, readEvents, type LogSource } from './sources.ts';

export interface LogShowCommand {
  readonly path: string;
  readonly node?: string;
  /** A channel stream, or the beginning of its name. */
  readonly channel?: string;
  readonly json?: boolean;
}

export async function logShowCommand({ path, node, channel, json = false }: LogShowCommand, io: Io): Promise<number> {
  const sources = openSources(path);
  try {
    const chosen = chooseNode(sources, node);
    const found = await findChannels(chosen, channel);
    if (json) await printJson(found, io);
    else for (const { source, stream } of found) await printTranscript(source, stream, io);
    return 0;
  } finally {
    for (const source of sources) source.close();
  }
}

interface Found {
  readonly source: LogSource;
  readonly stream: StreamId;
}

async function findChannels(sources: readonly LogSource[], channel: string | undefined): Promise<readonly Found[]> {
  const found: Found[] = [];
  const all: StreamId[] = [];
  for (const source of sources) {
    const streams = new Set<StreamId>();
    // Every channel's stream opens with its first event, and only those are decoded.
    for await (const { stream } of readEvents(source, (name) => isChannelStream(name) && !streams.has(name))) streams.add(stream);
    all.push(...streams);
    found.push(...[...streams].filter((stream) => channel === undefined || stream.startsWith(channel)).map((stream) => ({ source, stream })));
  }
  if (found.length === 0 && channel !== undefined) throw new WrongUsage('unknown_channel', `--channel: expected one of ${all.join(', ') || 'none'}, got ${channel}`);
  return found;
}

const linesOf = ({ source, stream }: Found): AsyncGenerator<TranscriptLine> => transcript(readEvents(source, (name) => name === stream));

/** One array, a line of the transcript a line. */
async function printJson(found: readonly Found[], { stdout }: Io): Promise<void> {
  let separator = '[';
  for (const one of found) {
    for await (const line of linesOf(one)) {
      await printLine(stdout, `${separator}${toJson({ node: one.source.name, channel: one.stream, ...line })}`);
      separator = ',';
    }
  }
  await printLine(stdout, separator === '[' ? '[]' : ']');
}

const COLOURS: Readonly<Record<TranscriptLine['direction'], Style>> = { sent: 'cyan', received: 'green', fact: 'dim' };

async function printTranscript(source: LogSource, stream: StreamId, { stdout }: Io): Promise<void> {
  const paint = painter(stdout);
  await printLine(stdout, paint('bold', `${source.name} ${stream}`));
  let before: ChannelFigures | undefined;
  for await (const line of linesOf({ source, stream })) {
    await printLine(stdout, paint(COLOURS[line.direction], describeLine(line)));
    if (line.after !== undefined && differ(before, line.after)) await printLine(stdout, paint('dim', `            ${describeFigures(line.after)}`));
    before = line.after;
  }
  await printLine(stdout, '');
}

const differ = (a: ChannelFigures | undefined, b: ChannelFigures): boolean => a === undefined || toJson(a) !== toJson(b);
