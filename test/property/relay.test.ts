/** Safety 23: under redelivery, reordering and a crash at every persistence point a forward is offered once and its halves end alike. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Intent, RelayIntent } from '../../src/commands/intents.ts';
import { relayDecider } from '../../src/domain/relay/decide.ts';
import type { Event } from '../../src/events/registry.ts';
import type { RelayEvent } from '../../src/events/relay.ts';
import { relayHtlc } from '../../src/sagas/relay-htlc.ts';
import type { EventEnvelope } from '../../src/events/envelope.ts';
import { runs } from '../support/property.ts';
import { amount, hash, paymentHashOf, preimageOf, scid } from '../support/words.ts';

const HTLCS = 3;
const preimages = Array.from({ length: HTLCS }, (_, n) => preimageOf(`relay ${n}`));
const hashes = Array.from({ length: HTLCS }, (_, n) => paymentHashOf(`relay ${n}`));

/** What happens next; each number chooses among what can happen. */
type Step = { readonly do: 'deliver' | 'redeliver' | 'answer' | 'crash'; readonly pick: number };

interface Logged {
  readonly stream: string;
  readonly event: Event;
  readonly cause: string;
}

/** One node with an incoming and an outgoing channel, all of it pure: a log, a cursor, a saga, and commands that are lost in a crash. */
class RelayNode {
  readonly log: Logged[] = [];
  /** Reactions on their way: lost when the node crashes, made again because the cursor is behind. */
  pending: { readonly to: string; readonly intent: Intent; readonly id: string }[] = [];
  cursor = 0;
  readonly endings: readonly ('fulfil' | 'fail' | 'malformed' | 'on_chain' | 'decline')[];
  readonly usable: boolean;

  constructor(endings: RelayNode['endings'], usable: boolean) {
    this.endings = endings;
    this.usable = usable;
    for (let n = 0; n < HTLCS; n++) this.append('channel-in', incoming(n), `peer ${n}`);
  }

  append(stream: string, event: Event, cause: string): void {
    this.log.push({ stream, event, cause });
  }

  #react(index: number): RelayNode['pending'] {
    const { stream, event } = this.log[index]!;
    return relayHtlc.react({ stream, event } as EventEnvelope).map(({ to, intent }, n) => ({ to, intent, id: `${index}/${n}` }));
  }

  step({ do: what, pick }: Step): void {
    switch (what) {
      case 'deliver':
        if (this.cursor < this.log.length) this.pending.push(...this.#react(this.cursor++));
        return this.#runOne(pick);
      case 'redeliver':
        if (this.cursor > 0) this.pending.push(...this.#react(pick % this.cursor));
        return this.#runOne(pick);
      case 'answer':
        return this.#peerAnswers(pick);
      case 'crash':
        this.pending = [];
        this.cursor = this.cursor === 0 ? 0 : pick % (this.cursor + 1);
    }
  }

  /** Any of the waiting commands: streams do not wait for one another. */
  #runOne(pick: number): void {
    if (this.pending.length === 0) return;
    const [{ to, intent, id }] = this.pending.splice(pick % this.pending.length, 1) as [RelayNode['pending'][number]];
    if (this.log.some((entry) => entry.stream === to && entry.cause === id)) return;
    if (to.startsWith('relay-')) this.#runRelay(to, intent as RelayIntent, id);
    else this.#runChannel(to, intent, id);
  }

  #runRelay(stream: string, intent: RelayIntent, id: string): void {
    const state = this.eventsOf(stream).reduce((current, event) => relayDecider.evolve(current, event as RelayEvent), relayDecider.initial);
    const policy = { fee_base_msat: 1, fee_proportional_millionths: 0, cltv_expiry_delta: 1, htlc_minimum_msat: amount(1) };
    const command = intent.type === 'StartRelay' ? { ...intent, policy, height: 100, outgoing: { channel: 'channel-out', usable: this.usable } } : intent;
    const decision = relayDecider.decide(command, state);
    if ('accepted' in decision) for (const event of decision.accepted) this.append(stream, event, id);
  }

  /** What a channel does with an intent, whether or not its HTLC can still be ended. */
  #runChannel(stream: string, intent: Intent, id: string): void {
    switch (intent.type) {
      case 'OfferHtlc': {
        const { type: _, ...offer } = intent;
        if (offer.origin.kind !== 'relay') throw new Error('only relays here');
        const n = hashes.indexOf(offer.payment_hash);
        if (this.endings[n] !== 'decline') return this.append(stream, { type: 'UpdateAddHtlcSent', id: BigInt(this.offersOf(n).length * 100 + n), ...offer }, id);
        return this.append(stream, { type: 'HtlcOfferDeclined', origin: offer.origin, payment_hash: offer.payment_hash, amount_msat: offer.amount_msat, code: 'no', detail: '', failure_code: 0x1007 }, id);
      }
      case 'FulfillHtlc':
        if (this.endOf(Number(intent.htlc_id)) === undefined) this.append(stream, { type: 'UpdateFulfillHtlcSent', id: intent.htlc_id, payment_preimage: intent.payment_preimage }, id);
        return;
      case 'FailHtlc':
        if (this.endOf(Number(intent.htlc_id)) === undefined) this.append(stream, { type: 'UpdateFailHtlcSent', id: intent.htlc_id, failure: intent.failure }, id);
        return;
      default:
        throw new Error(`unexpected ${intent.type}`);
    }
  }

  /** The next node ends one of the HTLCs that were offered to it. */
  #peerAnswers(pick: number): void {
    const open = this.#openOffers();
    if (open.length === 0) return;
    const { id, origin, payment_hash } = open[pick % open.length]!;
    const n = hashes.indexOf(payment_hash);
    const base = { htlc_id: id, payment_hash, origin };
    const ending = this.endings[n]!;
    if (ending === 'fulfil') this.append('channel-out', { type: 'OutgoingHtlcFulfilled', ...base, payment_preimage: preimages[n]! }, `peer answers ${id}`);
    else this.append('channel-out', { type: 'OutgoingHtlcFailed', ...base, failure: failures[ending as keyof typeof failures] }, `peer answers ${id}`);
  }

  #openOffers() {
    const ended = new Set(this.log.map(({ event }) => (event.type === 'OutgoingHtlcFulfilled' || event.type === 'OutgoingHtlcFailed' ? event.htlc_id : undefined)));
    return this.log.flatMap(({ event }) => (event.type === 'UpdateAddHtlcSent' && !ended.has(event.id) ? [event] : []));
  }

  eventsOf(stream: string): readonly Event[] {
    return this.log.filter((entry) => entry.stream === stream).map((entry) => entry.event);
  }

  offersOf(n: number): readonly Event[] {
    return this.eventsOf('channel-out').filter((event) => event.type === 'UpdateAddHtlcSent' && event.payment_hash === hashes[n]);
  }

  /** How the incoming half ended. */
  endOf(n: number): 'fulfilled' | 'failed' | undefined {
    const ends = this.eventsOf('channel-in').filter((event) => (event.type === 'UpdateFulfillHtlcSent' || event.type === 'UpdateFailHtlcSent') && event.id === BigInt(n));
    expect(ends.length).toBeLessThanOrEqual(1);
    if (ends.length === 0) return undefined;
    return ends[0]!.type === 'UpdateFulfillHtlcSent' ? 'fulfilled' : 'failed';
  }

  /** Nothing fails any more: everything is delivered and answered. */
  comeToRest(): void {
    for (let rounds = 0; rounds < 200; rounds++) {
      const before = this.log.length;
      this.step({ do: 'answer', pick: 0 });
      while (this.cursor < this.log.length || this.pending.length > 0) this.step({ do: 'deliver', pick: 0 });
      if (this.log.length === before && this.#openOffers().length === 0) return;
    }
    throw new Error('the relay does not come to rest');
  }
}

