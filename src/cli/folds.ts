/** One projection folded over the logs at a path, up to a position or a time. */
import { foldUntil, parseUntil, type AsOf, type Projection, type Until } from '../projections/projection.ts';
import { createProgress, WrongUsage, type Io } from './output.ts';
import { chooseNode, openSources, readEvents, type LogSource } from './sources.ts';

export interface FoldRequest {
  readonly path: string;
  readonly node?: string;
  /** A position or a time; the end of the log if left out. */
  readonly at?: string;
}

/** Rows of one log, and the place in it that they are of. */
export type Folded<Rows> = { readonly node: string } & AsOf<Rows>;

/** Throws WrongUsage for a place that no log has. */
export async function foldLogs<View, Rows>(projection: Projection<View, Rows>, { path, node, at }: FoldRequest, io: Io): Promise<readonly Folded<Rows>[]> {
  const until = readUntil(at);
  const sources = openSources(path);
  try {
    const folded: Folded<Rows>[] = [];
    for (const source of chooseNode(sources, node)) folded.push({ node: source.name, ...(await foldOne(projection, source, until, io)) });
    return folded;
  } finally {
    for (const source of sources) source.close();
  }
}

function readUntil(at: string | undefined): Until {
  const until = at === undefined ? {} : parseUntil(at);
  if (until === undefined) throw new WrongUsage('invalid_at', `--at: expected a log position (1234) or an ISO 8601 time (2026-01-31T12:00:00Z), got ${at}`);
  return until;
}

/** Counts what it reads, for who waits. */
async function foldOne<View, Rows>(projection: Projection<View, Rows>, source: LogSource, until: Until, { stderr }: Io): Promise<AsOf<Rows>> {
  const progress = createProgress(stderr, `reading ${source.name}, events`);
  async function* watched() {
    for await (const envelope of readEvents(source)) {
      progress.at(Number(envelope.position), source.size);
      yield envelope;
    }
  }
  try {
    const folded = await foldUntil(projection, watched(), until);
    if (until.position !== undefined && folded.position !== until.position) {
      throw new WrongUsage('position_out_of_range', `--at: expected a position of the log of ${source.name}, up to ${folded.position ?? 'none'}, got ${until.position}`);
    }
    return folded;
  } finally {
    progress.done();
  }
}
