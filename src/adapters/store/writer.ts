/** Group commit: many appends, one transaction, one signed checkpoint; and the rules of an append (revisions, repetition, sealing). */
import { crypto } from '../../bolt/crypto.ts';
import { fromHex, toHex, toHex32 } from '../../bolt/primitives.ts';
import { canonicalJson, NotCanonical, readEntry } from '../../events/canonical.ts';
import { signCheckpoint } from '../../events/checkpoint.ts';
import { eventIds, sealFacts, ZERO_HASH, type Fact, type SealedEntry } from '../../events/envelope.ts';
import { createMerkleTree, type MerkleTree } from '../../events/merkle.ts';
import { FollowsNothing, InvalidAppend, OutcomeUnknown, RevisionConflict, StoreClosed, StoreFull } from '../../events/store.ts';
import { failed, plainError, type AppendOutcome, type AppendRequest } from './engine.ts';
import { createLostAppends } from './lost-appends.ts';
import type { LogStorage, StreamEnd } from './storage.ts';

/** The Ed25519 key that signs checkpoints. */
export interface CheckpointKey {
  readonly origin: string;
  readonly seed: Uint8Array;
  readonly publicKey: Uint8Array;
}

export interface LogWriterOptions {
  readonly key: CheckpointKey;
  readonly tree: MerkleTree;
  /** Refuses an event that could not be read again. */
  readonly check: (fact: Fact) => void;
  /** Called with each new checkpoint once it is durable. */
  readonly onCheckpoint?: (note: string) => void;
}

export interface LogWriter {
  append(requests: readonly AppendRequest[]): readonly AppendOutcome[];
  /** Number of events. */
  size(): number;
  saveCursor(name: string, position: number): void;
  loadCursor(name: string): number | undefined;
  /** Writes the cursors that wait. */
  flush(): void;
}

/** Besides the newest, one checkpoint stays for about this many events: the closer they stand, the closer the audit can place a forgery that no signature covers. */
const KEEP_EVERY = 64;
/** Ends of streams kept in memory; others are looked up. */
const MAX_ENDS = 50_000;

/** Writes to a storage whose log was opened and found whole. */
export function createLogWriter(storage: LogStorage, options: LogWriterOptions): LogWriter {
  const { key, check } = options;
  const ends = new Map<string, StreamEnd>();
  const cursors = new Map<string, number>();
  const lost = createLostAppends();
  let tree = options.tree;
  let lastCheckpoint = storage.checkpoints().at(-1)?.size;
  let broken: StoreClosed | undefined;

  const endOf = (stream: string): StreamEnd | undefined => ends.get(stream) ?? storage.endOf(stream);

  /** One append inside the transaction: refused without a trace, or sealed and inserted. */
  function place(request: AppendRequest): AppendOutcome {
    const missing = lost.before(request);
    if (missing !== undefined) return failed(new FollowsNothing(request.stream, missing));
    const end = endOf(request.stream);
    const actual = end?.revision ?? -1;
    if (actual !== request.expected) return repeatedOrConflict(storage, request, actual);
    const sealed = seal(request, end, check);
    const attachments = checkedAttachments(request);
    const firstPosition = tree.size();
    for (const [hash, bytes] of attachments) storage.attach(hash, bytes);
    for (const event of sealed) insert(request.stream, event);
    const previous_hash = sealed[0]!.previous_hash;
    const seals = sealed.flatMap(({ id, hash }) => [id, hash]);
    return { kind: 'written', revision: actual + sealed.length, firstPosition, previous_hash, seals };
  }

  function insert(stream: string, { revision, entry, hash, leaf }: SealedEntry): void {
    storage.insert({ position: tree.size(), stream, revision: Number(revision), entry, hash });
    tree.append(leaf);
    ends.delete(stream);
    ends.set(stream, { revision: Number(revision), hash });
  }

  function saveCheckpoint(): string {
    const size = tree.size();
    const note = signCheckpoint({ origin: key.origin, size, root: toHex32(tree.root()) }, key);
    storage.saveCheckpoint({ size, note, edge: tree.edge().map(toHex).join('') });
    if (lastCheckpoint !== undefined && !crosses(lastCheckpoint, size)) storage.dropCheckpoint(lastCheckpoint);
    lastCheckpoint = size;
    return note;
  }

  /** Many appends in one transaction have as many checkpoints as they would have one by one. */
  function checkpointBefore({ facts }: AppendRequest): void {
    const size = tree.size();
    if (size > (lastCheckpoint ?? 0) && crosses(size, size + facts.length / 2)) saveCheckpoint();
  }

  function saveCursors(): void {
    for (const [name, position] of cursors) storage.saveCursor(name, position);
  }

  /** Everything in memory is a copy of the disk: after a doubt it is read again. */
  function reload(reopen: boolean): void {
    try {
      if (reopen) storage.reopen();
      const newest = storage.checkpoints().at(-1);
      if ((newest?.size ?? 0) !== storage.size())
        throw new Error(`checkpoint of size ${newest?.size ?? 0}, ${storage.size()} events`);
      tree = createMerkleTree({ size: newest?.size ?? 0, edge: edgeOf(newest?.edge ?? '') });
      lastCheckpoint = newest?.size;
      ends.clear();
    } catch (error) {
      broken = new StoreClosed('log', `it could not be read again after a failure (${(error as Error).message})`);
    }
  }

  function failAll(
    requests: readonly AppendRequest[],
    outcomes: readonly AppendOutcome[],
    error: unknown,
  ): readonly AppendOutcome[] {
    storage.rollback();
    reload(!(error instanceof StoreFull));
    return requests.map((request, index) => {
      const outcome = outcomes[index];
      if (outcome?.kind === 'failed') return outcome;
      if (error instanceof StoreFull) return remembered(request, failed(error));
      return remembered(request, failed(new OutcomeUnknown(request.stream, (error as Error).message)));
    });
  }

  /** Whatever follows an append that failed must fail, too. */
  function remembered(request: AppendRequest, outcome: AppendOutcome): AppendOutcome {
    if (outcome.kind === 'failed') lost.add(request);
    return outcome;
  }

  return {
    append(requests) {
      if (broken !== undefined) return requests.map((request) => remembered(request, failed(broken)));
      const outcomes: AppendOutcome[] = [];
      const sizeBefore = tree.size();
      try {
        storage.begin();
        for (const request of requests) {
          checkpointBefore(request);
          outcomes.push(remembered(request, guarded(() => place(request))));
        }
        const note = tree.size() > sizeBefore ? saveCheckpoint() : undefined;
        saveCursors();
        storage.commit();
        // Durable from here.
        cursors.clear();
        if (note !== undefined) options.onCheckpoint?.(note);
      } catch (error) {
        return failAll(requests, outcomes, error);
      }
      for (const stream of ends.keys()) {
        if (ends.size <= MAX_ENDS) break;
        ends.delete(stream);
      }
      return outcomes;
    },
    size: () => tree.size(),
    saveCursor: (name, position) => void cursors.set(name, position),
    loadCursor: (name) => cursors.get(name) ?? storage.cursor(name),
    flush() {
      if (cursors.size === 0 || broken !== undefined) return;
      try {
        storage.begin();
        saveCursors();
        storage.commit();
        cursors.clear();
      } catch {
        // A cursor may be old: whoever reads it sees some events twice.
        storage.rollback();
      }
    },
  };
}

