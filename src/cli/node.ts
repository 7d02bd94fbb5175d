/** `fulgurite node`: one node in this process until somebody ends it. Its log is on standard output. */
import type { Logger } from '../adapters/logger.ts';
import { loadConfig, type Config, type Environment } from '../config.ts';
import type { Daemon } from '../daemon/start.ts';
import { initInteractively, noNode, type SettingFlags } from './init.ts';
import type { Io } from './output.ts';
import { knownPassphrase } from './passphrase.ts';
import { isInteractive } from './prompt.ts';

/** A node that cannot end within this is ended. */
const PATIENCE_MS = 30_000;

export interface NodeOptions {
  readonly recovery?: boolean;
  readonly adoptLog?: boolean;
}

/** Resolves when the node has ended in good order. Throws what kept it from starting. */
export async function nodeCommand(flags: SettingFlags, { recovery = false, adoptLog = false }: NodeOptions, io: Io, env: Environment = process.env): Promise<number> {
  const config = loadConfig({ flags, env });
  const { createLogger } = await import('../adapters/logger.ts');
  const { hasNode } = await import('../daemon/create-node.ts');
  const { compileEarly } = await import('../daemon/runtime.ts');
  const { startDaemon } = await import('../daemon/start.ts');
  compileEarly();

  let typed: string | undefined;
  if (!hasNode(config.data)) {
    if (!isInteractive()) throw noNode(config.data);
    typed = await initInteractively(config, flags, io, env);
  }
  const secrets: string[] = [];
  const logger = createLogger({ level: config.log.level, format: formatOf(config, io), out: io.stdout, secrets: () => secrets });
  const passphrase = async (): Promise<string> => typed ?? knownPassphrase(config, env);
  const ending = endOnSignals();
  try {
    let ready = false;
    // Whoever does not want to wait for a chain daemon, or for a long way to its tip, need not.
    void ending.asked.then((why) => ready || endAtOnce(130, () => logger.info(`asked to end by ${why} before it was ready`)));
    const daemon = await startDaemon({ config, logger, passphrase, recovery, adoptLog, keepSecret: (secret) => secrets.push(secret) });
    ready = true;
    await untilAsked(daemon, ending.asked, logger);
    return 0;
  } finally {
    ending.release();
  }
}

async function untilAsked(daemon: Daemon, signal: Promise<string>, logger: Logger): Promise<void> {
  const fatal = (error: unknown): void => endAtOnce(1, () => logger.fatal({ err: error }, 'a bug of ours: the node ends, and starts again from its log'));
  process.on('uncaughtException', fatal).on('unhandledRejection', fatal);
  const why = await Promise.race([signal, daemon.stopAsked.then(() => 'the API')]);
  logger.info(`asked to end by ${why}`);
  const late = setTimeout(() => endAtOnce(1, () => logger.error(`not at rest within ${PATIENCE_MS} ms: ended all the same, the log has everything`)), PATIENCE_MS);
  await daemon.stop();
  clearTimeout(late);
  logger.info('ended in good order');
  process.off('uncaughtException', fatal).off('unhandledRejection', fatal);
}

const formatOf = ({ log: { format } }: Config, { stdout }: Io): 'json' | 'text' => (format === 'auto' ? (stdout.isTTY === true ? 'text' : 'json') : format);

function endAtOnce(code: number, say: () => void): never {
  say();
  process.exit(code);
}

/** The first signal ends in good order, a second one at once. */
function endOnSignals(): { readonly asked: Promise<string>; release(): void } {
  let tell: (signal: string) => void = () => undefined;
  let asked = false;
  const onSignal = (signal: string): void => {
    if (asked) process.exit(130);
    asked = true;
    tell(signal);
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return {
    asked: new Promise((resolve) => (tell = resolve)),
    release: () => void process.off('SIGINT', onSignal).off('SIGTERM', onSignal),
  };
}
