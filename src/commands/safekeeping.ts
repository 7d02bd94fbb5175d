/** Everything that outlives the log: the signer's marks, static backups, blobs at peers; and recovery, when they know more than the log does. */
import type { BlockHeight, NodeId } from '../bolt/primitives.ts';
import { marksIn } from '../domain/channel/recovery.ts';
import { isEstablished, type ChannelState } from '../domain/channel/state.ts';
import type { Refusal } from '../domain/decider.ts';
import type { Chain, SafeKeeping } from '../domain/ports.ts';
import type { EventStore, StreamId } from '../events/store.ts';
import type { Session } from './channel-context.ts';
import type { Channels } from './channels.ts';
import { createPeerStorage, type PeerStorage } from './peer-storage.ts';
import { createRecovery, type Recovery, type RecoveryStatus } from './recovery.ts';
import { findEarlierSpends } from './rescan.ts';
import { behindBackup, createLogReader, type LogIdentity } from './rollback-guard.ts';
import { createStaticBackups, openBlob, openStaticBackup, type StaticBackups } from './static-backups.ts';

export type { RecoveryStatus } from './recovery.ts';

/** What the user says of the log when the node starts. */
export interface RecoveryWish {
  /** Recovery, whatever the marks say. */
  readonly forced?: boolean;
  /** The marks are missing, and the user knows that the log is the newest: they are taken from it. */
  readonly adopt?: boolean;
  /** The seed had an earlier life that a new log knows nothing of: keys are not used twice. */
  readonly restored_seed?: boolean;
}

export interface SafekeepingOptions {
  readonly store: EventStore;
  readonly node_id: NodeId;
  /** Without it nothing is kept, and only peers can tell that the log is old. */
  readonly keeping: SafeKeeping | undefined;
  readonly wish: RecoveryWish;
  /** Events in the log before this start added to it. */
  readonly size_at_start: bigint;
  readonly channels: Channels;
  readonly chain: Chain;
  readonly birthday: BlockHeight;
  readonly height: () => BlockHeight;
  readonly session: (peer_id: NodeId) => Session | undefined;
  readonly entropy: (length: number) => Uint8Array;
  /** Unix seconds. */
  readonly now: () => number;
  readonly log: (line: string) => void;
}

export interface Safekeeping {
  readonly storage: PeerStorage | undefined;
  /** After each turn of a channel is durable, before anything of it leaves. Throws when the marks cannot be written: then nothing may leave. */
  onTurn(stream: StreamId, state: ChannelState): void;
  /** Once the channels are rebuilt, before anything runs. */
  begin(): Promise<void>;
  /** Once the chain is followed. */
  started(): Promise<void>;
  /** Undefined while the node may do everything. */
  status(): RecoveryStatus | undefined;
  /** Why nothing new may begin now; undefined when it may. */
  refusal(): Refusal | undefined;
  stop(): Promise<void>;
}

/** New keys of a restored seed begin somewhere among 2^24 to 2^31, where no earlier life has been. */
const SKIP_FROM = 2 ** 24;
const SKIP_BYTES = 4;

export function createSafekeeping(options: SafekeepingOptions & { readonly reader: ReturnType<typeof createLogReader> }): Safekeeping {
  const { store, channels, keeping, wish, log, reader, size_at_start } = options;
  const before: LogIdentity = { ...reader.identity(), size: size_at_start };
  const recovery: Recovery = createRecovery({ ...options, log: before, entered: reader.entered(), log_line: log });
  const identity = async (): Promise<LogIdentity> => ({ log_id: before.log_id, epoch: recovery.epoch(), size: ((await store.head()) ?? -1n) + 1n });
  const backups: StaticBackups | undefined = keeping && createStaticBackups({ ...options, keeping, identity, onWritten: () => storage?.changed() });
  const storage: PeerStorage | undefined = keeping && createPeerStorage({
    blobs: keeping.blobs, channels, height: options.height, ours: () => backups?.blob(), log,
    onRetrieved: async (blob, peer_id) => ((await takeBack(keeping, blob, peer_id)) ? 'ours' : 'not_ours'),
  });

  /** A peer cannot make a backup of ours, only give back an old one: what it can prove is that our log was longer, or that there was a channel. */
  async function takeBack(kept: SafeKeeping, blob: string, peer_id: NodeId): Promise<boolean> {
    const backup = openBlob(blob, kept);
    if (backup === undefined) return false;
    const older = behindBackup(await identity(), backup, `the backup that ${peer_id} keeps for us`);
    if (older !== undefined) await recovery.enter(older);
    const restored = await recovery.restore(backup, `the backup that ${peer_id} kept`);
    if (restored > 0) await rescan();
    return true;
  }

  const rescan = (): Promise<void> =>
    findEarlierSpends({ chain: options.chain, channels, fromHeight: options.birthday, log }).catch((error: Error) => log(`earlier spends could not be looked for: ${error.message}; the next start looks again`));

  return {
    storage,
    status: () => recovery.status(),
    refusal() {
      const status = recovery.status();
      return status && { code: 'recovery_only', answer: 'to_caller', detail: { because: status.code, channels_left: status.left.length } };
    },
    onTurn(stream, state) {
      if (isEstablished(state)) keeping?.marks.keep(state.terms.key_index, marksIn(state));
      backups?.onTurn(stream, state);
      recovery.onTurn(stream, state);
    },
    async begin() {
      const kept = keeping?.backups.read();
      const backup = kept === undefined || keeping === undefined ? undefined : openStaticBackup(kept, keeping);
      if (kept !== undefined && backup === undefined) log('the static backup beside the log was not made by this seed, or is damaged: it is left aside');
      if (wish.restored_seed === true && channels.nextKeyIndex === 0) channels.skipKeys(freshIndex(options.entropy(SKIP_BYTES)));
      await recovery.begin(wish, backup);
      // From here on the marks are no lower than the log, whatever a power cut took from them.
      for (const { stream, state } of channels.all()) {
        if (isEstablished(state) && state.phase !== 'closed') keeping?.marks.keep(state.terms.key_index, marksIn(state));
        backups?.onTurn(stream, state);
      }
      keeping?.marks.sync();
    },
    async started() {
      await backups?.write();
      await rescan();
    },
    async stop() {
      await backups?.write();
      await storage?.stop();
    },
  };
}

const freshIndex = (bytes: Uint8Array): number => SKIP_FROM + (new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) % (2 ** 31 - SKIP_FROM));

/** Every event of a log as it is replayed, for those who ask whose log it is. */
export const readLog = createLogReader;
