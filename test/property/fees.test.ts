/** Safety 13 and 14 as laws: whatever is offered, resolved and estimated, both sides can pay fee and reserve, and no more than is borne is dust. */
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { msat, type Msat } from '../../src/bolt/primitives.ts';
import { commitmentSpec, worstView, type View } from '../../src/domain/channel/commitment-spec.ts';
import { DEFAULT_FEE_POLICY, dueFeerate } from '../../src/domain/channel/fee-policy.ts';
import { dustExposureMsat, openerCostMsat, reserveMsat, sendableMsat } from '../../src/domain/channel/limits.ts';
import type { EstablishedState, Htlc, LiveState } from '../../src/domain/channel/state.ts';
import { hashOf, opened, preimageOf, type Pair, type PairOptions, type Peer } from '../support/channel-pair.ts';
import { repeatably } from '../support/channel-simulation.ts';
import { runs } from '../support/property.ts';

const CAP = msat(6_000_000n);
const policies = { alice: { max_dust_exposure_msat: CAP, max_accepted_htlcs: 12 }, bob: { max_dust_exposure_msat: CAP, max_accepted_htlcs: 12 } };
const beginnings: readonly PairOptions[] = (['anchors_zero_fee_htlc_tx', 'static_remotekey'] as const).flatMap((format) =>
  [400_000_000n, 900_000_000n, 970_000_000n].map((push): PairOptions => ({ format, push_msat: msat(push), feerate_per_kw: 1_000, policies })));

type Step =
  | { readonly do: 'offer'; readonly by: 'alice' | 'bob'; readonly amount: bigint | 'most' }
  | { readonly do: 'end'; readonly by: 'alice' | 'bob'; readonly how: 'fulfill' | 'fail' }
  | { readonly do: 'estimate'; readonly feerate: number };

const by = fc.constantFrom('alice' as const, 'bob' as const);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('offer' as const), by, amount: fc.oneof(fc.constant('most' as const), fc.bigInt(1_000n, 5_000_000n), fc.bigInt(1_000n, 300_000_000n)) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('end' as const), by, how: fc.constantFrom('fulfill' as const, 'fail' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('estimate' as const), feerate: fc.oneof(fc.integer({ min: 253, max: 4_000 }), fc.integer({ min: 253, max: 30_000 })) }) },
);

describe('with a good connection, whatever two peers do', () => {
  const proven = { events: 0, fee_changes: 0 };

  it('safety 13, 14: after any event each side can pay fee and reserve on both commitments, feerate rises included, and dust stays within its bound', () => {
    fc.assert(fc.property(fc.constantFrom(...beginnings), fc.array(step, { maxLength: 40, size: 'max' }), (options, steps) => {
      const pair = opened(options);
      for (const peer of pair.peers) peer.listeners.push((who) => check(who.established));
      steps.forEach((each, n) => take(pair, each, n + 1));
      expect(pair.peers.map(({ state }) => state.phase)).toEqual(['normal', 'normal']);
    }), repeatably(runs(150, 1_500)));
  });

  function take(pair: Pair, each: Step, payment: number): void {
    const peer = each.do === 'estimate' ? pair.alice : pair[each.by];
    if (each.do === 'offer') peer.offer({ amount_msat: each.amount === 'most' ? most(peer) : msat(each.amount), payment });
    else if (each.do === 'end') end(peer, each.how);
    else follow(pair.alice, each.feerate);
    pair.settle();
  }

  const most = ({ established: { terms, commitments } }: Peer): Msat => sendableMsat(terms, worstView(commitments));

  function end(peer: Peer, how: 'fulfill' | 'fail'): void {
    const htlc = peer.established.commitments.htlcs.find(({ direction, state }) => direction === 'received' && state === 'RCVD_ADD_ACK_REVOCATION');
    if (htlc === undefined) return;
    if (how === 'fail') return void peer.fail(htlc.id);
    const payment = Array.from({ length: 41 }, (_, n) => n).find((n) => hashOf(preimageOf(n)) === htlc.payment_hash);
    peer.fulfill(htlc.id, payment);
  }

  /** The opener does what an estimate asks, and what it decides is never refused. */
  function follow(alice: Peer, feerate: number): void {
    const feerates = { urgent: feerate, normal: feerate, economic: feerate };
    const due = dueFeerate(alice.established as LiveState, feerates, { ...DEFAULT_FEE_POLICY, max_dust_exposure_msat: CAP });
    if (due === undefined) return;
    proven.fee_changes++;
    expect('accepted' in alice.setFee(due)).toBe(true);
  }

  function check(state: EstablishedState): void {
    proven.events++;
    for (const owner of ['local', 'remote'] as const) {
      const view = viewOf(state, owner);
      const opener = state.terms.role === 'opener' ? 'local' : 'remote';
      const balance = opener === 'local' ? view.local_msat : view.remote_msat;
      expect(balance).toBeGreaterThanOrEqual(openerCostMsat(state.terms, view, owner) + reserveMsat(state.terms, opener));
      expect(dustExposureMsat(state.terms, view.htlcs, view.feerate_per_kw, owner)).toBeLessThanOrEqual(CAP);
    }
  }

  /** One side's commitment as the limits see it. */
  function viewOf(state: EstablishedState, owner: 'local' | 'remote'): View {
    const { owner_msat, other_msat, feerate_per_kw, htlcs } = commitmentSpec(state, owner);
    const [local_msat, remote_msat] = owner === 'local' ? [owner_msat, other_msat] : [other_msat, owner_msat];
    const isIn = ({ id, direction }: Htlc) => htlcs.some((htlc) => htlc.id === id && (htlc.direction === direction) === (owner === 'local'));
    return { local_msat, remote_msat, feerate_per_kw, htlcs: state.commitments.htlcs.filter(isIn) };
  }

  afterAll(() => console.log(`fees: ${proven.events} events, ${proven.fee_changes} changes of a feerate`));
});
