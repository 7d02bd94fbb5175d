/** Static backups, made whenever a channel comes or goes: sealed into the data folder, and as a blob for peers to keep. */
import { MAX_PEER_BLOB } from '../bolt/01-messaging/messaging.ts';
import { CodecError } from '../bolt/codec.ts';
import { toHex, fromHex, type BlockHeight, type Hex, type NodeId } from '../bolt/primitives.ts';
import { isAtStake, staticChannelOf } from '../domain/channel/recovery.ts';
import { decodeStaticBackup, encodeStaticBackup, type StaticBackup } from '../domain/channel/static-backup.ts';
import type { ChannelState } from '../domain/channel/state.ts';
import type { SafeKeeping } from '../domain/ports.ts';
import type { StreamId } from '../events/store.ts';
import type { Channels } from './channels.ts';
import type { LogIdentity } from './rollback-guard.ts';

export interface StaticBackupsOptions {
  readonly keeping: Pick<SafeKeeping, 'seal' | 'backups' | 'addresses'>;
  readonly channels: Channels;
  /** As the log is now. */
  readonly identity: () => Promise<LogIdentity>;
  readonly birthday: BlockHeight;
  /** Unix seconds. */
  readonly now: () => number;
  /** There is a newer one. */
  readonly onWritten: () => void;
  readonly log: (line: string) => void;
}

export interface StaticBackups {
  /** After each turn of a channel. */
  onTurn(stream: StreamId, state: ChannelState): void;
  /** Writes the newest now, if there is anything in it or was before. */
  write(): Promise<void>;
  /** The newest, padded so that its length tells nothing; undefined while no channel was ever in it. */
  blob(): Hex | undefined;
}

/** What the seal adds to the content of a blob. */
const sealBytes = ({ seal }: Pick<SafeKeeping, 'seal'>): number => seal.seal(new Uint8Array(0)).length;

export function createStaticBackups({ keeping, channels, identity, birthday, now, onWritten, log }: StaticBackupsOptions): StaticBackups {
  const room = MAX_PEER_BLOB - sealBytes(keeping);
  const listed = new Set<StreamId>();
  let before = lastOf(keeping);
  let [blob, scheduled, writing] = [undefined as Hex | undefined, false, Promise.resolve()];

  async function content(): Promise<StaticBackup> {
    const kept = channels.all().flatMap(({ state }) => (isAtStake(state) ? [staticChannelOf(state)] : []));
    const peers = new Set<NodeId>(kept.map(({ peer_id }) => peer_id));
    return { ...(await identity()), birthday, written_at: now(), channels: kept, peers: keeping.addresses().filter(({ node_id }) => peers.has(node_id)) };
  }

  async function writeNow(): Promise<void> {
    const backup = await content();
    if (backup.channels.length === 0 && !before.exists) return;
    // Only what differs pushes older ones out: a node that restarts a hundred times still has last month's.
    const names = namesIn(backup);
    keeping.backups.write(keeping.seal.seal(encodeStaticBackup(backup)), names !== before.names);
    before = { exists: true, names };
    blob = toHex(keeping.seal.seal(encodeStaticBackup(backup, room)));
    onWritten();
  }

  const write = (): Promise<void> => (writing = writing.then(writeNow).catch((error: Error) => log(`the static backup could not be written: ${error.message}`)));

  return {
    onTurn(stream, state) {
      const before = listed.has(stream);
      const after = isAtStake(state);
      if (before === after) return;
      if (after) listed.add(stream);
      else listed.delete(stream);
      if (scheduled) return;
      scheduled = true;
      setImmediate(() => {
        scheduled = false;
        void write();
      });
    },
    write,
    blob: () => blob,
  };
}

/** Which channels are in a backup, and of which log. */
const namesIn = ({ log_id, epoch, channels }: StaticBackup): string => [log_id, epoch, ...channels.map(({ funding_txid, funding_output_index }) => `${funding_txid}:${funding_output_index}`).toSorted()].join(' ');

function lastOf(keeping: Pick<SafeKeeping, 'seal' | 'backups'>): { readonly exists: boolean; readonly names?: string } {
  const sealed = keeping.backups.read();
  if (sealed === undefined) return { exists: false };
  const backup = openBlob(toHex(sealed), keeping);
  return { exists: true, names: backup && namesIn(backup) };
}

/** What is in a sealed backup; undefined when this seed did not seal it. Throws CodecError for one of another version. */
export function openStaticBackup(sealed: Uint8Array, { seal }: Pick<SafeKeeping, 'seal'>): StaticBackup | undefined {
  const bytes = seal.unseal(sealed);
  return bytes === undefined ? undefined : decodeStaticBackup(bytes);
}

/** The same for what a peer gave back: whatever is wrong with it, it is not ours. */
export function openBlob(blob: Hex, keeping: Pick<SafeKeeping, 'seal'>): StaticBackup | undefined {
  try {
    return openStaticBackup(fromHex(blob), keeping);
  } catch (error) {
    if (error instanceof CodecError) return undefined;
    throw error;
  }
}
