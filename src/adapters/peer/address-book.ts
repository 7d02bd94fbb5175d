/** Where the peers are that we chose: a small file of the data folder, so that a restarted node finds them again. Connections themselves are never in the log. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { z } from 'zod';
import { point } from '../../bolt/primitives.ts';
import type { PeerAddress } from './dialer.ts';

export interface AddressBook {
  all(): readonly PeerAddress[];
  /** One address a peer: the newest. On the disk when it returns. */
  add(address: PeerAddress): void;
  remove(node_id: PeerAddress['node_id']): void;
}

/** Peers that the file may name. */
const MAX_PEERS = 1000;

const entries = z
  .array(z.strictObject({ node_id: z.string().regex(/^0[23][0-9a-f]{64}$/).transform(point), host: z.string().min(1).max(255), port: z.int().min(1).max(65_535) }))
  .max(MAX_PEERS);

/** A file that cannot be understood is a list of none: its peers can be called again. `onProblem` hears of it. */
export function openAddressBook(file: string, onProblem: (line: string) => void = () => undefined): AddressBook {
  const known = new Map(readEntries(file, onProblem).map((entry) => [entry.node_id, entry]));
  const save = (): void => replaceFile(file, `${JSON.stringify([...known.values()], undefined, 2)}\n`);
  return {
    all: () => [...known.values()],
    add({ node_id, host, port }) {
      const before = known.get(node_id);
      if (before?.host === host && before.port === port) return;
      if (known.size >= MAX_PEERS && before === undefined) return onProblem(`${file} names ${MAX_PEERS} peers already, the most it may: ${node_id} is not kept`);
      known.set(node_id, { node_id, host, port });
      save();
    },
    remove(node_id) {
      if (known.delete(node_id)) save();
    },
  };
}

function readEntries(file: string, onProblem: (line: string) => void): readonly PeerAddress[] {
  try {
    return entries.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') onProblem(`${file} cannot be understood, and is taken as empty: ${(error as Error).message.slice(0, 200)}`);
    return [];
  }
}

/** The old content or the new, whatever happens meanwhile. */
export function replaceFile(file: string, text: string): void {
  const handle = openSync(`${file}.new`, 'w', 0o600);
  try {
    writeSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(`${file}.new`, file);
}
