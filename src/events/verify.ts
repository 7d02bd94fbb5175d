/** The integrity of a log, entry by entry: canonical form, revisions, hash chain of each stream, Merkle root, signed checkpoints. */
import { fromHex, toHex32, type Hex, type Hex32, type NodeId, type Signature } from '../bolt/primitives.ts';
import { digestEntry, NotCanonical, parseEntry, type LogEntry } from './canonical.ts';
import {
  checkSignature,
  InvalidCheckpoint,
  originOf,
  parseCheckpoint,
  verifyLogKey,
  vkeyOf,
  type CheckpointNote,
} from './checkpoint.ts';
import { eventId, ZERO_HASH } from './envelope.ts';
import { createMerkleTree } from './merkle.ts';
import { LogCorrupt, type StreamId } from './store.ts';

/** An entry as somebody stores it. What stands beside the entry (a hash, a row's columns) is compared with it where given. */
export interface StoredEntry {
  readonly position: bigint;
  readonly entry: string;
  readonly hash?: string | undefined;
  readonly stream?: string | undefined;
  readonly revision?: bigint | undefined;
}

/** Whose checkpoints count. */
export interface LogKey {
  readonly origin: string;
  readonly publicKey: Uint8Array;
}

export interface LogVerifierOptions {
  /** Signed notes of any sizes, in any order. */
  readonly checkpoints?: readonly string[];
  /** Without it the log must open with NodeInitialized, whose key counts once the node's signature binds it. */
  readonly key?: LogKey;
  /** Takes events after the newest checkpoint: for a part of a log that was cut out on purpose. */
  readonly allowUnsignedTail?: boolean;
}

/** What was proven. */
export interface VerifiedLog {
  readonly size: number;
  readonly root: Hex32;
  /** Right edge of the Merkle tree, for createMerkleTree. */
  readonly edge: readonly Uint8Array[];
  readonly checkpoints: number;
  readonly streams: number;
  /** Event types and how often each occurs. */
  readonly types: ReadonlyMap<string, number>;
}

export interface LogVerifier {
  /** Takes the next entry, in position order from 0. Throws LogCorrupt and is then of no more use. */
  add(stored: StoredEntry): LogEntry & { readonly hash: Hex32 };
  /** Takes one more signed note, for as many events as were added or more. Throws LogCorrupt. */
  expect(note: string): void;
  /** Call after the last entry: a checkpoint that nothing was found for means a log cut short. Throws LogCorrupt. */
  finish(): VerifiedLog;
}

interface StreamEnd {
  readonly revision: bigint;
  readonly hash: Hex32;
  readonly command_id: Hex32;
  /** Place of the last event among those of its command. */
  readonly index: number;
}

/** Pure but for its own memory: a few hundred bytes a stream. */
export function createLogVerifier(options: LogVerifierOptions = {}): LogVerifier {
  const tree = createMerkleTree();
  const ends = new Map<StreamId, StreamEnd>();
  const types = new Map<string, number>();
  const notes: CheckpointNote[] = (options.checkpoints ?? []).map(readNote).sort(bySize);
  let vkey = options.key === undefined ? undefined : vkeyOf(options.key.origin, options.key.publicKey);
  let checked = 0;

  const root = () => toHex32(tree.root());
  const checkNotes = () => {
    if (vkey === undefined) return;
    for (; notes[checked]?.size === tree.size(); checked += 1) compareCheckpoint(notes[checked]!, vkey, root());
  };
  checkNotes();

  return {
    add(stored) {
      const position = BigInt(tree.size());
      if (stored.position !== position) throw corrupt({ position }, 'positions have a gap', position, stored.position);
      const entry = read(stored);
      const { hash, leaf } = digestEntry(stored.entry);
      compareColumns(stored, entry, hash);
      ends.set(entry.stream, follow(ends.get(entry.stream), entry, hash, position));
      if (vkey === undefined) {
        vkey = keyOfLog(entry, position);
        // Only now can a checkpoint of the empty log be compared.
        checkNotes();
      }
      tree.append(leaf);
      types.set(entry.type, (types.get(entry.type) ?? 0) + 1);
      checkNotes();
      return { ...entry, hash };
    },
    expect(text) {
      const note = readNote(text);
      const [size, position] = [tree.size(), BigInt(note.size)];
      if (note.size < size)
        throw corrupt(
          { position },
          'a checkpoint comes too late to be compared',
          `${size} events or more`,
          `${note.size} events`,
        );
      notes.push(note);
      notes.sort(bySize);
      checkNotes();
    },
    finish() {
      const size = tree.size();
      const missing = notes[checked];
      const newest = notes.at(-1)?.size ?? 0;
      if (missing !== undefined)
        throw corrupt(
          { position: BigInt(size) },
          'the log is cut short: a checkpoint was signed for more events',
          `${missing.size} events`,
          `${size} events`,
        );
      if (newest < size && options.allowUnsignedTail !== true)
        throw corrupt(
          { position: BigInt(newest) },
          'the log has events after its newest checkpoint',
          `${newest} events`,
          `${size} events`,
        );
      return { size, root: root(), edge: tree.edge(), checkpoints: checked, streams: ends.size, types };
    },
  };
}

