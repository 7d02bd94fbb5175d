/** BOLT 5: while a revocation is owed the peer may publish the commitment before its newest; we know it to the byte, whatever was said meanwhile. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { CommitmentSpec } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { msat } from '../../../src/bolt/primitives.ts';
import { commitmentSpec, previousRemoteSpec } from '../../../src/domain/channel/commitment-spec.ts';
import { isEstablished } from '../../../src/domain/channel/state.ts';
import { opened, type Pair, type Peer } from '../../support/channel-pair.ts';

/** Notes what was signed last, and compares it with what is derived for as long as its revocation is awaited. */
function watch(peer: Peer, seen: { compared: number }): void {
  let before: CommitmentSpec | undefined;
  peer.listeners.push((_peer, event, state) => {
    if (event.type === 'CommitmentSignedSent' && isEstablished(state)) before = commitmentSpec(state, 'remote');
    const { commitments } = peer.established;
    if (!commitments.remote.awaiting_revocation) return;
    expect(previousRemoteSpec(commitments)).toEqual(before);
    seen.compared += 1;
  });
}

const WISHES: readonly ((pair: Pair, n: number) => void)[] = [
  ({ alice }, n) => alice.offer({ payment: n, amount_msat: msat(1_000_000n + BigInt(n)) }),
  ({ bob }, n) => bob.offer({ payment: n, amount_msat: msat(2_000_000n + BigInt(n)) }),
  ({ bob }, n) => bob.fail(BigInt(n % 3)),
  ({ alice }, n) => alice.fail(BigInt(n % 3)),
  ({ bob, alice }, n) => void fulfillAny(bob, alice, n),
  ({ alice, bob }, n) => void fulfillAny(alice, bob, n),
  ({ alice }, n) => alice.setFee(1_000 + n),
  (pair) => pair.deliver(pair.alice),
  (pair) => pair.deliver(pair.bob),
  ({ alice }) => alice.followUp(),
  ({ bob }) => bob.followUp(),
  (pair) => void pair.settle(),
];

/** With the preimage of whichever payment the HTLC was for. */
function fulfillAny(peer: Peer, from: Peer, n: number): void {
  const htlc = peer.established.commitments.htlcs.filter(({ direction }) => direction === 'received')[n % 4];
  const sent = from.has('UpdateAddHtlcSent').find(({ id }) => id === htlc?.id);
  if (htlc !== undefined && sent !== undefined && sent.origin.kind === 'payment') peer.fulfill(htlc.id, Number(sent.origin.payment.split('-').at(-1)));
}

it('is what was signed before, in any interleaving of updates, signatures, revocations and fees', () => {
  const seen = { compared: 0 };
  fc.assert(
    fc.property(fc.array(fc.nat(WISHES.length - 1), { minLength: 10, maxLength: 60 }), (wishes) => {
      const pair = opened();
      for (const peer of pair.peers) watch(peer, seen);
      wishes.forEach((wish, n) => WISHES[wish]!(pair, n + 1));
    }),
    { numRuns: 40 },
  );
  expect(seen.compared).toBeGreaterThan(200);
});
