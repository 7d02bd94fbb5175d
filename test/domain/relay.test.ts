/** A forward: what we let pass (BOLT 4, BOLT 7), and how its two halves stay together. */
import { describe, expect, it } from 'vitest';
import { failureCode, failureName, decodeFailure, type FailureName } from '../../src/bolt/04-onion-routing/failure-codes.ts';
import { failureFromDownstream, failureOfDeclined } from '../../src/domain/relay/downstream.ts';
import { forwardingFee, MAX_HTLC_CLTV_BLOCKS } from '../../src/domain/relay/policy.ts';
import { relayDecider } from '../../src/domain/relay/decide.ts';
import type { RelayCommand } from '../../src/domain/relay/commands.ts';
import { given } from '../support/story.ts';
import { amount, hash, paymentHashOf, preimageOf, scid } from '../support/words.ts';

type Start = Extract<RelayCommand, { type: 'StartRelay' }>;

const HEIGHT = 1_000;
const payment_hash = paymentHashOf('a');
const incoming = { channel: 'channel-in', htlc_id: 4n, amount_msat: amount(101_100), cltv_expiry: HEIGHT + 140 };
const request = { short_channel_id: scid('7x1x0'), amt_to_forward: amount(100_000), outgoing_cltv_value: HEIGHT + 100, next_onion_hash: hash('onion') };
const policy = { fee_base_msat: 1_000, fee_proportional_millionths: 1_000, cltv_expiry_delta: 40, htlc_minimum_msat: amount(1_000) };

const startRelay = (change: Partial<Start> = {}): Start => ({
  type: 'StartRelay',
  payment_hash,
  incoming,
  request,
  outgoing: { channel: 'channel-out', usable: true },
  policy,
  height: HEIGHT,
  ...change,
});
const started = {
  type: 'RelayStarted',
  payment_hash,
  incoming,
  outgoing: { channel: 'channel-out', short_channel_id: scid('7x1x0'), amount_msat: amount(100_000), cltv_expiry: HEIGHT + 100, onion_hash: hash('onion') },
  fee_msat: amount(1_100),
} as const;
const fulfill: RelayCommand = { type: 'FulfillRelay', payment_preimage: preimageOf('a'), outgoing_htlc_id: 9n };
const failRelay: RelayCommand = { type: 'FailRelay', outgoing: { kind: 'on_chain' }, failure: failureFromDownstream({ kind: 'on_chain' }) };
const fulfilled = { type: 'RelayFulfilled', payment_preimage: preimageOf('a'), outgoing_htlc_id: 9n, incoming } as const;

describe('a forward within our policy', () => {
  it('is offered onward, once', () => {
    given(relayDecider).when(startRelay()).then(started).when(startRelay()).thenNothing();
  });

  it('ends with the preimage, and every repetition is silent', () => {
    given(relayDecider, started).when(fulfill).then(fulfilled).when(fulfill).thenNothing().when(failRelay).thenNothing();
  });

  it('ends with a failure, once', () => {
    given(relayDecider, started)
      .when(failRelay)
      .then({ type: 'RelayFailed', outgoing: { kind: 'on_chain' }, failure: { kind: 'local', failure_code: failureCode('permanent_channel_failure'), failure_data: '' }, incoming })
      .when(failRelay)
      .thenNothing();
  });

  it('safety 03: a preimage that comes after a failure is still claimed', () => {
    given(relayDecider, started).when(failRelay).thenTypes('RelayFailed').when(fulfill).then(fulfilled);
  });

  it('does not end with a preimage of something else', () => {
    const refusal = given(relayDecider, started).when({ ...fulfill, payment_preimage: preimageOf('b') } as RelayCommand).thenRefused('wrong_preimage');
    expect(refusal.detail).toMatchObject({ payment_hash, hash_of_preimage: paymentHashOf('b') });
  });

  it('cannot end before it began', () => {
    given(relayDecider).when(fulfill).thenRefused('relay_not_started');
    given(relayDecider).when(failRelay).thenRefused('relay_not_started');
  });
});

