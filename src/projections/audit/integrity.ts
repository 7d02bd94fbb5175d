/** The log's own proofs for the auditor: form, chains, tree and checkpoints; and a careful reading of what is left after a damage. */
import type { Hex32 } from '../../bolt/primitives.ts';
import { readEntry, type LogEntry } from '../../events/canonical.ts';
import { parseCheckpoint } from '../../events/checkpoint.ts';
import { LogCorrupt, StoreError, type StreamId } from '../../events/store.ts';
import { createLogVerifier, type LogVerifier, type StoredEntry } from '../../events/verify.ts';
import type { AuditFailure } from './report.ts';

export interface ReadEntry extends LogEntry {
  readonly position: bigint;
  readonly hash: Hex32;
}

export interface ProvenLog {
  readonly failures: readonly AuditFailure[];
  readonly checkpoints: number;
  readonly last?: { readonly size: number; readonly root: Hex32 };
}

export interface IntegrityWatch {
  expect(note: string): void;
  /** The entry, proven while the proofs hold; undefined when it cannot be read at all. */
  read(stored: StoredEntry): ReadEntry | undefined;
  finish(): ProvenLog;
}

/** After the first damage the reading goes on without proofs, so that the replay can say what the damage changed. */
export function watchIntegrity(checkpoints: readonly string[]): IntegrityWatch {
  const failures: AuditFailure[] = [];
  const sizes = new Map<number, Hex32>();
  const suspects = new Map<StreamId, bigint>();
  let verifier: LogVerifier | undefined;
  let events = 0;

  /** A verifier that threw is of no more use. */
  function prove<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      verifier = undefined;
      failures.push(integrityFailure(error, suspects));
      return undefined;
    }
  }

  function learnSize(note: string): void {
    const { size, root } = parseCheckpoint(note);
    sizes.set(size, root);
  }

  prove(() => {
    checkpoints.forEach(learnSize);
    verifier = createLogVerifier({ checkpoints });
  });
  let verified: { readonly checkpoints: number; readonly size: number } | undefined;

  return {
    expect: (note) =>
      prove(() => {
        learnSize(note);
        verifier?.expect(note);
        if (sizes.has(events)) suspects.clear();
      }),
    read(stored) {
      const proven = verifier === undefined ? undefined : prove(() => noteSuspect(verifier!, stored, suspects));
      events += 1;
      if (verifier !== undefined && sizes.has(events)) suspects.clear();
      return proven === undefined ? unproven(stored) : { ...proven, position: stored.position };
    },
    finish() {
      if (verifier !== undefined) verified = prove(() => verifier!.finish());
      const last = verified === undefined ? undefined : newest(sizes);
      return { failures, checkpoints: verified?.checkpoints ?? 0, last };
    },
  };
}

/** Remembers each stream that grew since the newest checkpoint: one of them is to blame when the next does not fit. */
function noteSuspect(verifier: LogVerifier, stored: StoredEntry, suspects: Map<StreamId, bigint>): LogEntry & { hash: Hex32 } {
  try {
    const entry = verifier.add(stored);
    suspect(entry, suspects);
    return entry;
  } catch (error) {
    const glance = unproven(stored);
    if (glance !== undefined) suspect(glance, suspects);
    throw error;
  }
}

function suspect({ stream, revision }: Pick<LogEntry, 'stream' | 'revision'>, suspects: Map<StreamId, bigint>): void {
  if (!suspects.has(stream)) suspects.set(stream, revision);
}

const SHOWN_SUSPECTS = 8;

function integrityFailure(error: unknown, suspects: ReadonlyMap<StreamId, bigint>): AuditFailure {
  if (!(error instanceof StoreError)) throw error;
  const { stream, revision, position } = error instanceof LogCorrupt ? (error.detail as Partial<AuditFailure>) : {};
  if (stream !== undefined || suspects.size === 0 || position === undefined) return { stream, revision, position, code: error.code, reason: error.message };
  const named = [...suspects].slice(0, SHOWN_SUSPECTS).map(([name, from]) => `${name} from revision ${from}`);
  const more = suspects.size > SHOWN_SUSPECTS ? ` and ${suspects.size - SHOWN_SUSPECTS} more` : '';
  const [only] = suspects.size === 1 ? suspects : [];
  return {
    ...(only === undefined ? {} : { stream: only[0], revision: only[1] }),
    position,
    code: error.code,
    reason: `${error.message}; since the checkpoint before, these streams grew: ${named.join(', ')}${more}`,
  };
}

/** An entry that nothing vouches for any more, or undefined when it has not even the form of one. */
function unproven(stored: StoredEntry): ReadEntry | undefined {
  try {
    return { ...readEntry(stored.entry), position: stored.position, hash: (stored.hash ?? '') as Hex32 };
  } catch {
    return undefined;
  }
}

function newest(sizes: ReadonlyMap<number, Hex32>): ProvenLog['last'] {
  const size = Math.max(-1, ...sizes.keys());
  return size < 0 ? undefined : { size, root: sizes.get(size)! };
}
