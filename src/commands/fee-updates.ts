/** BOLT 2, "Updating Fees": with each block, channels that we opened get the feerate that is right today. */
import type { BlockHeight } from '../bolt/primitives.ts';
import type { ChannelPolicy } from '../domain/channel/commands.ts';
import { dueFeerate, type FeePolicy } from '../domain/channel/fee-policy.ts';
import { isLive } from '../domain/channel/state.ts';
import { describeRefusal } from '../domain/decider.ts';
import type { StreamId } from '../events/store.ts';
import type { ChannelLoop } from './channel-loop.ts';
import type { Channels } from './channels.ts';
import type { FeerateSource } from './feerates.ts';

export interface FeeUpdatesOptions extends FeePolicy {
  /** False: only the user changes feerates. */
  readonly automatic: boolean;
  /** Blocks between two changes of one channel at least. */
  readonly min_blocks_between: number;
  readonly channels: Pick<Channels, 'all'>;
  readonly feerates: Pick<FeerateSource, 'current'>;
  readonly policy: ChannelPolicy;
  readonly log: (line: string) => void;
}

export interface FeeUpdates {
  /** Resolves when the changes that are due are durable. Never rejects. */
  onBlock(height: BlockHeight): Promise<void>;
  /** The user has set this channel's feerate: for a day, or until the node restarts, it is the user's. */
  setByUser(stream: StreamId, height: BlockHeight): void;
}

/** Blocks for which a feerate of the user's stands: about a day. */
const USERS_BLOCKS = 144;

export function createFeeUpdates({ automatic, min_blocks_between, channels, feerates, policy, log, ...band }: FeeUpdatesOptions): FeeUpdates {
  /** The first block at which a channel may be changed again. At most one entry a channel. */
  const notBefore = new Map<StreamId, BlockHeight>();

  async function update({ stream, state, run }: Pick<ChannelLoop, 'stream' | 'state' | 'run'>, height: BlockHeight): Promise<void> {
    if (!isLive(state) || height < (notBefore.get(stream) ?? 0)) return;
    const feerate_per_kw = dueFeerate(state, feerates.current, { ...band, max_dust_exposure_msat: policy.max_dust_exposure_msat });
    if (feerate_per_kw === undefined) return;
    notBefore.set(stream, height + min_blocks_between);
    const outcome = await run({ type: 'UpdateFee', feerate_per_kw, policy });
    log('refused' in outcome ? `${stream}: a feerate of ${feerate_per_kw} was refused: ${describeRefusal(outcome.refused)}` : `${stream}: the feerate is to be ${feerate_per_kw}`);
  }

  return {
    async onBlock(height) {
      if (!automatic) return;
      const usable = channels.all().filter((loop) => loop.usable);
      const changes = usable.map((loop) => update({ stream: loop.stream, state: loop.state, run: (command) => loop.run(command) }, height));
      for (const { status, reason } of (await Promise.allSettled(changes)) as { status: string; reason?: Error }[]) {
        if (status === 'rejected') log(`a feerate could not be changed: ${reason!.message}`);
      }
    },
    setByUser: (stream, height) => void notBefore.set(stream, height + USERS_BLOCKS),
  };
}
