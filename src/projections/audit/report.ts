/** What an audit found: what was verified, how much of it, and where it first fails. */
import type { Hex32, NodeId } from '../../bolt/primitives.ts';
import type { Position, StreamId } from '../../events/store.ts';
import type { CloseReport } from './closes.ts';

export interface AuditFailure {
  /** Absent where the damage cannot be given to one stream. */
  readonly stream?: StreamId;
  readonly revision?: bigint;
  readonly position?: Position;
  /** Stable name of the broken rule. */
  readonly code: string;
  /** One sentence with both values. */
  readonly reason: string;
}

/** Numbers that an audit counts as it goes. */
export interface Tally {
  events: number;
  /** Commitments of ours that were derived again and whose signature by the peer verified. */
  commitments_verified: number;
  /** Commitments of the peer's that were derived again; only the peer holds our signature. */
  commitments_derived: number;
  signatures_verified: number;
  revocations_verified: number;
  preimages_verified: number;
  transactions_verified: number;
  payments_verified: number;
  relays_verified: number;
}

export interface AuditReport extends Readonly<Tally> {
  readonly ok: boolean;
  readonly node_id?: NodeId;
  readonly alias?: string;
  readonly streams: number;
  readonly channels: number;
  /** What the channels hold less what was funded, summed without sign: 0 in every log that is sound. */
  readonly msat_difference: bigint;
  readonly checkpoints_verified: number;
  /** The newest checkpoint that fits. */
  readonly last_checkpoint?: { readonly size: number; readonly root: Hex32 };
  /** False when only the replay was asked for. */
  readonly cryptography: boolean;
  /** Every channel whose end has begun: who, why, how, at which fees. */
  readonly closes: readonly CloseReport[];
  /** At most one per stream, in log order; the log's own integrity first. */
  readonly failures: readonly AuditFailure[];
}

/** A rule that an event breaks. The auditor turns it into an AuditFailure with its place. */
export class CheckFailed extends Error {
  readonly code: string;
  constructor(code: string, what: string, expected: unknown, got: unknown) {
    super(`${what}: expected ${String(expected)}, got ${String(got)}`);
    this.name = 'CheckFailed';
    this.code = code;
  }
}

/** Throws CheckFailed unless both are equal. */
export function mustEqual<T>(code: string, what: string, expected: T, got: T): void {
  if (expected !== got) throw new CheckFailed(code, what, expected, got);
}

export const emptyTally = (): Tally => ({
  events: 0,
  commitments_verified: 0,
  commitments_derived: 0,
  signatures_verified: 0,
  revocations_verified: 0,
  preimages_verified: 0,
  transactions_verified: 0,
  payments_verified: 0,
  relays_verified: 0,
});
