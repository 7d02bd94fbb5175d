/** What `fulgurite playground` runs: the live playground, or with `once` the fixed story; answers the exit code. */
import { describeSummary, playLive } from './live.ts';
import type { Name } from './cast.ts';
import { prepareDataFolder } from './data-folder.ts';
import { reportLines } from './report.ts';
import type { Terminal } from './screen.ts';
import { playStory } from './story.ts';

export interface PlaygroundOptions {
  /** Holds a folder per node; a new one below data/playground unless told. */
  readonly dataDir?: string;
  /** Tells the fixed story and ends. */
  readonly once?: boolean;
  /** The summary as JSON on standard output, and nothing else there. */
  readonly json?: boolean;
  readonly port?: number;
  readonly host?: string;
  /** No progress on standard error. */
  readonly quiet?: boolean;
  /** What the nodes say to people, too. */
  readonly verbose?: boolean;
  readonly io?: { readonly stdout: Terminal; readonly stderr: Terminal };
  /** Ends the live playground; Ctrl-C and SIGTERM do so as well. */
  readonly signal?: AbortSignal;
}

/** Throws PlaygroundError, with a code and a sentence, when something is not as it must be. */
export async function runPlayground({ io = process, ...options }: PlaygroundOptions = {}): Promise<number> {
  const { once = false, json = false, quiet = false, verbose = false } = options;
  const started = performance.now();
  const say = (line: string): void => {
    if (!quiet) io.stderr.write(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${line}\n`);
  };
  const onLog = (name: Name, line: string): void => {
    if (verbose) say(`  ${name}: ${line}`);
  };
  const dataDir = prepareDataFolder(options.dataDir);
  if (!once) return live({ ...options, dataDir, io, json, say, onLog });
  const summary = await playStory({ dataDir, say, onLog });
  if (json) io.stdout.write(`${JSON.stringify(summary, undefined, 2)}\n`);
  else for (const line of reportLines(summary)) io.stdout.write(`${line}\n`);
  return summary.audit.ok ? 0 : 1;
}

type LiveCall = Required<Pick<PlaygroundOptions, 'dataDir' | 'io' | 'json'>> & Pick<PlaygroundOptions, 'host' | 'port' | 'signal'> & {
  readonly say: (line: string) => void;
  readonly onLog: (name: Name, line: string) => void;
};

async function live({ dataDir, io, json, say, onLog, host = '127.0.0.1', port = 8750, signal }: LiveCall): Promise<number> {
  const ending = endOnSignals(signal);
  try {
    const terminal = json ? undefined : io.stdout;
    const summary = await playLive({ dataDir, host, port, terminal, say, onLog, signal: ending.signal });
    if (json) io.stdout.write(`${JSON.stringify(summary, undefined, 2)}\n`);
    else for (const line of describeSummary(summary)) io.stdout.write(`${line}\n`);
    return 0;
  } finally {
    ending.release();
  }
}

/** The first signal ends in good order, a second one at once. */
function endOnSignals(outer?: AbortSignal): { readonly signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const end = (): void => (controller.signal.aborted ? process.exit(130) : controller.abort());
  process.on('SIGINT', end).on('SIGTERM', end);
  if (outer?.aborted === true) controller.abort();
  outer?.addEventListener('abort', end, { once: true });
  return {
    signal: controller.signal,
    release() {
      process.off('SIGINT', end).off('SIGTERM', end);
      outer?.removeEventListener('abort', end);
    },
  };
}
