/** `fulgurite events`: the log of a running node, event by event; with --follow as it grows, gap-free over restarts of the node. */
import { connectApi, type Api } from './api-client.ts';
import type { AskOptions } from './ask.ts';
import { CommandFailed, painter, printLine, WrongUsage, type Io } from './output.ts';

export interface EventsOptions extends AskOptions {
  readonly follow?: boolean;
  readonly after?: string;
  readonly limit: string;
  readonly type?: string;
  readonly stream?: string;
}

interface EventJson {
  readonly position: string;
  readonly stream: string;
  readonly type: string;
  readonly recorded_at: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export async function eventsCommand(options: EventsOptions, io: Io, signal: AbortSignal = untilInterrupted()): Promise<number> {
  if (!/^[1-9]\d{0,5}$/.test(options.limit)) throw new WrongUsage('invalid_limit', `--limit: expected a number from 1 to 999999, got ${options.limit}`);
  if (options.after !== undefined && !/^\d{1,18}$/.test(options.after)) throw new WrongUsage('invalid_after', `--after: expected a position of the log, got ${options.after}`);
  const api = connectApi(options.data);
  let last = await printPages(api, options, io);
  while (options.follow === true && !signal.aborted) last = await follow(api, last, options, io, signal);
  return 0;
}

function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort()).once('SIGTERM', () => controller.abort());
  return controller.signal;
}

function queryOf({ type, stream }: EventsOptions, more: Readonly<Record<string, string | undefined>>): string {
  const entries = Object.entries({ type, stream, ...more }).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return new URLSearchParams(entries).toString();
}

/** What is there: from `--after` on, or the last ones. Answers the position to go on from. */
async function printPages(api: Api, options: EventsOptions, io: Io): Promise<string | undefined> {
  const limit = Number(options.limit);
  let after = options.after ?? (await lastButSome(api, options, limit));
  for (let left = limit; left > 0; ) {
    const page = await api.get<{ events: readonly EventJson[]; next: string; more: boolean }>(`/v1/events?${queryOf(options, { after, limit: String(Math.min(left, 1000)) })}`);
    for (const event of page.events) await printEvent(event, options, io);
    left -= page.events.length;
    if (page.next !== '') after = page.next;
    if (!page.more) break;
  }
  return after;
}

/** With a filter there is no telling where the last ones begin: all are read. */
async function lastButSome(api: Api, { type, stream }: EventsOptions, limit: number): Promise<string | undefined> {
  if (type !== undefined || stream !== undefined) return undefined;
  const { log } = await api.get<{ log: { position?: string } }>('/v1/info');
  const after = BigInt(log.position ?? 0) - BigInt(limit);
  return after < 0n ? undefined : String(after);
}

const AGAIN_MS = 1000;

/** One connection; comes back where it broke. Ends for good only when the node is gone from its folder. */
async function follow(api: Api, last: string | undefined, options: EventsOptions, io: Io, signal: AbortSignal): Promise<string | undefined> {
  let seen = last;
  try {
    const body = await api.stream(`/v1/events?${queryOf(options, { after: last })}`, last, signal);
    for await (const { id, data } of readSse(body)) {
      await printEvent(JSON.parse(data) as EventJson, options, io);
      seen = id;
    }
  } catch (error) {
    if (signal.aborted) return seen;
    if (error instanceof CommandFailed && error.code !== 'node_not_running') throw error;
    io.stderr.write(`${(error as Error).message}; again in ${AGAIN_MS / 1000} s\n`);
  }
  if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  return seen;
}

/** Events of a stream of text (WHATWG HTML, section 9.2): `id:` and `data:` lines, an empty line behind each. */
async function* readSse(body: ReadableStream<Uint8Array>): AsyncGenerator<{ readonly id: string; readonly data: string }> {
  const decoder = new TextDecoder();
  let text = '';
  // A ReadableStream can be iterated in Node; the types of the DOM do not know it yet.
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split('\n\n');
    text = blocks.pop()!;
    for (const block of blocks) {
      const field = (name: string) => block.split('\n').find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const data = field('data');
      if (data !== undefined) yield { id: field('id') ?? '', data };
    }
  }
}

/** Bytes and ids are cut short; --json has them whole. */
async function printEvent(event: EventJson, { json = false }: EventsOptions, { stdout }: Io): Promise<void> {
  if (json) return printLine(stdout, JSON.stringify(event));
  const paint = painter(stdout);
  const values = Object.entries(event.data).map(([name, value]) => `${name}=${short(value)}`);
  await printLine(stdout, `${event.position.padStart(6)} ${paint('dim', event.recorded_at)} ${short(event.stream)} ${paint('bold', event.type)} ${values.join(' ')}`.trimEnd());
}

const LONGEST = 24;

function short(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length <= LONGEST ? text : `${text.slice(0, 14)}..${text.slice(-8)}`;
}