describe('BOLT 4: the first error in the order of the list', () => {
  const wrong: readonly [FailureName, Partial<Start>][] = [
    ['unknown_next_peer', { outgoing: undefined }],
    ['amount_below_minimum', { request: { ...request, amt_to_forward: amount(999) } }],
    ['fee_insufficient', { incoming: { ...incoming, amount_msat: amount(101_099) } }],
    ['incorrect_cltv_expiry', { incoming: { ...incoming, cltv_expiry: HEIGHT + 139 } }],
    ['expiry_too_soon', { height: HEIGHT + 97 }],
    ['expiry_too_far', { height: HEIGHT + 100 - MAX_HTLC_CLTV_BLOCKS - 1 }],
    ['temporary_channel_failure', { outgoing: { channel: 'channel-out', usable: false } }],
  ];

  it.each(wrong)('%s', (name, change) => {
    const { events } = given(relayDecider).when(startRelay(change));
    expect(events).toMatchObject([{ type: 'RelayRefused', payment_hash, failure: { kind: 'local', failure_code: failureCode(name) } }]);
    given(relayDecider, ...events).when(startRelay()).thenNothing().when(failRelay).thenNothing();
  });

  it('of two errors the earlier one is told', () => {
    for (let first = 0; first < wrong.length; first++) {
      for (const [, later] of wrong.slice(first + 1)) {
        const [name, change] = wrong[first]!;
        const both = merge(later, change);
        if (both === undefined) continue;
        const event = given(relayDecider).when(startRelay(both)).events[0] as { failure: { failure_code: number } };
        expect(failureName(event.failure.failure_code)).toBe(name);
      }
    }
  });

  /** Two changes that do not speak of the same field. */
  const merge = (a: Partial<Start>, b: Partial<Start>): Partial<Start> | undefined => (Object.keys(a).some((key) => key in b) ? undefined : { ...a, ...b });

  it('says what BOLT 4 wants said', () => {
    const dataOf = (change: Partial<Start>) => {
      const event = given(relayDecider).when(startRelay(change)).events[0] as { failure: { failure_code: number; failure_data: string } };
      return decodeFailure(event.failure.failure_code.toString(16).padStart(4, '0') + event.failure.failure_data).data;
    };
    expect(dataOf(wrong[1]![1])).toEqual({ htlc_msat: 999n, channel_update: '' }); // The outgoing amount.
    expect(dataOf(wrong[2]![1])).toEqual({ htlc_msat: 101_099n, channel_update: '' }); // The incoming amount.
    expect(dataOf(wrong[3]![1])).toEqual({ cltv_expiry: HEIGHT + 100, channel_update: '' }); // The outgoing expiry.
  });

  it('the limits themselves pass', () => {
    given(relayDecider).when(startRelay({ height: HEIGHT + 96 })).thenTypes('RelayStarted');
    given(relayDecider).when(startRelay({ height: HEIGHT + 100 - MAX_HTLC_CLTV_BLOCKS })).thenTypes('RelayStarted');
    given(relayDecider).when(startRelay({ policy: { ...policy, htlc_minimum_msat: amount(100_000) } })).thenTypes('RelayStarted');
  });

  it('a fee is rounded down', () => {
    expect(forwardingFee({ fee_base_msat: 5, fee_proportional_millionths: 999 }, amount(1_001))).toBe(5n);
    expect(forwardingFee({ fee_base_msat: 5, fee_proportional_millionths: 1_000 }, amount(1_000))).toBe(6n);
  });
});

describe('what the incoming half is told', () => {
  it("the words of a node further on are passed as they are", () => {
    expect(failureFromDownstream({ kind: 'reason', reason_hash: hash('reason') })).toEqual({ kind: 'relayed', reason_hash: hash('reason') });
  });

  it('a malformed onion in our words, with the hash that the next node saw', () => {
    const failure_code = failureCode('invalid_onion_hmac');
    expect(failureFromDownstream({ kind: 'malformed', failure_code, sha256_of_onion: hash('x') })).toEqual({ kind: 'local', failure_code, failure_data: hash('x') });
  });

  it.each(['unknown_next_peer', 'permanent_channel_failure', 'expiry_too_far', 'expiry_too_soon', 'amount_below_minimum', 'temporary_channel_failure'] as const)(
    'an offer that our channel declined with %s, with well-formed data',
    (name) => {
      const failure = failureOfDeclined({ failure_code: failureCode(name), amount_msat: amount(5) });
      expect(failure).toMatchObject({ kind: 'local', failure_code: failureCode(name) });
      const { failure_code, failure_data } = failure as Extract<typeof failure, { kind: 'local' }>;
      expect(decodeFailure(failure_code.toString(16).padStart(4, '0') + failure_data).name).toBe(name);
    },
  );

  it('a code that is none becomes a temporary failure', () => {
    expect(failureOfDeclined({ failure_code: 0, amount_msat: amount(5) })).toMatchObject({ failure_code: failureCode('temporary_channel_failure') });
  });
});
