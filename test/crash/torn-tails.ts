/** Torn and lost tails: each damaged copy of a killed node's folder is refused with the place, or opens with everything that the node ever said. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { createSigner } from '../../src/adapters/signer/local-signer.ts';
import { loadSeed } from '../../src/adapters/signer/seed.ts';
import { checkpointFileOf, readCheckpointFile, readDurableMark } from '../../src/adapters/store/checkpoint-file.ts';
import type { LogStore } from '../../src/adapters/store/log-store.ts';
import { openSqliteStore } from '../../src/adapters/store/sqlite.ts';
import type { Hex32 } from '../../src/bolt/primitives.ts';
import { parseCheckpoint } from '../../src/events/checkpoint.ts';
import { LogCorrupt } from '../../src/events/store.ts';
import { readPast, type Fact, type Numbers } from '../support/node-past.ts';
import type { Losses } from './losses.ts';
import type { Chance, Name } from './plan.ts';
import { copyFolder, FILE_FAULTS } from './torn-files.ts';

/** A killed node's folder, and all that it had said by then. */
export interface Wreck {
  readonly name: Name;
  readonly folder: string;
  readonly told: readonly Fact[];
  readonly spoken: ReadonlyMap<Hex32, Numbers>;
}

export interface TornTally {
  /** Opened with every event of the log. */
  whole: number;
  /** Opened without the newest events: nobody had been told of them. */
  shorter: number;
  refused: number;
}

export const emptyTornTally = (): TornTally => ({ whole: 0, shorter: 0, refused: 0 });

/** Damages a copy in each way, and opens it as the node would. Answers a folder that was refused, for a try with a whole node. */
export async function checkTornTails(wreck: Wreck, chance: Chance, tally: TornTally, losses: Losses): Promise<string | undefined> {
  const whole = await hashesOf(wreck.folder);
  let refused: string | undefined;
  for (const [index, [fault, damage]] of Object.entries(FILE_FAULTS).entries()) {
    const folder = `${wreck.folder}-${index}`;
    copyFolder(wreck.folder, folder);
    damage(folder, chance);
    const outcome = await reopen(folder, { ...wreck, fault, whole }, losses);
    tally[outcome] += 1;
    if (outcome === 'refused' && refused === undefined) refused = folder;
    else rmSync(folder, { recursive: true });
  }
  return refused;
}

interface Case extends Wreck {
  readonly fault: string;
  /** The hash of each event before the damage. */
  readonly whole: readonly string[];
}

/** As the node would find it if no byte were lost: with what waits in the tail. */
async function hashesOf(from: string): Promise<readonly string[]> {
  const folder = `${from}-whole`;
  copyFolder(from, folder);
  const store = await openStore(folder);
  const hashes: string[] = [];
  for await (const { hash } of store.entries()) hashes.push(hash!);
  await store.close();
  rmSync(folder, { recursive: true });
  return hashes;
}

function openStore(folder: string): Promise<LogStore> {
  const signer = createSigner(loadSeed(join(folder, 'seed')), { network: 'bitcoin-regtest' });
  return openSqliteStore({ file: join(folder, 'log.sqlite'), nodeId: signer.nodeId, logKeySeed: signer.logKeySeed(), now: () => new Date() });
}

async function reopen(folder: string, wreck: Case, losses: Losses): Promise<keyof TornTally> {
  const kept = keptApart(join(folder, 'log.sqlite'));
  try {
    const store = await openStore(folder);
    const size = await checkOpened(store, kept, wreck, losses);
    await store.close();
    return size === wreck.whole.length ? 'whole' : 'shorter';
  } catch (error) {
    checkRefusal(error, wreck, losses);
    return 'refused';
  }
}

/** Events that the checkpoint kept apart, or the mark of the tail beside it, vouches for. */
function keptApart(file: string): number {
  const note = readCheckpointFile(checkpointFileOf(file));
  return Math.max(note === undefined ? 0 : parseCheckpoint(note).size, readDurableMark(checkpointFileOf(file)));
}

/** A node would go on from here: it must know of everything that it said. Answers the number of events. */
async function checkOpened(store: LogStore, kept: number, { name, fault, whole, told, spoken }: Case, losses: Losses): Promise<number> {
  let size = 0;
  for await (const { hash } of store.entries()) {
    if (hash !== whole[size]) losses.add('torn', `${name}, ${fault}: opened with another event at ${size}`);
    size += 1;
  }
  if (size < kept) losses.add('torn', `${name}, ${fault}: opened with ${size} events, the checkpoint kept apart has ${kept}`);
  const { facts, channels } = await readPast(store);
  for (const fact of told) if (!facts.has(fact)) losses.add('torn', `${name}, ${fault}: opened without ${fact}, which it had told`);
  for (const [channel_id, { signed, revoked }] of spoken) {
    const known = channels.get(channel_id) ?? { signed: 0, revoked: 0 };
    if (known.signed < signed || known.revoked < revoked) {
      losses.add('torn', `${name}, ${fault}: opened with ${known.signed} signed and ${known.revoked} revoked of ${channel_id}, it had sent ${signed} and ${revoked}`);
    }
  }
  return size;
}

/** Says what is wrong with both values, and where: at which position, or in which file. Never an unexplained crash. */
function checkRefusal(error: unknown, { name, fault }: Case, losses: Losses): void {
  const placed = error instanceof LogCorrupt && 'expected' in error.detail && 'got' in error.detail && /position \d+|file|checkpoint/.test(error.message);
  if (!placed) losses.add('torn', `${name}, ${fault}: not refused in words: ${String(error)}`);
}
