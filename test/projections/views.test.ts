/** The read side's rows: what payments, invoices, relays, channels and the transcript show of hand-made and of real logs. */
import { beforeAll, describe, expect, it } from 'vitest';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { msat, sat } from '../../src/bolt/primitives.ts';
import type { EventEnvelope } from '../../src/events/envelope.ts';
import type { Event } from '../../src/events/registry.ts';
import { balanceSheet } from '../../src/projections/balances.ts';
import { channels } from '../../src/projections/channels.ts';
import { payments } from '../../src/projections/payments.ts';
import { foldUntil } from '../../src/projections/projection.ts';
import { keepRow } from '../../src/projections/recent.ts';
import { relays } from '../../src/projections/relays.ts';
import { describeLine, messageName, transcript, type TranscriptLine } from '../../src/projections/transcript.ts';
import { named, openPair, pay, writeLog } from '../support/audited-pair.ts';

beforeAll(() => chooseCryptoBackend());

/** Events of one stream, a second apart. */
function told(stream: string, ...events: readonly Event[]): EventEnvelope[] {
  return events.map((event, index) => ({
    id: '', stream, revision: BigInt(index), position: BigInt(index), causation_id: named('c'), correlation_id: named('c'),
    recorded_at: `2026-01-01T00:00:0${index}.000Z`, previous_hash: named('p'), hash: named('h'), event,
  }));
}

const payment_hash = named('hash');
const node = `02${'11'.repeat(32)}` as never;
const started: Event = {
  type: 'PaymentStarted', payment_id: named('id'), payment_hash, destination: node, amount_msat: msat(1000n), fee_limit_msat: msat(10n),
  min_final_cltv_expiry_delta: 18, bolt11: '', max_attempts: 3,
};
const planned = (attempt: number): Event => ({
  type: 'AttemptPlanned', attempt, payment_hash, channel: 'channel-x-0', amount_msat: msat(1002n), fee_msat: msat(2n), cltv_expiry: 100, onion_hash: named('onion'),
  hops: [{ short_channel_id: '1x1x1' as never, node_id: node, amount_msat: msat(1000n), cltv_expiry: 100 }],
});
const failed = (attempt: number): Event => ({ type: 'AttemptFailed', attempt, failure_code: 0x1007, failure_name: 'temporary_channel_failure', failure_data: '0000', erring_hop: 1, reason: 'no room' });
const gaveUp: Event = { type: 'PaymentFailed', code: 'no_route', reason: 'no other way', failure_code: 0x1007, failure_name: 'temporary_channel_failure' };
const payment_preimage = named('preimage');

describe('payments', () => {
  const rows = async (...events: Event[]) => (await foldUntil(payments, told('payment-x', ...events))).rows;

  it('show each attempt with its end, and the reason of the last', async () => {
    const { payments: [row], totals } = await rows(started, planned(0), failed(0), planned(1), failed(1), gaveUp);
    expect(row).toMatchObject({ status: 'failed', failure: { code: 'no_route', failure_name: 'temporary_channel_failure' }, ended_at: '2026-01-01T00:00:05.000Z' });
    expect(row!.attempts.map(({ status, failure }) => [status, failure?.reason])).toEqual([['failed', 'no room'], ['failed', 'no room']]);
    expect(totals).toMatchObject({ payments_failed: 1, payments_succeeded: 0 });
  });

  it('a success that comes after all takes the failure back', async () => {
    const { payments: [row], totals } = await rows(started, planned(0), gaveUp, { type: 'AttemptSucceeded', attempt: 0, payment_preimage }, { type: 'PaymentSucceeded', payment_preimage, amount_msat: msat(1000n), fee_msat: msat(2n) });
    expect(row).toMatchObject({ status: 'succeeded', fee_msat: 2n, payment_preimage });
    expect(row!.failure).toBeUndefined();
    expect(totals).toEqual({ payments_failed: 0, payments_succeeded: 1, sent_msat: 1000n, fees_paid_msat: 2n });
  });

  it('one that is tried again keeps its first attempts', async () => {
    const { payments: [row], totals } = await rows(started, planned(0), failed(0), gaveUp, started, planned(1));
    expect(row).toMatchObject({ status: 'in_flight', started_at: '2026-01-01T00:00:00.000Z' });
    expect(row!.attempts).toHaveLength(2);
    expect(totals.payments_failed).toBe(0);
  });
});

