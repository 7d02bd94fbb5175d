/** BOLT 2, "Normal Operation": the table of states and arrows, row by row and from both sides. */
import { describe, expect, it } from 'vitest';
import { isIrrevocablyAdded, isIrrevocablyRemoved, isUnsigned, lifecycleRows, standing, step, waitsFor, type Arrow, type HtlcState } from '../../../src/domain/channel/htlc-lifecycle.ts';

const ARROWS: readonly Arrow[] = ['SENT_COMMIT', 'RCVD_COMMIT', 'SENT_REVOCATION', 'RCVD_REVOCATION'];
const rows = Object.entries(lifecycleRows) as [string, readonly HtlcState[]][];
const all = rows.flatMap(([, row]) => row);
/** The same update as the other side sees it: SENT there is RCVD here. */
const mirrored = (state: HtlcState) => (state.startsWith('SENT') ? state.replace('SENT', 'RCVD') : state.replace('RCVD', 'SENT')) as HtlcState;
const mirroredArrow = (arrow: Arrow) => mirrored(arrow as unknown as HtlcState) as unknown as Arrow;

describe('the lifecycle', () => {
  it('has twenty states, each in one row', () => {
    expect(all).toHaveLength(20);
    expect(new Set(all).size).toBe(20);
  });

  it.each(rows)('%s passes its row by commitment_signed, revoke_and_ack, commitment_signed, revoke_and_ack', (_name, row) => {
    const fired = row.slice(1).map((target, index) => ARROWS.filter((arrow) => step(row[index]!, arrow) === target));
    expect(fired.every((arrows) => arrows.length === 1)).toBe(true);
    expect(fired.flat().map((arrow) => arrow.slice(5))).toEqual(['COMMIT', 'REVOCATION', 'COMMIT', 'REVOCATION']);
    // Who proposes signs first; the answers come from the other side, then the roles change.
    const [first, second, third, fourth] = fired.flat().map((arrow) => arrow.slice(0, 4));
    expect([first === second, first === third, first === fourth]).toEqual([false, false, true]);
  });

  it.each(all)('%s moves by one arrow at most', (state) => {
    expect(ARROWS.filter((arrow) => step(state, arrow) !== state).length).toBeLessThanOrEqual(1);
  });

  it('the last state of each row stays', () => {
    for (const [, row] of rows) for (const arrow of ARROWS) expect(step(row.at(-1)!, arrow)).toBe(row.at(-1));
  });

  it.each(all)('%s is seen mirrored by the peer, in both commitments', (state) => {
    expect(all).toContain(mirrored(state));
    expect(standing(mirrored(state), 'remote')).toBe(standing(state, 'local'));
    expect(standing(mirrored(state), 'local')).toBe(standing(state, 'remote'));
    for (const arrow of ARROWS) expect(step(mirrored(state), mirroredArrow(arrow))).toBe(mirrored(step(state, arrow)));
  });

  it('an update enters the commitment of its receiver first', () => {
    expect(lifecycleRows['weAdd']!.map((state) => `${standing(state, 'remote')}/${standing(state, 'local')}`)).toEqual(
      ['not_yet/not_yet', 'included/not_yet', 'included/not_yet', 'included/included', 'included/included']);
    expect(lifecycleRows['theyRemove']!.map((state) => `${standing(state, 'remote')}/${standing(state, 'local')}`)).toEqual(
      ['included/included', 'included/removed', 'included/removed', 'removed/removed', 'removed/removed']);
  });

  it('the first state of a row is unsigned, the last is for good', () => {
    for (const [name, row] of rows) {
      expect(row.map(isUnsigned)).toEqual([true, false, false, false, false]);
      const forGood = name.endsWith('Add') ? isIrrevocablyAdded : isIrrevocablyRemoved;
      expect(row.map(forGood)).toEqual([false, false, false, false, true]);
    }
  });

  it('a signature of ours is awaited by our proposals and by the acknowledgement of theirs', () => {
    expect(all.filter((state) => waitsFor(state, 'SENT_COMMIT'))).toEqual(['SENT_ADD_HTLC', 'SENT_REMOVE_REVOCATION', 'SENT_ADD_REVOCATION', 'SENT_REMOVE_HTLC']);
    expect(all.filter((state) => waitsFor(state, 'RCVD_COMMIT'))).toEqual(['RCVD_ADD_REVOCATION', 'RCVD_REMOVE_HTLC', 'RCVD_ADD_HTLC', 'RCVD_REMOVE_REVOCATION']);
  });
});