interface Place {
  readonly position: bigint;
  readonly stream?: StreamId;
  readonly revision?: bigint;
}

function corrupt(place: Place, what: string, expected: unknown, got: unknown): LogCorrupt {
  const stream = place.stream === undefined ? '' : ` (stream ${place.stream}, revision ${place.revision})`;
  return new LogCorrupt(`${what} at position ${place.position}${stream}: expected ${expected}, got ${got}`, {
    ...place,
    expected: String(expected),
    got: String(got),
  });
}

function read(stored: StoredEntry): LogEntry {
  try {
    return parseEntry(stored.entry);
  } catch (error) {
    if (!(error instanceof NotCanonical)) throw error;
    const { position, stream, revision } = stored;
    throw corrupt(
      { position, ...(stream === undefined ? {} : { stream, revision }) },
      error.message,
      error.detail['expected'] ?? 'canonical form',
      error.detail['got'] ?? stored.entry,
    );
  }
}

function compareColumns(stored: StoredEntry, entry: LogEntry, hash: Hex32): void {
  const place = { position: stored.position, stream: entry.stream, revision: entry.revision };
  if (stored.hash !== undefined && stored.hash !== hash)
    throw corrupt(place, 'the hash does not fit the entry', hash, stored.hash);
  if (stored.stream !== undefined && stored.stream !== entry.stream)
    throw corrupt(place, 'the stream column does not fit the entry', entry.stream, stored.stream);
  if (stored.revision !== undefined && stored.revision !== entry.revision)
    throw corrupt(place, 'the revision column does not fit the entry', entry.revision, stored.revision);
}

/** The rules between an event and the one before it in its stream. */
function follow(before: StreamEnd | undefined, entry: LogEntry, hash: Hex32, position: bigint): StreamEnd {
  const place = { position, stream: entry.stream, revision: entry.revision };
  const revision = before === undefined ? 0n : before.revision + 1n;
  if (entry.revision !== revision)
    throw corrupt(place, 'the revisions of the stream have a gap', revision, entry.revision);
  const previous = before?.hash ?? ZERO_HASH;
  if (entry.previous_hash !== previous)
    throw corrupt(place, 'the hash chain of the stream is broken', previous, entry.previous_hash);
  return { revision, hash, command_id: entry.causation_id, index: indexInCommand(before, entry, place) };
}

/** More events than any append holds. */
const MAX_INDEX = 4096;

/** An id derives from its command and its index there: mostly the next one or 0, another one where an append mixed commands. */
function indexInCommand(before: StreamEnd | undefined, entry: LogEntry, place: Place): number {
  const next = before?.command_id === entry.causation_id ? before.index + 1 : 0;
  if (entry.id === eventId(entry.causation_id, next)) return next;
  for (let index = 0; index < MAX_INDEX; index += 1) {
    if (entry.id === eventId(entry.causation_id, index)) return index;
  }
  throw corrupt(place, 'the event id does not derive from its command', eventId(entry.causation_id, next), entry.id);
}

const bySize = (a: CheckpointNote, b: CheckpointNote): number => a.size - b.size;

function readNote(note: string): CheckpointNote {
  try {
    return parseCheckpoint(note);
  } catch (error) {
    throw noteCorrupt(error);
  }
}

function compareCheckpoint(checkpoint: CheckpointNote, vkey: string, root: Hex32): void {
  try {
    checkSignature(checkpoint, vkey);
  } catch (error) {
    throw noteCorrupt(error);
  }
  if (checkpoint.root !== root) {
    const position = BigInt(Math.max(0, checkpoint.size - 1));
    throw corrupt(
      { position },
      `the events up to here are not those of the checkpoint signed for size ${checkpoint.size}`,
      checkpoint.root,
      root,
    );
  }
}

function noteCorrupt(error: unknown): unknown {
  if (!(error instanceof InvalidCheckpoint)) return error;
  const { expected, got } = error.detail;
  return new LogCorrupt(error.message, { expected: String(expected ?? 'a signed checkpoint'), got: String(got ?? '') });
}

/** The key that the log itself names, once the node's own key vouches for it. */
function keyOfLog(first: LogEntry, position: bigint): string {
  const place = { position, stream: first.stream, revision: first.revision };
  if (first.type !== 'NodeInitialized')
    throw corrupt(place, 'the log does not open with its key', 'NodeInitialized', first.type);
  const claim = first.data as { node_id: NodeId; chain_hash: Hex32; log_public_key: Hex; signature: Signature };
  if (!signedByNode(claim))
    throw corrupt(
      place,
      "the node's signature on the log's key is wrong",
      `a signature of ${claim.node_id}`,
      claim.signature,
    );
  return vkeyOf(originOf(claim.node_id), fromHex(claim.log_public_key));
}

function signedByNode(claim: Parameters<typeof verifyLogKey>[0]): boolean {
  try {
    return verifyLogKey(claim);
  } catch {
    return false;
  }
}
