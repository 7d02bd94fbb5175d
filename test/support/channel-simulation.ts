/** Random lives of a channel: steps that two honest peers and a bad connection may take in any order, and the laws that hold at each of them. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { msat, sat, satToMsat, type Hex32, type Msat } from '../../src/bolt/primitives.ts';
import { balances } from '../../src/domain/channel/commitment-spec.ts';
import { bestClose } from '../../src/domain/channel/mutual-closes.ts';
import { isEstablished, isLive, type ChannelState, type Commitments } from '../../src/domain/channel/state.ts';
import { opened, type Pair, type PairOptions } from './channel-pair.ts';
import { describeRefusal } from '../../src/domain/decider.ts';
import { hashOf, preimageOf, type Peer, type PeerName } from './channel-peer.ts';
import type { ChannelEvent } from '../../src/events/channel/index.ts';

export type Step =
  | { readonly do: 'offer'; readonly by: PeerName; readonly amount_msat: Msat }
  /** Resolves one of the HTLCs that `by` may resolve now. */
  | { readonly do: 'fulfill' | 'fail' | 'fail_malformed'; readonly by: PeerName; readonly pick: number }
  | { readonly do: 'fee'; readonly feerate_per_kw: number }
  | { readonly do: 'deliver'; readonly to: PeerName }
  /** A good connection for a while: so many times each side reads one message and acts. */
  | { readonly do: 'talk'; readonly turns: number }
  /** What the state itself asks for: above all a commitment_signed. */
  | { readonly do: 'act'; readonly who: PeerName }
  | { readonly do: 'disconnect' | 'reconnect' }
  | { readonly do: 'restart' | 'close'; readonly who: PeerName };

const peerName = fc.constantFrom<PeerName>('alice', 'bob');

/** Around the dust limits of both formats, ordinary, and more than there is. */
const amount = fc.oneof(
  fc.constantFrom(1n, 353_999n, 354_000n, 1_056_999n, 1_057_000n, 1_016_999n, 1_017_000n).map(msat),
  { weight: 4, arbitrary: fc.bigInt(1_000n, 90_000_000n).map(msat) },
  fc.bigInt(90_000_000n, 700_000_000n).map(msat),
);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 30, arbitrary: fc.record({ do: fc.constant('deliver' as const), to: peerName }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('talk' as const), turns: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 16, arbitrary: fc.record({ do: fc.constant('act' as const), who: peerName }) },
  { weight: 18, arbitrary: fc.record({ do: fc.constant('offer' as const), by: peerName, amount_msat: amount }) },
  { weight: 14, arbitrary: fc.record({ do: fc.constantFrom('fulfill' as const, 'fulfill' as const, 'fail' as const, 'fail_malformed' as const), by: peerName, pick: fc.nat(7) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('fee' as const), feerate_per_kw: fc.oneof(fc.integer({ min: 253, max: 4_000 }), fc.integer({ min: 253, max: 30_000 })) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('disconnect' as const) }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('reconnect' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('restart' as const), who: peerName }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), who: peerName }) },
);

/** The steps of one life. */
export const life = fc.array(step, { maxLength: 80, size: 'max' });

/** The channels that lives begin in: roomy, or with one limit within reach. */
const beginnings = {
  'anchors': {},
  'static_remotekey': { format: 'static_remotekey' },
  'anchors, the opener near its reserve': { push_msat: msat(970_000_000n), feerate_per_kw: 2_500 },
  'static_remotekey, the opener near its reserve': { format: 'static_remotekey', push_msat: msat(975_000_000n), feerate_per_kw: 5_000 },
  'anchors, few HTLCs and little in flight': { policies: { alice: { max_accepted_htlcs: 2 }, bob: { max_accepted_htlcs: 3, max_htlc_value_in_flight_msat: msat(100_000_000n) } } },
  'static_remotekey, little dust and unequal dust limits': { format: 'static_remotekey', policies: { alice: { dust_limit_satoshis: sat(1_000) }, bob: {} } },
} as const satisfies Record<string, PairOptions>;

export type Beginning = keyof typeof beginnings;
export const beginning = fc.constantFrom(...(Object.keys(beginnings) as Beginning[]));

const openedOnce = new Map<Beginning, Pair>();

/** A fresh copy of that channel; it is opened once. */
export function begin(name: Beginning): Pair {
  let pair = openedOnce.get(name);
  if (pair === undefined) {
    pair = opened(beginnings[name]);
    openedOnce.set(name, pair);
  }
  return pair.fork();
}

/** So many lives; one that breaks a law is shrunk, and the failure says how to live it again. */
export function repeatably<T>(numRuns: number): fc.Parameters<T> {
  return {
    numRuns,
    verbose: 0,
    reporter(details) {
      if (!details.failed) return;
      const again = `To repeat it: FC_SEED=${details.seed} FC_RUNS=${details.numRuns} npx vitest run <this file>`;
      throw new Error(`${fc.defaultReportMessage(details)}\n${again}`, { cause: details.errorInstance });
    },
  };
}

