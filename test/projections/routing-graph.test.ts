/** The routing graph as a fold: what the network looked like at any place of the log. */
import { expect, it } from 'vitest';
import { foldUntil } from '../../src/projections/projection.ts';
import { routingGraph } from '../../src/projections/routing-graph.ts';
import type { EventEnvelope } from '../../src/events/envelope.ts';
import type { Event } from '../../src/events/registry.ts';
import { amount, nodeOf, scid } from '../support/words.ts';

const update = (channel_flags: number, fee_base_msat: number): Event => ({
  type: 'ChannelUpdated', short_channel_id: scid('1x1x1'), channel_flags, timestamp: 1, cltv_expiry_delta: 40, htlc_minimum_msat: amount(1), htlc_maximum_msat: amount(9), fee_base_msat, fee_proportional_millionths: 0, raw: '',
});
const log = ([
  { type: 'ChannelAnnounced', short_channel_id: scid('1x1x1'), node_id_1: nodeOf('alice'), node_id_2: nodeOf('bob'), raw: '' },
  update(0, 5),
  update(3, 7),
  { type: 'WalletRolledBack', to_height: 4 },
  { type: 'AnnouncedChannelClosed', short_channel_id: scid('1x1x1'), block_height: 9 },
] as Event[]).map((event, index) => ({ event, position: BigInt(index), recorded_at: `2026-01-01T00:00:0${index}.000Z` }) as EventEnvelope);

it('shows both policies of a channel while it lives', async () => {
  const { rows } = await foldUntil(routingGraph, log, { position: 3n });
  expect(rows).toMatchObject([{ short_channel_id: '1x1x1', node_id_1: nodeOf('alice'), policies: [{ fee_base_msat: 5, disabled: false }, { fee_base_msat: 7, disabled: true }] }]);
});

it('forgets a channel that is closed', async () => {
  expect((await foldUntil(routingGraph, log)).rows).toEqual([]);
});

it('starts anew each time', async () => {
  expect((await foldUntil(routingGraph, log, { position: 0n })).rows).toMatchObject([{ policies: [undefined, undefined] }]);
});
