/** No msat of a channel is made or lost: not in the books, not between them, not in any transaction (BOLT 3, "Fee Payment"). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildCommitment } from '../../src/bolt/03-transactions/commitment-tx.ts';
import { satToMsat } from '../../src/bolt/primitives.ts';
import { balances, commitmentParams, commitmentSpec } from '../../src/domain/channel/commitment-spec.ts';
import { isEstablished, type ChannelState, type EstablishedState } from '../../src/domain/channel/state.ts';
import type { ChannelEvent } from '../../src/events/channel/index.ts';
import type { Peer } from '../support/channel-pair.ts';
import { beginning, life, live, repeatably } from '../support/channel-simulation.ts';
import { runs } from '../support/property.ts';

/** A life in which `law` is held against each event of both peers. */
const everyEvent = (law: (after: EstablishedState, before: EstablishedState, event: ChannelEvent) => void, numRuns: number) =>
  fc.assert(fc.property(beginning, life, (name, steps) => {
    const listener = (peer: Peer, event: ChannelEvent, before: ChannelState) => {
      if (isEstablished(peer.state) && isEstablished(before)) law(peer.state, before, event);
    };
    live(name, steps, ({ peers }) => peers.forEach((peer) => peer.listeners.push(listener)));
  }), repeatably(numRuns));

const settled = ({ commitments }: EstablishedState) => commitments.local_msat;
const capacity = ({ terms }: EstablishedState): bigint => satToMsat(terms.funding_satoshis);

describe('after every event', () => {
  it('balances and HTLCs sum to the funding, to the msat, and none is negative', () => {
    everyEvent((after) => {
      const parts = Object.values(balances(after)) as bigint[];
      expect(parts.reduce((sum, part) => sum + part, 0n)).toBe(capacity(after));
      expect(parts.every((part) => part >= 0n)).toBe(true);
    }, runs(60, 300));
  });

  it('both commitment transactions spend the funding whole: outputs and fee', () => {
    everyEvent((after, before) => {
      if (after.commitments === before.commitments) return;
      for (const owner of ['local', 'remote'] as const) {
        const spec = commitmentSpec(after, owner);
        const { outputs, fee_satoshis, trimmed } = buildCommitment(commitmentParams(after, owner), spec);
        expect(outputs.reduce((sum, { value }) => sum + value, fee_satoshis as bigint)).toBe(after.terms.funding_satoshis);
        expect(fee_satoshis).toBeGreaterThanOrEqual(trimmed.reduce((sum, { amount_msat }) => sum + amount_msat / 1000n, 0n));
        expect(spec.htlcs.reduce((sum, { amount_msat }) => sum + amount_msat, spec.owner_msat + spec.other_msat)).toBe(capacity(after));
      }
    }, runs(20, 100));
  });

  it('money changes sides only when an HTLC that was fulfilled is gone for good, and by its amount', () => {
    everyEvent((after, before, event) => {
      const stays = new Set(after.commitments.htlcs.map(({ direction, id }) => `${direction} ${id}`));
      const gone = before.commitments.htlcs.filter(({ direction, id }) => !stays.has(`${direction} ${id}`));
      const moved = gone.reduce((sum, { direction, amount_msat, removal }) => sum + (removal?.kind !== 'fulfilled' ? 0n : direction === 'offered' ? -amount_msat : amount_msat), 0n);
      expect({ [event.type]: settled(after) - settled(before) }).toEqual({ [event.type]: moved });
      if (gone.length > 0) expect(['RevokeAndAckSent', 'RevokeAndAckReceived', 'ChannelReestablishReceived']).toContain(event.type);
    }, runs(60, 300));
  });
});
