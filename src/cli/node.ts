/** `fulgurite node`: one node in this process until somebody ends it. Its log is on standard output. */
import { loadConfig, type Config, type Environment } from '../config.ts';
import { initInteractively, noNode, type SettingFlags } from './init.ts';
import type { Io } from './output.ts';
import { knownPassphrase } from './passphrase.ts';
import { isInteractive } from './prompt.ts';

/** A node that cannot end within this is ended. */
const PATIENCE_MS = 30_000;

/** Resolves when the node has ended in good order. Throws what kept it from starting. */
export async function nodeCommand(flags: SettingFlags, io: Io, env: Environment = process.env): Promise<number> {
  const config = loadConfig({ flags, env });
  const { createLogger } = await import('../adapters/logger.ts');
  const { hasNode } = await import('../daemon/create-node.ts');
  const { startDaemon } = await import('../daemon/start.ts');

  if (!hasNode(config.data)) {
    if (!isInteractive()) throw noNode(config.data);
    await initInteractively(config, flags, io, env);
  }
  const secrets: string[] = [];
  const logger = createLogger({ level: config.log.level, format: formatOf(config, io), out: io.stdout, secrets: () => secrets });
  const ending = endOnSignals();
  try {
    const daemon = await startDaemon({ config, logger, passphrase: () => knownPassphrase(config, env), keepSecret: (secret) => secrets.push(secret) });
    const fatal = (error: unknown): void => endAtOnce(() => logger.fatal({ err: error }, 'a bug of ours: the node ends, and starts again from its log'));
    process.on('uncaughtException', fatal).on('unhandledRejection', fatal);
    const why = await Promise.race([ending.asked, daemon.stopAsked.then(() => 'the API')]);
    logger.info(`asked to end by ${why}`);
    const late = setTimeout(() => endAtOnce(() => logger.error(`not at rest within ${PATIENCE_MS} ms: ended all the same, the log has everything`)), PATIENCE_MS);
    await daemon.stop();
    clearTimeout(late);
    logger.info('ended in good order');
    process.off('uncaughtException', fatal).off('unhandledRejection', fatal);
    return 0;
  } finally {
    ending.release();
  }
}

const formatOf = ({ log: { format } }: Config, { stdout }: Io): 'json' | 'text' => (format === 'auto' ? (stdout.isTTY === true ? 'text' : 'json') : format);

function endAtOnce(say: () => void): never {
  say();
  process.exit(1);
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
