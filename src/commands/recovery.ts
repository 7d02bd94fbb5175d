/** Recovery: a node whose log is older than what it did signs no commitment, publishes nothing of its own, and gets its money back from peers that close. */
import type { NodeId } from '../bolt/primitives.ts';
import { hasLostData, isAtStake } from '../domain/channel/recovery.ts';
import type { StaticBackup } from '../domain/channel/static-backup.ts';
import { isEstablished, type ChannelState } from '../domain/channel/state.ts';
import type { SafeKeeping } from '../domain/ports.ts';
import type { EventStore, StreamId } from '../events/store.ts';
import type { Session } from './channel-context.ts';
import type { Channels } from './channels.ts';
import { commandId } from './dispatch.ts';
import { behindBackup, behindMarks, type LogIdentity, type RecoveryReason } from './rollback-guard.ts';

/** Nothing says whether the log is the newest: a person has to. */
export class MarksMissing extends Error {
  readonly code = 'marks_missing';
  constructor(channels: number) {
    super(`the log has ${channels} channels of which the signer has no marks: whether the log is the newest cannot be told. If you know that it is, start once with --adopt-log; if it was restored or may be old, with --recovery: a channel that goes on from an old state loses its money`);
    this.name = 'MarksMissing';
  }
}

export interface RecoveryStatus extends RecoveryReason {
  /** Channels that have not ended: the peer has to close them, or the chain to bury what is ours. */
  readonly left: readonly { readonly stream: StreamId; readonly peer_id: NodeId; readonly waits_for: 'peer_to_close' | 'chain' }[];
}

export interface RecoveryOptions {
  readonly store: EventStore;
  readonly node_id: NodeId;
  readonly channels: Channels;
  /** As the log was when it was opened: before this start added to it. */
  readonly log: LogIdentity;
  /** What the log says of the recovery that it entered last. */
  readonly entered: RecoveryReason | undefined;
  readonly keeping: SafeKeeping | undefined;
  readonly session: (peer_id: NodeId) => Session | undefined;
  readonly log_line: (line: string) => void;
}

export interface Recovery {
  /** Undefined while the node may do everything. */
  status(): RecoveryStatus | undefined;
  /** Raised by each recovery: a backup of an earlier epoch proves nothing any more. */
  epoch(): number;
  /** Before anything else runs: compares the log with all that was kept apart from it. `forced`: the user's wish; `adopt`: marks that are missing are taken from the log. Throws MarksMissing. */
  begin(wish: { readonly forced?: boolean; readonly adopt?: boolean }, backup: StaticBackup | undefined): Promise<void>;
  /** From now on nothing is signed any more; each channel's peer is asked to close. */
  enter(reason: RecoveryReason): Promise<void>;
  /** Channels of a backup that the log does not have: they wait for their peers to close. Answers how many. */
  restore(backup: StaticBackup, whose: string): Promise<number>;
  /** After each turn of a channel: one peer's proof of lost data speaks for the whole log. */
  onTurn(stream: StreamId, state: ChannelState): void;
}

/** Of one stream to enter recovery, before the next start has to. */
const TRIES = 5;
const PAUSE_MS = 200;