describe('relays', () => {
  const incoming = { channel: 'channel-a-0', htlc_id: 3n, amount_msat: msat(1010n), cltv_expiry: 140 };
  const outgoing = { channel: 'channel-b-0', short_channel_id: '1x1x1' as never, amount_msat: msat(1000n), cltv_expiry: 100, onion_hash: named('onion') };
  const began: Event = { type: 'RelayStarted', payment_hash, incoming, outgoing, fee_msat: msat(10n) };

  it('tie both halves together, and count what was earned', async () => {
    const { rows } = await foldUntil(relays, told('relay-a-3', began, { type: 'RelayFulfilled', payment_preimage, outgoing_htlc_id: 7n, incoming }));
    expect(rows.relays).toMatchObject([{ status: 'fulfilled', incoming: { htlc_id: 3n }, outgoing: { htlc_id: 7n }, fee_msat: 10n }]);
    expect(rows.totals).toEqual({ relays_fulfilled: 1, relays_failed: 0, fees_earned_msat: 10n });
  });

  it('keep those that failed and those that were refused', async () => {
    const failure = { kind: 'local', failure_code: 0x1007, failure_data: '' } as const;
    const { rows } = await foldUntil(relays, [...told('relay-a-3', began, { type: 'RelayFailed', failure, incoming }), ...told('relay-a-4', { type: 'RelayRefused', payment_hash, incoming, failure })]);
    expect(rows.relays.map(({ status, failure: why }) => [status, why])).toEqual([['failed', failure], ['refused', failure]]);
    expect(rows.totals).toMatchObject({ relays_failed: 2, fees_earned_msat: 0n });
  });
});

describe('rows in bounded memory', () => {
  it('let the oldest that ended go, and never one that has not', () => {
    const rows = new Map<string, { ended: boolean }>();
    for (let index = 0; index < 10; index++) keepRow(rows, String(index), { ended: index !== 2 }, ({ ended }) => ended, 3);
    expect([...rows.keys()]).toEqual(['2', '8', '9']);
  });
});

describe('channels and balances', () => {
  it('sum to the funding after every event of a channel\'s life', async () => {
    const pair = openPair();
    pay(pair, pair.alice, 20_000_000n, 'first');
    pay(pair, pair.bob, 1_000_001n, 'second', 'failed');
    const store = await writeLog(pair.bob);
    const head = (await store.head())!;
    for (let position = 0n; position <= head; position++) {
      const { rows } = await foldUntil(balanceSheet, store.readAll(), { position });
      const { totals } = rows;
      const sum = totals.local_msat + totals.remote_msat + totals.offered_msat + totals.received_msat;
      expect(sum).toBe(BigInt(totals.capacity_sat) * 1000n);
      expect([0n, 1_000_000n]).toContain(totals.capacity_sat);
    }
    await store.close();
  });

  it('an opening shows how far it is, one that came to nothing shows why', async () => {
    const pair = openPair();
    const opening = pair.bob.log.filter(({ stream }) => stream === pair.bob.stream).flatMap(({ events }) => events);
    const [row] = (await foldUntil(channels, told(pair.bob.stream, ...opening.slice(0, 2)))).rows;
    expect(row).toMatchObject({ phase: 'opening', step: 'accepted', role: 'accepter', local_msat: 0n, capacity_sat: sat(1_000_000n) });
    const [gone] = (await foldUntil(channels, told(pair.bob.stream, ...opening.slice(0, 2), { type: 'OpeningAbandoned', code: 'peer_disconnected', reason: 'it went away' }))).rows;
    expect(gone).toMatchObject({ phase: 'abandoned', close: { code: 'peer_disconnected', reason: 'it went away' } });
  });
});

describe('the transcript', () => {
  it('numbers messages only, and carries the figures on', async () => {
    const pair = openPair();
    pay(pair, pair.alice, 20_000_000n, 'first');
    const store = await writeLog(pair.alice);
    const lines: TranscriptLine[] = [];
    for await (const line of transcript(store.read(pair.alice.stream))) lines.push(line);
    expect(lines.filter(({ direction }) => direction !== 'fact').map(({ number }) => number)).toEqual(lines.filter(({ number }) => number !== undefined).map((_, index) => index + 1));
    expect(lines.find(({ name }) => name === 'OutgoingHtlcFulfilled')).toMatchObject({ direction: 'fact', fields: { htlc_id: '0' } });
    expect(lines.at(-1)!.after).toMatchObject({ local_msat: 880_000_000n, remote_msat: 120_000_000n, htlcs: 0 });
    await store.close();
  });

  it('gives messages the names of the specification', () => {
    expect(['UpdateAddHtlcSent', 'RevokeAndAckReceived', 'ClosingSignedSent', 'OpenChannelReceived', 'ShutdownSent'].map(messageName)).toEqual(['update_add_htlc', 'revoke_and_ack', 'closing_signed', 'open_channel', 'shutdown']);
  });

  it('shows long hex by its first digits and lists of signatures by their number', () => {
    const line = { number: 7, direction: 'received', name: 'commitment_signed', fields: { signature: 'ab'.repeat(64), htlc_signatures: JSON.stringify(['cd'.repeat(64), 'ef'.repeat(64)]) } };
    expect(describeLine(line as unknown as TranscriptLine)).toBe('    7 <- commitment_signed signature=abababababababab... htlc_signatures=(2)');
  });
});
