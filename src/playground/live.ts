/** The playground without an end: payments flow, blocks are found, the view is drawn and the API answers, until it is told to stop. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Name } from './cast.ts';
import { startNetwork, type Network } from './network.ts';
import { fundWallets, openChannels, type OpenedChannel } from './opening.ts';
import { clock, grouped, inSat } from './paint.ts';
import { watchNetwork, type Scene } from './scene.ts';
import { startScreen, type Terminal } from './screen.ts';
import { serveNetwork } from './serve.ts';
import { startTraffic } from './traffic.ts';
import { renderScene } from './view.ts';
import { within } from './waiting.ts';

export interface LiveOptions {
  readonly dataDir: string;
  readonly host: string;
  readonly port: number;
  /** Where the view is drawn, if it is a terminal. */
  readonly terminal?: Terminal;
  readonly say: (line: string) => void;
  readonly onLog?: (name: Name, line: string) => void;
  /** Ends the playground. */
  readonly signal: AbortSignal;
}

export interface LiveSummary {
  readonly data_dir: string;
  readonly nodes: number;
  readonly channels_opened: number;
  readonly payments_succeeded: number;
  readonly payments_failed: number;
  readonly delivered_msat: string;
  readonly fees_msat: string;
  readonly blocks: number;
  readonly duration_ms: number;
}

/** A block now and then, so that heights move. */
const BLOCK_MS = 8_000;
/** Between two lines where there is no terminal. */
const LINE_MS = 5_000;

/** Runs until `signal` aborts, then ends every payment, closes every log and answers what there was. */
export async function playLive(options: LiveOptions): Promise<LiveSummary> {
  const { dataDir, host, port, say, onLog } = options;
  const network = await startNetwork({ dataDir, onLog });
  try {
    say('funding wallets, opening channels: alice = bob - carol - dave');
    await fundWallets(network);
    const channels = await openChannels(network);
    const served = await serveNetwork(network, host, port, (taken) => say(`port ${taken} is taken: trying ${taken + 1}`));
    say(`${channels.length} channels are open; ${served.address} answers, ${served.address}/docs explains`);
    try {
      return await perform(network, channels, served.address, options);
    } finally {
      await served.close();
    }
  } finally {
    await network.stop();
  }
}

/** Payments, blocks and the view, until the signal; then the last payments end. */
async function perform(network: Network, channels: readonly OpenedChannel[], address: string, { dataDir, terminal, say, signal }: LiveOptions): Promise<LiveSummary> {
  const onlooker = await watchNetwork(network, channels);
  const traffic = startTraffic(network, channels, { onPaid: onlooker.paid, onBroken: onlooker.broken });
  const shown = show(() => onlooker.scene(address), terminal, say);
  try {
    await mineUntilAborted(network.mine, signal);
  } finally {
    shown.stop();
    say('ending: no new payments, waiting for the last ones');
    await within('the last payments', traffic.stop(), 10_000).catch((error: Error) => say(error.message));
    onlooker.stop();
  }
  return summarize(onlooker.scene(), dataDir);
}

/** The view on a terminal; elsewhere a line now and then. */
function show(scene: () => Scene, terminal: Terminal | undefined, say: (line: string) => void): { stop(): void } {
  if (terminal?.isTTY === true) return startScreen(terminal, (size) => renderScene(scene(), size));
  const timer = setInterval(() => say(describeScene(scene())), LINE_MS);
  return { stop: () => clearInterval(timer) };
}

function describeScene({ height, payments: { succeeded, failed, perSecond, delivered_msat } }: Scene): string {
  return `block ${height}, ${grouped(succeeded)} payments (${perSecond.toFixed(1)} a second, ${failed} failed), ${inSat(delivered_msat)} moved`;
}

async function mineUntilAborted(mine: (blocks: number) => Promise<void>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(BLOCK_MS, undefined, { signal }).catch(() => undefined);
    if (!signal.aborted) await mine(1);
  }
}

function summarize({ height, uptime_ms, channels, nodes, payments }: Scene, data_dir: string): LiveSummary {
  const { succeeded, failed, delivered_msat, fees_msat } = payments;
  return {
    data_dir,
    nodes: nodes.length,
    channels_opened: channels.length,
    payments_succeeded: succeeded,
    payments_failed: failed,
    delivered_msat: String(delivered_msat),
    fees_msat: String(fees_msat),
    blocks: height,
    duration_ms: Math.round(uptime_ms),
  };
}

/** What a person reads when the view is gone. */
export function describeSummary({ payments_succeeded, payments_failed, delivered_msat, fees_msat, duration_ms, data_dir }: LiveSummary): readonly string[] {
  return [
    `${grouped(payments_succeeded)} payments in ${clock(duration_ms)} (${payments_failed} failed), ${inSat(BigInt(delivered_msat))} moved for ${inSat(BigInt(fees_msat))} of fees`,
    `the logs are in ${data_dir}; verify them: npx fulgurite audit ${data_dir}`,
  ];
}
