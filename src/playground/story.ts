/** The fixed story of `--once`: open, pay, fail, die and rise, close together and by force; then every log is audited. */
import { auditAll } from './audits.ts';
import { openBooks, type Books } from './books.ts';
import { NAMES } from './cast.ts';
import { closeByForce, closeTogether } from './closings.ts';
import { compareWithChain } from './on-chain.ts';
import { fundWallets, openChannels, type OpenedChannel } from './opening.ts';
import { failAtMiddle, failAtPayee, payAll, ROUTES, type Wish } from './payments.ts';
import { startNetwork, type Network, type NetworkOptions } from './network.ts';
import { restartInFlight } from './restart.ts';
import { emptyTally, summarizeAudits, type StorySummary, type Tally } from './summary.ts';
import { msat } from '../bolt/primitives.ts';

/** What the acts of the story share. */
export interface Stage {
  readonly network: Network;
  readonly channels: readonly OpenedChannel[];
  readonly books: Books;
  readonly tally: Tally;
  /** One line for the audience. */
  readonly say: (line: string) => void;
}

export interface StoryOptions extends NetworkOptions {
  readonly say?: (line: string) => void;
}

/** Plays the story in an empty folder. Throws PlaygroundError at the first thing that is not as it must be. */
export async function playStory({ say = () => undefined, ...options }: StoryOptions): Promise<StorySummary> {
  const started = performance.now();
  const network = await startNetwork(options);
  const tally = emptyTally();
  let [channels_opened, blocks] = [0, 0];
  try {
    const stage = await raiseCurtain(network, tally, say);
    channels_opened = stage.channels.length;
    await playActs(stage);
    ({ height: blocks } = await network.chain.tip());
  } finally {
    await network.stop();
  }
  say('auditing every log: nothing is believed, everything is derived again');
  const audits = await auditAll(options.dataDir, ({ name, report }) =>
    say(`  ${name}: ${report.ok ? 'ok' : 'FAILED'}, ${report.events} events, ${report.commitments_verified} commitments, ${report.signatures_verified} signatures, ${report.revocations_verified} revocations`));
  const { failures, delivered_msat, fees_msat, ...counted } = tally;
  return {
    nodes: NAMES.length,
    channels_opened,
    ...counted,
    payments_failed: failures.length,
    failures,
    delivered_msat: String(delivered_msat),
    fees_msat: String(fees_msat),
    blocks,
    data_dir: options.dataDir,
    duration_ms: Math.round(performance.now() - started),
    audit: summarizeAudits(audits),
  };
}

async function raiseCurtain(network: Network, tally: Tally, say: (line: string) => void): Promise<Stage> {
  say(`${NAMES.join(', ')} are up (${network.node('alice').crypto_backend} cryptography)`);
  await fundWallets(network);
  say('opening channels: alice = bob - carol - dave');
  const channels = await openChannels(network);
  say(`${channels.length} channels are open, announced and known to all at height ${(await network.chain.tip()).height}`);
  return { network, channels, books: openBooks(network, channels), tally, say };
}

async function playActs(stage: Stage): Promise<void> {
  const { network, channels, books, say } = stage;
  for (const round of [1, 2]) await payAll(stage, wishes(round));
  say(`${stage.tally.payments_succeeded} payments of one, two and three hops, both ways; every balance is as the books have it`);
  await failAtPayee(stage);
  await failAtMiddle(stage);
  await restartInFlight(stage, 'carol');
  await payAll(stage, wishes(3));
  await closeTogether(stage, channels.at(-1)!);
  await closeByForce(stage, channels[2]!, 'carol');
  await payAll(stage, wishes(4).filter(({ from, to }) => from !== 'dave' && to !== 'dave'));
  books.compare(network);
  await compareWithChain(network);
  say('every wallet, channel and anchor adds up to what the chain holds');
}

/** Every pair in every round, with amounts that are not round; some are dust on every commitment. */
const wishes = (round: number): readonly Wish[] =>
  ROUTES.map(([from, to], index) => ({ from, to, amount_msat: msat(index % 5 === 4 ? 123_456n + BigInt(round) : BigInt((index + 2) * round) * 1_234_567n) }));