/** What the two peers together have promised and done, and the checks of every event. */
export class Simulation {
  readonly pair: Pair;
  /** Signatures for a new commitment that the other side built to the same transaction. */
  commitmentsAgreed = 0;
  restarts = 0;
  #payments = 0;
  readonly #preimages = new Map<Hex32, Hex32>();
  readonly #initial: Record<PeerName, bigint>;

  constructor(pair: Pair) {
    this.pair = pair;
    this.#initial = { alice: pair.alice.established.commitments.local_msat, bob: pair.bob.established.commitments.local_msat };
    for (const peer of pair.peers) peer.listeners.push((who, event, before) => this.#check(who, event, before));
  }

  // ---- steps

  take(step: Step): void {
    switch (step.do) {
      case 'offer':
        return this.#offer(this.pair[step.by], step.amount_msat);
      case 'fulfill':
      case 'fail':
      case 'fail_malformed':
        return this.#resolve(this.pair[step.by], step.do, step.pick);
      case 'fee':
        return void this.pair.alice.setFee(step.feerate_per_kw);
      case 'deliver':
        return this.#deliver(this.pair[step.to]);
      case 'talk':
        return this.#talk(step.turns);
      case 'act':
        return this.pair[step.who].followUp();
      case 'disconnect':
        return void this.pair.disconnect();
      case 'reconnect':
        return this.#reconnect();
      case 'restart':
        return this.#restart(this.pair[step.who]);
      case 'close':
        this.pair[step.who].wantsToClose = true;
    }
  }

  #offer(peer: Peer, amount_msat: Msat): void {
    const payment = ++this.#payments;
    this.#preimages.set(hashOf(preimageOf(payment)), preimageOf(payment));
    peer.offer({ amount_msat, payment });
  }

  #resolve(peer: Peer, how: 'fulfill' | 'fail' | 'fail_malformed', pick: number): void {
    const ready = isLive(peer.state) ? peer.state.commitments.htlcs.filter(({ state }) => state === 'RCVD_ADD_ACK_REVOCATION') : [];
    const htlc = ready[pick % ready.length];
    if (htlc === undefined) return;
    if (how === 'fulfill') peer.decide({ type: 'FulfillHtlc', htlc_id: htlc.id, payment_preimage: this.#preimages.get(htlc.payment_hash)! });
    if (how === 'fail') peer.fail(htlc.id);
    if (how === 'fail_malformed') peer.failMalformed(htlc.id);
  }

  /** Nothing that an honest peer says is ever refused, and nothing of it fails the channel. */
  #deliver(to: Peer): void {
    const decision = this.pair.deliver(to);
    expect(decision === undefined ? 'accepted' : verdict(decision), `what ${to.name} says to the other's message`).toBe('accepted');
  }