const crosses = (size: number, next: number): boolean => Math.floor(size / KEEP_EVERY) !== Math.floor(next / KEEP_EVERY);

/** An append that breaks the rules fails alone; what fails in the storage fails the whole group. */
function guarded(place: () => AppendOutcome): AppendOutcome {
  try {
    return place();
  } catch (error) {
    if (error instanceof InvalidAppend) return failed(error);
    throw error;
  }
}

export function seal(
  request: AppendRequest,
  end: StreamEnd | undefined,
  check: (fact: Fact) => void,
): readonly SealedEntry[] {
  const { stream, cause, recorded_at } = request;
  const facts = factsOf(request);
  const at = {
    stream,
    firstRevision: BigInt(request.expected + 1),
    previousHash: end?.hash ?? ZERO_HASH,
    cause,
    recorded_at,
  };
  try {
    facts.forEach(check);
    return sealFacts(at, facts);
  } catch (error) {
    const { code, message, detail } = plainError(error);
    throw error instanceof NotCanonical || code === 'invalid_event' || code === 'unknown_event_type'
      ? new InvalidAppend(message, detail)
      : error;
  }
}

/** The caller did not hear the first answer and asks again: the same answer. Anything else is a conflict. */
function repeatedOrConflict(storage: LogStorage, request: AppendRequest, actual: number): AppendOutcome {
  const facts = factsOf(request);
  const rows = request.expected < actual ? storage.readStream(request.stream, request.expected + 1, facts.length) : [];
  const ids = eventIds(request.cause, facts.length);
  const same = rows.length === facts.length && facts.every((fact, index) => isSame(ids[index]!, fact, rows[index]![1]));
  if (same) return { kind: 'repeated', revision: request.expected + facts.length };
  const revision = (value: number): bigint | 'none' => (value < 0 ? 'none' : BigInt(value));
  return failed(new RevisionConflict(request.stream, revision(request.expected), revision(actual)));
}

export function isSame(id: string, fact: Fact, stored: string): boolean {
  const entry = readEntry(stored);
  return entry.id === id && entry.type === fact.type && canonicalJson(entry.data) === fact.data;
}

export function factsOf({ facts }: AppendRequest): readonly Fact[] {
  return Array.from({ length: facts.length / 2 }, (_, index) => ({
    type: facts[2 * index]!,
    data: facts[2 * index + 1]!,
  }));
}

export function checkedAttachments({
  attachments,
}: AppendRequest): readonly (readonly [hash: string, bytes: string])[] {
  return Array.from({ length: attachments.length / 2 }, (_, index) => {
    const [expected, bytes] = [attachments[2 * index]!, attachments[2 * index + 1]!];
    const got = crypto().sha256Hex(fromHex(bytes));
    if (got !== expected)
      throw new InvalidAppend(`an attachment's SHA-256 is ${got}, expected ${expected}`, { expected, got });
    return [expected, bytes] as const;
  });
}

/** The edge of a Merkle tree from its stored form. */
export function edgeOf(hex: string): readonly Uint8Array[] {
  return Array.from({ length: hex.length / 64 }, (_, index) => fromHex(hex.slice(64 * index, 64 * index + 64)));
}