const failures = {
  fail: { kind: 'reason', reason_hash: hash('reason') },
  malformed: { kind: 'malformed', failure_code: 0xc005, sha256_of_onion: hash('onion') },
  on_chain: { kind: 'on_chain' },
} as const;

const incoming = (n: number): Event => ({
  type: 'IncomingHtlcCommitted',
  htlc_id: BigInt(n),
  amount_msat: amount(1_001),
  payment_hash: hashes[n]!,
  cltv_expiry: 201,
  hop: { kind: 'forward', short_channel_id: scid('7x1x0'), amt_to_forward: amount(1_000), outgoing_cltv_value: 200, next_onion_hash: hash('next') },
});

const step: fc.Arbitrary<Step> = fc.record({
  do: fc.oneof({ weight: 6, arbitrary: fc.constant('deliver' as const) }, { weight: 3, arbitrary: fc.constant('redeliver' as const) }, { weight: 2, arbitrary: fc.constant('answer' as const) }, { weight: 1, arbitrary: fc.constant('crash' as const) }),
  pick: fc.nat(1_000),
});
const endings = fc.array(fc.constantFrom('fulfil', 'fail', 'malformed', 'on_chain', 'decline'), { minLength: HTLCS, maxLength: HTLCS });

/** What must hold at every moment. */
function neverTwice(node: RelayNode): void {
  for (let n = 0; n < HTLCS; n++) {
    expect(node.offersOf(n).length).toBeLessThanOrEqual(1);
    const end = node.endOf(n);
    const paidOut = node.log.some(({ event }) => event.type === 'OutgoingHtlcFulfilled' && event.payment_hash === hashes[n]);
    // Paid in without having paid out would be theft, given back after having paid out a loss.
    if (end === 'fulfilled') expect(paidOut).toBe(true);
    if (end === 'failed') expect(paidOut).toBe(false);
  }
}

/** What must hold when all is at rest. */
function halvesAgree(node: RelayNode): void {
  for (let n = 0; n < HTLCS; n++) expect(node.endOf(n)).toBe(node.usable && node.endings[n] === 'fulfil' ? 'fulfilled' : 'failed');
}

describe('safety 23: a forward', () => {
  it('is offered once, and its halves end alike, in any order of deliveries and crashes', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), endings, fc.boolean(), (steps, wanted, usable) => {
        const node = new RelayNode(wanted, usable);
        for (const next of steps) {
          node.step(next);
          neverTwice(node);
        }
        node.comeToRest();
        neverTwice(node);
        halvesAgree(node);
      }),
      { numRuns: runs(500) },
    );
  });

  it('survives a crash right after each persistence point', () => {
    fc.assert(
      fc.property(fc.nat(60), fc.nat(1_000), endings, (moment, behind, wanted) => {
        const node = new RelayNode(wanted, true);
        for (let n = 0; n < moment; n++) node.step({ do: n % 3 === 2 ? 'answer' : 'deliver', pick: n });
        node.step({ do: 'crash', pick: behind });
        node.comeToRest();
        neverTwice(node);
        halvesAgree(node);
      }),
      { numRuns: runs(300) },
    );
  });
});
