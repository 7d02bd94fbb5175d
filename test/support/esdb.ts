/** Event databases to test with: the real server that EVENTSTORE_URL names, or our own that speaks its protocol. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryJournal, type Journal } from '../../src/adapters/esdb-server/journal.ts';
import { startEsdbServer, type EsdbServer } from '../../src/adapters/esdb-server/server.ts';
import { openEventStoreDb, type EventStoreDbOptions } from '../../src/adapters/store/eventstoredb.ts';
import type { LogStore } from '../../src/adapters/store/log-store.ts';
import { point } from '../../src/bolt/primitives.ts';

/** A real server's address, if there is one. */
export const realServer: string | undefined = process.env['EVENTSTORE_URL'];

export const nodeId = point(`02${'00'.repeat(31)}01`);
export const logKeySeed = new Uint8Array(32).fill(1);

/** A server of ours that can be stopped and started again on the same port with the same records. */
export interface TestServer {
  readonly journal: Journal;
  /** Starts it when it does not run. */
  running(): Promise<EsdbServer>;
  stop(how?: 'close' | 'kill'): Promise<void>;
}

export function createTestServer<J extends Journal>(journal: J): TestServer & { readonly journal: J } {
  let server: Promise<EsdbServer> | undefined;
  let port = 0;
  return {
    journal,
    async running() {
      server ??= startEsdbServer({ journal, port });
      const started = await server;
      port = started.port;
      return started;
    },
    async stop(how = 'close') {
      await (await server)?.[how]();
      server = undefined;
    },
  };
}

export const createMemoryServer = () => createTestServer(createMemoryJournal());

/** One node's log in a database: a prefix that nobody else has, and a folder for the checkpoint kept apart. */
export interface TestLog {
  readonly prefix: string;
  readonly checkpointFile: string;
  open(url: string, options?: Partial<EventStoreDbOptions>): Promise<LogStore>;
  remove(): void;
}

export function createTestLog(): TestLog {
  const folder = mkdtempSync(join(tmpdir(), 'fulgurite-esdb-'));
  const prefix = `test.${randomBytes(8).toString('hex')}`;
  const checkpointFile = join(folder, 'checkpoint');
  return {
    prefix,
    checkpointFile,
    open: (url, options) =>
      openEventStoreDb({ url, nodeId, logKeySeed, prefix, checkpointFile, now: () => new Date(), ...options }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
