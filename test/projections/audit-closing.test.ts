/** The audit of a close by closing_complete and closing_sig: each signature and each txid is derived again. */
import { describe, expect, it } from 'vitest';
import { auditChannel } from '../../src/projections/audit/channel.ts';
import { emptyTally } from '../../src/projections/audit/report.ts';
import type { Hex32, Sat, Signature } from '../../src/bolt/primitives.ts';
import type { ChannelEvent } from '../../src/events/channel/index.ts';
import { opened } from '../support/channel-pair.ts';

/** alice's log of a channel that both close. */
function closedLog(): readonly ChannelEvent[] {
  const pair = opened({ simple_close: true });
  pair.alice.wantsToClose = true;
  return pair.settle().alice.events;
}

/** Folds a log under audit; answers the signatures that were verified. */
function audited(events: readonly ChannelEvent[]): number {
  const tally = emptyTally();
  const audit = auditChannel(tally, true);
  for (const event of events) audit.take(event);
  return tally.signatures_verified;
}

const log = closedLog();
const changed = <T extends ChannelEvent['type']>(type: T, change: (event: Extract<ChannelEvent, { type: T }>) => Partial<Extract<ChannelEvent, { type: T }>>): readonly ChannelEvent[] =>
  log.map((event) => (event.type === type ? { ...event, ...change(event as Extract<ChannelEvent, { type: T }>) } : event));
const other = (signature: Signature): Signature => (signature.slice(0, -2) + (signature.endsWith('00') ? '01' : '00')) as Signature;

describe('the audit of a simple close', () => {
  it('verifies one signature of the peer for each of the two closes', () => {
    const before = audited(log.filter(({ type }) => !type.startsWith('ClosingSig')));
    expect(audited(log)).toBe(before + 2);
  });

  it.each([
    ['a closing_sig with another signature', () => changed('ClosingSigReceived', ({ signature }) => ({ signature: other(signature) })), 'wrong_closing_signature'],
    ['a closing_sig for another txid', () => changed('ClosingSigReceived', () => ({ closing_txid: 'ab'.repeat(32) as Hex32 })), 'closing_txid'],
    ['a closing_sig for outputs that were not proposed', () => changed('ClosingSigReceived', () => ({ outputs: 'closee_output_only' })), 'closing_outputs'],
    ['a closing_complete with another fee', () => changed('ClosingCompleteReceived', ({ fee_satoshis }) => ({ fee_satoshis: (fee_satoshis + 1n) as Sat })), 'closing_txid'],
    ['a closing_complete with another signature', () => changed('ClosingCompleteReceived', ({ signatures }) => ({ signatures: { closer_and_closee_outputs: other(signatures.closer_and_closee_outputs!) } })), 'wrong_closing_signature'],
    ['an answer to no closing_complete', () => log.filter(({ type }) => type !== 'ClosingCompleteReceived'), 'out_of_place'],
  ] as const)('finds %s', (_what, forged, code) => {
    expect(() => audited(forged())).toThrow(expect.objectContaining({ code }));
  });
});
