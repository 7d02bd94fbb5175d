/** Is the log older than what the node has done? Compared with every memory that is kept apart from it (BOLT 2, "Message Retransmission"). */
import { hasLostData, marksIn } from '../domain/channel/recovery.ts';
import type { StaticBackup } from '../domain/channel/static-backup.ts';
import { isEstablished, type ChannelState } from '../domain/channel/state.ts';
import type { ChannelMarks } from '../domain/ports.ts';
import type { Hex32 } from '../bolt/primitives.ts';
import type { EventEnvelope } from '../events/envelope.ts';
import type { StreamId } from '../events/store.ts';

export type RecoveryCode =
  /** The user asked for it. */
  | 'recovery_forced'
  /** The signer did more than the log says. */
  | 'log_behind_marks'
  /** Our own static backup, or the one that a peer keeps for us, was made of a longer log. */
  | 'log_behind_backup'
  /** A static backup has channels that the log does not. */
  | 'channels_restored'
  /** A peer proved that it holds a later state (BOLT 2, option_data_loss_protect). */
  | 'data_loss'
  /** Begun at an earlier start, and not all channels have ended. */
  | 'recovery_unfinished';

export interface RecoveryReason {
  readonly code: RecoveryCode;
  readonly reason: string;
}

/** A log among others of the same seed. */
export interface LogIdentity {
  readonly log_id: Hex32;
  /** How often it has entered recovery. */
  readonly epoch: number;
  /** Events in it. */
  readonly size: bigint;
}

/** Reads a log's identity, and its last words on recovery, from its events in order. */
export function createLogReader(): { take(envelope: EventEnvelope): void; identity(): LogIdentity; entered(): RecoveryReason | undefined } {
  let [log_id, epoch, size, entered] = ['' as Hex32, 0, 0n, undefined as RecoveryReason | undefined];
  return {
    take({ event, hash }) {
      if (size === 0n) log_id = hash;
      size += 1n;
      if (event.type !== 'RecoveryEntered') return;
      epoch += 1;
      entered = { code: event.code as RecoveryCode, reason: event.reason };
    },
    identity: () => ({ log_id, epoch, size }),
    entered: () => entered,
  };
}

export interface KnownChannel {
  readonly stream: StreamId;
  readonly state: ChannelState;
}

/** The first channel of which the signer did more than the log knows. What was found before, and is being recovered, is no news. */
export function behindMarks(channels: readonly KnownChannel[], nextKeyIndex: number, marks: ReadonlyMap<number, ChannelMarks>): RecoveryReason | undefined {
  for (const { stream, state } of channels) {
    const key_index = keyIndexOf(state);
    const kept = key_index === undefined ? undefined : marks.get(key_index);
    if (kept === undefined || state.phase === 'closed' || hasLostData(state)) continue;
    const ours: ChannelMarks = isEstablished(state) ? marksIn(state) : { signed: -1n, revoked: -1n };
    if (kept.signed > ours.signed) return behind(`${stream}: the log knows the peer's commitments up to ${ours.signed}, the signer signed up to ${kept.signed}`);
    if (kept.revoked > ours.revoked) return behind(`${stream}: the log knows our revocations up to ${ours.revoked}, the signer gave them up to ${kept.revoked}`);
  }
  const unknown = [...marks.keys()].filter((key_index) => key_index >= nextKeyIndex);
  return unknown.length === 0 ? undefined : behind(`the log knows channel keys below ${nextKeyIndex}, the signer signed with keys ${unknown.slice(0, 10).join(', ')}`);
}

const behind = (reason: string): RecoveryReason => ({ code: 'log_behind_marks', reason });

function keyIndexOf(state: ChannelState): number | undefined {
  if (isEstablished(state)) return state.terms.key_index;
  if (state.phase !== 'opening') return undefined;
  return state.step === 'proposed' ? state.proposal.key_index : state.terms.key_index;
}

/** Proof that a log was longer once: a backup of it, sealed by us, says so. */
export function behindBackup(log: LogIdentity, { log_id, epoch, size }: StaticBackup, whose: string): RecoveryReason | undefined {
  if (log_id !== log.log_id || epoch !== log.epoch || size <= log.size) return undefined;
  return { code: 'log_behind_backup', reason: `the log has ${log.size} events, ${whose} was made when it had ${size}` };
}
