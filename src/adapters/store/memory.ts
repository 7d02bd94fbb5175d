/** The EventStore in memory: the same rules, hashes and checkpoints as on disk, durable as long as its `MemoryDisk` is kept. */
import type { NodeId } from '../../bolt/primitives.ts';
import type { Engine } from './engine.ts';
import { openLocalEngine, tellSealed, type LocalEngine } from './local-engine.ts';
import { createLogStore, type LogStore, type LogStoreOptions } from './log-store.ts';
import { createMemoryDisk, createMemoryStorage, type MemoryDisk } from './memory-storage.ts';
import { checkpointKey } from './open.ts';

export interface MemoryStoreOptions extends Partial<Omit<LogStoreOptions, 'name'>> {
  readonly nodeId?: NodeId;
  /** Ed25519 seed of the checkpoints. */
  readonly logKeySeed?: Uint8Array;
  /** Hand the same disk to the next store for a restart. */
  readonly disk?: MemoryDisk;
  readonly verify?: boolean;
}

/** Any fixed key does for a log that nobody keeps. */
const TEST_NODE = `02${'00'.repeat(31)}01` as NodeId;
const TEST_SEED = new Uint8Array(32).fill(7);

/** Throws LogCorrupt when the disk's log is damaged. */
export async function openMemoryStore(options: MemoryStoreOptions = {}): Promise<LogStore> {
  const { nodeId = TEST_NODE, logKeySeed = TEST_SEED, disk = createMemoryDisk(), verify = true } = options;
  const { engine, opened } = openLocalEngine(createMemoryStorage(disk), {
    key: checkpointKey(nodeId, logKeySeed),
    keptApart: disk.keptApart,
    verify,
    onCheckpoint: (note) => (disk.keptApart = note),
  });
  return createLogStore(asEngine(engine), opened, { now: () => new Date(), ...options, name: 'memory' });
}

/** Answers later, as an engine in another thread would. */
function asEngine(local: LocalEngine): Engine {
  return {
    append: tellSealed(async (requests) => local.append(requests)),
    size: async () => local.size(),
    readStream: async (stream, from, limit) => local.readStream(stream, from, limit),
    readAll: async (from, limit) => local.readAll(from, limit),
    attachment: async (hash) => local.attachment(hash),
    loadCursor: async (name) => local.loadCursor(name),
    saveCursor: async (name, position) => local.saveCursor(name, position),
    checkpoints: async () => local.checkpoints(),
    close: async () => local.close(),
    kill: async () => local.kill(),
  };
}