  #talk(turns: number): void {
    for (let turn = 0; turn < turns; turn++) {
      for (const peer of this.pair.peers) {
        this.#deliver(peer);
        peer.followUp();
      }
    }
  }

  #reconnect(): void {
    if (!this.pair.alice.connected) this.pair.reconnect();
  }

  /** Replay: the log alone makes the same state. The connection is gone for both. */
  #restart(peer: Peer): void {
    expect(peer.replayed()).toEqual(peer.state);
    peer.restart();
    this.pair.disconnect();
    this.restarts++;
  }

  // ---- laws of each event

  #check(peer: Peer, event: ChannelEvent, before: ChannelState): void {
    const { state } = peer;
    if (!isEstablished(state) || !isEstablished(before)) return;
    const money = balances(state);
    expect(money.local_msat + money.remote_msat + money.offered_msat + money.received_msat).toBe(satToMsat(state.terms.funding_satoshis));
    for (const owner of ['local', 'remote'] as const) {
      const steps = state.commitments[owner].number - before.commitments[owner].number;
      const made = event.type === (owner === 'local' ? 'CommitmentSignedReceived' : 'CommitmentSignedSent');
      expect(steps, `${event.type} moves the ${owner} commitment number of ${peer.name}`).toBe(made ? 1n : 0n);
    }
    // Accepted means: our own build of this commitment, and of its HTLC transactions, is what the peer signed.
    if (event.type === 'CommitmentSignedReceived') this.commitmentsAgreed++;
  }

  // ---- the end

  /** Everything is delivered, every HTLC resolved, every wish to close heard; then the books of both sides must agree. */
  finish(): void {
    const { pair } = this;
    for (let rounds = 0; rounds < 20; rounds++) {
      this.#reconnect();
      this.#settle();
      const resolvable = pair.peers.flatMap((peer) => (isLive(peer.state) ? peer.state.commitments.htlcs.filter(({ state }) => state === 'RCVD_ADD_ACK_REVOCATION').map(() => peer) : []));
      if (resolvable.length === 0) break;
      resolvable.forEach((peer, index) => this.#resolve(peer, index % 3 === 0 ? 'fail' : 'fulfill', 0));
    }
    for (const peer of pair.peers) expect(peer.established.commitments.htlcs, `HTLCs left at ${peer.name}`).toEqual([]);
    this.#booksAgree();
    this.#eachHtlcHasOneOutcome(pair.alice, pair.bob);
    this.#eachHtlcHasOneOutcome(pair.bob, pair.alice);
    this.#closesAgree();
    for (const peer of pair.peers) expect(peer.replayed(), `${peer.name}'s log replayed`).toEqual(peer.state);
  }

  #settle(): void {
    const { alice, bob } = this.pair;
    for (let turns = 0; turns < 500; turns++) {
      while (alice.outbox.length + bob.outbox.length > 0) {
        this.#deliver(bob);
        this.#deliver(alice);
      }
      for (const peer of this.pair.peers) peer.followUp();
      if (alice.outbox.length + bob.outbox.length === 0) return;
    }
    throw new Error('the peers do not come to rest');
  }

  #booksAgree(): void {
    const [a, b] = this.pair.peers.map(({ established }) => established.commitments) as [Commitments, Commitments];
    expect({ local: a.local_msat, remote: a.remote_msat }).toEqual({ local: b.remote_msat, remote: b.local_msat });
    expect({ local: a.local.number, remote: a.remote.number }).toEqual({ local: b.remote.number, remote: b.local.number });
    expect({ offered: a.next_offered_id, received: a.next_received_id }).toEqual({ offered: b.next_received_id, received: b.next_offered_id });
    expect(a.fees.map(({ feerate_per_kw }) => feerate_per_kw)).toEqual(b.fees.map(({ feerate_per_kw }) => feerate_per_kw));
    const paid = { alice: 0n, bob: 0n };
    for (const { name } of this.pair.peers) for (const id of this.#fulfilled(name)) paid[name] += id;
    expect(a.local_msat).toBe(this.#initial.alice - paid.alice + paid.bob);
    expect(b.local_msat).toBe(this.#initial.bob - paid.bob + paid.alice);
  }

  /** Amounts of the HTLCs that `payer` offered and that were fulfilled. */
  #fulfilled(payer: PeerName): readonly bigint[] {
    const peer = this.pair[payer];
    const amounts = new Map(peer.has('UpdateAddHtlcSent').map(({ id, amount_msat }) => [id, amount_msat]));
    return peer.has('OutgoingHtlcFulfilled').map(({ htlc_id }) => amounts.get(htlc_id)!);
  }

  /** No HTLC is lost, none doubled, and both sides tell the same end of it. */
  #eachHtlcHasOneOutcome(payer: Peer, payee: Peer): void {
    const ids = payer.has('UpdateAddHtlcSent').map(({ id }) => id);
    expect(ids).toEqual(ids.map((_, index) => BigInt(index)));
    const inOrder = (list: readonly { readonly id: bigint; readonly how: string }[]) => list.toSorted((x, y) => (x.id < y.id ? -1 : 1));
    const atPayer = inOrder([
      ...payer.has('OutgoingHtlcFulfilled').map(({ htlc_id }) => ({ id: htlc_id, how: 'fulfilled' })),
      ...payer.has('OutgoingHtlcFailed').map(({ htlc_id }) => ({ id: htlc_id, how: 'failed' })),
    ]);
    const atPayee = inOrder([
      ...payee.has('UpdateFulfillHtlcSent').map(({ id }) => ({ id, how: 'fulfilled' })),
      ...[...payee.has('UpdateFailHtlcSent'), ...payee.has('UpdateFailMalformedHtlcSent')].map(({ id }) => ({ id, how: 'failed' })),
    ]);
    expect(atPayer).toEqual(atPayee);
    expect(atPayer.map(({ id }) => id)).toEqual(ids);
    expect(payee.has('IncomingHtlcCommitted').map(({ htlc_id }) => htlc_id).toSorted((x, y) => (x < y ? -1 : 1))).toEqual(ids);
  }

  /** A close that one side wished for has come about, and both hold the same closing transaction. */
  #closesAgree(): void {
    const { alice, bob } = this.pair;
    if (alice.state.phase === 'normal' && bob.state.phase === 'normal') return;
    expect([alice.state.phase, bob.state.phase]).toEqual(['closing', 'closing']);
    const best = [alice, bob].map(({ state }) => (state.phase === 'closing' ? bestClose(state)?.closing_txid : undefined));
    expect(best[0]).toBeDefined();
    expect(best[1]).toBe(best[0]);
  }
}

function verdict(decision: NonNullable<ReturnType<Pair['deliver']>>): string {
  if ('refused' in decision) return describeRefusal(decision.refused);
  const failed = decision.accepted.find((event) => event.type === 'ChannelFailed');
  return failed === undefined ? 'accepted' : `${failed.code}: ${failed.reason}`;
}

/** One life, from its beginning to its end. `look` sees the pair before it begins, and may watch it from then on. Answers what it proved. */
export function live(name: Beginning, steps: readonly Step[], look: (pair: Pair) => void = () => undefined): Simulation {
  const pair = begin(name);
  const simulation = new Simulation(pair);
  look(pair);
  for (const each of steps) simulation.take(each);
  simulation.finish();
  return simulation;
}
