/** LDK's state on disk: its seed, its channel manager, and a monitor for each channel. Each write is with the system when it returns, a bench's on the disk. */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import * as ldk from 'lightningdevkit';
import { toHex } from '../../../src/bolt/primitives.ts';
import { isNull } from './wasm.ts';

/**
 * `full`: each change writes the whole monitor, and the manager before anything is sent, so that a restart goes on from there.
 * A process that ends loses nothing of it; a power cut is not among its stories.
 * `update`: each change is appended and flushed alone, as a bench wants it; nothing reads it back.
 */
export type PersistMode = 'full' | 'update';

export interface LdkFolder {
  readonly seed: Uint8Array;
  /** Of the last run, if there was one. */
  readonly saved?: { readonly manager: Uint8Array; readonly monitors: readonly Uint8Array[] };
  readonly persist: ldk.Persist;
  saveManager(manager: ldk.ChannelManager): void;
}

export function openFolder(folder: string, mode: PersistMode): LdkFolder {
  const monitors = join(folder, 'monitors');
  mkdirSync(monitors, { recursive: true });
  const manager = join(folder, 'manager');
  return {
    seed: loadSeed(join(folder, 'seed')),
    ...(existsSync(manager) ? { saved: { manager: readBytes(manager), monitors: readdirSync(monitors).filter((name) => !name.endsWith('.new')).map((name) => readBytes(join(monitors, name))) } } : {}),
    persist: mode === 'full' ? persistWhole(monitors) : persistUpdates(folder, monitors),
    saveManager: (state) => writeSafely(manager, state.write(), mode === 'update'),
  };
}

const readBytes = (file: string): Uint8Array => new Uint8Array(readFileSync(file));

function loadSeed(file: string): Uint8Array {
  if (!existsSync(file)) writeFileSync(file, randomBytes(32));
  return readBytes(file);
}

const COMPLETED = ldk.ChannelMonitorUpdateStatus.LDKChannelMonitorUpdateStatus_Completed;

const monitorName = (outpoint: ldk.OutPoint): string => `${toHex(outpoint.get_txid())}_${outpoint.get_index()}`;

function saveMonitor(monitors: string, outpoint: ldk.OutPoint, monitor: ldk.ChannelMonitor, flush: boolean): ldk.ChannelMonitorUpdateStatus {
  writeSafely(join(monitors, monitorName(outpoint)), monitor.write(), flush);
  return COMPLETED;
}

function persistWhole(monitors: string): ldk.Persist {
  return ldk.Persist.new_impl({
    persist_new_channel: (outpoint, monitor) => saveMonitor(monitors, outpoint, monitor, false),
    update_persisted_channel: (outpoint, _update, monitor) => saveMonitor(monitors, outpoint, monitor, false),
    archive_persisted_channel: () => undefined,
  });
}

function persistUpdates(folder: string, monitors: string): ldk.Persist {
  const log = openSync(join(folder, 'updates.log'), 'a');
  return ldk.Persist.new_impl({
    persist_new_channel: (outpoint, monitor) => saveMonitor(monitors, outpoint, monitor, true),
    update_persisted_channel(outpoint, update, monitor) {
      // With a block there is no update, and the whole monitor has to be written.
      if (isNull(update)) return saveMonitor(monitors, outpoint, monitor, true);
      writeSync(log, update.write());
      fsyncSync(log);
      return COMPLETED;
    },
    archive_persisted_channel: () => undefined,
  });
}

/** Whole or not at all, whatever happens. */
function writeSafely(file: string, bytes: Uint8Array, flush: boolean): void {
  const descriptor = openSync(`${file}.new`, 'w');
  writeSync(descriptor, bytes);
  if (flush) fsyncSync(descriptor);
  closeSync(descriptor);
  renameSync(`${file}.new`, file);
}