export function createRecovery({ store, node_id, channels, log, entered, keeping, session, log_line }: RecoveryOptions): Recovery {
  let active: RecoveryReason | undefined;
  let { epoch } = log;
  let entering: Promise<void> = Promise.resolve();

  const unfinished = (): boolean => channels.all().some(({ state }) => hasLostData(state) && state.phase === 'resolving');

  function whyRecover({ forced = false, adopt = false }: Parameters<Recovery['begin']>[0], backup: StaticBackup | undefined): RecoveryReason | undefined {
    if (forced) return { code: 'recovery_forced', reason: 'asked for by the user' };
    const behind = keeping === undefined ? undefined : behindMarks(channels.all(), channels.nextKeyIndex, keeping.marks.all());
    if (behind !== undefined) return behind;
    const marks = keeping?.marks.all();
    const unmarked = marks === undefined ? [] : channels.all().filter(({ state }) => isAtStake(state) && !hasLostData(state) && !marks.has(state.terms.key_index));
    if (unmarked.length > 0 && !adopt) throw new MarksMissing(unmarked.length);
    const older = backup === undefined ? undefined : behindBackup(log, backup, 'the static backup beside it');
    if (older !== undefined) return older;
    return entered !== undefined && unfinished() ? { code: 'recovery_unfinished', reason: entered.reason } : undefined;
  }

  /** In the log, once for each reason: who audits it sees why its channels ended. */
  async function note({ code, reason }: RecoveryReason): Promise<void> {
    if (code === 'recovery_unfinished' || (entered?.code === code && entered.reason === reason)) return;
    let last: bigint | 'none' = 'none';
    for await (const { revision } of store.read('node')) last = revision;
    const command_id = commandId(`recovery/${node_id}/${last}`, 0);
    await store.append('node', last, [{ type: 'RecoveryEntered', code, reason }], { command_id, correlation_id: command_id });
    epoch += 1;
  }

  async function enterNow(reason: RecoveryReason): Promise<void> {
    if (active !== undefined) return;
    active = reason;
    log_line(`recovery only (${reason.code}): ${reason.reason}. No payments, no new channels; each peer is asked to close, and what it pays us on chain is taken`);
    // A store that fails for a moment must leave no channel as it was, nor one that stopped keep the others from ending.
    const ends = await Promise.allSettled([
      ...channels.all().map((loop) => surely(loop.stream, () => loop.run({ type: 'EnterRecovery', reason: `${reason.code}: ${reason.reason}` }))),
      surely('node', () => note(reason)),
    ]);
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async function surely(stream: string, work: () => Promise<unknown>): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return void (await work());
      } catch (error) {
        log_line(`${stream}: recovery could not be entered: ${(error as Error).message}`);
        if (tries >= TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  }

  const enter = (reason: RecoveryReason): Promise<void> => (entering = entering.catch(() => undefined).then(() => enterNow(reason)));

  const isKnown = ({ funding_txid, funding_output_index }: StaticBackup['channels'][number]): boolean =>
    channels.all().some(({ state }) => isEstablished(state) && state.funding.txid === funding_txid && state.funding.output_index === funding_output_index);

  async function restore({ channels: kept }: StaticBackup, whose: string): Promise<number> {
    const unknown = kept.filter((channel) => !isKnown(channel));
    for (const channel of unknown) {
      const loop = await channels.restore(channel, `restored from ${whose}: its newest state is not known`);
      const here = session(channel.peer_id);
      if (here !== undefined) loop.connected(here);
      log_line(`${loop.stream}: restored from ${whose}; ${channel.peer_id} is asked to close it`);
    }
    return unknown.length;
  }

  return {
    status: () => active && { ...active, left: leftOf(channels) },
    epoch: () => epoch,
    async begin(wish, backup) {
      const reason = whyRecover(wish, backup);
      if (reason !== undefined) await enter(reason);
      const restored = backup === undefined ? 0 : await restore(backup, 'the static backup beside the log');
      if (restored > 0) await enter({ code: 'channels_restored', reason: `the static backup has ${restored} channels that the log does not` });
      if (keeping === undefined) return;
      channels.skipKeys(Math.max(-1, ...keeping.marks.all().keys()) + 1);
    },
    enter,
    restore,
    onTurn(stream, state) {
      const proof = active !== undefined || isRestored(state) ? undefined : proofOfLoss(state);
      if (proof === undefined) return;
      void enter({ code: 'data_loss', reason: `${stream}: ${proof}` }).catch((error: Error) => log_line(`recovery: ${error.message}`));
    },
  };
}

/** What only a peer with a later state can know or publish: we signed it, and our log does not say so. */
function proofOfLoss(state: ChannelState): string | undefined {
  if (hasLostData(state) && 'failure' in state) return state.failure?.reason;
  const newer = 'spend' in state && state.spend?.kind === 'future' ? state.spend : undefined;
  return newer && `the peer published ${newer.txid}, a commitment newer than any that the log knows`;
}

/** Came from a backup of another log: says nothing of this one. */
const isRestored = (state: ChannelState): boolean => hasLostData(state) && 'failure' in state && state.failure?.reason.startsWith('restored from ') === true;

function leftOf(channels: Channels): RecoveryStatus['left'] {
  return channels.all().flatMap(({ stream, state }) => {
    if (!isAtStake(state)) return [];
    const waits_for = 'spend' in state && state.spend !== undefined ? 'chain' as const : 'peer_to_close' as const;
    return [{ stream, peer_id: state.terms.peer_id, waits_for }];
  });
}
